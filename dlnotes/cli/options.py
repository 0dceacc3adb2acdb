"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="Such as model.width=256; values are TOML.")
]
LongerOption = Annotated[
    list[str] | None,
    typer.Argument(metavar="OPTION=VALUE", help="training.duration='40 epochs'; devices.*, checkpoint.*."),
]
ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG", help="A TOML file, or the name of a shipped one: quickstart.", show_default=False
    ),
]
RunDir = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Plain lines of progress instead of a live bar.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", envvar="DLNOTES_DEBUG", show_envvar=False, help="Print tracebacks too."),
]
Processes = Annotated[int | None, typer.Option(help="Processes that work together.")]
ProcessId = Annotated[int | None, typer.Option(help="This process's number, from 0.")]
Coordinator = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Of process 0.")]
Wait = Annotated[int, typer.Option(min=1, help="Seconds until all processes must be there.")]
Trust = Annotated[
    bool,
    typer.Option("--trust", help="Run the experiment of this config, wherever its code lies."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")]
BudgetOption = Annotated[
    str | None,
    typer.Option(
        "--budget",
        metavar="quick|full|large",
        help="How much to spend on a claim: quick shows that it runs, full decides on two cores, large has a "
        "published experiment's sizes, for a GPU.",
    ),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="ray|slurm", help="Do it as tasks of an engine, on many machines."),
]
Address = Annotated[str | None, typer.Option(help="Of a Ray cluster; by default one is started here.")]
Cpus = Annotated[int, typer.Option(min=1, help="Processors of a task.")]
Gpus = Annotated[int, typer.Option(min=0, help="Accelerators of a task.")]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--slurm", metavar="OPTION=VALUE", help="Such as slurm_partition=gpu, timeout_min=600."),
]


def engine_of(on: str | None, address: str | None, cpus: int, gpus: int, slurm: list[str] | None) -> Any:
    """The engine that is asked for, checked; ``None`` without one.

    Raises:
      ConfigError: when it is not known or not installed, or an option has no value.
    """
    from dlnotes.config import ConfigError
    from dlnotes.experiment.engines import Engine, check

    if on is None:
        if address is not None or slurm:
            raise ConfigError("usage", ["--address, --slurm: need --on"])
        return None
    pairs = [text.partition("=") for text in slurm or ()]
    if wrong := [name for name, _, value in pairs if not value]:
        raise ConfigError("usage", [f"--slurm {name}: has no value" for name in wrong])
    options = tuple((name, int(value) if value.isdecimal() else value) for name, _, value in pairs)
    engine = Engine(on, address, cpus, gpus, options)
    try:
        check(engine)
    except ValueError as error:
        raise ConfigError("usage", [str(error)]) from None
    return engine
