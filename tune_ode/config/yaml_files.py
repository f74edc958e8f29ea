"""Read YAML with the scalars of YAML 1.2, and errors that name file and line.

PyYAML implements YAML 1.1, in which `1e-3` is a string, `off` is false and `1:30` is ninety. Here a
plain scalar is null, true or false, a number, or else a string. Duplicate keys, aliases and deep
nesting are errors: in a hand-written file each is a mistake, and the last two can hang a reader.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from tune_ode.errors import ConfigurationError
from tune_ode.paths import expand_home

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_BYTES = 2**20
_MAX_DEPTH = 20
"""Levels of nesting; the files of this project have at most eight."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's idiom
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise _error("aliases (*name) are not supported; write the value out", mark)
        if self.depth == _MAX_DEPTH:
            raise _error(f"more than {_MAX_DEPTH} levels of nesting", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def mapping(self, node: Any) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, list | dict):
                raise _error("a key must be a scalar", key_node.start_mark)
            if key in values:
                raise _error(f"duplicate key '{key}'", key_node.start_mark)
            values[key] = self.construct_object(value_node, deep=True)
        return values

    def scalar(self, node: Any) -> Any:
        return node.value if node.style in ("'", '"', "|", ">") else parse_scalar(node.value)


def _error(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(None, None, problem, mark)


_Loader.yaml_constructors = {
    "tag:yaml.org,2002:map": _Loader.mapping,
    "tag:yaml.org,2002:seq": lambda loader, node: loader.construct_sequence(node, deep=True),
    "tag:yaml.org,2002:str": _Loader.scalar,
    None: yaml.SafeLoader.construct_undefined,
}


def parse_scalar(text: str) -> str | int | float | bool | None:
    """Return the value of an unquoted scalar: null, a boolean, a number, or the text itself.

    >>> parse_scalar("1e-3"), parse_scalar("off"), parse_scalar("~")
    (0.001, 'off', None)
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    with suppress(ValueError):  # an integer of thousands of digits
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def parse_yaml(text: str, source: str) -> Any:
    """Return the plain values of a YAML text.

    Args:
        text: one YAML document.
        source: its name in errors: a path, an option.

    Raises:
        ConfigurationError: invalid YAML; names the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}" if mark else source
        message = f"{where}: invalid YAML: {error.problem or error.context}"
    except yaml.YAMLError as error:  # characters that YAML does not allow
        message = f"{source}: invalid YAML: {' '.join(str(error).split())}"
    raise ConfigurationError(message)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty one for an empty file.

    Raises:
        ConfigurationError: the file cannot be read, or does not contain a mapping.
    """
    try:
        with expand_home(path).open("rb") as file:  # not a regular one in `--config <(command)`
            content = file.read(_MAX_BYTES + 1)
        text = content.decode()
    except OSError as error:
        raise ConfigurationError(
            f"cannot read {path}: {error.strerror}; give the path of a YAML file"
        ) from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is not UTF-8 text, so not YAML") from None
    if len(content) > _MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {_MAX_BYTES / 2**20:g} MiB")
    values = parse_yaml(text, str(path))
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"{path} must map names to values, such as `seed: 1`")
    for key in values:
        if not isinstance(key, str):
            raise ConfigurationError(f"{path}: a name must be a string, found {key!r}")
    return values
