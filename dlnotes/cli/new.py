"""The command that writes a config for a person's own files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlnotes.cli.errors import answers
from dlnotes.cli.options import Debug
from dlnotes.cli.streams import on_terminal, out


def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Your file or folder.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The config to write; by default named after PATH, here."),
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option("--target", help="Column to predict; several: give it several times.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Kind of data, such as csv_series.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a config that is there.")] = False,
    debug: Debug = False,
) -> None:
    """Look at your data and write a config that trains on them.

    It says on standard error what it took them for, in the comments of the config why, and what else could be
    set. Prints the path of the config, for dlnotes run.
    """
    with answers(debug):
        from dlnotes.experiment.new_config import new_config

        written = new_config(path, output, target=target or (), kind=kind, force=force)
        for line in written.told:
            print(on_terminal(line, sys.stderr), file=sys.stderr, flush=True)
        out(str(written.path))
