"""The networks of the cases as dlnotes has them, and their parameters from the given weights."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import layers, models
from dlnotes.data.dataset import Pair
from dlnotes.models import Model
from scripts.bench.inputs import named_weights
from scripts.bench.interface import Weights
from scripts.bench.networks import Cnn, Mlp, Network, Recurrent, Seq2Seq, Staged, TreeLstm
from scripts.bench.peers import ours_trees


def build(network: Network, *, schedule: str = "waves") -> Model:
    """The model of a network; trees are computed by ``schedule``."""
    match network:
        case Mlp():
            features, *hidden, outputs = network.widths
            return models.mlp(features, hidden, outputs, activation=network.activation)
        case Cnn():
            return models.cnn(
                network.input_shape,
                network.outputs,
                channels=network.channels,
                dense=(network.dense,),
                activation="relu",
            )
        case Staged():
            return _staged(network) if network.pool_stride is None else _overlapping(network)
        case Recurrent():
            return models.sequence_classifier(
                network.features, network.hidden, network.outputs, cell=network.cell
            )
        case Seq2Seq():
            return _seq2seq(network)
        case TreeLstm():
            return ours_trees.build(network, schedule)


def _staged(network: Staged) -> Model:
    stages = [
        models.Stage(m, kernel=network.kernel, stride=s, residual=network.residual, pool=network.pool)
        for m, s in zip(network.channels, network.strides)
    ]
    *sizes, channels = network.input_shape
    return models.conv_net(
        (*(None if network.any_size else m for m in sizes), channels),
        network.outputs,
        stages=stages,
        head="average" if network.grid == 1 else "grid",
        grid=network.grid,
        activation="relu",
    )


def _overlapping(network: Staged) -> Model:
    """Stages whose pooling windows overlap, which `models.conv_net` has not, from the layers."""
    channels = (network.input_shape[-1], *network.channels)
    window = (network.kernel,) * network.rank

    def init(key):
        *keys, last = jax.random.split(key, len(channels))
        drawn = [
            layers.init_convolution(k, window, before, after)
            for k, (before, after) in zip(keys, pairwise(channels))
        ]
        return (*drawn, layers.init_dense(last, channels[-1], network.outputs))

    def apply(params, x, *, key=None, mask=None):
        *stages, output = params
        for stage, stride in zip(stages, network.strides):
            x = layers.conv_stage(
                stage,
                x,
                activation="relu",
                window=network.pool,
                pool_stride=network.pool_stride,
                stride=stride,
                padding=network.kernel // 2,
            )
        return layers.dense(output, layers.global_avg_pool(x))

    return Model(init, apply)


def _seq2seq(network: Seq2Seq) -> Model:
    """`models.seq2seq` of rows that hold the source, then the target."""
    steps, outputs = network.source_steps, network.outputs
    inner = models.seq2seq(
        network.vocabulary, network.hidden, outputs, embedding=network.embedding, bidirectional=False
    )

    def apply(params, x, *, key=None, mask=None):
        begin = jnp.full((len(x), 1), outputs, x.dtype)
        target = jnp.concatenate([begin, x[:, steps:-1]], 1)
        return inner.apply(params, Pair(x[:, :steps], target), key=key, mask=mask)

    return Model(inner.init, apply)


def initial(network: Network, model: Model, weights: Weights) -> Any:
    """The parameters of one model with the given weights."""
    like = jax.eval_shape(jax.vmap(model.init), jax.random.split(jax.random.key(0), 1))
    return jax.tree.map(lambda a: a[0], given(network, like, weights))


def given(network: Network, params: Any, weights: Weights) -> Any:
    """Parameters like ``params``, which have a members axis, with the given weights, which may have one.

    Raises:
      ValueError: when the weights are not those of the model.
    """
    fill = _GIVEN.get(type(network))
    if fill is None:
        return _in_order(params, weights)
    return jax.tree.map(lambda a: a[None], fill(network, params, weights))


def _in_order(params: Any, weights: Weights) -> Any:
    """Layer by layer, W (or K) before b; the gains of residual blocks, which are no weights, are 1."""
    arrays = iter([a for layer in weights for a in layer])

    def filled(path: Any, leaf: Any) -> np.ndarray:
        if getattr(path[-1], "name", "") == "gain":
            return np.ones(leaf.shape, np.float32)
        a = next(arrays)
        a = a if a.ndim == leaf.ndim else a[None]
        if a.shape != leaf.shape:
            raise ValueError(f"weights: got {a.shape}, the model has {leaf.shape}")
        return a

    filled_in = jax.tree_util.tree_map_with_path(filled, params)
    if next(arrays, None) is not None:
        raise ValueError("weights: got more than the model has")
    return filled_in


def _cell(like: Any, U: np.ndarray, b: np.ndarray, W: np.ndarray, d: np.ndarray) -> Any:
    """Parameters of a cell like ``like``: of two biases the sum, but for the one inside a GRU's reset."""
    last = 2 * len(W) if hasattr(like, "b_n") else len(b)
    biases = {"b": np.concatenate([b[:last] + d[:last], b[last:]])}
    if hasattr(like, "b_n"):
        biases["b_n"] = d[last:]
    return like._replace(U=U, W=W, **biases)


def _recurrent(network: Recurrent, params: Any, weights: Weights) -> Any:
    (U, b), (W, d), (V, c) = weights
    return params._replace(forward=(_cell(params.forward[0], U, b, W, d),), V=V, c=c)


def _encoder_decoder(network: Seq2Seq, params: Any, weights: Weights) -> Any:
    w = named_weights(network, weights)

    def gru(name: str, like: Any) -> tuple[Any]:
        return (_cell(like[0], *(w[f"{name}.{part}"] for part in "UbWd")),)

    attend = params.attention._replace(W_q=w["W_q"], W_k=w["W_k"], v=w["v"][:, 0])
    cells = {"forward": gru("encoder", params.forward), "decoder": gru("decoder", params.decoder)}
    others = {name: w[name] for name in ("E", "W_0", "b_0", "F", "V", "c")}
    return params._replace(attention=attend, **cells, **others)


_GIVEN: dict[type, Callable[[Any, Any, Weights], Any]] = {
    Recurrent: _recurrent,
    Seq2Seq: _encoder_decoder,
    TreeLstm: ours_trees.given,
}
"""How the parameters of one network are made of its weights, where not in order."""
