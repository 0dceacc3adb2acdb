"""Soft trees against numpy, path by path, and against trees that scikit-learn has grown."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn.datasets import load_digits
from sklearn.tree import DecisionTreeClassifier

from dlnotes import models, outputs
from dlnotes.layers import Dense
from dlnotes.models import SoftTree, WithState, path_probabilities
from dlnotes.outputs import Penalized

RNG = np.random.default_rng(6)
N, INPUTS, OUTPUTS = 9, 4, 3
X = RNG.normal(size=(N, INPUTS)).astype(np.float32)
Y = jnp.asarray(RNG.integers(0, OUTPUTS, N).astype(np.int32))


def made(depth, **options):
    model = models.soft_tree(INPUTS, depth, OUTPUTS, **options)
    params = model.init(jax.random.key(2))
    return model, jax.tree.map(
        lambda a: jnp.asarray(
            np.abs(RNG.normal(size=a.shape)) if a.ndim == 1 else RNG.normal(size=a.shape), jnp.float32
        ),
        params,
    )


def net(layers, k, x):
    h = x
    for i, (W, b) in enumerate(layers):
        h = np.maximum(h, 0) if i else h
        h = h @ np.asarray(W[k], np.float64) + np.asarray(b[k], np.float64)
    return h


def by_hand(params, x, depth):
    """Probabilities by walking every path: of leaves, of reaching each node, of its right branch."""
    tree = params.learned if isinstance(params, WithState) else params
    x = np.asarray(x, np.float64)
    reached = np.ones((len(x), 2 ** (depth + 1) - 1))
    right = np.empty((len(x), 2**depth - 1))
    for i in range(2**depth - 1):
        right[:, i] = special.expit(float(tree.beta[i]) * net(tree.node, i, x)[:, 0])
        reached[:, 2 * i + 1] = reached[:, i] * (1 - right[:, i])
        reached[:, 2 * i + 2] = reached[:, i] * right[:, i]
    return reached[:, 2**depth - 1 :], reached[:, : 2**depth - 1], right


def leaf_outputs(params, x, depth):
    tree = params.learned if isinstance(params, WithState) else params
    if isinstance(tree.leaf, tuple):
        return np.stack([net(tree.leaf, k, np.asarray(x, np.float64)) for k in range(2**depth)], axis=1)
    return np.broadcast_to(np.asarray(tree.leaf, np.float64), (len(x), *tree.leaf.shape))


TREES = [(1, (), "constant"), (3, (), "constant"), (3, (5,), "constant"), (2, (5, 4), "net"), (2, (), "net")]


@pytest.mark.parametrize(("depth", "node", "leaf"), TREES)
def test_soft_is_the_mean_over_all_paths(depth, node, leaf):
    model, params = made(depth, node=node, leaf=leaf)
    paths, _, _ = by_hand(params, X, depth)
    np.testing.assert_allclose(paths.sum(1), 1)
    q = special.softmax(leaf_outputs(params, X, depth), axis=-1)
    want = np.log((paths[..., None] * q).sum(1))
    np.testing.assert_allclose(jax.jit(model.apply)(params, X), want, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(path_probabilities(params, X), paths, rtol=2e-4, atol=1e-6)
    numbers = models.soft_tree(INPUTS, depth, OUTPUTS, node=node, leaf=leaf, mixture="outputs")
    want = (paths[..., None] * leaf_outputs(params, X, depth)).sum(1)
    np.testing.assert_allclose(jax.jit(numbers.apply)(params, X), want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(("depth", "node", "leaf"), TREES)
@pytest.mark.parametrize("rows", [1, N])
def test_hard_follows_the_more_probable_branch(depth, node, leaf, rows):
    model, params = made(depth, node=node, leaf=leaf, hard=True)
    x = X[:rows]
    _, _, right = by_hand(params, x, depth)
    every, want = leaf_outputs(params, x, depth), []
    for n in range(rows):
        i = 0
        while i < 2**depth - 1:
            i = 2 * i + 1 + int(right[n, i] > 0.5)
        want.append(special.log_softmax(every[n, i - 2**depth + 1]))
    np.testing.assert_allclose(jax.jit(model.apply)(params, x), want, rtol=2e-4, atol=2e-5)


def test_a_tree_of_two_leaves_is_a_mixture_of_two_experts():
    model, params = made(1, leaf="net")
    tree = params.learned
    z = float(tree.beta[0]) * np.asarray(tree.node[0].W[0])
    gate = Dense(
        jnp.concatenate([jnp.zeros_like(z), z], axis=1),
        jnp.stack([jnp.zeros(()), tree.beta[0] * tree.node[0].b[0, 0]]),
    )
    mixture = models.mixture_of_experts(INPUTS, 2, (), OUTPUTS, gate="soft")
    learned = models.Experts(gate, (), tree.leaf[0])
    other = mixture.init(jax.random.key(0))._replace(learned=learned)
    np.testing.assert_allclose(model.apply(params, X), mixture.apply(other, X), rtol=1e-4, atol=1e-5)


def test_without_depth_it_is_a_plain_network():
    model, params = made(0, node=(5,), leaf="net")
    assert isinstance(params, SoftTree)
    assert model.update is None
    alone = jax.tree.map(lambda a: a[0], params.leaf)
    logits = models.mlp(INPUTS, (5,), OUTPUTS).apply(models.MLP(alone[:1], (None,), alone[1]), X)
    np.testing.assert_allclose(model.apply(params, X), jax.nn.log_softmax(logits), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(path_probabilities(params, X), np.ones((N, 1)))
    constant, params = made(0)
    want = np.broadcast_to(jax.nn.log_softmax(params.leaf), (N, OUTPUTS))
    np.testing.assert_allclose(constant.apply(params, X), want, rtol=1e-5, atol=1e-6)


def of_sklearn(grown, depth, outputs):
    """A tree that scikit-learn has grown, as weights: one input a node; below a leaf always to the left."""
    t, features = grown.tree_, grown.n_features_in_
    W, b = np.zeros((2**depth - 1, features, 1), np.float32), np.full((2**depth - 1, 1), -1, np.float32)
    leaf = np.zeros((2**depth, outputs), np.float32)
    ends = np.zeros(2**depth, int)
    places = {0: 0}
    for i in range(2 ** (depth + 1) - 1):
        at = places[i]
        if i >= 2**depth - 1:
            ends[i - 2**depth + 1] = at
            leaf[i - 2**depth + 1] = np.log(np.maximum(t.value[at, 0] / t.value[at, 0].sum(), 1e-6))
            continue
        inner = t.children_left[at] >= 0
        if inner:
            W[i, t.feature[at], 0], b[i, 0] = 1, -t.threshold[at]
        places[2 * i + 1] = t.children_left[at] if inner else at
        places[2 * i + 2] = t.children_right[at] if inner else at
    return (Dense(W, b),), leaf, ends


def test_a_grown_tree_loaded_as_weights_says_the_same():
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)  # whole numbers, so that thresholds at halves are exact
    grown = DecisionTreeClassifier(max_depth=5, random_state=0).fit(x, y)
    node, leaf, ends = of_sklearn(grown, 5, 10)
    params = SoftTree(node, np.full(31, 100.0, np.float32), leaf)
    hard, soft = (models.soft_tree(64, 5, 10, hard=h) for h in (True, False))
    state = soft.init(jax.random.key(0)).state
    for model in (hard, soft):
        logits = jax.jit(model.apply)(WithState(params, state), x)
        np.testing.assert_allclose(np.exp(logits), grown.predict_proba(x), atol=2e-5)
    paths = np.asarray(path_probabilities(params, x))
    np.testing.assert_array_equal(ends[paths.argmax(1)], grown.apply(x))


@pytest.mark.slow
def test_soft_becomes_hard_as_decisions_become_certain():
    hard, params = made(3, hard=True)
    soft, _ = made(3)
    apart = []
    for beta in (1.0, 10.0, 1000.0):
        sharp = params._replace(learned=params.learned._replace(beta=jnp.full(7, beta)))
        apart.append(np.abs(np.exp(soft.apply(sharp, X)) - np.exp(hard.apply(sharp, X))).max())
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 1e-3


def penalty(params, x, depth, strength):
    """The penalty of a batch by its own means, in numpy."""
    _, reached, right = by_hand(params, x, depth)
    alpha = (reached * right).sum(0) / reached.sum(0)
    d = np.floor(np.log2(np.arange(2**depth - 1) + 1))
    return -(strength * 0.5**d * 0.5 * (np.log(alpha) + np.log(1 - alpha))).sum()


def test_the_penalty_has_the_value_and_the_gradient_of_its_equation():
    """Where the running means are those of the batch."""
    model, params = made(3, balance=0.7)
    _, reached, right = by_hand(params, X, 3)
    state = params.state._replace(
        right=jnp.asarray((reached * right).mean(0), jnp.float32),
        reached=jnp.asarray(reached.mean(0), jnp.float32),
    )
    params = params._replace(state=state)

    def mean(learned):
        found, new = model.update(params._replace(learned=learned), X)
        assert isinstance(found, Penalized)
        return found.penalty.mean(), new

    (value, new), gradient = jax.jit(jax.value_and_grad(mean, has_aux=True))(params.learned)
    np.testing.assert_allclose(value, penalty(params, X, 3, 0.7), rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), new, state)
    for leaf in ("beta", "node"):
        along = jax.tree.map(lambda a: RNG.normal(size=a.shape), params.learned)
        only = jax.tree.map(np.zeros_like, along)._replace(**{leaf: getattr(along, leaf)})

        def at(t, only=only):
            moved = jax.tree.map(lambda a, b: np.asarray(a, np.float64) + t * b, params.learned, only)
            return penalty(params._replace(learned=moved), X, 3, 0.7)

        slope = (at(1e-5) - at(-1e-5)) / 2e-5
        got = sum(
            jax.tree.leaves(jax.tree.map(lambda g, o: float((np.asarray(g) * o).sum()), gradient, only))
        )
        np.testing.assert_allclose(got, slope, rtol=2e-3, atol=1e-5, err_msg=leaf)


def test_running_means_forget_more_slowly_at_depth():
    model, params = made(2)
    _, reached, right = by_hand(params, X, 2)
    _, new = model.update(params, X)
    forget = 0.1 * np.array([1, 0.5, 0.5])
    for got, old, now in zip(new, params.state, ((reached * right).mean(0), reached.mean(0))):
        np.testing.assert_allclose(got, (1 - forget) * np.asarray(old) + forget * now, rtol=1e-4, atol=1e-6)


def test_a_deep_tree_of_certain_nodes_has_a_finite_loss_and_gradient():
    model, params = made(6)
    sharp = params._replace(learned=params.learned._replace(beta=jnp.full(63, 1e4)))
    f = jax.jit(
        jax.value_and_grad(
            lambda p: outputs.cross_entropy(model.apply(params._replace(learned=p), X), Y).total.sum()
        )
    )
    assert all(bool(jnp.isfinite(a).all()) for a in jax.tree.leaves(f(sharp.learned)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": -1}, "depth: got -1, allowed is a whole number from 0 to 16"),
        ({"depth": 17}, "depth: got 17"),
        ({"leaf": "tree"}, "leaf: got 'tree', allowed are 'constant', 'net'"),
        ({"node": (3, 0)}, r"node\[1\]: got 0"),
        ({"balance": -0.1}, "balance: got -0.1"),
        ({"mixture": "mean"}, "mixture: got 'mean'"),
    ],
)
def test_what_is_not_allowed_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        models.soft_tree(3, **{"depth": 2, "outputs": 2, **options})
