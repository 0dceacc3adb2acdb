"""The greedy stack: lower layers stay, it is resumed between layers, its perceptron is its composition."""

import chex
import jax
import numpy as np
import pytest
from learners import digits, tied, unchanged
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from dlnotes import models
from dlnotes.pretraining import encode, greedy, greedy_layers, member_of, to_mlp, train
from dlnotes.training import initial_params, predict

X = digits(120)
STACK = [tied(12, noise=0.1), tied(7), tied(5)]


@pytest.fixture(scope="module")
def stack():
    return greedy(STACK, X, seeds=[4, 9], epochs=[3, 2, 2], batch_size=32)


def test_an_identity_below_changes_nothing():
    plain = train(STACK[0], X, seeds=[1, 2], epochs=2, layer=1, batch_size=50)
    above = greedy([unchanged(64), STACK[0]], X, seeds=[1, 2], epochs=2, batch_size=50)[1]
    chex.assert_trees_all_close(above.params, plain.encoder.params, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(encode(greedy([unchanged(64)], X, seeds=[0], epochs=1), X)[0], X)


def test_lower_layers_are_not_changed_by_upper_ones(stack):
    for k in (1, 2):
        lower = greedy(STACK[:k], X, seeds=[4, 9], epochs=[3, 2, 2][:k], batch_size=32)
        chex.assert_trees_all_equal([e.params for e in lower], [e.params for e in stack[:k]])


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_resumed_between_layers_is_undisturbed(k, stack):
    again = greedy(STACK, X, seeds=[4, 9], epochs=[3, 2, 2], batch_size=32, start=stack[:k])
    chex.assert_trees_all_equal([e.params for e in again], [e.params for e in stack])


def test_each_layer_learns_from_the_means_of_the_one_below(stack):
    """A layer trained by itself on what numpy says the lower layers give."""
    for m, seed in enumerate((4, 9)):
        h = X.astype(np.float64)
        for encoder in stack[:2]:
            dense = encoder.params[0]
            h = 1 / (1 + np.exp(-(h @ dense.W[m] + dense.b[m])))
        alone = train(STACK[2], h.astype(np.float32), seeds=[seed], epochs=2, batch_size=32, layer=2)
        got = jax.tree.map(lambda a, m=m: a[m], stack[2].params)
        want = jax.tree.map(lambda a: a[0], alone.encoder.params)
        chex.assert_trees_all_close(got, want, rtol=1e-3, atol=1e-4)


def test_members_and_blocks_are_only_a_matter_of_computing(stack):
    whole = encode(stack, X)
    assert whole.shape == (2, 120, 5)
    np.testing.assert_allclose(encode(stack, X, block=7), whole, rtol=1e-5, atol=1e-6)
    for m in range(2):
        np.testing.assert_allclose(encode(member_of(stack, m), X), whole[m], rtol=1e-5, atol=1e-6)
    own = np.stack([X, X[::-1]])
    np.testing.assert_allclose(
        encode(stack, own, data_per_member=True)[1], whole[1][::-1], rtol=1e-5, atol=1e-6
    )


def test_the_perceptron_is_the_composition_and_a_read_out(stack):
    model, params = to_mlp(stack, 10, seeds=[4, 9])
    for k, encoder in enumerate(stack):
        np.testing.assert_array_equal(params.hidden[k].W, encoder.params[0].W)
        np.testing.assert_array_equal(params.hidden[k].b, encoder.params[0].b)
    h = encode(stack, X)
    want = np.einsum("mnu,muo->mno", h, params.output.W) + params.output.b[:, None]
    np.testing.assert_allclose(predict(model, params, X), want, rtol=1e-5, atol=1e-5)
    plain = models.mlp(64, (12, 7, 5), 10, activation="sigmoid")
    drawn = initial_params(plain, [4, 9])
    chex.assert_trees_all_equal(params.output, drawn.output)
    one, alone = to_mlp(member_of(stack, 1), 10)
    np.testing.assert_array_equal(alone.hidden[2].W, stack[2].params[0].W[1])
    assert one.apply(alone, X).shape == (120, 10)


def test_an_empty_stack_is_a_plain_network():
    assert greedy([], X, seeds=[0], epochs=1) == ()
    np.testing.assert_array_equal(encode((), X), X)
    model, params = to_mlp((), 3, inputs=64, seeds=[7])
    assert params.hidden == ()
    assert predict(model, params, X).shape == (1, 120, 3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda e: e._replace(dense_of=None), r"encoders\[1\]: got tied, which is no layer"),
        (lambda e: e._replace(activation=None), r"encoders\[1\]: got tied, which is no layer"),
    ],
)
def test_an_encoder_that_is_no_layer_is_named(change, told, stack):
    spoilt = [stack[0], stack[1]._replace(learner=change(stack[1].learner))]
    with pytest.raises(ValueError, match=told):
        to_mlp(spoilt, 10)


def test_what_does_not_fit_is_named(stack):
    with pytest.raises(ValueError, match="got 'relu' for layer 1, allowed is 'sigmoid'"):
        to_mlp(stack, 10, activation="relu")
    with pytest.raises(ValueError, match="inputs: got None"):
        to_mlp((), 10)
    with pytest.raises(ValueError, match="seeds: got 3 for encoders of 2 members"):
        to_mlp(stack, 10, seeds=range(3))
    with pytest.raises(ValueError, match="got layers"):
        to_mlp(stack, 10, inputs=63)
    with pytest.raises(ValueError, match="epochs: got 1 numbers for 2"):
        greedy(STACK[:2], X, seeds=[0], epochs=[1])
    with pytest.raises(ValueError, match="start: got 1 encoders for 0"):
        greedy([], X, seeds=[0], epochs=1, start=stack[:1])
    strict = STACK[1]._replace(kind="strict", check=lambda x: (_ for _ in ()).throw(ValueError("x: got")))
    with pytest.raises(ValueError, match=r"learners\[1\] \(strict\): x: got"):
        greedy([STACK[0], strict], X, seeds=[0], epochs=0)
    with pytest.raises(ValueError, match="needed for 63 inputs"):
        encode(stack, X[:, 1:])


def test_a_linear_stack_spans_the_principal_subspace():
    """The composed matrix of two linear autoencoders spans what sklearn's PCA finds."""
    rng = np.random.default_rng(5)
    x = (rng.normal(size=(300, 3)) * [3.0, 2.0, 1.5]) @ np.linalg.qr(rng.normal(size=(8, 3)))[0].T
    x = (x + 0.05 * rng.normal(size=x.shape)).astype(np.float32)
    x -= x.mean(0)
    learners = [tied(units, rate=0.005, activation="identity") for units in (5, 3)]
    found = greedy(learners, x, seeds=[0], epochs=[600, 1500], batch_size=300)
    W = found[0].params[0].W[0].astype(np.float64) @ found[1].params[0].W[0]
    angles = subspace_angles(W, PCA(3).fit(x).components_.T)
    assert angles.max() < 1e-3, angles
    assert greedy_layers(learners, x, seeds=[0], epochs=0)[0].stopped == []
