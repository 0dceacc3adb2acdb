"""The layers' values of every family, against networks written out and flax's own record."""

import importlib
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import analysis, layers, models
from dlnotes.layers.convolutional.convolution import convolve
from dlnotes.layers.convolutional.pooling import max_pool
from dlnotes.models import activations

ROWS = [
    row
    for file in sorted(Path(__file__).parent.glob("rows_*.py"))
    for row in importlib.import_module(file.stem).ROWS
]
FAST = {"linear", "mlp", "graph", "hard experts", "lstm"}


def drawn(model, seed=0):
    """Parameters of a model, its biases too, all different from 0."""
    params = model.init(jax.random.key(seed))
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(seed)
    noise = [jnp.asarray(rng.normal(scale=0.3, size=a.shape), a.dtype) for a in leaves]
    return structure.unflatten([a + b for a, b in zip(leaves, noise)])


def inputs(*shape):
    return jnp.asarray(np.random.default_rng(5).normal(size=shape), jnp.float32)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-4)


def test_an_mlp_written_out():
    model = models.mlp((2, 3), (5, 5, 4), 3, activation=("relu", "tanh", "prelu"), skip=True, dropout=0.5)
    params, x = drawn(model), inputs(7, 2, 3)
    got = activations(model, params, x)
    assert list(got) == ["input", "hidden[0]", "hidden[1]", "hidden[2]", "output"]
    one, two, three = ((np.asarray(a.W), np.asarray(a.b)) for a in params.hidden)
    h1 = np.maximum(np.asarray(x).reshape(7, 6) @ one[0] + one[1], 0)
    h2 = np.tanh(h1 @ two[0] + two[1])
    z = h2 @ three[0] + three[1]
    h3 = np.where(z > 0, z, np.asarray(params.slopes[2]) * z)
    close(got["hidden[0]"], h1)
    close(got["hidden[1]"], h2)
    close(got["hidden[2]"], h3)
    close(got["output"], h3 @ np.asarray(params.output.W) + np.asarray(params.output.b))
    np.testing.assert_array_equal(got["input"], x)


def test_a_skip_connection_is_in_the_layer_after_it():
    model = models.mlp(4, (5, 6, 5), 2, activation="tanh", skip=True)
    params, x = drawn(model), inputs(3, 4)
    got = activations(model, params, x)
    z = np.tanh(got["hidden[1]"] @ params.hidden[2].W + params.hidden[2].b[None])
    close(got["hidden[2]"], z + got["hidden[0]"])


def test_a_cnn_written_out():
    model = models.cnn((9, 8, 2), 3, channels=(3, 4), dense=(6,), activation="tanh")
    params, x = drawn(model), inputs(5, 9, 8, 2)
    got = activations(model, params, x)
    assert list(got) == ["input", "convolutions[0][0]", "convolutions[1][0]", "hidden[0]", "output"]
    h = x
    for i, name in enumerate(("convolutions[0][0]", "convolutions[1][0]")):
        layer = params.convolutions[i][0]
        h = jnp.tanh(max_pool(convolve(h, layer.K), 2) + layer.b[None, None, None])
        close(got[name], h)
    h = jnp.tanh(h.reshape(5, -1) @ params.hidden[0].W + params.hidden[0].b[None])
    close(got["hidden[0]"], h)


def test_an_rbf_layer_takes_the_input_as_it_is():
    model = models.rbf_network(3, 5, 2)
    params, x = drawn(model), inputs(4, 3)
    got = activations(model, params, x)
    d = ((np.asarray(x)[:, :, None] - np.asarray(params.hidden.centers)[None]) ** 2).sum(1)
    close(got["hidden"], np.exp(-d / np.exp(2 * np.asarray(params.hidden.log_sigma))))


def test_a_recurrent_classifier_has_its_last_state():
    model = models.sequence_classifier(3, 6, 2, cell="rnn")
    params, x = drawn(model), inputs(4, 5, 3)
    mask = jnp.arange(5)[None] < jnp.array([5, 2, 4, 1])[:, None]
    got = activations(model, params, x, mask=mask)
    assert list(got) == ["input", "forward[0]", "V"]
    p = jax.tree.map(np.asarray, params.forward[0])
    h = np.zeros((4, 6))
    for t in range(5):
        new = np.tanh(np.asarray(x)[:, t] @ p.U + h @ p.W + p.b)
        h = np.where(np.asarray(mask)[:, t, None], new, h)
    close(got["forward[0]"], h)


class Net(nn.Module):
    """A convolution, a normalization and two dense layers."""

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.relu(nn.LayerNorm()(nn.Conv(4, (3, 3), name="maps")(x)))
        h = nn.relu(nn.Dense(6, name="wide")(h.mean((1, 2))))
        return nn.Dense(3, name="logits")(h)


def test_a_flax_module_as_flax_records_it():
    module, x = Net(), inputs(5, 6, 6, 2)
    model = models.from_flax(module, np.zeros((1, 6, 6, 2), np.float32), train_argument="train")
    params = drawn(model)
    got = activations(model, params, x)
    assert list(got) == ["input", "['maps']", "['wide']", "['logits']"]
    _, state = module.apply({"params": params}, x, capture_intermediates=True, mutable=["intermediates"])
    kept = state["intermediates"]
    close(got["['maps']"], nn.relu(kept["LayerNorm_0"]["__call__"][0]).mean((1, 2)))
    close(got["['wide']"], nn.relu(kept["wide"]["__call__"][0]))
    close(got["['logits']"], kept["logits"]["__call__"][0])


def test_members_together_and_gradients():
    model, x = models.mlp(4, (5,), 3, activation="tanh"), inputs(6, 4)
    stacked = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 3))
    many = jax.vmap(lambda p: activations(model, p, x))(stacked)
    assert list(many) == ["input", "hidden[0]", "output"]
    one = activations(model, jax.tree.map(lambda a: a[1], stacked), x)
    close(many["hidden[0]"][1], one["hidden[0]"])
    params = jax.tree.map(lambda a: a[0], stacked)
    slope = jax.grad(lambda x: activations(model, params, x)["hidden[0]"].sum())(x)
    close(slope, jax.grad(lambda x: layers.tanh(layers.dense(params.hidden[0], x)).sum())(x))


def test_lists_are_arrays_and_what_is_no_batch_is_refused():
    model = models.mlp(2, (3,), 2)
    params = model.init(jax.random.key(0))
    assert activations(model, params, [[1.0, 2.0]])["output"].shape == (1, 2)
    with pytest.raises(ValueError, match=r"x: got shape \(2,\)"):
        activations(model, params, jnp.ones(2))


@pytest.mark.parametrize(
    "row", [pytest.param(r, id=r.name, marks=[] if r.name in FAST else pytest.mark.slow) for r in ROWS]
)
def test_every_family_has_layers_of_one_row_per_example(row):
    batch = jax.tree.map(jnp.asarray, row.batch())
    model = row.model()
    params = jax.jit(model.init)(jax.random.key(7))
    got = activations(model, params, batch.x, mask=batch.mask)
    turned = jax.tree.map(lambda a: a[::-1], (batch.x, batch.mask))
    other = activations(model, params, turned[0], mask=turned[1])
    assert list(got) == list(other)
    for name, value in got.items():
        np.testing.assert_allclose(value[::-1], other[name], rtol=1e-3, atol=1e-4, err_msg=name)
    output = jax.jit(lambda p: model.apply(p, batch.x, mask=batch.mask))(params)
    close(list(got.values())[-1], output)
    try:
        known = {row.name for row in analysis.by_layer(model, batch.x, mask=batch.mask)}
    except ValueError as error:  # of a loop that ends by a condition, which has no number of operations
        assert "until a condition holds" in str(error)  # noqa: PT017
        return
    assert {part for name in got if name != "input" for part in name.split(" #")[0].split(" + ")} <= {
        part for name in known for part in name.split(" + ")
    }
