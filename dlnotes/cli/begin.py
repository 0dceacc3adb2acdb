"""The commands one begins with: a config found by its name, a copy of one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dlnotes.cli.errors import answers
from dlnotes.cli.options import ConfigFile, Debug
from dlnotes.cli.streams import on_terminal, out


def found_by_name(config: Path) -> Path:
    """The config file that is meant, which is said on standard error where it is not the path given."""
    from dlnotes.config.shipped import find_config

    found = find_config(config)
    if found != config:
        print(on_terminal(f"config: {found}", sys.stderr), file=sys.stderr, flush=True)
    return found


def copy(
    config: ConfigFile,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="The new file, or its folder; by default of the same name, here."
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a copy of a config, to be edited.

    It means the same where it lies: its paths and the schema that editors use are made anew. A file that is
    there already is left as it is. Prints the path of the copy.
    """
    with answers(debug):
        from dlnotes.config.copying import copy_config

        out(str(copy_config(config, target)))
