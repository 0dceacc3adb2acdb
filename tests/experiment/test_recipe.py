"""From a config to what is trained: durations, groups, losses, schedules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special
from sklearn.metrics import mean_pinball_loss

from dlnotes import data
from dlnotes.config import dynamic_paths, parse
from dlnotes.config.training import OPTIONS
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.experiment.durations import durations
from dlnotes.experiment.groups import groups
from dlnotes.experiment.objective import loss_of, metrics_of
from dlnotes.experiment.recipe import recipe_of
from dlnotes.training.optimizers import OPTIMIZERS


def config(**sections):
    return parse({"data": {"kind": "two_moons"}, "model": {"kind": "mlp", "widths": [4]}} | sections)


@pytest.fixture(scope="module")
def moons():
    return data.two_moons(n=100)  # 70 for training


@pytest.fixture(scope="module")
def regression():
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    return Dataset("r", Examples(x, x), None, None, "vector", "regression", (2,), 2)


@pytest.mark.parametrize(
    ("training", "expected"),
    [
        ({"duration": "3 epochs", "batch_size": 32}, (9, 3, None, 32, 3)),
        ({"duration": "3 epochs", "batch_size": 500}, (3, 1, None, 70, 1)),
        ({"duration": 4, "batch_size": 10}, (4, 4, None, 10, 7)),
        ({"duration": "700 examples", "batch_size": 10, "evaluate_every": 3}, (70, 3, None, 10, 7)),
    ],
)
def test_durations(training, expected, moons):
    got = durations(config(training=training), moons)
    assert (got.total, got.evaluate_every, got.checkpoint_every, got.batch_size, got.per_epoch) == expected


def test_checkpoints_may_be_due_by_epochs(moons):
    got = durations(config(checkpoint={"every": "2 epochs"}, training={"batch_size": 10}), moons)
    assert got.checkpoint_every == 14


def test_names_of_config_and_training_agree():
    assert set(OPTIMIZERS) == set(OPTIONS)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_is_reached_from_a_config_with_each_of_its_options(kind, moons):
    good = {"momentum": 0.5, "b1": 0.8, "b2": 0.9, "eps": 1e-4, "decay": 0.8, "nesterov": True,
            "momentum_ramp": {"final": 0.9, "over": 4}}  # fmt: skip
    options = {name: good[name] for name in OPTIONS[kind]}
    for chosen in ({}, options):
        recipe = recipe_of(config(optimizer={"kind": kind, "weight_decay": 0.1} | chosen), moons)({})
        params = recipe.model.init(jax.random.key(0))
        updates, _ = jax.jit(recipe.optimizer.update)(params, recipe.optimizer.init(params), params)
        assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))


def rates(optimizer, moons, steps=12, **training):
    """The learning rate of each step, read off the updates of SGD on a gradient of ones."""
    built = recipe_of(
        config(optimizer={"kind": "sgd", "learning_rate": 0.5} | optimizer, training=training), moons
    )({})
    ones = {"W": jnp.ones((2, 2))}
    state, got = built.optimizer.init(ones), []
    update = jax.jit(built.optimizer.update)
    for _ in range(steps):
        updates, state = update(ones, state, ones)
        got.append(-float(updates["W"][0, 0]))
    return np.array(got)


def test_schedules_are_in_steps_of_the_run(moons):
    t = np.arange(12)
    run = {"duration": 12, "batch_size": 10}  # 7 steps an epoch
    np.testing.assert_allclose(rates({}, moons, **run), 0.5)
    got = rates({"schedule": {"kind": "cosine", "final": 0.1}}, moons, **run)
    np.testing.assert_allclose(got, 0.5 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * t / 12))), rtol=1e-5)
    got = rates({"schedule": {"kind": "linear", "warmup": 4}}, moons, **run)
    np.testing.assert_allclose(got, 0.5 * (1 - t / 12) * np.minimum(1, (t + 1) / 4), rtol=1e-5)
    got = rates({"schedule": {"kind": "step", "boundaries": ["1 epochs", 10], "factor": 0.1}}, moons, **run)
    np.testing.assert_allclose(got, 0.5 * 0.1 ** (1.0 * (t >= 7) + (t >= 10)), rtol=1e-5)
    got = rates({"schedule": {"kind": "exponential", "factor": 0.5}}, moons, **run)
    np.testing.assert_allclose(got, 0.5 * 0.5 ** (t / 7), rtol=1e-5)
    got = rates({"schedule": {"kind": "constant", "warmup": "1 epochs"}}, moons, **run)
    np.testing.assert_allclose(got, 0.5 * np.minimum(1, (t + 1) / 7), rtol=1e-5)
    assert rates({"schedule": {"kind": "one_cycle"}}, moons, **run).argmax() in (3, 4)


def test_momentum_ramp_from_a_config(moons):
    options = {"momentum": 0.2, "momentum_ramp": {"final": 0.8, "over": 5}}
    velocity, expected = 0.0, []
    for t in range(8):
        velocity = velocity * (0.2 + 0.6 * min(t, 5) / 5) + 1
        expected.append(0.5 * velocity)
    np.testing.assert_allclose(rates(options, moons, steps=8), expected, rtol=1e-5)


def test_losses_and_metrics_follow_the_task(moons, regression):
    assert metrics_of(moons).keys() == {"accuracy"}
    assert metrics_of(regression).keys() == {"absolute_error"}
    assert loss_of(config(), moons).__name__ == "cross_entropy"
    assert loss_of(config(), regression).__name__ == "squared_error"
    assert loss_of(config(training={"loss": "gaussian_nll"}), regression).__name__ == "gaussian_nll"
    assert loss_of(config(training={"loss": "brier"}), moons).__name__ == "brier"
    bad = (("cross_entropy", regression), ("absolute_error", moons), ("hinge", regression))
    for loss, dataset in bad:
        with pytest.raises(ValueError, match=f"training.loss: got '{loss}'"):
            loss_of(config(training={"loss": loss}), dataset)


@pytest.mark.parametrize("loss", ["auto", "cross_entropy"])
def test_label_smoothing_is_in_the_loss_that_is_trained_and_not_in_the_one_that_is_measured(loss, moons):
    recipe = recipe_of(config(training={"label_smoothing": 0.2, "loss": loss}), moons)({})
    z, y = jnp.array([[2.0, -1.0], [0.5, 0.3]]), jnp.array([0, 1])
    log_p = np.log(special.softmax(z, -1))
    plain = -log_p[np.arange(2), y]
    np.testing.assert_allclose(recipe.evaluation_loss(z, y).total, plain, rtol=1e-5)
    np.testing.assert_allclose(recipe.loss(z, y).total, 0.8 * plain - 0.2 * log_p.mean(-1), rtol=1e-5)


def test_what_does_not_fit_the_data_is_refused(regression):
    with pytest.raises(ValueError, match="label_smoothing"):
        recipe_of(config(training={"label_smoothing": 0.1}), regression)
    with pytest.raises(ValueError, match=r"model.kind: 'cnn' cannot be trained on r .*allowed: linear, mlp"):
        recipe_of(parse({"data": {"kind": "npz", "path": "x"}, "model": {"kind": "cnn"}}), regression)
    with pytest.raises(ValueError, match="augment"):
        recipe_of(
            parse({"data": {"kind": "digits"}, "model": {"kind": "mlp"}, "augment": {"shift": 1}}), regression
        )


def test_only_what_draws_gets_keys(moons):
    assert not recipe_of(config(), moons)({}).random
    assert recipe_of(config(model={"kind": "mlp", "dropout": 0.1}), moons)({}).random
    assert recipe_of(config(), moons)({"model.dropout": jnp.float32(0.0)}).random


def test_groups_hold_points_side_by_side():
    sweep = {
        "kind": "grid",
        "parameters": {"optimizer.learning_rate": [1, 0.1], "optimizer.kind": ["sgd", "adam"]},
    }
    found = groups(config(seed=5, sweep=sweep, training={"seeds": 3}))
    assert [g.config.optimizer.kind for g in found] == ["sgd", "adam"]
    for g, indices in zip(found, ((0, 2), (1, 3))):
        assert g.indices == indices
        assert g.seeds.tolist() == [5, 6, 7] * 2
        np.testing.assert_allclose(g.hyperparams["optimizer.learning_rate"], np.repeat([1, 0.1], 3))


def test_the_quantile_of_the_pinball_loss_can_be_swept(regression):
    training = {"loss": "pinball", "quantile": 0.2}
    recipe_at = recipe_of(config(training=training), regression)
    x, y = regression.train.x[:, :1], regression.train.y[:, :1]
    for hyper, quantile in (({}, 0.2), ({"training.quantile": jnp.asarray(0.9)}, 0.9)):
        loss = recipe_at(hyper).loss
        got = jnp.mean(loss(jnp.asarray(x + 1), jnp.asarray(y)).total)
        np.testing.assert_allclose(got, mean_pinball_loss(y, x + 1, alpha=quantile), rtol=1e-5)
    assert "training.quantile" in dynamic_paths(config(training=training))


@pytest.mark.parametrize("training", [{"loss": "pinball"}, {"quantile": 0.3}])
def test_quantile_and_pinball_go_together(training):
    with pytest.raises(ValueError, match="quantile"):
        config(training=training)
