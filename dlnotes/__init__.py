"""A book of deep-learning notes, executable: pure functions, trained from one config file.

Importing this package is cheap: jax is loaded with the first name that needs it.

Example:
  ``result = dlnotes.run("configs/quickstart.toml", ["training.seeds=2"])``
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlnotes.config import load as load_config
    from dlnotes.experiment.evaluate import evaluate_run
    from dlnotes.experiment.export import export_run
    from dlnotes.experiment.predict import predict_run
    from dlnotes.experiment.result import Result
    from dlnotes.experiment.run import open_run, resume, run

__version__ = "0.1.0"

_HOME = {
    "run": ("experiment.run", "run"),
    "resume": ("experiment.run", "resume"),
    "Result": ("experiment.result", "Result"),
    "open_run": ("experiment.run", "open_run"),
    "load_config": ("config", "load"),
    "evaluate_run": ("experiment.predict", "evaluate_run"),
    "predict_run": ("experiment.predict", "predict_run"),
    "export_run": ("experiment.predict", "export_run"),
}

__all__ = [
    "Result",
    "__version__",
    "evaluate_run",
    "export_run",
    "load_config",
    "open_run",
    "predict_run",
    "resume",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
