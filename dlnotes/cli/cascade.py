"""The command for cascades of trained runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlnotes.cli.errors import answers
from dlnotes.cli.options import Debug, Output
from dlnotes.cli.streams import out


def cascade(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders, the cheapest first.", show_default=False),
    ],
    positive: Annotated[str, typer.Option("--class", help="The class that is looked for.")],
    recall: Annotated[
        list[float] | None,
        typer.Option(
            help="Of the validation part, over all stages; or once for each stage. By default 0.99."
        ),
    ] = None,
    output: Output = None,
    debug: Debug = False,
) -> None:
    """Make trained classifiers a cascade for a rare class.

    Each run is a stage, and computes only what those before it kept. Thresholds keep a recall on the
    validation part. Prints what each stage keeps and costs; with --output it is written as JSON too.
    """
    with answers(debug):
        from dlnotes.config import ConfigError
        from dlnotes.experiment.run_folder import RunFolder

        for folder in folders:
            RunFolder.open(folder)
        from dlnotes.experiment.cascade import fit_cascade

        shares = recall or [0.99]
        if len(shares) not in (1, len(folders)):
            told = f"--recall: got {len(shares)}, allowed are one or {len(folders)}, one for each stage"
            raise ConfigError("usage", [told])
        fitted = fit_cascade(folders, positive, recall=shares[0] if len(shares) == 1 else shares)
        out(fitted.in_words())
        if output is not None:
            out(str(fitted.write(output)))
