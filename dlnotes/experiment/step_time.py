"""The arithmetic of one training step on chips: its work, and the seconds it takes by their stated peaks."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.analysis.counting import multiply_adds
from dlnotes.analysis.loops import iterations
from dlnotes.devices.chips import Topology
from dlnotes.experiment.durations import waves_of
from dlnotes.experiment.setup import Setup
from dlnotes.jax_internals import Program, program_of, scan_parts
from dlnotes.models.model import learned_of
from dlnotes.training.loader import size_of
from dlnotes.training.state import Member, TrainState
from dlnotes.training.step import train_step
from dlnotes.typing import Batch


@dataclass(frozen=True)
class Step:
    """Seconds of one training step by the chips' stated peaks.

    Attributes:
      products: of matrix products and convolutions.
      memory: to move state, activations and rows to and from memory.
      interconnect: to exchange ``sent`` with other chips.
      loops: of loops whose iterations wait for one another.
      sent: bytes of gradients, parameters and results of products that chips add up or gather.
    """

    products: float
    memory: float
    interconnect: float
    loops: float
    sent: int = 0

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
      largest: bytes of the largest array of parameters.
    """

    multiply_adds: int | None
    activations: int
    rows: int
    loops: int
    gradient: int
    state: int
    largest: int


class Over(NamedTuple):
    """Over how many chips the parts of a training lie, as in `dlnotes.devices.mesh`."""

    members: int = 1
    data: int = 1
    fsdp: int = 1
    model: int = 1

    @property
    def rows(self) -> int:
        """Over how many chips the rows of a batch lie."""
        return self.data * self.fsdp

    @property
    def state(self) -> int:
        """Over how many chips the state of one training lies."""
        return self.fsdp * self.model


def work_of(setup: Setup, state: TrainState) -> Work:
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
        largest=max(map(size_of, jax.tree.leaves(learned_of(member.params))), default=0),
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


def seconds_by_chips(setup: Setup, work: Work, on: Topology) -> dict[int, float]:
    """Seconds of a step of all members, by the number of chips that divide each batch: 1, 2, 4 … of them."""
    batch, dtype, found, n = setup.lengths.batch_size, setup.group.config.training.compute_dtype, {}, 1
    while n <= on.count:
        share, members = -(-batch // n) / batch, setup.group.members
        found[n] = step_of(work, on.part(n), dtype, share=share, members=members, over=Over(data=n)).seconds
        n *= 2
    return found


def step_of(work: Work, topology: Topology, dtype: str, *, share: float, members: int, over: Over) -> Step:
    """A step in which each chip has a share of the batches of some members.

    Where the state is divided, parameters are gathered forward and backward and gradients summed into parts:
    one and a half times what a sum of gradients sends. Chips that share a product add up its results, forward
    and backward.
    """
    chip = topology.chip
    products = 2.0 * (work.multiply_adds or 0) * share * members / over.model
    # State is read and written, gradients and parameters twice each; activations are written once and read
    # in the forward and in the backward pass.
    moved = 2 * work.state / over.state + 4 * work.gradient / over.model
    moved += share * (3 * work.activations / over.model + work.rows)
    sent = 0.0
    if over.data > 1:
        sent += work.gradient / over.state
    if over.fsdp > 1:
        sent += 1.5 * work.gradient / over.model
    if over.model > 1:
        sent += 2 * share * work.activations
    return Step(
        products=products / chip.products[dtype],
        memory=moved * members / chip.bandwidth,
        interconnect=topology.all_reduce(sent * members) if sent else 0.0,
        loops=work.loops * chip.loop,
        sent=int(sent * members),
    )
