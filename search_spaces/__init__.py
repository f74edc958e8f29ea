"""What can be searched: typed, conditional, composable spaces; no torch, no ray, no optuna."""

from search_spaces.parameters import Float, Int
from search_spaces.presets import PRESETS, preset
from search_spaces.space import Choice, Space, configure, path_of

__all__ = ["PRESETS", "Choice", "Float", "Int", "Space", "configure", "path_of", "preset"]
