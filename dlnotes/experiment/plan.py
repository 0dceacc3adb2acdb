"""What a config needs on chips that are not here: memory, time of a step, and how many of them pay.

All of it is arithmetic on shapes: nothing is compiled or run. `dlnotes.experiment.planned_program` compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.analysis.counting import multiply_adds
from dlnotes.analysis.loops import iterations
from dlnotes.config import Config
from dlnotes.devices.absent import described
from dlnotes.devices.chips import Topology
from dlnotes.devices.placement import Placement
from dlnotes.experiment.durations import waves_of
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.run import placement_of
from dlnotes.experiment.setup import Setup, prepare, state_shapes, stays_resident
from dlnotes.jax_internals import Program, program_of, scan_parts
from dlnotes.models.model import learned_of
from dlnotes.training.loader import CHUNK_BYTES, size_of
from dlnotes.training.state import Member, TrainState
from dlnotes.training.step import train_step
from dlnotes.typing import Batch

RESERVED = 0.08
"""Share of a chip's memory that its system keeps."""


@dataclass(frozen=True)
class Needed:
    """Bytes on one chip.

    Attributes:
      state: parameters, optimizer, averages, the best parameters: all that a checkpoint holds.
      data: the training part, or a chunk of its batches.
      temporary: all in between; without a compiled program, what the gradient needs kept of the forward
        pass.
      code: of the program; 0 where it was not compiled.
      memory: of the chip.
    """

    state: int
    data: int
    temporary: int
    code: int
    memory: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.state + self.data + self.temporary + self.code

    @property
    def fits(self) -> bool:
        """Whether the chip has room for it."""
        return self.total <= (1 - RESERVED) * self.memory


@dataclass(frozen=True)
class Step:
    """Seconds of one training step by the chips' stated peaks.

    Attributes:
      products: of matrix products and convolutions.
      memory: to move state, activations and rows to and from memory.
      interconnect: to add up gradients over chips.
      loops: of loops whose iterations wait for one another.
    """

    products: float
    memory: float
    interconnect: float
    loops: float

    @property
    def seconds(self) -> float:
        """Products and memory overlap; the rest is waited for."""
        return max(self.products, self.memory) + self.interconnect + self.loops

    @property
    def limit(self) -> str:
        """What takes longest."""
        names = ("products", "memory", "interconnect", "loops")
        return max(names, key=lambda name: getattr(self, name))


@dataclass(frozen=True)
class Work:
    """What one training does in a step with its whole batch, on however many chips.

    Attributes:
      multiply_adds: forward and backward; ``None`` where the network repeats a product until a condition
        holds, which has no number.
      activations: bytes of the results of its products in the forward pass.
      rows: bytes of the batch itself.
      loops: iterations that follow one another.
      gradient: bytes that are added up over chips when they divide the batch.
      state: bytes that are read and written.
    """

    multiply_adds: int | None
    activations: int
    rows: int
    loops: int
    gradient: int
    state: int


@dataclass(frozen=True)
class Plan:
    """What is known of one group of trainings on a topology before it is run.

    Attributes:
      topology: the chips.
      placement: where `run` would train, in words, and why.
      members: trainings at once.
      batch: examples of a step of one of them.
      chips: those used.
      members_here: trainings on one of them.
      rows: of a batch on one chip.
      parameters: of one member.
      resident: whether the training part lies on each chip.
      work: of one member in a step.
      needed: memory of one chip.
      step: time of a step, ``None`` where the chips' speed is not known.
      ways: by number of chips, the seconds of a step whose batch they divide; empty where their speed is
        not known.
      program: what the compiled program says, ``None`` where it was not compiled.
      advice: what would make it fit, or faster.
    """

    topology: Topology
    placement: tuple[str, str]
    members: int
    batch: int
    chips: int
    members_here: int
    rows: int
    parameters: int
    resident: bool
    work: Work
    needed: Needed
    step: Step | None
    ways: dict[int, float]
    program: dict[str, Any] | None
    advice: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values, with the sums."""
        found = asdict(self) | {"topology": self.topology.name, "fits": self.needed.fits}
        found["needed"]["total"] = self.needed.total
        if self.step is not None:
            examples = self.batch * self.members / self.step.seconds
            found["step"] |= {
                "seconds": self.step.seconds,
                "limit": self.step.limit,
                "examples_per_second": examples,
            }
        return found


def setups(config: Config) -> list[Setup]:
    """The groups of a config with their data, checked (`dlnotes.experiment.setup.prepare`).

    The data are read, for their sizes, but never downloaded.
    """
    if "download" in type(config.data).model_fields:
        config = config.model_copy(update={"data": config.data.model_copy(update={"download": False})})
    dataset = load_data(config)
    known: dict[int, Any] = {}
    return [prepare(group, dataset, known=known) for group in groups(config)]


def plan(setup: Setup, topology: Topology, program: dict[str, Any] | None = None) -> Plan:
    """What one group needs on a topology.

    Args:
      setup: of the group.
      topology: the chips, which need not be there.
      program: what `dlnotes.experiment.planned_program` found, if it was compiled.

    Raises:
      ConfigError: when the config asks for devices that the topology does not have.
    """
    config, chip, members = setup.group.config, topology.chip, setup.group.members
    placement = placement_of(config, setup.group, described(topology))
    chips = len(placement.devices)
    here = members // chips if placement.shard == "members" else members
    rows = placement.division(config.training.accumulate).rows_per_part(setup.lengths.batch_size)
    state = state_shapes(setup)
    work = _work(setup, state)
    resident = stays_resident(setup, placement, chip.memory)
    data = size_of(setup.dataset.train)
    if not resident:
        streamed = CHUNK_BYTES // (chips if placement.shard != "none" else 1)
        data = min(streamed, 256 * here * rows * work.rows // setup.lengths.batch_size)
    share = rows / setup.lengths.batch_size
    needed = Needed(
        state=size_of(state.members) // members * here,
        data=data,
        temporary=int(2 * work.activations * share * here) + work.gradient * here,
        code=0,
        memory=chip.memory,
    )
    if program is not None:
        found = program["memory"]
        rest = max(found["arguments"] - needed.state - needed.data, 0)
        temporary = found["temporary"] + found["results"] + rest
        needed = replace(needed, temporary=temporary, code=found["code"])
    step, ways = None, {}
    if chip.products:
        divided = placement.shard == "batch"
        dtype = config.training.compute_dtype
        step = _seconds(work, topology.part(chips), dtype, share=share, members=here, divided=divided)
        n = 1
        while n <= topology.count:
            part = 1 / n if setup.lengths.batch_size >= n else 1 / setup.lengths.batch_size
            ways[n] = _seconds(
                work, topology.part(n), dtype, share=part, members=members, divided=n > 1
            ).seconds
            n *= 2
    made = Plan(
        topology=topology,
        placement=(placement.describe(), _reason(config, placement)),
        members=members,
        batch=setup.lengths.batch_size,
        chips=chips,
        members_here=here,
        rows=rows,
        parameters=size_of(learned_of(state.members.params)) // 4 // members,
        resident=resident,
        work=work,
        needed=needed,
        step=step,
        ways=ways,
        program=program,
        advice=(),
    )
    return replace(made, advice=tuple(_advice(made, placement)))


def _reason(config: Config, placement: Placement) -> str:
    """Why `run` trains there."""
    if config.devices.strategy != "auto":
        return f"asked for by devices.strategy = {config.devices.strategy!r}"
    if placement.processes > 1:
        return "several hosts always divide each batch"
    if placement.shard == "members":
        return "trainings that do not wait for one another are divided first"
    if placement.shard == "batch":
        return "there is one training, so its batch is divided"
    if placement.devices[0].platform == "cpu":
        return "there is one training, and CPU devices gain nothing from a divided batch of this network"
    return "there is one chip"


def _work(setup: Setup, state: TrainState) -> Work:
    """The step of one member with its whole batch, counted on its own program; nothing is run."""
    n, train = setup.lengths.batch_size, setup.dataset.train
    member = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), state.members)

    def rows(a: Any) -> Any:
        return jax.ShapeDtypeStruct((n, *np.shape(a)[1:]), jax.dtypes.canonicalize_dtype(a.dtype))

    x, y, mask = jax.tree.map(rows, tuple(train))
    weight: Any = jax.ShapeDtypeStruct((n,), jnp.float32)
    batch = Batch(x, y, mask, weight)

    def step(member: Member, batch: Batch, number: Any) -> Any:
        return train_step(setup.recipe_of(member.hyper), member, batch, number)

    def forward(member: Member, batch: Batch) -> Any:
        recipe = setup.recipe_of(member.hyper)
        return recipe.model.apply(member.params, batch.x, mask=batch.mask)

    number = jax.ShapeDtypeStruct((), jnp.int32)
    found = iterations(step, member, batch, number)
    waves = waves_of(setup.group.config, setup.dataset, n)
    learned = size_of(learned_of(member.params))
    try:
        count = multiply_adds(step, member, batch, number)
    except ValueError:  # a loop without a known length
        # A tree's node meets every weight once, forward, and twice backward.
        count = None if waves is None else 3 * waves.rows * learned // 4
    return Work(
        multiply_adds=count,
        activations=_products_bytes(program_of(forward, member, batch)),
        rows=size_of(batch),
        loops=found.count + (2 * waves.waves if waves is not None else 0),
        gradient=learned,
        state=size_of((member.params, member.opt_state, member.average)),
    )


def _products_bytes(program: Program, times: int = 1) -> int:
    """Bytes of all results of matrix products and convolutions in a program."""
    total = 0
    for equation in program.equations:
        if equation.name in ("dot_general", "conv_general_dilated"):
            total += times * sum(4 * prod(v.shape) for v in equation.outputs)
        elif equation.name == "scan":
            scan = scan_parts(equation)
            total += _products_bytes(scan.body, times * scan.length)
        else:
            total += max((_products_bytes(p, times) for p in equation.programs), default=0)
    return total


def _seconds(
    work: Work, topology: Topology, dtype: str, *, share: float, members: int, divided: bool
) -> Step:
    """A step in which each chip has a share of the batches of some members."""
    chip = topology.chip
    products = 2.0 * (work.multiply_adds or 0) * share * members
    # State is read and written, gradients and parameters twice each; activations are written once and read
    # in the forward and in the backward pass.
    moved = 2 * work.state + 4 * work.gradient + share * (3 * work.activations + work.rows)
    return Step(
        products=products / chip.products[dtype],
        memory=moved * members / chip.bandwidth,
        interconnect=topology.all_reduce(work.gradient * members) if divided else 0.0,
        loops=work.loops * chip.loop,
    )


def _advice(plan: Plan, placement: Placement) -> Iterator[str]:
    """What would make it fit; what would make it faster."""
    needed, limit = plan.needed, (1 - RESERVED) * plan.needed.memory
    if not needed.fits:
        over = needed.total - limit
        if plan.resident and needed.data > 2 * CHUNK_BYTES:
            yield "stream the data: devices.resident = 'no'"
        rest = limit - needed.state - needed.code - (2 * CHUNK_BYTES if plan.resident else needed.data)
        rows = int(plan.rows * rest / max(needed.temporary, 1))
        if needed.temporary > over / 2 and 0 < rows < plan.rows:
            parts = -(-plan.rows // rows)
            yield (
                f"at most about {rows} rows a chip: training.batch_size = {rows * plan.batch // plan.rows}, "
                f"or the same batch in parts, training.accumulate = {parts}"
            )
        if needed.state / plan.members_here > limit:
            yield "the state of one training is larger than a chip: a larger chip, or a smaller network"
        elif plan.members_here > 1:
            fewer = max(1, int(plan.members_here * limit / needed.total)) * plan.members // plan.members_here
            yield f"fewer trainings at once: {fewer} instead of {plan.members} (training.seeds)"
    if plan.ways and placement.shard == "batch":
        best = min(plan.ways, key=lambda n: plan.ways[n])
        if best < plan.chips:
            fast, slow = (f"{1e6 * plan.ways[n]:.0f} µs" for n in (best, plan.chips))
            yield (
                f"a batch of {plan.batch} is not worth dividing by more than {best}: a step takes {fast} on "
                f"{best} and {slow} on {plan.chips}; {plan.chips} seeds would take as long as one "
                f"(training.seeds = {plan.chips})"
            )
