"""The commands for claims: measure many, judge one again, make a page of all."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from dlnotes.cli.errors import FAILED, INTERRUPTED, answers, fail
from dlnotes.cli.options import (
    Address,
    BudgetOption,
    Cpus,
    Debug,
    Gpus,
    On,
    Quiet,
    RunDir,
    Slurm,
    Trust,
    engine_of,
)
from dlnotes.cli.streams import out


def judge(folder: RunDir, trust: Trust = False, debug: Debug = False) -> None:
    """Judge a measured claim again.

    Applies the claim's rules as they are now to what was measured, and draws its figure anew.
    """
    with answers(debug):
        from dlnotes.claims.measure import judge as judge_again
        from dlnotes.cli.claims import record_text

        out(record_text(judge_again(folder, trust=trust)))


def reproduce(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[IDS]", help="Rows (F1.4), chapters (F1, F), configs.")
    ] = None,
    budget: BudgetOption = "full",
    again: Annotated[bool, typer.Option("--again", help="Measure also what is measured already.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes; by default one per core, up to 4; 1 for --budget large."),
    ] = None,
    configs: Annotated[
        Path | None,
        typer.Option(help="Folder that is searched for claims; else configs, and what is shipped."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write RESULTS.md and results.json there as each chapter ends."),
    ] = None,
    on: On = None,
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    slurm: Slurm = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure and judge many claims.

    What has been measured under the same options and code is judged, not measured again: so after an
    interruption the same command goes on. `dlnotes report` then makes the page.
    """
    with answers(debug):
        from dlnotes.claims import reproduce as many
        from dlnotes.cli import claims as display

        def chapter_of(one: Any) -> str:
            return one.opened.name.split(".")[0]

        def write_results() -> None:
            from dlnotes.claims.report import tables

            assert results is not None
            tables.write([one.record for one in done if one.record], results)

        engine = engine_of(on, address, cpus, gpus, slurm)
        found = many.configs_to_choose_from(configs, ids or ())
        opened = many.open_all(many.choose(found, ids or ()), budget=budget)
        done: list[Any] = []
        jobs = min(jobs or many.usual_jobs(budget), max(1, len(opened)))
        started = time.perf_counter()
        try:
            with display.terminal(len(opened), quiet) as (starting, ended):
                for one in many.reproduce(opened, again=again, jobs=jobs, engine=engine, starting=starting):
                    if results is not None and done and chapter_of(done[-1]) != chapter_of(one):
                        write_results()
                    done.append(one)
                    ended(one)
                    if one.state == "failed" and debug:
                        print(one.message, file=sys.stderr)
        except KeyboardInterrupt:
            fail("interrupted; the same command goes on where it stopped", INTERRUPTED)
        finally:
            if results is not None:
                write_results()
        out(display.summary_text(done, time.perf_counter() - started))
        if any(one.state == "failed" for one in done):
            raise typer.Exit(FAILED)


def report(
    output: Annotated[Path, typer.Option("--output", "-o", help="The page.")] = Path("runs/report.html"),
    runs: Annotated[Path, typer.Option(help="Folder of the claims' runs.")] = Path("runs"),
    results: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write RESULTS.md and results.json there too.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Make one page of all claims measured here.

    Prints its path. It is one file, needs no network, and shows each claim's newest measurement, a full
    one before a quick one.
    """
    with answers(debug):
        from dlnotes.claims import listing
        from dlnotes.claims.fingerprint import marked
        from dlnotes.claims.records import file_inside
        from dlnotes.claims.report import page, tables
        from dlnotes.claims.reproduce import newest_records
        from dlnotes.claims.rows import ROWS
        from dlnotes.config import ConfigError

        newest = newest_records(runs)
        if not newest and results is not None and (results / "results.json").is_file():
            # Nothing new: the table is made again, for the code may be another than it was.
            for path in tables.write([], results, rows=ROWS):
                out(str(path))
            return
        if not newest:
            raise ConfigError(str(runs), ["holds no measured claim; `dlnotes reproduce` measures them"])
        records = marked([record for record, _ in newest.values()], listing.folder_of("experiments"))

        def file_of(record: Any, kind: str) -> Path | None:
            return file_inside(newest[record["name"]][1], record[kind])

        output.parent.mkdir(parents=True, exist_ok=True)
        out(str(page.write(records, output, rows=ROWS, files=file_of)))
        if results is not None:
            for path in tables.write(records, results, rows=ROWS):
                out(str(path))


def run_claim_config(config: Path, overrides: list[str], budget: str | None, trust: bool) -> None:
    """Measure the claim of a config, judge it, and print what came of it."""
    from dlnotes.claims.measure import open_claim, run_claim
    from dlnotes.cli.claims import record_text
    from dlnotes.data.download import DataNotFound

    opened = open_claim(config, overrides, budget=budget, trust=trust)
    try:
        folder, record = run_claim(opened, command=sys.argv)
    except DataNotFound as error:
        fail(f"error: {error}", FAILED)
    out(record_text(record))
    out(str(folder))
