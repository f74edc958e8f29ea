"""`make install-cpu` gets PyTorch without CUDA libraries, or else the default build."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# `python -m venv .venv`, with programs that record their arguments and fail where they are told to
PYTHON = r"""#!/bin/sh
mkdir -p .venv/bin
for name in python pip uv; do
    cat > .venv/bin/$name << END
#!/bin/sh
echo $name "\$@" >> calls
case "\$*" in *${UNREACHABLE:-nothing}*) echo unreachable >&2; exit 1; esac
END
    chmod +x .venv/bin/$name
done
"""


@pytest.fixture
def make(tmp_path):
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)

    def run(*arguments, unreachable=""):
        done = subprocess.run(
            ["make", "--silent", *filter(None, arguments), f"PYTHON={python}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "UNREACHABLE": unreachable},
        )
        calls = tmp_path / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return done.returncode, lines, done.stderr.splitlines()

    return run


def test_pytorch_is_installed_from_its_cpu_index_before_the_rest(make):
    status, calls, errors = make("install-cpu")
    assert (status, errors) == (0, [])
    _, torch, package = calls
    assert "--torch-backend cpu torch torchvision" in torch
    assert "--editable .[dev]" in package
    assert make("install") == (0, [], []), "the environment is complete"


def test_the_index_can_be_another(make):
    status, calls, errors = make("install-cpu", "TORCH_INDEX=https://mirror.example/cpu")
    assert (status, errors) == (0, [])
    assert calls[0].startswith("pip install")
    assert calls[0].endswith("--index-url https://mirror.example/cpu torch torchvision")


@pytest.mark.parametrize(
    ("index", "unreachable"),
    [
        ("", "install*uv"),
        ("", "torch-backend"),
        ("TORCH_INDEX=https://mirror.example/cpu", "mirror"),
    ],
)
def test_an_unreachable_index_leaves_the_default_build_and_one_line(make, index, unreachable):
    status, calls, errors = make("install-cpu", index, unreachable=unreachable)
    assert status == 0
    assert "--editable .[dev]" in calls[-1]
    (line,) = errors
    assert "installing the default build" in line


def test_an_environment_with_cuda_libraries_is_not_mixed(make, tmp_path):
    (tmp_path / ".venv/lib/python3.11/site-packages/nvidia").mkdir(parents=True)
    status, calls, errors = make("install-cpu")
    assert (status, calls) == (2, [])
    assert "make clean" in errors[0]
