"""Several targets for each example: what is missing, and sums over tasks, against numpy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.outputs import (
    Reconstruction,
    Targets,
    accuracy,
    cross_entropy,
    joint_loss,
    of_task,
    squared_error,
    target_count,
)
from dlnotes.outputs.targets import known

RNG = np.random.default_rng(3)
N = 7
LABELS = np.array([2, -1, 0, 1, -1, -1, 2], np.int32)
NUMBERS = RNG.normal(size=(N, 2)).astype(np.float32)
NUMBERS[[0, 3], [1, 0]] = np.nan  # one of two numbers is missing: so is the target
Y = Targets({"class": LABELS, "number": NUMBERS})
OUTPUT = {
    "class": RNG.normal(size=(N, 3)).astype(np.float32),
    "number": RNG.normal(size=(N, 2)).astype(np.float32),
}
LOSSES = {"class": cross_entropy, "number": squared_error}


def by_hand(weights):
    """Totals by example, written out in numpy."""
    logits = OUTPUT["class"].astype(np.float64)
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(N), LABELS]
    square = np.square(OUTPUT["number"].astype(np.float64) - NUMBERS).mean(1)
    first = weights["class"] * np.where(LABELS >= 0, nll, 0)
    return first + weights["number"] * np.where(np.isnan(square), 0, square)


@pytest.mark.parametrize("weights", [{"class": 1.0, "number": 1.0}, {"class": 0.25, "number": 3.0}])
def test_the_joint_loss_is_the_weighted_sum_over_what_is_known(weights):
    found = joint_loss(LOSSES, weights)(OUTPUT, jax.tree.map(jnp.asarray, Y))
    np.testing.assert_allclose(found.total, by_hand(weights), rtol=2e-6)
    np.testing.assert_array_equal(found.count, 1)
    np.testing.assert_array_equal(target_count(Y), 1)


def test_a_metric_counts_the_examples_that_have_its_target():
    found = of_task("class", accuracy)(OUTPUT, jax.tree.map(jnp.asarray, Y))
    right = (OUTPUT["class"].argmax(1) == LABELS) & (LABELS >= 0)
    np.testing.assert_array_equal(found.total, right)
    np.testing.assert_array_equal(found.count, LABELS >= 0)
    number = of_task("number", squared_error)(OUTPUT, jax.tree.map(jnp.asarray, Y))
    np.testing.assert_array_equal(number.count, np.isfinite(NUMBERS).all(1))


def test_missing_targets_give_no_gradient_and_no_nan():
    y = jax.tree.map(jnp.asarray, Y)
    grads = jax.grad(lambda o: joint_loss(LOSSES)(o, y).total.sum())(jax.tree.map(jnp.asarray, OUTPUT))
    chex.assert_tree_all_finite(grads)
    np.testing.assert_array_equal(np.asarray(grads["class"])[LABELS < 0], 0)
    np.testing.assert_array_equal(np.asarray(grads["number"])[np.isnan(NUMBERS).any(1)], 0)


def test_a_task_without_any_target_gives_nothing():
    y = Targets({"class": jnp.full(N, -1), "number": jnp.full((N, 2), jnp.nan)})
    loss, grads = jax.value_and_grad(lambda o: joint_loss(LOSSES)(o, y).total.sum())(
        jax.tree.map(jnp.asarray, OUTPUT)
    )
    assert float(loss) == 0
    assert all(not np.any(g) for g in jax.tree.leaves(grads))


def test_a_reconstruction_has_its_target_with_it():
    x = jnp.asarray(RNG.normal(size=(3, 2, 2, 1)), jnp.float32)
    output = {"image": Reconstruction(jnp.zeros((3, 4)), x)}
    found = joint_loss({"image": squared_error})(output, Targets({"image": jnp.array([0, -1, 0])}))
    np.testing.assert_allclose(found.total, np.square(x).mean((1, 2, 3)) * [1, 0, 1], rtol=1e-6)
    moved = jax.grad(
        lambda o: joint_loss({"image": squared_error})(o, Targets({"image": jnp.zeros(3, int)})).total.sum()
    )(output)
    assert np.any(moved["image"].output)
    assert not np.any(moved["image"].target)


def test_targets_are_a_tree_with_rows():
    doubled = jax.tree.map(lambda a: 2 * a, Y)
    assert isinstance(doubled, Targets)
    assert doubled.names == ("class", "number")
    some = Y[np.array([4, 0])]
    np.testing.assert_array_equal(some["class"], LABELS[[4, 0]])
    assert len(some) == 2
    assert some.shape == (2,)
    assert [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(Y)] == [
        "['class']",
        "['number']",
    ]
    np.testing.assert_array_equal(known(LABELS), LABELS >= 0)
    with pytest.raises(TypeError):
        list(Y)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Targets({}), "tasks: got none"),
        (
            lambda: Targets({"a": np.zeros(2), "b": np.zeros(3)}),
            r"tasks: got arrays of shapes a \(2,\), b \(3,\)",
        ),
        (lambda: Targets({"a": np.float32(1)}), r"tasks: got arrays of shapes a \(\)"),
        (lambda: Y["clas"], "task: got 'clas'; did you mean 'class'"),
        (lambda: joint_loss({}), "losses: got none"),
        (lambda: joint_loss(LOSSES, {"clas": 1.0}), "weights: got 'clas'; did you mean 'class'"),
        (lambda: joint_loss(LOSSES, {"class": -0.5}), r"weights\['class'\]: got -0.5"),
        (lambda: joint_loss(LOSSES, {"class": float("nan")}), r"weights\['class'\]: got nan"),
        (lambda: joint_loss(LOSSES, {"class": 0, "number": 0.0}), "weights: got 0 for every task"),
        (
            lambda: joint_loss(LOSSES)(jnp.zeros((2, 3)), Y),
            "output, y: got .*, allowed are a dict by task and Targets",
        ),
        (
            lambda: of_task("slant", accuracy)(OUTPUT, Targets({"slant": LABELS})),
            "task: got 'slant', the network has answers of class, number",
        ),
    ],
)
def test_what_is_not_allowed_is_named(make, told):
    with pytest.raises(ValueError, match=told):
        make()
