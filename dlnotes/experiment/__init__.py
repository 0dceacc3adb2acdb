"""From a config to a result: the run, its folder, and the use of what was trained.

Names are loaded on first use, for a run folder can be read without jax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlnotes.lazy import lazy

if TYPE_CHECKING:
    from dlnotes.experiment.baselines import evaluate_baselines
    from dlnotes.experiment.cascade import fit_cascade
    from dlnotes.experiment.evaluate import evaluate_run
    from dlnotes.experiment.export import export_run
    from dlnotes.experiment.figures.pairs import alignments
    from dlnotes.experiment.opening import open_run
    from dlnotes.experiment.predict import predict_run
    from dlnotes.experiment.probe import probe_run
    from dlnotes.experiment.result import Result
    from dlnotes.experiment.run import resume
    from dlnotes.experiment.run_folder import RunFolder
    from dlnotes.experiment.trainer import Trainer

if not TYPE_CHECKING:  # a name that is not imported above is an error for pyright too
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "Result": "result",
            "RunFolder": "run_folder",
            "Trainer": "trainer",
            "open_run": "opening",
            "resume": "run",
            "evaluate_run": "evaluate",
            "evaluate_baselines": "baselines",
            "predict_run": "predict",
            "probe_run": "probe",
            "fit_cascade": "cascade",
            "export_run": "export",
            "alignments": "figures.pairs",
        },
    )

__all__ = [
    "Result",
    "RunFolder",
    "Trainer",
    "alignments",
    "evaluate_baselines",
    "evaluate_run",
    "export_run",
    "fit_cascade",
    "open_run",
    "predict_run",
    "probe_run",
    "resume",
]
