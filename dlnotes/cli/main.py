"""The command line, ``dlnotes …``: reads arguments, calls the library, says what came of it.

Exit status: 0 done, 1 failed, 2 wrong config or usage, 75 interrupted and can be resumed.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from dlnotes.cli.begin import copy, found_by_name
from dlnotes.cli.cascade import cascade
from dlnotes.cli.claim_commands import judge, report, reproduce, run_claim_config
from dlnotes.cli.errors import FAILED, answers, fail
from dlnotes.cli.members import MemberOption, PointOption, point_of, with_member
from dlnotes.cli.new import new
from dlnotes.cli.options import (
    Address,
    BudgetOption,
    ConfigFile,
    Coordinator,
    Cpus,
    Debug,
    Gpus,
    LongerOption,
    On,
    Output,
    Overrides,
    Processes,
    ProcessId,
    Quiet,
    RunDir,
    Slurm,
    Trust,
    Wait,
    engine_of,
)
from dlnotes.cli.plan import plan
from dlnotes.cli.probe import probe
from dlnotes.cli.streams import out, write_plainly
from dlnotes.devices.distributed import WAIT_SECONDS

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(data_app, name="data", help="List data sets, fetch one, check one.")


def _version(wanted: bool) -> None:
    if wanted:
        from dlnotes import __version__

        out(f"dlnotes {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Deep-learning notes, executable: train from one config file, measure every claim.

    Start with: dlnotes run quickstart
    """


@app.command()
def run(
    config: ConfigFile,
    overrides: Overrides = None,
    quiet: Quiet = False,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    wait: Wait = WAIT_SECONDS,
    budget: BudgetOption = None,
    trust: Trust = False,
    on: On = None,
    address: Address = None,
    cpus: Cpus = 1,
    gpus: Gpus = 0,
    slurm: Slurm = None,
    debug: Debug = False,
) -> None:
    """Train what a config describes, or measure its claim.

    The results go to standard output, its last line being the run folder; progress goes to standard error.
    """
    with answers(debug):
        from dlnotes.config import ConfigError, is_claim, load, read_raw

        config = found_by_name(config)
        if is_claim(read_raw(config)):
            if on is not None:
                raise ConfigError(str(config), ["--on: a claim is a task of `dlnotes reproduce`"])
            return run_claim_config(config, overrides or [], budget, trust)
        if budget is not None:
            raise ConfigError(str(config), ["--budget: is for the config of a claim, this one trains"])
        checked = load(config, overrides or ())
        if (engine := engine_of(on, address, cpus, gpus, slurm)) is not None:
            if processes is not None:
                raise ConfigError("usage", ["--on, --processes: allowed is one of them"])
            from dlnotes.experiment.on_engine import run_on

            return _show_run(
                lambda watch: run_on(checked, engine, watch=watch, command=sys.argv), checked, quiet, True
            )
        first = _join_processes(checked, processes, process_id, coordinator, wait)
        from dlnotes.experiment import run as running

        _show_run(lambda watch: running.run(checked, watch=watch, command=sys.argv), checked, quiet, first)


@app.command()
def resume(
    folder: RunDir,
    overrides: LongerOption = None,
    quiet: Quiet = False,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    wait: Wait = WAIT_SECONDS,
    debug: Debug = False,
) -> None:
    """Go on with an interrupted run, or train one for longer.

    The numbers will be those of a run that had never stopped. With training.duration="40 epochs" a run
    that has ended goes on too, if a run of 40 epochs would have begun like it.
    """
    with answers(debug):
        from dlnotes.experiment.run_folder import RunFolder

        checked = RunFolder.open(folder).config()
        first = _join_processes(checked, processes, process_id, coordinator, wait)
        from dlnotes.experiment import run as running

        _show_run(lambda watch: running.resume(folder, overrides or (), watch=watch), checked, quiet, first)


@app.command()
def evaluate(
    folder: RunDir,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data: Annotated[Path | None, typer.Option(help="Measure on this file instead.")] = None,
    point: PointOption = None,
    ensemble: Annotated[
        bool, typer.Option("--ensemble", help="Measure the mean of what all seeds predict.")
    ] = False,
    per_class: Annotated[
        bool,
        typer.Option("--per-class", help="Of each class precision, recall, F1; of pixels overlap."),
    ] = False,
    rolling: Annotated[
        bool, typer.Option("--rolling", help="Of a series: from every row, the error by rows ahead.")
    ] = False,
    baselines: Annotated[
        bool, typer.Option("--baselines", help="And simple methods, fitted on the same training part.")
    ] = False,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    wait: Wait = WAIT_SECONDS,
    debug: Debug = False,
) -> None:
    """Measure a trained run on a split or your own file.

    After a sweep its best point (on validation), which the first line names, or the one of --point.
    """
    with answers(debug):
        first = _join_opened(folder, processes, process_id, coordinator, wait)
        from dlnotes.experiment.ensemble import ensemble_in_words
        from dlnotes.experiment.evaluate import evaluate_run
        from dlnotes.experiment.evaluate_ahead import rolling_origin, told_ahead
        from dlnotes.experiment.opening import open_run
        from dlnotes.formatting import measured_in_words, metric_in_words

        trained = open_run(folder, point=point_of(point))
        if per_class:
            from dlnotes.cli.class_lines import class_lines
            from dlnotes.experiment.evaluate import evaluate_classes

            if ensemble:
                raise typer.BadParameter("--per-class is of each seed, leave out --ensemble")
            header, rows = evaluate_classes(trained, split=split, data_path=data)
            for line in (trained.chosen.in_words(), *class_lines(header, rows)) if first else ():
                if line:
                    out(line)
            return
        if rolling:
            records = rolling_origin(trained, split=split, data_path=data)
            for line in told_ahead(records) if first else ():
                out(line)
            return
        measured = evaluate_run(trained, split=split, data_path=data, ensemble=ensemble)
        if not first:
            return
        if told := trained.chosen.in_words():
            out(told)
        if ensemble:
            out(ensemble_in_words(trained))
        where = split if data is None else data.name
        names = {name: metric_in_words(name, measured) for name in measured}
        width = max(map(len, names.values()))
        for name, value in measured.items():
            out(f"{where} {names[name]:<{width}}  {measured_in_words(name, value)}")
        if baselines:
            from dlnotes.experiment.baselines import evaluate_baselines
            from dlnotes.experiment.comparison import table_in_words

            record = evaluate_baselines(trained, split=split, data_path=data, measured=measured)
            out(table_in_words(record))


@app.command()
def predict(
    folder: RunDir,
    inputs: Annotated[Path, typer.Argument(metavar="INPUT", help="Inputs like the training data.")],
    output: Output = None,
    point: PointOption = None,
    member: MemberOption = None,
    beam: Annotated[
        int | None, typer.Option(min=1, help="Beams of an encoder-decoder; by default the config's.")
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="Hypotheses of an encoder-decoder written.")] = 1,
    samples: Annotated[
        int | None,
        typer.Option(min=2, help="Predict so often with dropout kept on: the mean, and how far it spreads."),
    ] = None,
    future: Annotated[
        bool, typer.Option("--future", help="Of a series: only the rows after the last one.")
    ] = False,
    over_seeds: Annotated[
        bool,
        typer.Option("--over-seeds", help="Of a series: the mean of all seeds, the least and the greatest."),
    ] = False,
    interval: Annotated[
        float | None,
        typer.Option(help="Of a series: an interval for this share of the truth, by the validation errors."),
    ] = None,
    processes: Processes = None,
    process_id: ProcessId = None,
    coordinator: Coordinator = None,
    wait: Wait = WAIT_SECONDS,
    debug: Debug = False,
) -> None:
    """Predict for the inputs in a file.

    Prints the path of the .csv or .npz file written. Which of several trained members predicts is said on
    standard error.
    """
    with answers(debug):
        first = _join_opened(folder, processes, process_id, coordinator, wait)
        from dlnotes.experiment.forecasts import after_the_last, is_forecast
        from dlnotes.experiment.predict import predict_run

        trained = with_member(folder, point, member)
        written = predict_run(
            trained,
            inputs,
            output=output,
            beam=beam,
            best=best,
            samples=samples,
            future=future,
            over_seeds=over_seeds,
            interval=interval,
            tell=partial(print, file=sys.stderr, flush=True) if first else None,
        )
        if first:
            if samples is None and is_forecast(trained, inputs) and (told := after_the_last(inputs, written)):
                print(told, file=sys.stderr, flush=True)
            out(str(written))


@app.command()
def export(
    folder: RunDir,
    output: Output = None,
    point: PointOption = None,
    member: MemberOption = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="In whole numbers of 8 bits: about a quarter as large, for networks without loops."
        ),
    ] = False,
    onnx: Annotated[
        bool,
        typer.Option("--onnx", help="As a file of ONNX, which needs the extra dlnotes[onnx]."),
    ] = False,
    task: Annotated[
        str | None, typer.Option(help="Of a run of several tasks: which of them answers.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a trained model as one file.

    It needs only jax to be loaded, or a runtime of ONNX. Prints its path, beside which a README shows how.
    With --int8 the size and the accuracy before and after go to standard error.
    """
    with answers(debug):
        _opened(folder)
        from dlnotes.experiment.export import export_run

        told = partial(print, file=sys.stderr, flush=True)
        trained = with_member(folder, point, member)
        out(str(export_run(trained, output=output, int8=int8, onnx=onnx, task=task, tell=told)))


app.command()(copy)
app.command()(new)
app.command()(cascade)
app.command()(probe)
app.command()(judge)
app.command()(reproduce)
app.command()(report)


@app.command()
def show(config: ConfigFile, overrides: Overrides = None, trust: Trust = False, debug: Debug = False) -> None:
    """Print the resolved config as TOML, with defaults; below, as comments, the network's layers.

    For each layer: its output, parameters, multiply-adds and receptive field, for one example, and the
    operations for each byte that it moves in a batch (its arithmetic intensity).
    """
    with answers(debug):
        from dlnotes.config import is_claim, load, read_raw, to_toml

        if is_claim(read_raw(config)):
            from dlnotes.claims.measure import open_claim

            out(to_toml(open_claim(config, overrides or (), reading=True, trust=trust).config), end="")
            return
        checked = load(config, overrides or ())
        out(to_toml(checked), end="")
        from dlnotes.cli.layer_table import layer_table

        out("\n" + "\n".join(f"# {line}" for line in layer_table(checked).splitlines()))


app.command()(plan)


@app.command()
def schema(output: Output = None) -> None:
    """Print the JSON Schema of configs, for editors."""
    with answers(False):
        from dlnotes.config import json_schema

        text = json.dumps(json_schema(), indent=1)
        if output is None:
            out(text)
        else:
            output.write_text(text + "\n", encoding="utf-8")


@app.command("list")
def list_rows(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """List the notes' rows, what is built, the configs."""
    with answers(False):
        from dlnotes.claims import listing

        out(json.dumps(listing.as_json(), indent=1, ensure_ascii=False) if as_json else listing.as_text())


@app.command()
def doctor() -> None:
    """Look at versions, devices, data; say what is missing."""
    with answers(False):
        from dlnotes.cli import doctor as looking

        found = looking.examine()
        out(looking.as_text(found))
        if not all(line.good for line in found if line.needed):
            raise typer.Exit(FAILED)


@data_app.command("list")
def data_list() -> None:
    """Every data set, and where it is on this machine."""
    with answers(False):
        from dlnotes.data import catalog

        entries = catalog.available()
        rows = [(e["name"], e["kind"], e["found"] or f"not here: {e['how']}") for e in entries]
        widths = [max(len(row[i]) for row in rows) for i in range(2)]
        for name, kind, found in rows:
            out(f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {found}")


@data_app.command("fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="As in the list.")], debug: Debug = False) -> None:
    """Download a data set's files unless they are here already."""
    with answers(debug, usage=(ValueError, OSError)):
        from dlnotes.data import catalog

        path = catalog.fetch(name)
        out(str(path) if path is not None else f"{name}: nothing to fetch")


@data_app.command("check")
def data_check(name: Annotated[str, typer.Argument(help="As in the list.")], debug: Debug = False) -> None:
    """Read a data set completely and compare it with its checksums."""
    with answers(debug, usage=(ValueError,)):
        from dlnotes.data import catalog

        problems = catalog.check(name)
        if problems:
            fail("\n".join([f"{name} cannot be used:", *(f"  {p}" for p in problems)]), FAILED)
        out(f"{name}: whole")


def main() -> None:
    """The entry point of the command ``dlnotes``."""
    write_plainly()
    warnings.formatwarning = lambda message, category, *_, **__: f"warning: {message}\n"
    app(prog_name="dlnotes")


def _opened(folder: Path) -> None:
    """Refuse what is no run folder before anything slow is imported."""
    from dlnotes.experiment.run_folder import RunFolder

    RunFolder.open(folder)


def _join_opened(
    folder: Path, processes: int | None, process_id: int | None, coordinator: str | None, wait: int
) -> bool:
    """`_join_processes` for the use of a run folder."""
    from dlnotes.experiment.run_folder import RunFolder

    return _join_processes(RunFolder.open(folder).config(), processes, process_id, coordinator, wait)


def _join_processes(
    config: Any, processes: int | None, process_id: int | None, coordinator: str | None, wait: int
) -> bool:
    """Join the other processes, if there are any; whether this is the first."""
    from dlnotes.config import ConfigError
    from dlnotes.devices import distributed

    try:
        found = distributed.from_options(processes, process_id, coordinator)
    except ValueError as error:
        raise ConfigError("usage", [str(error)]) from None
    if found is None:
        return True
    from dlnotes.experiment.extension import trained_by
    from dlnotes.experiment.placing import prepare_devices

    prepare_devices(config, processes=found.count)
    try:
        distributed.start(found, wait=wait)
        started = (found.index, found.count)
        distributed.agree(*started, "code", distributed.code_text())
        distributed.agree(*started, "config", trained_by(config))
    except distributed.NotTogether as error:
        raise ConfigError("processes", [str(error)]) from None
    return found.index == 0


def _show_run(train: Callable[[Any], Any], config: Any, quiet: bool, first: bool) -> None:
    from dlnotes.cli import progress as display
    from dlnotes.experiment.groups import groups

    watching = display.terminal(quiet, groups=len(groups(config))) if first else nullcontext(lambda p: None)
    with watching as watch:
        result = train(watch)
    if not first:
        return
    if sys.stdout.isatty():
        from rich.console import Console

        Console(highlight=False).print(display.results_table(result.summary))
    else:
        out(display.results_text(result.summary))
    folder = str(result.folder)
    out(f"./{folder}" if folder.startswith("-") else folder)
