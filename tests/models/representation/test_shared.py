"""Several tasks on one trunk against the plain network, and against sums of gradients."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, layers, models, outputs, training
from dlnotes.models.feedforward.mlp import MLP
from dlnotes.typing import Batch

RNG = np.random.default_rng(5)
N, FEATURES = 24, 6
X = RNG.normal(size=(N, FEATURES)).astype(np.float32)
LABELS = (np.arange(N) % 3).astype(np.int32)
NUMBERS = RNG.normal(size=(N, 2)).astype(np.float32)
LOSSES = {"class": outputs.cross_entropy, "number": outputs.squared_error}


def two(**options):
    heads = {"class": models.head(8, (), 3), "number": models.head(8, (5,), 2)}
    return models.shared(models.mlp(FEATURES, (10,), 8), heads, **options)


def recipe(model, losses, weights=None, rate=0.1, metrics=None):
    return training.Recipe(
        model, outputs.joint_loss(losses, weights), metrics or {}, training.optimizer("sgd", rate)
    )


def trained(of, y, *, start=None, batch_size=7, x=X, seeds=(3,), steps=6):
    return training.fit(of, data.Examples(x, y), steps=steps, batch_size=batch_size, seeds=seeds, start=start)


def members(tree):
    return jax.tree.map(lambda a: np.asarray(a)[None], tree)


def test_one_task_is_the_plain_network():
    """The same trajectory: the loss to 1e-6, as is every parameter."""
    plain = models.mlp(FEATURES, (10, 8), 3)
    start = plain.init(jax.random.key(1))
    one = models.shared(models.mlp(FEATURES, (10,), 8), {"class": models.head(8, (), 3)})
    trunk = MLP(start.hidden[:1], start.slopes[:1], start.hidden[1])
    of_plain = training.Recipe(plain, outputs.cross_entropy, {}, training.optimizer("sgd", 0.1))
    want = trained(of_plain, LABELS, start=members(start))
    got = trained(
        recipe(one, {"class": outputs.cross_entropy}),
        outputs.Targets({"class": LABELS}),
        start=members(models.Shared(trunk, {"class": (start.output,)})),
    )
    np.testing.assert_allclose(got.history["loss"], want.history["loss"], rtol=1e-6)
    again = MLP(
        (*got.params.trunk.hidden, got.params.trunk.output), want.params.slopes, got.params.heads["class"][0]
    )
    chex.assert_trees_all_close(again, want.params, rtol=1e-6, atol=1e-7)


def test_a_weight_of_zero_is_the_task_left_out():
    model, y = two(), outputs.Targets({"class": LABELS, "number": NUMBERS})
    start = members(model.init(jax.random.key(2)))
    weighed = trained(recipe(model, LOSSES, {"number": 0.0}), y, start=start)
    alone = trained(
        recipe(model, {"class": outputs.cross_entropy}), outputs.Targets({"class": LABELS}), start=start
    )
    chex.assert_trees_all_equal(weighed.params.heads["number"], start.heads["number"])
    chex.assert_trees_all_equal(weighed.params, alone.params)


def gradient(model, params, x, y, losses=LOSSES, weights=None):
    loss = outputs.joint_loss(losses, weights)
    return jax.grad(lambda p: jnp.sum(loss(model.apply(p, x), y).total))(params)


def test_two_tasks_on_disjoint_rows_are_the_sum_of_their_gradients():
    model = two()
    params = model.init(jax.random.key(4))
    first = np.arange(N) < N // 2
    y = outputs.Targets(
        {
            "class": np.where(first, LABELS, -1).astype(np.int32),
            "number": np.where(first[:, None], np.float32(np.nan), NUMBERS),
        }
    )
    together = gradient(model, params, X, y, weights={"number": 0.5})
    one = gradient(model, params, X[first], y[first], {"class": outputs.cross_entropy})
    other = gradient(model, params, X[~first], y[~first], {"number": outputs.squared_error}, {"number": 0.5})
    chex.assert_trees_all_close(together, jax.tree.map(jnp.add, one, other), rtol=1e-5, atol=1e-6)


def test_a_batch_without_labels_of_a_task_leaves_its_head():
    model = two()
    y = outputs.Targets({"class": np.full(N, -1, np.int32), "number": NUMBERS})
    metrics = {"accuracy": outputs.of_task("class", outputs.accuracy)}
    start = members(model.init(jax.random.key(2)))
    found = trained(recipe(model, LOSSES, metrics=metrics), y, start=start)
    chex.assert_trees_all_equal(found.params.heads["class"], start.heads["class"])
    assert np.isfinite(found.history["loss"]).all()
    np.testing.assert_array_equal(found.history["accuracy"], 0)


def test_rows_of_weight_zero_and_division_change_nothing():
    """The last batch of an epoch is padded; over eight devices each batch is."""
    from dlnotes.training.state import init_state
    from dlnotes.training.step import train_step

    model = two(dropout=0.3, corruption={"number": models.Noise("mask", 0.5)})
    of = recipe(model, LOSSES, rate=0.05)._replace(random=True)
    member = jax.tree.map(lambda a: a[0], init_state(lambda h: of, jnp.array([1]), {}).members)
    y = outputs.Targets(
        {
            "class": np.where(np.arange(N) % 2, LABELS, -1).astype(np.int32),
            "number": np.where(np.arange(N)[:, None] % 3, NUMBERS, np.float32(np.nan)),
        }
    )
    batch = jax.tree.map(jnp.asarray, Batch(X, y, None, np.ones(N, np.float32)))
    garbage = jax.tree.map(lambda a: jnp.concatenate([a, a[:5]]), batch)
    garbage = garbage._replace(weight=jnp.concatenate([batch.weight, jnp.zeros(5)]))
    step = jax.jit(lambda b: train_step(of, member, b, jnp.array(0)))
    one, more = step(batch)[0].params, step(garbage)[0].params
    chex.assert_trees_all_close(one, more, rtol=1e-5, atol=1e-7)
    split = of._replace(accumulate=4)
    parts = jax.jit(lambda b: train_step(split, member, b, jnp.array(0)))(batch)[0].params
    chex.assert_trees_all_close(one, parts, rtol=1e-5, atol=1e-6)


def test_tasks_of_one_noise_share_a_passage():
    """A clean task reads what apply was given; a noisy one does not, and its target stays clean."""
    heads = {name: models.head(8, (), 6) for name in ("a", "b", "c")}
    noise = models.Noise("gaussian", 1.0)
    model = models.shared(
        models.mlp(6, (10,), 8), heads, reconstructs=["c"], corruption={"b": noise, "c": noise}
    )
    params = model.init(jax.random.key(0))
    params = params._replace(heads={name: params.heads["a"] for name in heads})
    clean, noisy = model.apply(params, X), model.apply(params, X, key=jax.random.key(1))
    np.testing.assert_array_equal(noisy["a"], clean["a"])
    assert not np.allclose(noisy["b"], clean["b"])
    np.testing.assert_array_equal(noisy["b"], noisy["c"].output)
    np.testing.assert_array_equal(noisy["c"].target, X)
    np.testing.assert_array_equal(clean["b"], clean["c"].output)


def test_noise_masks_a_share_and_keeps_the_rest():
    x = jnp.asarray(RNG.normal(size=(40, 500)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 40)
    masked = np.asarray(layers.corrupt(keys, x, kind="mask", amount=0.3))
    np.testing.assert_array_equal(masked[masked != 0], np.asarray(x)[masked != 0])
    assert abs((masked == 0).mean() - 0.3) < 0.01
    added = np.asarray(layers.corrupt(jax.random.key(0), x, kind="gaussian", amount=0.5) - x)
    assert abs(added.std() - 0.5) < 0.01
    assert abs(added.mean()) < 0.01
    np.testing.assert_array_equal(layers.corrupt(keys, x, amount=0.0), x)


@pytest.mark.parametrize(
    "trunk",
    [
        models.cnn((6, 6, 1), 8, channels=(3,), dense=()),
        models.maxout_mlp(36, (5,), 8, pieces=2),
        models.conv_net((6, 6, 1), 8, stages=[models.Stage(4, pool=2)]),
        models.grid_recurrent((6, 6, 1), 8, hidden=3),
    ],
    ids=["cnn", "maxout", "conv_net", "grid_recurrent"],
)
def test_any_family_is_a_trunk(trunk):
    model = models.shared(
        trunk, {"class": models.head(8, (), 3), "image": models.head(8, (9,), 36)}, reconstructs=["image"]
    )
    x = jnp.asarray(RNG.normal(size=(5, 6, 6, 1)), jnp.float32)
    y = outputs.Targets({"class": jnp.arange(5) % 3, "image": jnp.zeros(5, jnp.int32)})
    params = model.init(jax.random.key(0))
    loss = outputs.joint_loss({"class": outputs.cross_entropy, "image": outputs.squared_error})
    grads = jax.jit(jax.grad(lambda p: loss(model.apply(p, x), y).total.sum()))(params)
    assert all(np.any(g) for g in jax.tree.leaves(grads))


def test_a_recurrent_net_is_a_trunk():
    trunk = models.sequence_classifier(4, 6, 8, cell="gru")
    model = models.shared(trunk, {"class": models.head(8, (), 3), "number": models.head(8, (), 2)})
    x, mask = jnp.asarray(RNG.normal(size=(5, 7, 4)), jnp.float32), jnp.ones((5, 7), bool)
    found = model.apply(model.init(jax.random.key(0)), x, mask=mask)
    assert found["class"].shape == (5, 3)
    assert found["number"].shape == (5, 2)


H = {"class": models.head(8, (), 3)}
T = models.mlp(6, (), 8)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: models.shared(T, {}), "heads: got none"),
        (
            lambda: models.shared(T, H, reconstructs=["clas"]),
            "reconstructs: got 'clas', the tasks are class; did you",
        ),
        (lambda: models.shared(T, H, reconstructs="class"), "reconstructs: got the text 'class'"),
        (lambda: models.shared(T, H, corruption={"x": models.Noise()}), "corruption: got 'x'"),
        (lambda: models.shared(T, H, activation="rely"), "activation: got 'rely'"),
        (lambda: models.shared(T, H, dropout=1.0), "dropout: got 1.0"),
        (
            lambda: models.shared(models.gated_mlp(6, (4,), 8, blocks=2), H),
            "trunk: got a network that keeps a state",
        ),
        (lambda: models.head(0, (), 3), "features: got 0"),
        (
            lambda: layers.corrupt(jax.random.key(0), X, kind="masks"),
            "kind: got 'masks', allowed are mask, gaussian",
        ),
        (
            lambda: layers.corrupt(jax.random.key(0), X, amount=1.5),
            "amount: got 1.5, allowed is 0 <= amount <= 1",
        ),
    ],
)
def test_what_is_not_allowed_is_named(make, told):
    with pytest.raises(ValueError, match=told):
        make()
