"""The command for linear probes of a trained run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dlnotes.cli.errors import answers
from dlnotes.cli.members import PointOption, point_of
from dlnotes.cli.options import Debug, RunDir
from dlnotes.cli.streams import out


def probe(
    folder: RunDir,
    kind: Annotated[
        str, typer.Option(help="logistic (cross-entropy) or ridge (least squares, faster).")
    ] = "logistic",
    rows: Annotated[int, typer.Option(min=10, help="Examples of each part that are used at most.")] = 5000,
    components: Annotated[
        int | None,
        typer.Option(
            min=1, help="Take that many principal directions of each layer: probes of the same capacity."
        ),
    ] = None,
    point: PointOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Train linear classifiers on what each layer of a trained run gives.

    Prints their accuracy by layer and part, with intervals over the seeds, and writes a figure, a table and
    JSON into the run's folder. Penalties are chosen on the validation part.
    """
    with answers(debug):
        from dlnotes.config import ConfigError
        from dlnotes.experiment.run_folder import RunFolder

        if kind not in ("logistic", "ridge"):
            raise ConfigError("usage", [f"--kind: got {kind!r}, allowed are logistic and ridge"])
        RunFolder.open(folder)
        from dlnotes.experiment.probe import probe_run

        found = probe_run(folder, point=point_of(point), kind=kind, rows=rows, components=components)  # pyright: ignore[reportArgumentType]
        if as_json:
            out(json.dumps(found.as_json(), indent=1, ensure_ascii=False))
            return
        out(found.in_words())
        for path in found.files:
            out(str(path))
