"""Path of an object in an object store, or of a prefix of objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tune_ode.errors import RunFolderError, first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


@dataclass(frozen=True)
class RemotePath:
    """Path of an object or prefix, with the methods of `pathlib.Path` that runs need.

    Methods raise `FileNotFoundError` for a missing object, and `RunFolderError` for every other
    failure of the store.
    """

    filesystem: FileSystem = field(compare=False, repr=False)
    key: str = field(compare=False)
    """Path in the file system, bucket first."""
    url: str
    """URL for messages, without credentials and options."""
    options: str = field(default="", compare=False, repr=False)
    """URL options to open it again, without credentials."""

    def __truediv__(self, name: str) -> RemotePath:
        return dataclasses.replace(self, key=f"{self.key}/{name}", url=f"{self.url}/{quote(name)}")

    def __str__(self) -> str:
        return self.url

    @property
    def address(self) -> str:
        """URL that opens it on any machine that has the credentials."""
        return f"{self.url}?{self.options}" if self.options else self.url

    @property
    def name(self) -> str:
        """The last component."""
        return self.key.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        """The path without its last component."""
        return dataclasses.replace(
            self, key=self.key.rpartition("/")[0], url=self.url.rpartition("/")[0]
        )

    def resolve(self) -> RemotePath:
        """Return the path itself: there are no links."""
        return self

    def read_bytes(self, limit: int | None = None) -> bytes:
        """Return the content of the object, or one byte more than the limit."""
        with _store_errors("read", self), self.filesystem.open_input_stream(self.key) as stream:
            return bytes(stream.read() if limit is None else stream.read(limit + 1))

    def write_bytes(self, content: bytes) -> None:
        """Create or replace the object."""
        with _store_errors("write", self), self.filesystem.open_output_stream(self.key) as stream:
            stream.write(content)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        with _store_errors("delete", self):
            try:
                self.filesystem.delete_file(self.key)
            except FileNotFoundError:
                if not missing_ok:
                    raise

    def mkdir(self, exist_ok: bool = False) -> None:
        """Create a directory, if the store has directories."""
        with _store_errors("write", self):
            self.filesystem.create_dir(self.key)

    def exists(self) -> bool:
        """Return whether the object exists."""
        # one request; `get_file_info` would also look for a directory if there is no object
        try:
            with _store_errors("read", self), self.filesystem.open_input_stream(self.key):
                return True
        except FileNotFoundError:
            return False

    def is_dir(self) -> bool:
        """Return whether any object has this prefix."""
        with _store_errors("read", self):
            return not self.filesystem.get_file_info(self.key).is_file and bool(self._entries())

    def iterdir(self) -> Iterator[RemotePath]:
        """Yield the objects and prefixes directly below this prefix."""
        with _store_errors("read", self):
            names = [entry.base_name for entry in self._entries()]
        yield from (self / name for name in names)

    def objects(self) -> list[str]:
        """Return the relative names of all objects below: `trials/0001/config.json`."""
        return list(self.sizes())

    def sizes(self) -> dict[str, int]:
        """Return relative name → bytes of all objects below."""
        with _store_errors("read", self):
            entries = self._entries(recursive=True)
        prefix = f"{self.key}/"
        return {entry.path.removeprefix(prefix): entry.size for entry in entries if entry.is_file}

    def _entries(self, *, recursive: bool = False) -> Sequence[Any]:
        from pyarrow.fs import FileSelector

        selector = FileSelector(self.key, allow_not_found=True, recursive=recursive)
        return list(self.filesystem.get_file_info(selector))


@contextmanager
def _store_errors(action: str, path: RemotePath) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:  # base classes of pyarrow's errors
        raise RunFolderError(
            f"cannot {action} {path}: {first_line(error)}; check the URL, the network and the "
            "credentials in the environment"
        ) from None
