"""Every optimizer by name, and what is put around it."""

# pyright: reportIndexIssue=false, reportCallIssue=false, reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlnotes.training import schedules
from dlnotes.training.optimizers import OPTIMIZERS, decay_mask, leaf_name, max_norm, optimizer

RATES = {"adadelta": 5.0, "sgd": 0.1, "adagrad": 0.5, "lion": 0.02, "lars": 0.05, "lamb": 0.05, "adan": 0.05}


def params_of(key):
    kernel, weights, bias = jax.random.split(key, 3)
    return {
        "W": jax.random.normal(weights, (5, 3)),
        "kernel": jax.random.normal(kernel, (3, 3, 2, 4)),
        "b": jax.random.normal(bias, (3,)),
    }


def quadratic(params, target):
    return sum(0.5 * jnp.sum((p - t) ** 2) for p, t in zip(jax.tree.leaves(params), jax.tree.leaves(target)))


def trajectory(opt, params, target, steps):
    """The losses before each of ``steps`` updates."""

    def one(carry, _):
        params, state = carry
        loss, gradient = jax.value_and_grad(quadratic)(params, target)
        updates, state = opt.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), loss

    (params, _), losses = jax.lax.scan(one, (params, opt.init(params)), None, length=steps)
    return losses, params


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_goes_downhill_under_jit_and_vmap_with_a_traced_learning_rate(kind, key):
    start, target = params_of(key), params_of(jax.random.fold_in(key, 1))
    rate = RATES.get(kind, 0.03)

    def run(rate):
        return trajectory(optimizer(kind, rate), start, target, 40)[0]

    losses = jax.jit(jax.vmap(run))(jnp.array([rate, rate / 2]))
    assert np.isfinite(losses).all()
    assert (losses[:, -1] < 0.9 * losses[:, 0]).all(), losses[:, [0, -1]]
    # The learning rate is really the member's own.
    np.testing.assert_allclose(losses[1], jax.jit(run)(jnp.float32(rate / 2)), rtol=1e-3)
    assert losses[0, -1] != losses[1, -1]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_kind_takes_its_options_as_the_config_gives_them(kind, key):
    from dlnotes.config.training import OPTIONS

    values = {"momentum": 0.8, "b1": 0.85, "b2": 0.97, "eps": 1e-5, "decay": 0.9, "nesterov": True}
    options = {"momentum": None, "b1": None, "b2": None, "eps": None, "decay": None, "nesterov": False}
    start = params_of(key)
    plain = optimizer(kind, 0.1, weight_decay=0.01, clip_norm=1.0, clip_value=1.0, **options)
    plain.update(start, plain.init(start), start)
    chosen = options | {name: values[name] for name in OPTIONS[kind] if name != "momentum_ramp"}
    opt = optimizer(kind, 0.1, **chosen)
    updates, _ = opt.update(start, opt.init(start), start)
    assert all(np.isfinite(u).all() for u in jax.tree.leaves(updates))


ADAMS = [
    ("sgd", {}, lambda: optax.sgd(0.05)),
    ("sgd", {"momentum": 0.9}, lambda: optax.sgd(0.05, 0.9)),
    ("sgd", {"momentum": 0.9, "nesterov": True}, lambda: optax.sgd(0.05, 0.9, nesterov=True)),
    ("adam", {}, lambda: optax.adam(0.05)),
    ("adam", {"b1": 0.8, "b2": 0.95, "eps": 1e-4}, lambda: optax.adam(0.05, 0.8, 0.95, 1e-4)),
    ("nadam", {}, lambda: optax.nadam(0.05)),
    ("adamw", {"weight_decay": 0.1, "decay_biases": True}, lambda: optax.adamw(0.05, weight_decay=0.1)),
    ("rmsprop", {"decay": 0.8}, lambda: optax.rmsprop(0.05, 0.8)),
    ("adagrad", {}, lambda: optax.adagrad(0.05)),
    ("lion", {}, lambda: optax.lion(0.05, weight_decay=0.0)),
    ("lamb", {}, lambda: optax.lamb(0.05)),
    ("amsgrad", {}, lambda: optax.amsgrad(0.05)),
]


@pytest.mark.parametrize(("kind", "options", "theirs"), ADAMS)
def test_equals_optax(kind, options, theirs, key):
    start, target = params_of(key), params_of(jax.random.fold_in(key, 1))
    factor = None if kind != "adam" else schedules.constant()
    run = jax.jit(lambda p: trajectory(optimizer(kind, 0.05, factor=factor, **options), p, target, 15)[1])
    got = run(start)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(lambda p: trajectory(theirs(), p, target, 15)[1])(start)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def zero_gradient_update(params, **options):
    opt = optimizer("sgd", 0.1, **options)
    return opt.update(jax.tree.map(jnp.zeros_like, params), opt.init(params), params)[0]


def test_weight_decay_is_decoupled_and_skips_biases(key):
    params = params_of(key)
    updates = zero_gradient_update(params, weight_decay=0.5)
    for name in ("W", "kernel"):
        np.testing.assert_allclose(updates[name], -0.1 * 0.5 * params[name], rtol=1e-5)
    assert not updates["b"].any()
    assert zero_gradient_update(params, weight_decay=0.5, decay_biases=True)["b"].any()
    traced = jax.jit(lambda d: zero_gradient_update(params, weight_decay=d))(0.5)
    np.testing.assert_allclose(traced["W"], updates["W"], rtol=1e-5)


FAMILIES = {
    "mlp": lambda m: m.mlp(4, (5, 5), 3),
    "maxout_mlp": lambda m: m.maxout_mlp(4, (5,), 3, pieces=2),
    "cnn": lambda m: m.cnn((8, 8, 1), 3, channels=(2, 3), dense=(4,)),
    "lstm": lambda m: m.sequence_classifier(7, 4, 3, embedding=3, cell="lstm", bidirectional=True),
    "gru": lambda m: m.character_model(7, hidden=4, cell="gru"),
    "seq2seq": lambda m: m.seq2seq(7, 4, 6, embedding=3),
    "tree_net": lambda m: m.tree_net(7, hidden=4, outputs=3),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_weight_decay_skips_every_bias_of_every_family(family, key):
    from dlnotes import models

    params = jax.eval_shape(FAMILIES[family](models).init, key)
    mask = decay_mask(params)
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree_util.tree_leaves_with_path(params)]
    wrong = [
        (path, leaf.shape)
        for path, leaf, decayed in zip(paths, jax.tree.leaves(params), jax.tree.leaves(mask))
        if decayed != (leaf.ndim > 1) and leaf_name_of(path) not in ("v", "p")
    ]
    assert not wrong


def leaf_name_of(path):
    return path.rsplit(".", 1)[-1]


def test_leaf_names_look_past_indices():
    paths = [p for p, _ in jax.tree_util.tree_leaves_with_path({"hidden": [{"W": 1, "b": 2}]})]
    assert [leaf_name(p) for p in paths] == ["W", "b"]


def test_clipping(key):
    g = {"W": jnp.array([[3.0, -4.0]]), "b": jnp.array([0.5])}
    opt = optimizer("sgd", 1.0, clip_norm=1.0)
    updates, _ = opt.update(g, opt.init(g), g)
    np.testing.assert_allclose(np.linalg.norm([*updates["W"][0], *updates["b"]]), 1.0, rtol=1e-5)
    np.testing.assert_allclose(updates["W"][0] / updates["b"][0], g["W"][0] / g["b"][0], rtol=1e-5)
    opt = optimizer("sgd", 1.0, clip_value=2.0)
    np.testing.assert_allclose(opt.update(g, opt.init(g), g)[0]["W"], [[-2.0, 2.0]])
    opt = optimizer("sgd", 1.0, clip_value=2.0, clip_norm=1.0)  # values first
    w = np.array([2.0, -2.0, 0.5])
    np.testing.assert_allclose(
        opt.update(g, opt.init(g), g)[0]["W"][0], -(w / np.linalg.norm(w))[:2], rtol=1e-5
    )


def test_max_norm_scales_back_columns_that_are_too_long(key):
    params = params_of(key)
    limit = 1.2
    got = jax.jit(lambda p, c: max_norm(p, c))(params, limit)
    for name in ("W", "kernel"):
        w = np.asarray(params[name]).reshape(-1, params[name].shape[-1])
        norms = np.linalg.norm(w, axis=0)
        assert (norms > limit).any()
        expected = w * np.minimum(1, limit / norms)
        np.testing.assert_allclose(got[name].reshape(w.shape), expected, rtol=1e-5)
    np.testing.assert_array_equal(got["b"], params["b"])
    assert np.isfinite(max_norm({"W": jnp.zeros((2, 2))}, 1.0)["W"]).all()


def test_momentum_ramp_is_heavy_ball_with_a_changing_momentum(key):
    share = schedules.linear(6)
    ramp = lambda t: 0.9 + (0.5 - 0.9) * share(t)  # noqa: E731
    opt = optimizer("sgd", 0.1, momentum=ramp)
    g = {"W": jnp.ones((2, 2))}
    state, velocity, got, expected = opt.init(g), 0.0, [], []
    update = jax.jit(opt.update)
    for t in range(9):
        updates, state = update(g, state, g)
        velocity = (0.9 - 0.4 * (1 - min(t, 6) / 6)) * velocity + 1
        got.append(float(updates["W"][0, 0]))
        expected.append(-0.1 * velocity)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_unknown_optimizer_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"kind: got 'adma'.*did you mean 'ada"):
        optimizer("adma", 0.1)
