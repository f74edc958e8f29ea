"""Links between the pages, README and the other documents lead to files and headings that exist."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for folder in ("", "docs/**", "benchmarks/**", "deploy/**")
    for path in ROOT.glob(f"{folder}/*.md" if folder else "*.md")
)
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]*`", re.DOTALL | re.MULTILINE)
LINK = re.compile(
    r"\]\(\s*<?([^)>\s]+)|^\[[^\]]+\]:\s*(\S+)|(?:href|src)=\"([^\"]+)\"", re.MULTILINE
)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and the site form them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*?)\s*#*$", text, re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def broken_links(page: Path) -> list[str]:
    """Return the relative links of a page that lead nowhere."""
    found = []
    for groups in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        link = "".join(groups)
        url = urlsplit(link)
        if url.scheme or url.netloc:
            continue
        target = page.parent.joinpath(unquote(url.path)).resolve() if url.path else page
        missing = not target.exists() or ROOT not in (target, *target.parents)
        if missing or (url.fragment and url.fragment not in anchors(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    assert not broken_links(page)


def test_a_missing_file_and_a_missing_heading_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading: `code` (1)\n[a](page.md#a-heading-code-1) [b](#no) [c](gone.md)\n"
        "[d](../x.md) "
        "`[e](code.md)`\n\n```\n[f](code.md)\n# no heading\n```\n![g](none.png) [h](https://x.org)\n"
        '<img src="none.svg">\n\n[i]: none.txt\n[j](#no-heading)\n'
    )
    found = broken_links(page)
    assert found == ["#no", "gone.md", "../x.md", "none.png", "none.svg", "none.txt", "#no-heading"]
