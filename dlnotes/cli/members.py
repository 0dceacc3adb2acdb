"""Which member of a run a command uses: its options, and what is said of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

MemberOption = Annotated[
    int | None,
    typer.Option(
        "--member",
        min=0,
        help="Which of the trained members, counted over all points and seeds; by default the first seed of "
        "the best point that did not fail.",
    ),
]
PointOption = Annotated[
    list[str] | None,
    typer.Option(
        "--point",
        metavar="N|OPTION=VALUE",
        help="Which point of a sweep: its number in the table, or its values (once for each option); by "
        "default the best on validation.",
    ),
]


def point_of(given: list[str] | None) -> Any:
    """``--point 3`` as a number, ``--point model.widths=[16]`` as a mapping."""
    from dlnotes.config import ConfigError, toml_value

    if not given:
        return None
    if len(given) == 1 and given[0].strip().isdecimal():
        return int(given[0])
    found = {}
    for text in given:
        path, equals, value = text.partition("=")
        if not equals:
            told = f"--point: got {text!r}, allowed is a number of the table or model.widths=[16]"
            raise ConfigError("usage", [told])
        found[path.strip()] = toml_value(value)
    return found


def with_member(folder: Path, point: list[str] | None, member: int | None) -> Any:
    """A run opened for use; which of its members is used goes to standard error."""
    from dlnotes.config import ConfigError
    from dlnotes.experiment.members import member_in_words
    from dlnotes.experiment.opening import open_run

    trained = open_run(folder, point=point_of(point), member=member)
    try:
        told = member_in_words(trained.chosen, trained.state.members)
    except ValueError as error:
        raise ConfigError(str(folder), [str(error)]) from None
    if told:
        print(told, file=sys.stderr, flush=True)
    return trained
