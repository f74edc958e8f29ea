"""An object of an object store, or a folder of them: what is used here of `pathlib.Path`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from dataclasses import replace as changed
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tune_ode.errors import RunFolderError, first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True)
class RemotePath:
    """An object, or a folder of objects, in an object store: what is used here of `pathlib.Path`.

    Whatever the store refuses is a `RunFolderError`; an object that is not there is a
    `FileNotFoundError`.
    """

    filesystem: FileSystem = field(compare=False, repr=False)
    key: str = field(compare=False)
    """Path in the file system, bucket first."""
    url: str
    """As it is shown: without credentials and options."""
    options: str = field(default="", compare=False, repr=False)
    """Of the URL, to open it again; no credentials among them."""

    def __truediv__(self, name: str) -> RemotePath:
        return changed(self, key=f"{self.key}/{name}", url=f"{self.url}/{quote(name)}")

    def __str__(self) -> str:
        return self.url

    @property
    def address(self) -> str:
        """URL that opens it on any machine which has the credentials."""
        return f"{self.url}?{self.options}" if self.options else self.url

    @property
    def name(self) -> str:
        """Its last part."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The folder that it is in."""
        return changed(self, key=self.key.rpartition("/")[0], url=self.url.rpartition("/")[0])

    def resolve(self) -> RemotePath:
        """Return itself: it has one name."""
        return self

    def read_bytes(self) -> bytes:
        """Return the object's content."""
        with _told("read", self), self.filesystem.open_input_stream(self.key) as stream:
            return bytes(stream.read())

    def write_bytes(self, content: bytes) -> None:
        """Replace the object, or make it."""
        with _told("write", self), self.filesystem.open_output_stream(self.key) as stream:
            stream.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        with _told("delete", self):
            try:
                self.filesystem.delete_file(self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def mkdir(self, exist_ok: bool = False) -> None:
        """Make a folder, where the store has such a thing."""
        with _told("write", self):
            self.filesystem.create_dir(self.key)

    def exists(self) -> bool:
        """Return whether there is such an object."""
        # one request; where there is none, asking for its kind would also look for a folder
        try:
            with _told("read", self), self.filesystem.open_input_stream(self.key):
                return True
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Return whether there is anything in it."""
        with _told("read", self):
            return not self.filesystem.get_file_info(self.key).is_file and bool(self._entries())

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield what is in it."""
        with _told("read", self):
            names = [entry.base_name for entry in self._entries()]
        yield from (self / name for name in names)

    def objects(self) -> list[str]:
        """Return the names of all objects in it, at any depth: `trials/0001/config.json`."""
        with _told("read", self):
            entries = self._entries(recursive=True)
        return [entry.path.removeprefix(f"{self.key}/") for entry in entries if entry.is_file]

    def _entries(self, *, recursive: bool = False) -> Sequence[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.key, allow_not_found=True, recursive=recursive)
        return list(self.filesystem.get_file_info(selector))


@contextmanager
def _told(what: str, path: RemotePath) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's own errors are such
        raise RunFolderError(
            f"cannot {what} {path}: {first_line(error)}; check the URL, the network and the "
            "credentials that this kind of store takes from the environment"
        ) from None
