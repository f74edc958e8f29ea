"""An object store in memory that counts requests and fails on demand."""

import contextlib
import io
from types import SimpleNamespace

from tune_ode.remote_path import RemotePath


class Killed(BaseException):
    """Stands for SIGKILL: no handler of the code under test catches it."""


class ObjectStore:
    """An in-memory file system with the interface of `pyarrow.fs`."""

    def __init__(self, objects):
        self.objects = objects
        self.requests = []
        self.writes = 0
        self.killed_before_write = None
        """Raise `Killed` in place of the write with this number, from 1."""
        self.unavailable = False
        """Whether every request fails."""
        self.path = RemotePath(self, "bucket/run", "store://bucket/run")

    def on_write(self, key, content):
        """Do nothing; a test replaces this to observe writes."""

    def _request(self, method, key):
        if self.killed_before_write is not None and self.writes >= self.killed_before_write:
            raise Killed
        self.requests.append((method, key))
        if method in {"write", "delete"}:
            self.writes += 1
            if self.writes == self.killed_before_write:
                raise Killed
        if self.unavailable:
            raise OSError("refused")

    @contextlib.contextmanager
    def open_input_stream(self, key):
        self._request("read", key)
        if key not in self.objects:
            raise FileNotFoundError(key)
        yield io.BytesIO(self.objects[key])

    @contextlib.contextmanager
    def open_output_stream(self, key):
        self._request("write", key)
        stream = io.BytesIO()
        yield stream
        self.objects[key] = stream.getvalue()
        self.on_write(key, stream.getvalue())

    def delete_file(self, key):
        self._request("delete", key)
        if key not in self.objects:
            raise FileNotFoundError(key)
        del self.objects[key]

    def get_file_info(self, query):
        self._request("list", query)
        if isinstance(query, str):
            return SimpleNamespace(is_file=query in self.objects)
        found = [key for key in sorted(self.objects) if key.startswith(f"{query.base_dir}/")]
        if not query.recursive:
            depth = query.base_dir.count("/") + 2
            found = sorted({"/".join(key.split("/")[:depth]) for key in found})
        return [
            SimpleNamespace(
                path=key,
                base_name=key.rpartition("/")[2],
                is_file=key in self.objects,
                size=len(self.objects.get(key, b"")),
            )
            for key in found
        ]
