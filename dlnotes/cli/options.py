"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="OPTION=VALUE", help="Such as model.width=256; values are TOML.")
]
LongerOption = Annotated[
    list[str] | None,
    typer.Argument(metavar="OPTION=VALUE", help="training.duration='40 epochs'; devices.*, checkpoint.*."),
]
ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file.", show_default=False)]
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
