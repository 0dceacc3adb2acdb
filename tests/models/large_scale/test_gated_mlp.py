"""Gated perceptrons against numpy, a perceptron, and an enumeration of all that may be drawn."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from dlnotes import models, outputs
from dlnotes.models import WithState
from dlnotes.models.large_scale.gated_mlp import gate_penalty
from dlnotes.outputs import Penalized, Scored

RNG = np.random.default_rng(9)
N, INPUTS, OUTPUTS, BLOCKS, WIDTHS = 10, 5, 3, 4, (8, 12)
X = jnp.asarray(RNG.normal(size=(N, INPUTS)), jnp.float32)
Y = jnp.asarray(RNG.integers(0, OUTPUTS, N).astype(np.int32))


def made(widths=WIDTHS, blocks=BLOCKS, **options):
    """A model with parameters that are random in every number."""
    model = models.gated_mlp(INPUTS, widths, OUTPUTS, blocks=blocks, **options)
    params = model.init(jax.random.key(1))
    rng = np.random.default_rng(4)
    return model, params._replace(
        learned=jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), jnp.float32), params.learned)
    )


def by_hand(params, x, choose):
    """Output, u and π in numpy; ``choose(π, layer)`` gives u."""
    h, states, probabilities = np.asarray(x, np.float64), [], []
    learned = jax.tree.map(lambda a: np.asarray(a, np.float64), params.learned)
    for i, (gate, (W, b)) in enumerate(zip(learned.gates, learned.hidden)):
        pi = special.expit(h @ gate.W + gate.b)
        u = choose(pi, i)
        h = np.maximum(h @ W + b, 0) * np.repeat(u, W.shape[1] // u.shape[1], axis=1)
        states.append(u)
        probabilities.append(pi)
    return h @ learned.output.W + learned.output.b, np.stack(states, 1), np.stack(probabilities, 1)


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("inference", ["likely", "expected"])
def test_inference_by_hand(inference, grouped):
    model, params = made(inference=inference, grouped=grouped)
    u, probability = map(np.asarray, models.open_blocks(params, X, inference=inference))
    choose = {
        "likely": lambda pi, i: (pi > 0.5).astype(float),
        "expected": lambda pi, i: pi,
    }[inference]
    want, states, pi = by_hand(params, X, choose)
    np.testing.assert_allclose(model.apply(params, X), want, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(u, states, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probability, pi, rtol=1e-4, atol=1e-5)
    if inference != "expected":
        assert 0 < u.mean() < 1


@pytest.mark.parametrize("gradient", ["score", "straight_through"])
def test_all_blocks_on_is_a_perceptron(gradient):
    plain = models.mlp(INPUTS, WIDTHS, OUTPUTS)
    model, params = made(share=1.0, gradient=gradient)
    hidden, output = params.learned.hidden, params.learned.output
    want = plain.apply(models.MLP(hidden, (None, None), output), X)
    for key in (None, jax.random.key(0)):
        np.testing.assert_allclose(model.apply(params, X, key=key), want, rtol=1e-5)
    drawn, _ = model.update(params, X, key=jax.random.key(0))
    np.testing.assert_array_equal(drawn.penalty, 0.0)
    # With gates that are sure, and a share that is known only as it runs.
    sure = tuple(g._replace(W=0 * g.W, b=0 * g.b + 50) for g in params.learned.gates)
    gated, _ = made(gradient=gradient)
    params = params._replace(learned=params.learned._replace(gates=sure))
    np.testing.assert_allclose(gated.apply(params, X, key=jax.random.key(3)), want, rtol=1e-5)


def test_a_swept_share_of_one_is_a_perceptron():
    _, params = made()

    @jax.jit
    @jax.vmap
    def at(share):
        model = models.gated_mlp(INPUTS, WIDTHS, OUTPUTS, blocks=BLOCKS, share=share)
        return model.apply(params, X, key=jax.random.key(2))

    got = at(jnp.array([0.25, 1.0]))
    np.testing.assert_allclose(got[1], by_hand(params, X, lambda pi, i: 1 + 0 * pi)[0], rtol=2e-4, atol=2e-4)
    assert not np.allclose(got[0], got[1])


def test_training_by_the_score_is_unbiased_over_all_settings():
    """One layer of four blocks: the expected loss and its gradient from all 2⁴ settings of each example."""
    model, params = made(widths=(8,), gradient="score", sparsity=0.0, variance=0.0)
    every = jnp.asarray(list(itertools.product((0.0, 1.0), repeat=BLOCKS)), jnp.float32)

    def expected(learned):
        pi = jax.nn.sigmoid(X @ learned.gates[0].W + learned.gates[0].b[None])
        h = jax.nn.relu(X @ learned.hidden[0].W + learned.hidden[0].b[None])

        def at(u):
            on = jnp.repeat(u, 2)[None]
            p = jnp.prod(jnp.where(u[None] == 1, pi, 1 - pi), axis=1)
            z = (h * on) @ learned.output.W + learned.output.b[None]
            return p @ outputs.cross_entropy(z, Y).total

        return jax.vmap(at)(every).sum()

    loss = outputs.penalized(outputs.scored(outputs.cross_entropy))

    @jax.jit
    @jax.vmap
    def one(key):
        def objective(learned):
            output, _ = model.update(params._replace(learned=learned), X, key=key)
            return loss(output, Y).total.sum()

        return jax.value_and_grad(objective)(params.learned)

    value, gradient = jax.value_and_grad(expected)(params.learned)
    costs, found = one(jax.random.split(jax.random.key(8), 4000))

    def errors(draws, want):
        draws, want = np.asarray(draws, np.float64), np.asarray(want)
        return np.abs(draws.mean(0) - want) / (draws.std(0) / np.sqrt(len(draws)) + 1e-5)

    assert errors(costs, value) < 4
    for name in ("gates", "hidden", "output"):
        got, want = (jax.tree.leaves(getattr(tree, name)) for tree in (found, gradient))
        for a, b in zip(got, want):
            assert errors(a, b).max() < 4.5, name  # of the largest of many
    # The baseline is fitted to the mean cost of each input, whatever is drawn.
    _, baseline = jax.tree.leaves(found.baseline)
    assert np.isfinite(np.asarray(baseline)).all()
    assert np.abs(baseline).max() > 0


def test_the_penalty_is_that_of_the_paper_where_the_running_mean_is_the_batch_s():
    pi = RNG.random((N, 2, BLOCKS)).astype(np.float32)
    share, lam_s, lam_v = 0.3, 0.7, 0.4

    def paper(pi):
        of_blocks = ((pi.mean(0) - share) ** 2).sum()
        of_examples = ((pi.mean(2) - share) ** 2).mean(0).sum()
        return lam_s * (of_blocks + of_examples) - lam_v * pi.var(0).sum()

    def ours(p):
        return gate_penalty(p, jnp.asarray(pi.mean(0)), share, lam_s, lam_v).mean()

    value, gradient = jax.value_and_grad(ours)(jnp.asarray(pi))
    np.testing.assert_allclose(value, paper(pi), rtol=1e-4)
    np.testing.assert_allclose(gradient, jax.grad(paper)(jnp.asarray(pi)), rtol=1e-3, atol=1e-6)


def test_what_training_gives():
    for gradient in ("score", "straight_through", "gumbel"):
        model, params = made(gradient=gradient)
        found, usage = model.update(params, X, key=jax.random.key(0))
        assert isinstance(found, Penalized)
        assert found.penalty.shape == (N,)
        assert isinstance(found.output, Scored) == (gradient == "score")
        drawn = found.output.output if gradient == "score" else found.output
        np.testing.assert_allclose(drawn, model.apply(params, X, key=jax.random.key(0)), rtol=1e-5)
        pi = models.open_blocks(params, X)[1][:, 0].mean(0)
        np.testing.assert_allclose(usage.mean[0], 0.9 * params.state.mean[0] + 0.1 * pi, rtol=1e-4)
        metric = outputs.unpenalized(outputs.unscored(outputs.accuracy))
        np.testing.assert_array_equal(metric(found, Y).total, outputs.accuracy(drawn, Y).total)


def test_an_example_without_a_target_has_no_gradient_of_its_choice():
    z, log_p = jnp.zeros((2, 3)), jnp.zeros(2)

    def loss(log_p):
        return outputs.scored(outputs.cross_entropy)(
            Scored(z, log_p, jnp.ones(2)), jnp.array([1, -1])
        ).total.sum()

    np.testing.assert_allclose(jax.grad(loss)(log_p), [np.log(3) - 1, 0.0], rtol=1e-5)


def test_grouped_training_is_the_same():
    found = []
    for grouped in (False, True):
        model, params = made(gradient="score", grouped=grouped)

        def loss(learned, model=model, params=params):
            output, _ = model.update(WithState(learned, params.state), X, key=jax.random.key(6))
            return outputs.penalized(outputs.scored(outputs.cross_entropy))(output, Y).total.sum()

        found.append(jax.jit(jax.value_and_grad(loss))(params.learned))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-3), *found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"share": 0.0}, "share: got 0.0, allowed is 0 < share <= 1"),
        ({"share": 1.5}, "share: got 1.5"),
        ({"blocks": 3}, "blocks: got 3 for 8 units, allowed is a divisor"),
        ({"blocks": 0}, "blocks: got 0"),
        ({"widths": ()}, "widths: got none"),
        ({"gradient": "reinforce"}, "gradient: got 'reinforce', allowed are 'score'"),
        ({"inference": "best"}, "inference: got 'best', allowed are 'likely'"),
        ({"sparsity": -1.0}, "sparsity: got -1.0"),
        ({"temperature": 0.0}, "temperature: got 0.0"),
    ],
)
def test_what_is_not_allowed_is_named(options, words):
    with pytest.raises(ValueError, match=words):
        models.gated_mlp(
            INPUTS, options.pop("widths", WIDTHS), OUTPUTS, blocks=options.pop("blocks", 4), **options
        )
