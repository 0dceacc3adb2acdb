"""Mixtures of experts against numpy, one expert at a time, and against what they are in special cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes import models, outputs
from dlnotes.models import WithState, gate_weights
from dlnotes.models.model import Model
from dlnotes.outputs import Penalized

RNG = np.random.default_rng(5)
N, E, INPUTS, OUTPUTS = 12, 4, 5, 3
X = RNG.normal(size=(N, INPUTS)).astype(np.float32)
Y = jnp.asarray(RNG.integers(0, OUTPUTS, N).astype(np.int32))


def made(gate="hard", hidden=(7, 6), experts=E, scale=3.0, **options) -> tuple[Model, WithState]:
    """A model with parameters that are random in every number, its gate far from even."""
    model = models.mixture_of_experts(INPUTS, experts, hidden, OUTPUTS, gate=gate, **options)
    params = model.init(jax.random.key(1))
    learned = jax.tree.map(lambda a: jnp.asarray(RNG.normal(size=a.shape) * 0.6, jnp.float32), params.learned)
    learned = learned._replace(gate=learned.gate._replace(W=scale * learned.gate.W))
    return model, WithState(learned, params.state)


def by_hand(params, x):
    """Gates ``(n, E)`` and every expert's outputs ``(n, E, outputs)`` in numpy."""
    gate, hidden, output = jax.tree.map(lambda a: np.asarray(a, np.float64), params.learned)
    x = np.asarray(x, np.float64)
    every = []
    for e in range(len(gate.b)):
        h = x
        for W, b in hidden:
            h = np.maximum(h @ W[e] + b[e], 0)
        every.append(h @ output.W[e] + output.b[e])
    return special.softmax(x @ gate.W + gate.b, axis=-1), np.stack(every, axis=1)


@pytest.mark.parametrize("hidden", [(), 7, (7, 6)])
def test_soft_is_the_log_of_the_mixed_probabilities(hidden):
    model, params = made("soft", hidden)
    gates, every = by_hand(params, X)
    p = (gates[..., None] * special.softmax(every, axis=-1)).sum(axis=1)
    np.testing.assert_allclose(model.apply(params, X), np.log(p), rtol=1e-4, atol=1e-5)
    loss = outputs.cross_entropy(model.apply(params, X), Y).total
    np.testing.assert_allclose(loss, -np.log(p[np.arange(N), np.asarray(Y)]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gate_weights(params, X), gates, rtol=1e-4, atol=1e-6)


def test_soft_mixes_numbers():
    model, params = made("soft", mixture="outputs")
    gates, every = by_hand(params, X)
    np.testing.assert_allclose(
        model.apply(params, X), np.einsum("ne,neo->no", gates, every), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("hidden", [(), 7, (7, 6)])
@pytest.mark.parametrize("rows", [1, 3, N])
def test_hard_is_the_chosen_expert_times_its_gate(hidden, rows):
    model, params = made("hard", hidden)
    gates, every = by_hand(params, X[:rows])
    chosen = gates.argmax(axis=1)
    assert rows < N or len(set(chosen)) == E
    want = gates.max(axis=1)[:, None] * every[np.arange(rows), chosen]
    np.testing.assert_allclose(model.apply(params, X[:rows]), want, rtol=1e-4, atol=1e-5)


def test_hard_gradients_are_those_of_all_experts_masked():
    """The masked sum has plain operations only, and so jax's own derivative."""
    model, params = made("hard")

    def masked(learned, x):
        gates = gate_weights(learned, x)
        h = x[:, None] * jnp.ones((1, E, 1), x.dtype)
        for i, (W, b) in enumerate((*learned.hidden, learned.output)):
            h = jax.nn.relu(h) if i else h
            h = jnp.einsum("nei,eio->neo", h, W) + b[None]
        one = jax.nn.one_hot(gates.argmax(axis=1), E, dtype=x.dtype)
        return jnp.einsum("ne,ne,neo->no", one, gates, h)

    def loss(f):
        return jax.jit(jax.grad(lambda p, x: outputs.cross_entropy(f(p, x), Y).total.sum(), (0, 1)))

    got = loss(lambda p, x: model.apply(params._replace(learned=p), x))(params.learned, jnp.asarray(X))
    want = loss(masked)(params.learned, jnp.asarray(X))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), got, want)


def test_a_certain_soft_gate_is_hard():
    soft, params = made("soft", scale=1e5)
    hard, _ = made("hard")
    np.testing.assert_allclose(
        outputs.cross_entropy(soft.apply(params, X), Y).total,
        outputs.cross_entropy(hard.apply(params, X), Y).total,
        rtol=1e-3,
        atol=1e-4,
    )


@pytest.mark.parametrize("gate", ["hard", "soft"])
def test_one_expert_is_a_perceptron(gate):
    model, params = made(gate, experts=1)
    alone = jax.tree.map(lambda a: a[0], (params.learned.hidden, params.learned.output))
    plain = models.mlp(INPUTS, (7, 6), OUTPUTS)
    logits = plain.apply(models.MLP(alone[0], (None, None), alone[1]), X)
    got = outputs.cross_entropy(model.apply(params, X), Y).total
    np.testing.assert_allclose(got, outputs.cross_entropy(logits, Y).total, rtol=1e-4, atol=1e-5)


def test_more_experts_than_rows_and_all_rows_to_one():
    model, params = made("hard", experts=40)
    gates, every = by_hand(params, X[:3])
    want = gates.max(1)[:, None] * every[np.arange(3), gates.argmax(1)]
    np.testing.assert_allclose(model.apply(params, X[:3]), want, rtol=1e-4, atol=1e-5)
    model, params = made("hard")
    gate = params.learned.gate
    one = params._replace(learned=params.learned._replace(gate=gate._replace(b=gate.b.at[2].add(1000.0))))
    _, every = by_hand(one, X)
    np.testing.assert_allclose(model.apply(one, X), every[:, 2], rtol=1e-4, atol=1e-5)


def balance_of(model, params, x, weight=None):
    found, state = model.update(params, x)
    assert isinstance(found, Penalized)
    weight = np.ones(len(x)) if weight is None else weight
    return float((np.asarray(found.penalty) * weight).sum() / weight.sum()), state


@pytest.mark.parametrize("gate", ["hard", "soft"])
def test_the_penalty_and_the_running_load(gate):
    model, params = made(gate, balance=0.3)
    share = jnp.array([0.1, 0.2, 0.3, 0.4])
    params = params._replace(state=params.state._replace(last=share, share=share))
    gates, _ = by_hand(params, X)
    got, state = balance_of(model, params, X)
    np.testing.assert_allclose(got, 0.3 * E * (np.asarray(share) * gates.mean(0)).sum(), rtol=1e-5)
    routed = np.bincount(gates.argmax(1), minlength=E) / N
    np.testing.assert_allclose(state.last, routed, rtol=1e-6)
    np.testing.assert_allclose(state.share, 0.9 * np.asarray(share) + 0.1 * routed, rtol=1e-5)
    entropy = special.entr(gates).sum(1).mean()
    np.testing.assert_allclose(state.entropy, 0.9 * np.log(E) + 0.1 * entropy, rtol=1e-5)
    np.testing.assert_array_equal(model.update(params, X)[0].output, model.apply(params, X))


def test_rows_that_do_not_count_have_no_part_in_the_penalty_or_its_gradient():
    model, params = made("hard", balance=0.3)
    weight = np.array([1] * 7 + [0] * 5, np.float32)

    def objective(learned, x):
        found, _ = model.update(params._replace(learned=learned), x)
        measured = outputs.penalized(outputs.cross_entropy)(found, Y)
        return outputs.mean_of(measured, jnp.asarray(weight))

    f = jax.jit(jax.value_and_grad(objective))
    other = np.where(weight[:, None] > 0, X, 3 * X[::-1])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        f(params.learned, jnp.asarray(X)),
        f(params.learned, jnp.asarray(other)),
    )


def test_noise_tries_other_experts_in_training_only():
    model, params = made("hard", noise=5.0)
    keys = jax.random.split(jax.random.key(3), N)
    a, b = (model.update(params, X, key=k)[0].output for k in (keys, keys))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, model.apply(params, X), atol=1e-3)
    np.testing.assert_array_equal(model.update(params, X)[0].output, model.apply(params, X))


def test_gates_keep_double_precision():
    _, params = made()
    with jax.enable_x64(True):
        wide = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), params)
        assert gate_weights(wide, jnp.asarray(X, jnp.float64)).dtype == jnp.float64
    low = jax.tree.map(lambda a: a.astype(jnp.bfloat16), params.learned)
    assert gate_weights(low, jnp.asarray(X, jnp.bfloat16)).dtype == jnp.float32


def test_a_mixture_of_lines_is_as_likely_as_em_finds_it():
    """Two regimes of three classes, told apart by the sign of the first input: 1-hot experts suffice."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    y = np.where(x[:, 0] > 0, x[:, 1] > 0, x[:, 1] < 0).astype(np.int32)
    model = models.mixture_of_experts(2, 2, (), 2, gate="soft", balance=0.0)
    from dlnotes.data import Examples
    from dlnotes.training import Recipe, fit, optimizer

    recipe = Recipe(model, outputs.penalized(outputs.cross_entropy), {}, optimizer("adam", 0.1))
    found = fit(recipe, Examples(jnp.asarray(x), jnp.asarray(y)), steps=400, seeds=range(4))
    assert found.history["loss"][-1].min() < 0.1  # one line alone cannot be better than log 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"experts": 0}, "experts: got 0"),
        ({"hidden": (0,)}, r"hidden\[0\]: got 0"),
        ({"gate": "firm"}, "gate: got 'firm', allowed are 'soft', 'hard'"),
        ({"mixture": "both"}, "mixture: got 'both'"),
        ({"balance": -1.0}, "balance: got -1.0"),
        ({"noise": float("nan")}, "noise: got nan"),
        ({"activation": "rel"}, "did you mean 'relu'"),
    ],
)
def test_what_is_not_allowed_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.mixture_of_experts(3, **{"experts": 2, "hidden": 4, "outputs": 2, **options})
