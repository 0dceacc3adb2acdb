"""dlnotes itself, through its engine: a model, a recipe, compiled chunks of steps on resident data.

``setup`` is called in a fresh process before jax has chosen its devices, so a case may ask for several.
``check`` takes the first steps on the fixed batches as a streamed chunk; ``run`` then goes on from that
state with the engine's own order of the data. The first-step measure times ``setup`` and ``check`` of
one batch. Of a case without training the model is compiled once for each padded shape.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers, models
from dlnotes.data.buckets import divide
from dlnotes.data.dataset import Examples, Pair
from dlnotes.devices.compile import compiler_options, single_use_options
from dlnotes.devices.placement import compile_chunk, fetch, place, put, put_state
from dlnotes.devices.prepare import cpu_count, prepare
from dlnotes.models import Model
from dlnotes.outputs import binary_cross_entropy, cross_entropy
from dlnotes.training.loop import resident_batches, streamed_batches, train_chunk
from dlnotes.training.optimizers import optimizer
from dlnotes.training.state import Recipe, init_state
from dlnotes.typing import Batch
from scripts.bench import ours_trees
from scripts.bench.inputs import Data, Weights, input_shape, named_weights, probabilities
from scripts.bench.interface import Variant, again_and_again
from scripts.bench.kinds import BEAMS, BUCKETS, ENCODER_DECODERS, GATES, STAGES, TREES, Case, Stages

CHUNK_SECONDS = 0.1
"""A chunk is doubled while it takes less."""


def setup(case: Case, weights: Weights, data: Data) -> Variant:
    """The variant of a case."""
    return (trees if case.kind in TREES else _SETUP[case.name])(case, weights, data)


def mlp(case: Case, weights: Weights, data: Data) -> Variant:
    """xor, mlp_small and mlp_large."""
    return _train(case, weights, data, _mlp(case), capacity=2**14)


def cnn(case: Case, weights: Weights, data: Data) -> Variant:
    """The convolutional cases."""
    return _train(case, weights, data, network(case), capacity=256)


def network(case: Case) -> Model:
    """conv 32, pool, conv 64, pool, dense 128, dense 10; or the stages of a case."""
    if case.kind not in STAGES:
        first, second, dense, classes = case.sizes[3:]
        return models.cnn(
            case.sizes[:3], classes, channels=(first, second), dense=(dense,), activation=case.hidden
        )
    how = STAGES[case.kind]
    if how.pool_stride is not None:
        return _overlapping(case, how)
    *channels, classes = case.sizes[how.rank + 1 :]
    stages = [
        models.Stage(m, kernel=how.kernel, stride=s, residual=how.residual, pool=how.pool)
        for m, s in zip(channels, how.strides)
    ]
    return models.conv_net(
        input_shape(case) if case.trains else (*(None,) * how.rank, case.sizes[how.rank]),
        classes,
        stages=stages,
        head="average" if how.grid == 1 else "grid",
        grid=how.grid,
        activation=case.hidden,
    )


def _overlapping(case: Case, how: Stages) -> Model:
    """Stages whose pooling windows overlap, which `models.conv_net` has not, from the layers."""
    *channels, classes = case.sizes[how.rank :]

    def init(key):
        *keys, last = jax.random.split(key, len(channels))
        drawn = [
            layers.init_convolution(k, (how.kernel,) * how.rank, before, after)
            for k, (before, after) in zip(keys, pairwise(channels))
        ]
        return (*drawn, layers.init_dense(last, channels[-1], classes))

    def apply(params, x, *, key=None, mask=None):
        *stages, output = params
        for stage, stride in zip(stages, how.strides):
            x = layers.conv_stage(
                stage,
                x,
                activation=case.hidden,
                window=how.pool,
                pool_stride=how.pool_stride,
                stride=stride,
                padding=how.kernel // 2,
            )
        return layers.dense(output, layers.global_avg_pool(x))

    return Model(init, apply)


def any_size(case: Case, weights: Weights, data: Data, most: int = BUCKETS) -> Variant:
    """Answers in at most ``most`` padded shapes; what is padding is masked."""
    prepare(1)
    model = network(case)
    like = jax.eval_shape(jax.vmap(model.init), jax.random.split(jax.random.key(0), 1))
    params = jax.device_put(jax.tree.map(lambda a: a[0], given(case, like, weights)))
    inner = data.x.shape[1:-1]
    places = np.stack(np.meshgrid(*map(np.arange, inner), indexing="ij"), -1)
    mask = (places < np.expand_dims(data.sizes, tuple(range(1, 1 + len(inner))))).all(-1)
    parts = [
        (rows, jax.device_put((part.x, part.mask)))
        for rows, part in divide(Examples(data.x, data.y, mask), most)
    ]
    answer = jax.jit(
        lambda params, x, mask: model.apply(params, x, mask=mask),
        compiler_options=compiler_options(convolutions=True),
    )

    def answers() -> np.ndarray:
        out = np.empty((case.examples, case.sizes[-1]), np.float32)
        computed = [(rows, answer(params, *part)) for rows, part in parts]
        for rows, logits in computed:
            out[rows] = logits
        return out

    def check(fixed):
        return probabilities(answers())

    return Variant(check, again_and_again(case, answers))


def given(case: Case, params: Any, weights: Weights) -> Any:
    """Parameters like ``params`` with the given weights; the gains of residual blocks, which are none, 1."""
    if case.kind in GATES:
        return _recurrent_params(case, params, weights)
    if case.kind in ENCODER_DECODERS:
        return _encoder_decoder_params(case, params, weights)
    if case.kind in TREES:
        return ours_trees.params_of(case, params, weights)
    # The leaves come in the order of the layers, W (or K) before b.
    arrays = iter([a if case.members else a[None] for layer in weights for a in layer])

    def filled(path: Any, leaf: Any) -> np.ndarray:
        a = np.ones(leaf.shape, np.float32) if getattr(path[-1], "name", "") == "gain" else next(arrays)
        if a.shape != leaf.shape:
            raise ValueError(f"weights: got {a.shape}, the model has {leaf.shape}")
        return a

    filled_in = jax.tree_util.tree_map_with_path(filled, params)
    if next(arrays, None) is not None:
        raise ValueError("weights: got more than the model has")
    return filled_in


def seeds32(case: Case, weights: Weights, data: Data) -> Variant:
    """The members vmapped, and divided over as many host devices as there are cores."""
    return _train(case, weights, data, _mlp(case), capacity=2**12, cpu_devices=cpu_count())


def recurrent(case: Case, weights: Weights, data: Data, *, divide: bool = True) -> Variant:
    """The recurrent cases; with ``divide`` each batch over as many host devices as there are cores."""
    _, features, hidden, classes = case.sizes
    model = models.sequence_classifier(features, hidden, classes, cell=case.kind)  # type: ignore[arg-type]
    return _train(case, weights, data, model, capacity=256, cpu_devices=cpu_count() if divide else 1)


def attention(case: Case, weights: Weights, data: Data, *, divide: bool = True) -> Variant:
    """Teacher forcing of an encoder-decoder."""
    return _train(
        case, weights, data, encoder_decoder(case), capacity=256, cpu_devices=cpu_count() if divide else 1
    )


def trees(
    case: Case, weights: Weights, data: Data, *, divide: bool = True, schedule: str = "waves"
) -> Variant:
    """The cases of trees."""
    model = ours_trees.network(case, schedule)
    return _train(case, weights, data, model, capacity=256, cpu_devices=cpu_count() if divide else 1)


def encoder_decoder(case: Case) -> Model:
    """`models.seq2seq` of rows that hold the source, then the target."""
    steps, _, vocabulary, outputs, embedding, hidden = case.sizes
    network = models.seq2seq(vocabulary, outputs, hidden, embedding=embedding, bidirectional=False)

    def apply(params, x, *, key=None, mask=None):
        begin = jnp.full((len(x), 1), outputs, x.dtype)
        target = jnp.concatenate([begin, x[:, steps:-1]], 1)
        return network.apply(params, Pair(x[:, :steps], target), key=key, mask=mask)

    return Model(network.init, apply)


def _encoder_decoder_params(case: Case, params: Any, weights: Weights) -> Any:
    """Parameters like ``params`` with the given weights, and a members axis."""
    w = named_weights(case, weights)

    def gru(name: str, like: Any) -> tuple[Any]:
        return (_cell(like[0], *(w[f"{name}.{part}"] for part in "UbWd")),)

    attend = params.attention._replace(W_q=w["W_q"], W_k=w["W_k"], v=w["v"][:, 0])
    cells = {"forward": gru("encoder", params.forward), "decoder": gru("decoder", params.decoder)}
    others = {name: w[name] for name in ("E", "W_0", "b_0", "F", "V", "c")}
    return jax.tree.map(lambda a: a[None], params._replace(attention=attend, **cells, **others))


def writing(case: Case, weights: Weights, data: Data) -> Variant:
    """Greedy decoding, or beam search."""
    prepare(1)
    like = jax.eval_shape(jax.vmap(encoder_decoder(case).init), jax.random.split(jax.random.key(0), 1))
    params = jax.device_put(jax.tree.map(lambda a: a[0], given(case, like, weights)))
    steps, length = case.sizes[:2]
    source = jax.device_put(data.x[:, :steps])

    def write() -> np.ndarray:
        if case.kind == "greedy":
            return np.asarray(models.greedy_decode(params, source, length=length))
        return np.asarray(models.beam_decode(params, source, width=BEAMS, length=length).log_p[:, 0])

    def check(fixed):
        return write().tolist()

    return Variant(check, again_and_again(case, write))


def _cell(like: Any, U: np.ndarray, b: np.ndarray, W: np.ndarray, d: np.ndarray) -> Any:
    """Parameters of a cell like ``like``: of two biases the sum, but for the one inside a GRU's reset."""
    last = 2 * len(W) if hasattr(like, "b_n") else len(b)
    biases = {"b": np.concatenate([b[:last] + d[:last], b[last:]])}
    if hasattr(like, "b_n"):
        biases["b_n"] = d[last:]
    return like._replace(U=U, W=W, **biases)


def _recurrent_params(case: Case, params: Any, weights: Weights) -> Any:
    """Parameters like ``params`` with the given weights, and a members axis."""
    (U, b), (W, d), (V, c) = weights
    own = params._replace(forward=(_cell(params.forward[0], U, b, W, d),), V=V, c=c)
    return jax.tree.map(lambda a: a[None], own)


_SETUP = {
    "xor": mlp,
    "mlp_small": mlp,
    "mlp_large": mlp,
    "cnn": cnn,
    "cnn_32": cnn,
    "cnn_residual": cnn,
    "cnn_1d": cnn,
    "cnn_3d": cnn,
    "cnn_pool": cnn,
    "cnn_overlap_pool": cnn,
    "cnn_any_size": any_size,
    "rnn_64": recurrent,
    "rnn_512": recurrent,
    "lstm_64": recurrent,
    "lstm_512": recurrent,
    "gru_64": recurrent,
    "attention": attention,
    "greedy": writing,
    "beam": writing,
    "seeds32": seeds32,
}


def _mlp(case: Case) -> Model:
    return models.mlp(case.sizes[0], case.sizes[1:-1], case.sizes[-1], activation=case.hidden)


def _train(
    case: Case, weights: Weights, data: Data, model: Model, *, capacity: int, cpu_devices: int = 1
) -> Variant:
    prepare(cpu_devices)
    members = max(case.members, 1)
    examples = ours_trees.examples if case.kind in TREES else Examples
    placement = place("auto", members=members, divide_batch=case.kind in (*GATES, *TREES, "attention"))
    loss = binary_cross_entropy if case.output == "sigmoid" else cross_entropy
    single = members == 1
    recipe = Recipe(model, loss, {}, optimizer("adam", case.learning_rate, join=single), join=single)

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
            convolutions=case.kind == "cnn" or case.kind in STAGES,
        )

    start = jax.jit(partial(init_state, lambda hyper: recipe), compiler_options=single_use_options())
    state = fetch(start(np.arange(members, dtype=np.int32), {}))
    params = given(case, state.members.params, weights)
    state = put_state(placement, state._replace(members=state.members._replace(params=params)))

    def check(fixed):
        nonlocal state
        x, y, mask = examples(*(np.stack(arrays) for arrays in zip(*fixed)))
        weight = np.ones(y.shape[: 3 if case.members else 2], np.float32)
        batches = Batch(x, y, mask, weight)
        if case.members:
            batches = jax.tree.map(lambda a: np.moveaxis(a, 1, 0), batches)
        axis = 1 if placement.split == "batch" else None
        chunk = compiled(streamed_batches(), len(fixed), bool(case.members), axis)
        state, metrics = chunk(state, batches, np.int32(len(fixed)))
        losses = fetch(metrics)[:, 0]
        return losses.tolist() if case.members else losses[:, 0].tolist()

    resident = chunk = None
    steps = 8

    def run(seconds: float) -> tuple[int, float]:
        nonlocal state, resident, chunk, steps
        if chunk is None:
            resident = put(placement, examples(data.x, data.y))
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
