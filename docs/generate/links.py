"""Hook: links that leave `docs/` lead to a page of the site, or to the file in the repository."""

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
OUTSIDE = ("SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/results/*.*")
"""Files of the repository that are part of the site as well."""
LINK = re.compile(r"(\[[^\]]*\])\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> None:
    """Take the address of the repository from the project's metadata."""
    project = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8"))["project"]
    urls = project.get("urls", {})
    config.repo_url, config.repo_name = urls.get("Repository"), "repository"


def on_files(files: Files, /, *, config: Any) -> None:
    """Add the pages outside of `docs/`."""
    for path in sorted(path for pattern in OUTSIDE for path in ROOT.glob(pattern)):
        name = path.relative_to(ROOT).as_posix()
        files.append(File(name, str(ROOT), config.site_dir, config.use_directory_urls))


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, files: Files) -> str:
    """Rewrite relative links, which are those of the repository."""
    here = page.file.src_uri
    folder = posixpath.dirname(here if here in _outside(files) else f"docs/{here}")

    def rewrite(link: re.Match[str]) -> str:
        text, target, anchor = link.groups(default="")
        path = posixpath.normpath(posixpath.join(folder, target))
        page_uri = path.removeprefix("docs/")
        if files.get_file_from_path(page_uri):
            return f"{text}({posixpath.relpath(page_uri, posixpath.dirname(here) or '.')}{anchor})"
        if not ROOT.joinpath(path).exists():
            return link[0]  # an error of the strict build
        return f"{text}({config.repo_url}/blob/main/{path})" if config.repo_url else text[1:-1]

    return LINK.sub(rewrite, markdown)


def _outside(files: Files) -> set[str]:
    return {file.src_uri for file in files if file.src_dir == str(ROOT)}
