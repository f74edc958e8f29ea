"""A wheel of the code that runs here, for Ray to install on the nodes that run a job.

Made of the packages as they are imported, so that a checkout and an installed distribution ship
alike, without a build tool. How Ray 2.60 treats a wheel decides its form:

- nodes run `pip install WHEEL --target FOLDER`, which would download every requirement anew, torch
  included, even where the node has it; so this wheel names none;
- a wheel is known by its file name alone, and one that the cluster has is not uploaded again; so
  the name holds a digest of the content, as its build tag.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from pathlib import Path

import tune_ode
from tune_ode import __version__
from tune_ode.runs.provenance import REVISION_FILE, revision

PACKAGES = ("tune_ode", "search_spaces", "analysis")
_SUFFIXES = {".py", ".typed", ".yaml", ".css", ".js", ".j2"}
"""Of modules, and of the data files that pyproject.toml names; a test compares the two."""
_INFO = f"tune_ode-{__version__}.dist-info"
_METADATA = f"""\
Metadata-Version: 2.1
Name: tune-ode
Version: {__version__}
Requires-Python: >=3.11
"""


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder; the same code gives the same file.

    Returns:
        The wheel's path.
    """
    files = _files()
    digest = hashlib.sha256()
    for name, content in files.items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    build = f"0{digest.hexdigest()[:16]}"  # a build tag starts with a digit
    files |= {
        f"{_INFO}/METADATA": _METADATA.encode(),
        f"{_INFO}/WHEEL": (
            "Wheel-Version: 1.0\nGenerator: tune-ode\nRoot-Is-Purelib: true\n"
            f"Tag: py3-none-any\nBuild: {build}\n"
        ).encode(),
    }
    files[f"{_INFO}/RECORD"] = _record(files)
    path = folder / f"tune_ode-{__version__}-{build}-py3-none-any.whl"
    path.write_bytes(_zipped(files))
    return path


def _files() -> dict[str, bytes]:
    """Return the content of what is shipped, by its path in the wheel."""
    root = Path(tune_ode.__file__).resolve().parent.parent
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in _SUFFIXES
    }
    if here := revision():
        # a checkout's own is found by git, which the nodes cannot ask
        files[f"tune_ode/{REVISION_FILE}"] = f"{here}\n".encode()
    return files


def _record(files: dict[str, bytes]) -> bytes:
    lines = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{name},sha256={digest},{len(content)}\n")
    return "".join([*lines, f"{_INFO}/RECORD,,\n"]).encode()


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # ZipInfo's own date, 1980: the same code gives the same bytes
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
