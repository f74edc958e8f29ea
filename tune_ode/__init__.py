"""Hyperparameter search for neural-ODE image classifiers, ranked by accuracy per second.

The functions have the names and options of the commands of `tune-ode`:

    import tune_ode as to

    run = to.search(dataset="digits", trials=20)
    print(run.best)

Each is imported when it is first used, so `import tune_ode` takes a few milliseconds.
"""

from typing import TYPE_CHECKING

from tune_ode.process.openmp import limit_spinning
from tune_ode.version import __version__ as __version__

if TYPE_CHECKING:
    from tune_ode.api.predictions import predict
    from tune_ode.api.replications import Replication, compare, confirm
    from tune_ode.api.run import Run, load_run, rank
    from tune_ode.api.searches import resume, search, train
    from tune_ode.api.trial import Trial
    from tune_ode.errors import (
        ConfigurationError,
        DataError,
        Interrupted,
        RunFailed,
        RunFolderError,
        TuneOdeError,
        UsageError,
    )
    from tune_ode.prediction import Prediction
    from tune_ode.records import Report

__all__ = [
    "ConfigurationError",
    "DataError",
    "Interrupted",
    "Prediction",
    "Replication",
    "Report",
    "Run",
    "RunFailed",
    "RunFolderError",
    "Trial",
    "TuneOdeError",
    "UsageError",
    "compare",
    "confirm",
    "load_run",
    "predict",
    "rank",
    "resume",
    "search",
    "train",
]

limit_spinning()  # here, since every process imports this before torch

if not TYPE_CHECKING:  # type checkers would accept any name
    _MODULES = {
        "api.predictions": ("predict",),
        "api.replications": ("Replication", "compare", "confirm"),
        "api.run": ("Run", "load_run", "rank"),
        "api.searches": ("resume", "search", "train"),
        "api.trial": ("Trial",),
        "prediction": ("Prediction",),
        "records": ("Report",),
    }

    def __getattr__(name):
        """Import a public name when it is first used."""
        if name not in __all__:
            raise AttributeError(f"module 'tune_ode' has no attribute '{name}'", name=name)
        import warnings
        from importlib import import_module

        module = next((one for one, names in _MODULES.items() if name in names), "errors")
        with warnings.catch_warnings():  # of dependencies, such as tqdm without ipywidgets
            warnings.simplefilter("ignore")
            value = getattr(import_module(f"tune_ode.{module}"), name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
