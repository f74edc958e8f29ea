"""Pictures of a model: its architecture, and the paths of states through an ODE block."""

from tune_ode.pictures.architecture import architecture_data, plot_architecture
from tune_ode.pictures.path import path_data, plot_path

__all__ = ["architecture_data", "path_data", "plot_architecture", "plot_path"]
