"""What is shipped is the code that runs here, in the form that Ray's nodes can install offline."""

import base64
import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import tune_ode
from tune_ode.cluster import wheel
from tune_ode.cluster.wheel import PACKAGES, write_wheel

CHECKOUT = Path(tune_ode.__file__).parents[1]


@pytest.fixture
def made(tmp_path):
    return write_wheel(tmp_path)


def test_it_holds_the_packages_and_nothing_else(made):
    names = zipfile.ZipFile(made).namelist()
    assert {name.split("/")[0] for name in names} == {*PACKAGES, "tune_ode-0.1.0.dist-info"}
    assert {"tune_ode/cli/main.py", "search_spaces/recipes/fast.yaml", "analysis/page/report.css",
            "tune_ode/py.typed"} <= set(names)  # fmt: skip
    assert not [name for name in names if "__pycache__" in name]


def test_it_names_no_requirement_as_nodes_would_download_each(made):
    archive = zipfile.ZipFile(made)
    assert "Requires-Dist" not in archive.read("tune_ode-0.1.0.dist-info/METADATA").decode()


def test_every_file_is_recorded_with_its_digest(made):
    archive = zipfile.ZipFile(made)
    lines = archive.read("tune_ode-0.1.0.dist-info/RECORD").decode().splitlines()
    recorded = {}
    for line in lines:
        name, digest, _ = line.rsplit(",", 2)
        recorded[name] = digest
    assert set(recorded) == set(archive.namelist())
    for name, digest in recorded.items():
        if digest:
            found = hashlib.sha256(archive.read(name)).digest()
            assert digest == f"sha256={base64.urlsafe_b64encode(found).decode().rstrip('=')}"


def test_its_name_changes_with_the_code_and_with_nothing_else(tmp_path, monkeypatch):
    first = write_wheel(tmp_path)
    assert re.fullmatch(r"tune_ode-0\.1\.0-0[0-9a-f]{16}-py3-none-any\.whl", first.name)
    before = first.read_bytes()
    assert write_wheel(tmp_path).read_bytes() == before
    files = wheel._files()
    monkeypatch.setattr(wheel, "_files", lambda: files | {"tune_ode/cli/main.py": b"changed"})
    assert write_wheel(tmp_path) != first


def test_a_shipped_package_knows_its_revision_and_finds_its_data(made, tmp_path):
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target", target]
    environment = {"PATH": "/usr/bin:/bin", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*pip, made], check=True, env=environment)
    code = (
        "import tune_ode, search_spaces.recipes, tune_ode.runs.provenance as p;"
        "print(tune_ode.__file__, search_spaces.recipes.recipes(), p.revision())"
    )
    said = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(target)}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.startswith(str(target))
    assert "'fast'" in said
    assert str(wheel.revision()) in said


@pytest.mark.long
def test_it_holds_the_files_that_setuptools_would_put_into_one(made, tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", tmp_path / "theirs", CHECKOUT], check=True)
    (theirs,) = (tmp_path / "theirs").glob("*.whl")
    code = [
        {name for name in zipfile.ZipFile(path).namelist() if ".dist-info/" not in name}
        for path in (made, theirs)
    ]
    assert code[0] - {"tune_ode/REVISION"} == code[1]
