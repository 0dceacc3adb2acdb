"""The command ``dlnotes plan``: what a config needs on chips that are not here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from dlnotes.bounded import _size as size
from dlnotes.cli.errors import FAILED, answers, fail
from dlnotes.cli.options import ConfigFile, Debug, Overrides
from dlnotes.cli.streams import out

if TYPE_CHECKING:
    from dlnotes.experiment.plan import Plan


def plan(
    config: ConfigFile,
    overrides: Overrides = None,
    on: Annotated[
        str, typer.Option("--on", metavar="CHIPS", help="v5e:4x4, v5p:2x2x4, v6e:16x16, h100:8, cpu:8 …")
    ] = "v5e:2x2",
    compiling: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Compile the program too, or only calculate.")
    ] = True,
    limit: Annotated[float, typer.Option(min=1, help="Seconds that compiling may take.")] = 600,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    debug: Debug = False,
) -> None:
    """Say what a config needs on chips that are not here.

    Their memory, the time of a step, and how many of them pay. The status is 1 when it does not fit.
    """
    with answers(debug, usage=(ValueError,)):
        from dlnotes.config import ConfigError, load
        from dlnotes.devices.absent import missing, only_compile
        from dlnotes.devices.chips import topology

        checked, chips = load(config, overrides or ()), topology(on)
        if compiling and (needs := missing(chips)):
            raise ConfigError("plan", [f"{needs}; --no-compile only calculates"])
        only_compile()
        from dlnotes.experiment import plan as planning
        from dlnotes.experiment.planned_program import NotCompiled, compiled_elsewhere

        made = []
        for i, setup in enumerate(planning.setups(checked)):
            program = None
            if compiling:
                try:
                    program = compiled_elsewhere(checked, chips, i, limit)
                except NotCompiled as error:
                    fail(f"error: {error}", FAILED)
            made.append(planning.plan(setup, chips, program))
        if as_json:
            text = json.dumps([one.as_json() for one in made], indent=1)
        else:
            text = "\n\n".join(map(plan_text, made))
        out(text)
        if not all(one.needed.fits for one in made):
            raise typer.Exit(FAILED)


def plan_text(plan: Plan) -> str:
    """A plan as lines for a terminal."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    on, chip, needed, work = plan.topology, plan.topology.chip, plan.needed, plan.work
    hosts = f" in {on.hosts} hosts" if on.hosts > 1 else ""
    yield f"{on.name}: {_count(on.count, chip.title)}{hosts}, {size(chip.memory)} each"
    yield f"placement      {plan.placement[0]} ({plan.placement[1]})"
    trainings = f"{_count(plan.members, 'training')} of {plan.parameters:,} parameters"
    yield f"               {trainings}, batches of {plan.batch}, {plan.rows} rows a chip"
    yield ""
    kind = "compiled" if plan.program else "estimated"
    fits = "fits" if needed.fits else "DOES NOT FIT"
    yield f"memory a chip  {size(needed.total)} of {size(needed.memory)}: {fits}"
    lies = "the training part" if plan.resident else "a chunk of batches"
    for name, held, what in (
        ("state", needed.state, "parameters, optimizer, averages"),
        ("data", needed.data, lies),
        ("temporary", needed.temporary, kind),
        ("code", needed.code, "") if plan.program else ("", 0, ""),
    ):
        if name:
            yield f"  {name:<12} {size(held):>9}  {what}".rstrip()
    yield ""
    if plan.step is None:
        yield f"step           not estimated: {chip.source}"
    else:
        step = plan.step
        rate = plan.batch * plan.members / step.seconds
        yield f"step           about {_time(step.seconds)}, {rate:,.0f} examples/s; most of it: {step.limit}"
        macs = "unknown (it repeats a product until a condition holds)"
        if work.multiply_adds is not None:
            macs = f"{work.multiply_adds * plan.members:,} multiply-adds in all"
        for name, seconds, what in (
            ("products", step.products, macs),
            ("memory", step.memory, "state, activations and rows moved"),
            ("interconnect", step.interconnect, f"{size(step.sent)} exchanged with other chips"),
            ("loops", step.loops, f"{work.loops} iterations that wait for one another"),
        ):
            yield f"  {name:<12} {_time(seconds):>9}  {what}"
    if plan.program is not None:
        yield ""
        sent = plan.program["collectives"]
        found = ", ".join(f"{c['count']} {kind} of {size(c['bytes'])}" for kind, c in sent.items())
        yield f"sent a step    {found or 'nothing'}"
        yield f"compiled in    {plan.program['compile_seconds']:.0f} s on this machine"
    if plan.members == 1 and len(plan.ways) > 1:
        yield ""
        yield "batch divided  " + ", ".join(f"{n}: {_time(s)}" for n, s in plan.ways.items())
    for advice in plan.advice:
        yield f"advice         {advice}"


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 or what.isupper() or " " in what else f"{n} {what}s"


def _time(seconds: float) -> str:
    """Seconds in words."""
    for unit, one in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= one:
            return f"{seconds / one:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
