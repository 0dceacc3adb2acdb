"""What a config needs on chips that are not here: memory, time of a step, and how many of them pay.

All of it is arithmetic on shapes: nothing is compiled or run. `dlnotes.experiment.planned_program` compiles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from dlnotes.config import Config
from dlnotes.devices.absent import described
from dlnotes.devices.chips import Topology
from dlnotes.devices.mesh import MeshPlacement, planned_bytes
from dlnotes.devices.placement import Placement
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.placing import placement_of
from dlnotes.experiment.setup import Setup, prepare, state_shapes, stays_resident
from dlnotes.experiment.step_time import Over, Step, Work, seconds_by_chips, step_of, work_of
from dlnotes.experiment.teaching import asked_anew
from dlnotes.models.model import learned_of
from dlnotes.training.flat_rows import flat_shapes
from dlnotes.training.loader import CHUNK_BYTES, size_of
from dlnotes.training.state import Member

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
    placement = placement_of(setup, described(topology))
    chips = len(placement.devices)
    state = state_shapes(setup)
    over = _over(placement)
    here = members // over.members
    division = placement.division(config.training.accumulate)
    rows = division.rows_per_part(setup.lengths.batch_size) * division.parts // over.rows
    work = work_of(setup, state)
    resident = stays_resident(setup, placement, chip.memory)
    data = size_of(flat_shapes(setup.dataset.train, placement))
    if not resident:
        streamed = CHUNK_BYTES // (chips if placement.shard != "none" else 1)
        data = min(streamed, 256 * here * rows * work.rows // setup.lengths.batch_size)
    share = rows / setup.lengths.batch_size
    needed = Needed(
        state=_state_bytes(placement, state.members),
        data=data,
        temporary=int(2 * work.activations * share * here)
        + (work.gradient // over.state + _gathered(work, over)) * here,
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
        dtype = config.training.compute_dtype
        step = step_of(work, topology.part(chips), dtype, share=share, members=here, over=over)
        if over.state == 1:
            ways = seconds_by_chips(setup, work, topology)
    made = Plan(
        topology=topology,
        placement=(placement.describe(), _reason(config, placement, topology.count)),
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
    untold: tuple[str, ...] = ()
    if config.pretraining is not None and (layers := len(config.pretraining.learners)):
        untold = (
            f"the pretraining of {layers} layer{'s' * (layers > 1)} before the training is not counted, nor "
            "are its inputs in memory",
        )
    if config.teacher is not None and asked_anew(setup.group):
        untold = (*untold, "the teacher, which is asked in every step, is not counted")
    return replace(made, advice=(*untold, *_advice(made, placement)))


def _reason(config: Config, placement: Placement, chips: int) -> str:
    """Why `run` trains there."""
    if isinstance(placement, MeshPlacement):
        if config.devices.mesh is not None:
            return "asked for by devices.mesh"
        return "trainings that do not wait for one another are divided first"
    if config.devices.strategy != "auto":
        return f"asked for by devices.strategy = {config.devices.strategy!r}"
    if placement.processes > 1:
        return "all hosts take part, and the trainings do not come out even on their chips"
    if placement.shard == "members":
        return "trainings that do not wait for one another are divided first"
    if chips == 1:
        return "there is one chip"
    if placement.devices[0].platform != "cpu":
        used = len(placement.devices)
        return f"there is one training, whose steps are fastest on {used} chip{'s' * (used > 1)}"
    if placement.shard == "batch":
        return "there is one training, and CPU devices gain from a divided batch of this network"
    return "there is one training, and CPU devices gain nothing from a divided batch of this network"


def _over(placement: Placement) -> Over:
    if isinstance(placement, MeshPlacement):
        return Over(*placement.sizes)
    chips = len(placement.devices)
    return {"none": Over(), "members": Over(members=chips), "batch": Over(data=chips)}[placement.shard]


def _state_bytes(placement: Placement, members: Member) -> int:
    """Bytes of the state on one chip."""
    if isinstance(placement, MeshPlacement):
        return planned_bytes(placement, members)
    return size_of(members) // _over(placement).members


def _gathered(work: Work, over: Over) -> int:
    """Bytes of the array of parameters that is whole on each chip for its product, where rows divide it."""
    return work.largest // over.model if over.fsdp > 1 else 0


def _mesh_that_fits(plan: Plan, limit: float) -> str | None:
    """The option that divides the state of one training over the fewest chips."""
    own = plan.needed.state // plan.members_here + plan.work.gradient
    room = limit - (plan.needed.total - plan.needed.state - plan.work.gradient * plan.members_here)
    for n in (2**i for i in range(1, plan.topology.count.bit_length())):
        for over in (Over(fsdp=n), Over(model=n)):
            if own / n + _gathered(plan.work, over) < room:
                return f"devices.mesh = {{{'fsdp' if over.fsdp > 1 else 'model'} = {n}}}"
    return None


def _advice(plan: Plan, placement: Placement) -> Iterator[str]:
    """What would make it fit; what would make it faster."""
    needed, limit = plan.needed, (1 - RESERVED) * plan.needed.memory
    if not needed.fits:
        over = needed.total - limit
        if plan.resident and needed.data > 2 * CHUNK_BYTES:
            yield "stream the data: devices.resident = 'no'"
        lies = _over(placement)
        whole = (plan.work.gradient // lies.state + _gathered(plan.work, lies)) * plan.members_here
        by_row = needed.temporary - whole
        rest = limit - needed.state - whole - needed.code
        rest -= 2 * CHUNK_BYTES if plan.resident else needed.data
        rows = int(plan.rows * rest / max(by_row, 1))
        if by_row > over / 2 and 0 < rows < plan.rows:
            parts = -(-plan.rows // rows)
            yield (
                f"at most about {rows} rows a chip: training.batch_size = {rows * plan.batch // plan.rows}, "
                f"or the same batch in parts, training.accumulate = {parts}"
            )
        if (needed.state + whole) / plan.members_here > limit:
            said = "the state and gradient of one training are larger than a chip: "
            found = None if isinstance(placement, MeshPlacement) else _mesh_that_fits(plan, limit)
            yield said + (found or "a larger chip, more chips, or a smaller network")
        elif plan.members_here > 1:
            fewer = max(1, int(plan.members_here * limit / needed.total)) * plan.members // plan.members_here
            yield f"fewer trainings at once: {fewer} instead of {plan.members} (training.seeds)"
    if plan.ways and _over(placement).data > 1:
        best = min(plan.ways, key=lambda n: plan.ways[n])
        if best < plan.chips:
            fast, slow = (f"{1e6 * plan.ways[n]:.0f} µs" for n in (best, plan.chips))
            yield (
                f"a batch of {plan.batch} is not worth dividing by more than {best}: a step takes {fast} on "
                f"{best} and {slow} on {plan.chips}; {plan.chips} seeds would take as long as one "
                f"(training.seeds = {plan.chips})"
            )
    idle = plan.topology.count - plan.chips
    if idle and plan.topology.chip.platform != "cpu":
        yield (
            f"{idle} of {plan.topology.count} chips have nothing to do: {plan.topology.count} seeds "
            f"would take as long as {plan.members_here} (training.seeds = {plan.topology.count})"
        )
