"""One of several values, each of which may open a sub-space."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from search_spaces.parameters import SuggestProtocol, Value, text_of
from tune_ode.config.fields import shown
from tune_ode.config.yaml_files import scalar
from tune_ode.errors import ConfigurationError

if TYPE_CHECKING:
    from search_spaces.space import Space


class Choice:
    """One of several values; a value may open a sub-space of its own.

    >>> Choice("relu", "gelu")
    >>> Choice({"euler": Space({"solver.steps": Int(1, 8)}), "dopri5": None})

    Raises:
        ConfigurationError: fewer than two options, or options that are not distinct plain values.
    """

    options: Mapping[Value, Space | None]

    def __init__(self, *options: Value | Mapping[Any, Space | None]) -> None:
        if len(options) == 1 and isinstance(options[0], Mapping):
            branches = dict(options[0])
        else:
            for option in options:
                _check_option(option)
            branches = dict.fromkeys(options)
        for option in branches:
            _check_option(option)
        if len(branches) < max(len(options), 2):
            raise ConfigurationError(
                "a choice needs at least two distinct options, found "
                f"{', '.join(shown(option) for option in options) or 'none'}; a single value is "
                "written alone (in Python, Fixed(value))"
            )
        self.options = MappingProxyType(
            {
                option: branch if branch is not None and branch.parameters else None
                for option, branch in branches.items()
            }
        )

    @property
    def branches(self) -> Mapping[Value, Space]:
        """The options that open something."""
        return {option: branch for option, branch in self.options.items() if branch is not None}

    def grouped(self) -> list[tuple[list[Value], Space | None]]:
        """Return the options in their order, neighbours that open the same in one group."""
        groups: list[tuple[list[Value], Space | None]] = []
        for option, branch in self.options.items():
            if groups and groups[-1][1] == branch:
                groups[-1][0].append(option)
            else:
                groups.append(([option], branch))
        return groups

    def suggest(self, name: str, trial: SuggestProtocol) -> Value:
        """Ask for one of the options."""
        return trial.suggest_categorical(name, list(self.options))

    def __contains__(self, value: object) -> bool:
        # 1 == True and 1 == 1.0 in Python, but they are different settings
        return any(value == option and type(value) is type(option) for option in self.options)

    def __str__(self) -> str:
        return " | ".join(text_of(option) for option in self.options)


def _check_option(option: object) -> None:
    if not (option is None or isinstance(option, str | int | float)):
        raise ConfigurationError(
            f"an option of a choice is a text, a number, true, false or null; found {shown(option)}"
        )
    if isinstance(option, str) and scalar(option) != option:
        # written to YAML as the key of a branch, it would come back as something else
        raise ConfigurationError(f"the text {option!r} reads as {scalar(option)!r}; leave it out")
