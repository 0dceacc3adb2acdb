"""What [output] asks of other programs, checked before anything is compiled or written."""

from __future__ import annotations

from importlib.util import find_spec

from dlnotes.config import Config, ConfigError, points
from dlnotes.experiment.loggers.mlflow_runs import client_of
from dlnotes.experiment.loggers.stores import sqlite_path, store_of

PACKAGES = {
    "tensorboard": ("tensorboardX",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
}
"""By option of [output], and extra of dlnotes, what must be installed."""

MOST_RUNS = 100
"""Sweep points that Weights & Biases gets: its runs of one compiled program are open at the same time."""


def installed(package: str) -> bool:
    """Whether a package can be imported; a folder of its name, such as ``wandb/`` or ``mlflow/``, is none."""
    spec = find_spec(package)
    return spec is not None and spec.origin is not None


def refuse_missing(config: Config) -> None:
    """Check that the libraries that [output] asks for are installed, and can take the run.

    Raises:
      ConfigError: with the line that installs what is missing.
    """
    problems = [
        f"output.{option}: needs the extra: python -m pip install 'dlnotes[{option}]'"
        for option, packages in PACKAGES.items()
        if getattr(config.output, option) and not all(map(installed, packages))
    ]
    count = len(points(config)) if config.output.wandb else 0
    if count > MOST_RUNS:
        problems.append(
            f"output.wandb: got a sweep of {count} points, at most {MOST_RUNS} become runs of their own; "
            "output.mlflow takes more"
        )
    if problems:
        raise ConfigError("config", problems)


def refuse_unreachable(config: Config) -> None:
    """Check that an MLflow store that is not in the run folder answers.

    Raises:
      ConfigError: when it does not, with what it said.
    """
    where = store_of(config)
    if where is None:
        return
    told = f"output.mlflow: got {where!r}"
    if (path := sqlite_path(where)) is not None and not path.parent.is_dir():
        raise ConfigError("config", [f"{told}, there is no folder {str(path.parent)!r}"])
    try:
        client_of(where).search_experiments(max_results=1)
    except Exception as error:
        reason = in_one_line(error)
        raise ConfigError("config", [f"{told}, which does not answer: {reason}"]) from error


def in_one_line(error: BaseException) -> str:
    """What an error of another library says, its beginning and its end: the cause is often named last."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:150]} … {text[-150:]}"
