"""dlnotes itself, through its engine: a model, a recipe, compiled chunks of steps on resident data.

A variant is set up in a fresh process before jax has chosen its devices, so a case may ask for several.
``check`` takes the first steps on the fixed batches as a streamed chunk; ``run`` then goes on from that
state with the engine's own order of the data. The first-step measure times the setup and ``check`` of
one batch. Of a case without training the model is compiled once for each padded shape.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from dlnotes import models
from dlnotes.data.buckets import divide as in_buckets
from dlnotes.data.dataset import Examples
from dlnotes.devices.compiler import compiler_options, single_use_options
from dlnotes.devices.placement import fetch, place, put
from dlnotes.devices.prepare import cpu_count, prepare
from dlnotes.outputs import binary_cross_entropy, cross_entropy
from dlnotes.training.loop import resident_batches, streamed_batches, train_chunk
from dlnotes.training.optimizers import optimizer
from dlnotes.training.parallel import compile_chunk, put_state
from dlnotes.training.state import Recipe, init_state
from dlnotes.typing import Batch
from scripts.bench.inputs import probabilities
from scripts.bench.interface import Data, Setup, Variant, Weights, repeated
from scripts.bench.networks import Cnn, Mlp, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.peers import ours_trees
from scripts.bench.peers.ours_networks import build, given, initial
from scripts.bench.spec import BEAMS, BUCKETS, Case

CHUNK_SECONDS = 0.1
"""A chunk is doubled while it takes less."""


class Way(NamedTuple):
    """How the engine trains a sort of network.

    Attributes:
      capacity: steps of a chunk, at most.
      convolutions: whether it is compiled for convolutions.
      divides: whether each batch may be divided over as many host devices as there are cores.
      examples: makes the engine's examples from the arrays of the bench.
    """

    capacity: int = 256
    convolutions: bool = False
    divides: bool = False
    examples: Callable[..., Examples] = Examples


WAYS: dict[type, Way] = {
    Mlp: Way(capacity=2**14),
    Cnn: Way(convolutions=True),
    Staged: Way(convolutions=True),
    Recurrent: Way(divides=True),
    Seq2Seq: Way(divides=True),
    TreeLstm: Way(divides=True, examples=ours_trees.examples),
}

MEMBERS_CAPACITY = 2**12
"""Steps of a chunk, at most, where members are trained side by side."""


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """By what the case does."""
    return {"train": train, "answer": answer, "greedy": write, "beam": write}[case.task](case, weights, data)


def answer(case: Case, weights: Weights, data: Data, *, most: int = BUCKETS) -> Variant:
    """Answers in at most ``most`` padded shapes; what is padding is masked."""
    prepare(1)
    model, outputs = build(case.network), case.network.outputs
    params = jax.device_put(initial(case.network, model, weights))
    inner = data.x.shape[1:-1]
    places = np.stack(np.meshgrid(*map(np.arange, inner), indexing="ij"), -1)
    mask = (places < np.expand_dims(data.sizes, tuple(range(1, 1 + len(inner))))).all(-1)
    parts = [
        (rows, jax.device_put((part.x, part.mask)))
        for rows, part in in_buckets(Examples(data.x, data.y, mask), most)
    ]
    apply = jax.jit(
        lambda params, x, mask: model.apply(params, x, mask=mask),
        compiler_options=compiler_options(convolutions=True),
    )

    def answers() -> np.ndarray:
        out = np.empty((case.examples, outputs), np.float32)
        computed = [(rows, apply(params, *part)) for rows, part in parts]
        for rows, logits in computed:
            out[rows] = logits
        return out

    def check(fixed):
        return probabilities(answers())

    return Variant(check, repeated(answers, case.examples))


def write(case: Case, weights: Weights, data: Data) -> Variant:
    """Greedy decoding, or beam search."""
    network = case.network
    assert isinstance(network, Seq2Seq)
    prepare(1)
    params = jax.device_put(initial(network, build(network), weights))
    source, length = jax.device_put(data.x[:, : network.source_steps]), network.target_steps

    def written() -> np.ndarray:
        if case.task == "greedy":
            return np.asarray(models.greedy_decode(params, source, length=length))
        return np.asarray(models.beam_decode(params, source, width=BEAMS, length=length).log_p[:, 0])

    def check(fixed):
        return written().tolist()

    return Variant(check, repeated(written, case.examples))


def train(
    case: Case, weights: Weights, data: Data, *, divide: bool = True, schedule: str = "waves"
) -> Variant:
    """Training by the engine's chunks of steps.

    Members are vmapped and divided over as many host devices as there are cores; else, with ``divide``, each
    batch where that pays. Trees are computed by ``schedule``.
    """
    way, members = WAYS[type(case.network)], max(case.members, 1)
    prepare(cpu_count() if case.members or (way.divides and divide) else 1)
    placement = place("auto", members=members, batch_over=len(jax.devices()) if way.divides else 1)
    loss = binary_cross_entropy if case.output == "sigmoid" else cross_entropy
    single = members == 1
    model = build(case.network, schedule=schedule)
    recipe = Recipe(
        model, loss, {}, optimizer("adam", case.learning_rate, flatten_small=single), flatten_small=single
    )

    def compiled(batch_at, steps: int, per_member: bool, axis: int | None = None):
        chunk = train_chunk(
            lambda hyper: recipe,
            batch_at,
            metric_names=("loss",),
            capacity=steps,
            division=placement.division(),
            rows_per_part=placement.division().rows_per_part(case.batch),
            data_per_member=per_member,
        )
        return compile_chunk(
            placement,
            chunk,
            data_axis=0 if per_member else axis,
            convolutions=way.convolutions,
        )

    start = jax.jit(partial(init_state, lambda hyper: recipe), compiler_options=single_use_options())
    state = fetch(start(np.arange(members, dtype=np.int32), {}))
    params = given(case.network, state.members.params, weights)
    state = put_state(placement, state._replace(members=state.members._replace(params=params)))

    def check(fixed):
        nonlocal state
        x, y, mask = way.examples(*(np.stack(arrays) for arrays in zip(*fixed)))
        weight = np.ones(y.shape[: 3 if case.members else 2], np.float32)
        batches = Batch(x, y, mask, weight)
        if case.members:
            batches = jax.tree.map(lambda a: np.moveaxis(a, 1, 0), batches)
        axis = 1 if placement.shard == "batch" else None
        chunk = compiled(streamed_batches(), len(fixed), bool(case.members), axis)
        state, metrics = chunk(state, batches, np.int32(len(fixed)))
        losses = fetch(metrics)[:, 0]
        return losses.tolist() if case.members else losses[:, 0].tolist()

    resident = chunk = None
    steps, capacity = 8, MEMBERS_CAPACITY if case.members else way.capacity

    def run(seconds: float) -> tuple[int, float]:
        nonlocal state, resident, chunk, steps
        if chunk is None:
            resident = put(placement, way.examples(data.x, data.y))
            chunk = compiled(
                resident_batches(case.examples, case.batch, placement.division()), capacity, False
            )
            state, metrics = chunk(state, resident, np.int32(steps))  # compiles, outside the clock
            fetch(metrics)
        start, done, elapsed = time.perf_counter(), 0, 0.0
        while elapsed < seconds:
            state, metrics = chunk(state, resident, np.int32(steps))
            fetch(metrics)
            done += steps
            before, elapsed = elapsed, time.perf_counter() - start
            if elapsed - before < CHUNK_SECONDS and 2 * steps <= capacity:
                steps *= 2
        return done * case.batch * members, elapsed

    return Variant(check, run)


VARIANTS: dict[str, Setup] = {
    "ours": setup,
    "ours_single": partial(train, divide=False),
    "ours_sequential": partial(train, schedule="sequential"),
    "ours_padded": partial(answer, most=1),
}
"""``single`` has each batch whole on one CPU device, ``sequential`` takes one node of every tree at a time,
and ``padded`` has every image padded to the largest."""
