"""A book of deep-learning notes, executable: pure functions, trained from one config file.

Importing this package is cheap: jax is loaded with the first name that needs it.

Example:
  ``result = dlnotes.run("configs/quickstart.toml", ["training.seeds=2"])``
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnotes.lazy import lazy

if TYPE_CHECKING:
    from dlnotes import (
        analysis,
        autodiff,
        claims,
        config,
        data,
        devices,
        experiment,
        layers,
        models,
        outputs,
        plotting,
        pretraining,
        training,
    )
    from dlnotes.config import load as load_config
    from dlnotes.experiment.evaluate import evaluate_run
    from dlnotes.experiment.export import export_run
    from dlnotes.experiment.opening import open_run
    from dlnotes.experiment.predict import predict_run
    from dlnotes.experiment.probe import probe_run
    from dlnotes.experiment.result import Result
    from dlnotes.experiment.run import resume, run

__version__ = "0.1.0"

if not TYPE_CHECKING:  # a name that is not imported above is an error for pyright too
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Result": "experiment.result",
            "run": "experiment.run",
            "resume": "experiment.run",
            "open_run": "experiment.opening",
            "load_config": "config:load",
            "evaluate_run": "experiment.evaluate",
            "predict_run": "experiment.predict",
            "probe_run": "experiment.probe",
            "export_run": "experiment.export",
            "analysis": "analysis:",
            "autodiff": "autodiff:",
            "claims": "claims:",
            "config": "config:",
            "data": "data:",
            "devices": "devices:",
            "experiment": "experiment:",
            "layers": "layers:",
            "models": "models:",
            "outputs": "outputs:",
            "plotting": "plotting:",
            "pretraining": "pretraining:",
            "training": "training:",
        },
    )

__all__ = [
    "Result",
    "__version__",
    "analysis",
    "autodiff",
    "claims",
    "config",
    "data",
    "devices",
    "evaluate_run",
    "experiment",
    "export_run",
    "layers",
    "load_config",
    "models",
    "open_run",
    "outputs",
    "plotting",
    "predict_run",
    "pretraining",
    "probe_run",
    "resume",
    "run",
    "training",
]
