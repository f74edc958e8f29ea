"""Typed, conditional, composable search spaces; independent of torch, Ray and Optuna."""

from search_spaces.parameters import Fixed, Float, Int, path_of
from search_spaces.presets import PRESETS
from search_spaces.resolve import resolve_space
from search_spaces.restrict import fix, restrict
from search_spaces.serialization import from_dict, space_hash, to_dict, to_tree, to_yaml
from search_spaces.space import Choice, Space, configure

__all__ = [
    "PRESETS",
    "Choice",
    "Fixed",
    "Float",
    "Int",
    "Space",
    "configure",
    "fix",
    "from_dict",
    "path_of",
    "resolve_space",
    "restrict",
    "space_hash",
    "to_dict",
    "to_tree",
    "to_yaml",
]
