"""The report in a browser: no errors, a sortable and filterable table, no injected scripts."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from analysis.report import write_report
from tests.analysis.conftest import load_ranked

pytestmark = pytest.mark.long
RUN = Path(__file__).parents[2] / "data" / "run-of-12"
EVIL = "<script>window.broken=1</script>\"'><img src=x onerror=window.broken=1>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    run = tmp_path_factory.mktemp("report") / "run-of-12"
    shutil.copytree(RUN, run)
    return write_report(*load_ranked(run))


@pytest.fixture
def opened(browser, page):
    browser.open(page)
    browser.run("sessionStorage.clear()")
    browser.open(page)
    browser.log()
    return browser


def shown(browser, column):
    """Text of a column in the visible rows."""
    return browser.run(
        f"return [...document.querySelectorAll('#ranking tbody tr')].filter(row => !row.hidden)"
        f".map(row => row.cells[{column}].textContent)"
    )


def heading(browser, name):
    return browser.run(
        "return [...document.querySelectorAll('#ranking th')]"
        f".findIndex(heading => heading.textContent === '{name}')"
    )


RANKED = ["0002", "0001", "0003", "0004", "0005", "0009", "0011", "0012", "0010", "0006", "0007",
          "0008"]  # fmt: skip


def test_the_page_logs_no_errors(browser, page):
    browser.open(page)
    browser.click("#theme")
    assert browser.log() == []
    assert browser.run("return document.images.length") >= 8
    assert browser.run("return [...document.images].every(image => image.naturalWidth > 0)")


def test_a_click_on_a_heading_sorts(opened):
    assert shown(opened, 1) == RANKED
    best = heading(opened, "best")
    selector = f"#ranking th:nth-child({best + 1}) button"
    opened.click(selector)
    downwards = ["0.9200", "0.9100", "0.9000", "0.9000", "0.9000", "0.8900", "0.8800", "0.8800",
                 "0.3000", "–", "–", "–"]  # fmt: skip
    assert shown(opened, best) == downwards
    opened.click(selector)
    assert shown(opened, best) == [*reversed(downwards[:9]), "–", "–", "–"], "missing: last"
    opened.click(selector)
    assert shown(opened, 1) == RANKED, "the third click restores the ranking"


def test_a_click_on_an_outcome_toggles_its_trials(opened):
    opened.click(".chip[data-outcome=completed]")
    opened.click(".chip[data-outcome=failed]")
    assert shown(opened, 1) == ["0002", "0005", "0011", "0010", "0006", "0008"]
    assert opened.run("return document.getElementById('count').textContent") == "6 of 12 shown"
    opened.click(".chip[data-outcome=completed]")
    assert len(shown(opened, 1)) == 11
    opened.type("#search", "dopri5")
    assert shown(opened, 1) == ["0005", "0010", "0006"]


def test_sorting_and_filters_survive_a_reload(opened):
    opened.click(".chip[data-outcome=completed]")
    opened.click(f"#ranking th:nth-child({heading(opened, 'best') + 1}) button")
    before = shown(opened, 1)
    opened.run("window.old = true; setTimeout(() => location.reload(), 0)")
    opened.wait("return window.old === undefined && document.readyState === 'complete'")
    assert shown(opened, 1) == before
    assert before[0] == "0010"


def test_more_columns_are_shown_on_demand(opened):
    hidden = "return getComputedStyle(document.querySelector('#ranking .more')).display === 'none'"
    assert opened.run(hidden)
    opened.click("#all")
    assert not opened.run(hidden)


def test_the_theme_follows_the_system_and_the_button(opened, tmp_path):
    background = "return getComputedStyle(document.body).backgroundColor"
    opened.prefer("dark")
    assert opened.run(background) == "rgb(21, 24, 28)"
    opened.click("#theme")  # auto, then light
    assert opened.run(background) == "rgb(255, 255, 255)"
    opened.prefer("light")
    opened.click("#theme")
    assert opened.run(background) == "rgb(21, 24, 28)"
    opened.screenshot(tmp_path / "dark.png")
    assert (tmp_path / "dark.png").stat().st_size > 100_000


def test_names_with_tags_and_quotes_are_harmless(browser, tmp_path):
    run = tmp_path / "evil"
    shutil.copytree(RUN, run)
    for path in run.rglob("*.json*"):
        if path.name == "reports.jsonl":
            texts = path.read_text().splitlines()
            path.write_text("\n".join(_evil(text) for text in texts) + "\n")
        else:
            path.write_text(_evil(path.read_text()))
    browser.open(write_report(*load_ranked(run)))
    assert browser.log() == []
    assert browser.run("return window.broken === undefined")
    assert browser.run("return document.scripts.length") == 1
    assert EVIL in browser.run("return document.body.textContent")
    assert browser.run("return document.querySelectorAll('#ranking tbody tr').length") == 12


def _evil(text):
    """Return JSON with every text replaced, except those that the code interprets."""
    try:
        values = json.loads(text)
    except ValueError:
        return text
    for name, value in values.items():
        if isinstance(value, str) and name not in {"trial_id", "outcome", "state"}:
            values[name] = EVIL
        elif isinstance(value, dict) and name != "config":
            values[name] = {f"{key}{EVIL}": EVIL for key in value} | (
                {"dataset": EVIL, "command": "search"} if name == "options" else {}
            )
    return json.dumps(values)


def test_the_policy_blocks_an_injected_script(browser, page, tmp_path):
    """Second line of defence: if a text were not escaped, the policy would block its script."""
    broken = tmp_path / "broken.html"
    text = page.read_text().replace("</h1>", f"</h1>{EVIL}", 1)
    broken.write_text(text)
    browser.open(broken)
    assert browser.run("return window.broken === undefined")
    assert any("Content Security Policy" in message for message in browser.log())


def test_a_live_page_reloads_itself(browser, tmp_path):
    run = tmp_path / "live"
    shutil.copytree(RUN, run)
    loaded, ranking = load_ranked(run)
    running = dataclasses.replace(loaded, manifest=dataclasses.replace(loaded.manifest, name="old"))
    page = write_report(running, ranking, refresh=1.0)
    browser.open(page)
    page.write_text(page.read_text().replace("<h1>old", "<h1>new"))
    browser.wait("return document.querySelector('h1').textContent === 'new'")
