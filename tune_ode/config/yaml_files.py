"""YAML as people write it: the core schema of YAML 1.2, with errors that name file and line.

PyYAML reads YAML 1.1, in which `1e-3` is a text, `off` is false and `1:30` is ninety. Here a plain
scalar is null, true or false, a number, or else a text. Repeated keys, aliases and deep nesting
are refused: in a hand-written file each is a slip, and the last two can hang a reader.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tune_ode.errors import ConfigurationError

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DEEPEST = 20
"""Levels of nesting; the deepest of our files has eight."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own idiom
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise self._error("aliases (*name) are not read here; write it out")
        if self.depth == _DEEPEST:
            raise self._error(f"more than {_DEEPEST} levels of nesting")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def mapping(self, node: Any) -> dict[Any, Any]:
        pairs = [(self.construct_object(k, deep=True), v) for k, v in node.value]
        values: dict[Any, Any] = {}
        for (key, value), (key_node, _) in zip(pairs, node.value, strict=True):
            if isinstance(key, list | dict):
                raise yaml.MarkedYAMLError(None, None, "a key is a word", key_node.start_mark)
            if key in values:
                raise yaml.MarkedYAMLError(
                    None, None, f"'{key}' stands here twice", key_node.start_mark
                )
            values[key] = self.construct_object(value, deep=True)
        return values

    def scalar(self, node: Any) -> Any:
        return node.value if node.style in ("'", '"', "|", ">") else scalar(node.value)

    def _error(self, problem: str) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(None, None, problem, self.peek_event().start_mark)  # type: ignore[no-untyped-call]


_Loader.yaml_constructors = {
    "tag:yaml.org,2002:map": _Loader.mapping,
    "tag:yaml.org,2002:seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "tag:yaml.org,2002:str": _Loader.scalar,
    None: yaml.SafeLoader.construct_undefined,
}


def scalar(text: str) -> str | int | float | bool | None:
    """Return what an unquoted word means: null, a truth, a number, or itself.

    >>> scalar("1e-3"), scalar("off"), scalar("~")
    (0.001, 'off', None)
    """
    readers: tuple[tuple[re.Pattern[str], Callable[[str], Any]], ...] = (
        (_NULL, lambda _: None),
        (_BOOL, lambda word: word.lower() == "true"),
        (_INT, int),
        (_FLOAT, float),
    )
    for pattern, read in readers:
        if pattern.fullmatch(text):
            try:
                return read(text)  # type: ignore[no-any-return]
            except ValueError:  # a whole number of thousands of digits
                return text
    return text


def parse_yaml(text: str, source: str) -> Any:
    """Return the plain values a YAML text holds.

    Args:
        text: one YAML document.
        source: what to call it in an error: a path, an option.

    Raises:
        ConfigurationError: it is no YAML; says the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        raise ConfigurationError(f"{where}: no YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:  # characters that YAML has not
        raise ConfigurationError(f"{source}: no YAML: {' '.join(str(error).split())}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping a YAML file holds; an empty file holds none of anything.

    Raises:
        ConfigurationError: it cannot be read, or holds something else.
    """
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text in UTF-8, so no YAML") from None
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must hold settings by name, such as `seed: 1`")
    for key in values:
        if not isinstance(key, str):
            raise ConfigurationError(f"{path}: a setting's name is a word, found {key!r}")
    return values
