"""What can be searched: typed, conditional, composable spaces; no torch, no ray, no optuna."""

from search_spaces.choice import Choice
from search_spaces.parameters import Fixed, Float, Int, path_of
from search_spaces.presets import PRESETS
from search_spaces.resolve import resolve_space
from search_spaces.serialization import space_hash, to_yaml
from search_spaces.space import Space, configure

__all__ = [
    "PRESETS",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Space",
    "configure",
    "path_of",
    "resolve_space",
    "space_hash",
    "to_yaml",
]
