"""The package that `python -m build` makes is complete, and its metadata have one source."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
import yaml

import tune_ode

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("tune_ode", "analysis", "search_spaces")
INDEX = re.compile(r"//(download\.pytorch\.org|pypi\.org/simple|files\.pythonhosted\.org)")


def text_files():
    kinds = {"", ".md", ".py", ".toml", ".cff", ".yaml", ".ipynb", ".yml", ".sh", ".j2"}
    folders = (*PACKAGES, "benchmarks", "docs", "deploy")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in [*found, *ROOT.iterdir()] if path.is_file() and path.suffix in kinds]


def test_the_address_of_the_repository_is_in_one_place():
    (address,) = PROJECT["urls"].values()
    assert [p.name for p in text_files() if address in p.read_text()] == ["pyproject.toml"]


def test_no_package_index_is_named():
    assert not [path for path in text_files() if INDEX.search(path.read_text())]


def test_citation_and_changelog_have_the_version_of_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["version"] == tune_ode.__version__
    changelog = (ROOT / "CHANGELOG.md").read_text()
    (date,) = re.findall(rf"^## {tune_ode.__version__} \((.*)\)$", changelog, re.MULTILINE)
    assert date == str(citation["date-released"])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Build the source distribution and from it the wheel; return an environment with the wheel.

    The environment sees the packages of this one, without its editable installation.
    """
    folder = tmp_path_factory.mktemp("package")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"]
    subprocess.run([*pip, wheel], check=True, capture_output=True)
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return site


@pytest.mark.long
def test_the_wheel_runs_in_an_empty_environment(installed, tmp_path):
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = installed.parents[2] / "bin" / "tune-ode"

    def run(*arguments):
        done = subprocess.run(
            [program, *arguments], cwd=tmp_path, capture_output=True, text=True, env=inherited
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    assert tune_ode.__version__ in run("--version")
    assert "quick" in run("spaces")
    assert "cifar10-fast" in run("recipes"), "YAML files are inside"
    small = ("--trials", "2", "--trial-seconds", "2s", "--fix", "model.width=16")
    run("search", "--name", "first", *small)
    page = tmp_path / "runs" / "first" / "report" / "index.html"
    page.unlink()
    run("report", "runs/first")
    assert all(part in page.read_text() for part in ("<style>", "<script")), "templates are inside"


@pytest.mark.long
def test_the_wheel_has_the_metadata_and_only_the_packages(installed):
    (info,) = installed.glob("tune_ode-*.dist-info")
    metadata = PathDistribution(info).metadata
    assert metadata["Version"] == tune_ode.__version__
    assert metadata.get_all("Classifier") == PROJECT["classifiers"]
    top = {Path(line.split(",")[0]).parts[0] for line in (info / "RECORD").read_text().splitlines()}
    assert top - {info.name, ".."} == set(PACKAGES)
    for path in (path for name in PACKAGES for path in (ROOT / name).rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            assert (installed / path.relative_to(ROOT)).exists(), path
