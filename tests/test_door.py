"""What a person at a notebook gives: seeds and keys of both styles, numbers, lists, an image alone."""

import pickle
from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes import data, layers, models, outputs, training
from dlnotes.door import as_array, as_key, fit_together


@pytest.mark.parametrize(
    "given",
    [3, np.int32(3), np.uint64(3), np.array(3), jnp.array(3), jax.random.PRNGKey(3), jax.random.key(3)],
    ids=repr,
)
def test_whatever_is_meant_as_a_key_is_the_same_key(given):
    want = jax.random.key(3)
    assert as_key(given) == want
    assert jax.jit(as_key)(given) == want
    np.testing.assert_array_equal(layers.init_dense(given, 2, 3).W, layers.init_dense(want, 2, 3).W)
    np.testing.assert_array_equal(layers.lstm.init(given, 2, 3).W, layers.lstm.init(want, 2, 3).W)
    x = jnp.ones((4, 50))
    np.testing.assert_array_equal(layers.dropout(given, x, 0.5), layers.dropout(want, x, 0.5))
    np.testing.assert_array_equal(layers.random.dropout(given, x, 0.5), layers.dropout(want, x, 0.5))
    normal = outputs.Normal(jnp.zeros(5))
    np.testing.assert_array_equal(normal.sample(given), normal.sample(want))


def test_old_keys_one_for_each_example():
    old = jax.random.split(jax.random.PRNGKey(3), 4)
    assert as_key(old).shape == (4,)
    x = jnp.ones((4, 50))
    np.testing.assert_array_equal(
        layers.dropout(old, x, 0.5), layers.dropout(jax.random.split(jax.random.key(3), 4), x, 0.5)
    )


@pytest.mark.parametrize(
    "given",
    [1.5, True, "3", None, [1, 2], jnp.ones(2), jnp.array([1, 2]), np.zeros(2, np.uint8), 2**64],
    ids=repr,
)
def test_what_is_no_key_is_named(given):
    with pytest.raises(ValueError, match="key: got .* allowed is"):
        layers.init_dense(given, 2, 3)


@pytest.mark.parametrize(
    ("given", "dtype", "shape"),
    [
        (2, jnp.int32, ()),
        (2.0, jnp.float32, ()),
        (np.float64(2), jnp.float32, ()),
        ([[1, 2], [3, 4]], jnp.int32, (2, 2)),
        ([1, 2.5], jnp.float32, (2,)),
        ([True, False], jnp.bool_, (2,)),
        ([jnp.ones(2), [1.0, 2.0]], jnp.float32, (2, 2)),
        (np.ones(3), jnp.float32, (3,)),
        (np.ones(3, np.int64), jnp.int32, (3,)),
        (jnp.ones(3, jnp.bfloat16), jnp.bfloat16, (3,)),
    ],
    ids=repr,
)
def test_numbers_and_lists_become_arrays(given, dtype, shape):
    got = as_array(given)
    assert (got.dtype, got.shape) == (dtype, shape)
    assert not got.weak_type


@pytest.mark.parametrize(
    "given", ["abc", {"a": 1}, [[1, 2], [3]], ["a"], [None], {1, 2}, [2**40], range(3)], ids=repr
)
def test_what_holds_no_numbers_is_named(given):
    with pytest.raises(ValueError, match="z: got"):
        layers.relu(given)


def test_shapes_in_words():
    table = {"K": "+window inputs outputs", "x": "batch ~window channels", "b": ("outputs", "")}
    x, K = np.zeros((1, 5, 5, 2)), np.zeros((3, 3, 2, 4))
    fit_together(table, {"x": x, "K": K, "b": np.zeros(4)})
    fit_together(table, {"x": x, "K": K, "b": np.zeros(())})
    with pytest.raises(ValueError, match=r"b: got shape \(5,\), allowed is \(outputs=4,\) or \(\)"):
        fit_together(table, {"x": x, "K": K, "b": np.zeros(5)})
    with pytest.raises(ValueError, match=r"x: got shape \(5, 5, 2\), allowed is .*x\[None\]"):
        fit_together(table, {"x": x[0], "K": K})


def test_distributions_of_numbers():
    for normal in (outputs.Normal(1.0, 2.0), outputs.Normal(jnp.array(1.0), 2.0)):
        assert float(normal.log_prob(2)) == pytest.approx(-1.737086, abs=1e-5)
    assert outputs.Categorical([1.0, 3.0, 2.0]).mode == 1
    assert float(outputs.Bernoulli(0).mean) == 0.5
    np.testing.assert_array_equal(outputs.heteroscedastic([3, 0]).mean, [3.0])


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_without_its_batch_axis(channels):
    x = jnp.ones((8, 8, channels))
    for pool in (
        layers.max_pool,
        layers.avg_pool,
        layers.l2_pool,
        layers.distance_weighted_pool,
        layers.upsample,
    ):
        with pytest.raises(ValueError, match=r"x: got shape \(8, 8, .\), an image without its batch axis"):
            pool(x)
        assert pool(x[None]).ndim == 4
        assert pool(x, (2,)).shape[::2] == (8, channels)  # signals
    with pytest.raises(ValueError, match="image without its batch axis"):
        layers.adaptive_pool(x, 2)
    for pool in (layers.global_avg_pool, lambda x: layers.clustered_pool(x, 2)):
        with pytest.raises(ValueError, match=r"x: got shape \(8, 8, .\).*x\[None\]"):
            pool(x)
    kernel = jnp.ones((3, 3, channels, 2))
    params = layers.Convolution(kernel, jnp.zeros(2))
    for run in (
        lambda: layers.convolve(x, kernel),
        lambda: layers.conv(params, x),
        lambda: layers.conv_stage(params, x),
        lambda: layers.conv_maxout(params, x, 2),
        lambda: layers.depthwise(x, kernel),
        lambda: layers.transposed_convolve(x, jnp.ones((3, 3, 2, channels))),
    ):
        with pytest.raises(ValueError, match=r"x: got shape .*x\[None\]"):
            run()


def test_features_of_a_recurrent_layer():
    params = layers.gru.init(0, 3, 4)
    for run in (
        lambda: layers.unroll(layers.gru, params, jnp.ones((2, 5, 4))),
        lambda: layers.gru.step(params, jnp.zeros((2, 4)), jnp.ones((2, 4))),
    ):
        with pytest.raises(ValueError, match=r"xs?: got shape .* 4\), allowed is .*3\)"):
            run()


def test_examples_of_lists_are_trained():
    def fitted(examples):
        recipe = training.Recipe(
            models.mlp(2, (4,), 2),
            outputs.cross_entropy,
            {"accuracy": outputs.accuracy},
            training.optimizer("adam", 0.1),
        )
        return training.fit(recipe, examples, steps=2, seeds=[1]).history["loss"]

    x, y = [[0, 0], [0, 1], [1, 0], [1, 1]], [0, 1, 1, 0]
    want = fitted(data.Examples(np.asarray(x, np.float32), np.asarray(y, np.int32)))
    np.testing.assert_array_equal(fitted(data.Examples(np.asarray(x, np.float32).tolist(), y)), want)
    for seeds in (3, [0.5], "12"):
        with pytest.raises(ValueError, match="seeds: got"):
            training.fit(None, data.Examples(x, y), steps=2, seeds=seeds)  # pyright: ignore[reportArgumentType]


def test_second_derivatives_by_one_option():
    model = models.cnn((4, 4, 1), 2, channels=(3,), pool=1, dense=(), activation="tanh")
    params, x = model.init(0), jnp.cos(jnp.arange(16.0)).reshape(1, 4, 4, 1)
    for how in (jax.hessian, lambda f: jax.jit(jax.hessian(f))):
        with pytest.raises(TypeError, match=r"models\.forward_mode\(model\)"):
            how(lambda x: model.apply(params, x).sum())(x)
    forward = models.forward_mode(model)
    np.testing.assert_array_equal(forward.apply(params, x), model.apply(params, x))
    got = jax.jit(jax.hessian(lambda x: forward.apply(params, x).sum()))(x)
    want = jax.jit(jax.jacrev(jax.jacrev(lambda x: model.apply(params, x).sum())))(x)
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    convolve = layers.forward_mode(lambda x: layers.convolve(x, jnp.ones((3, 3, 1, 1)), stride=2))
    with pytest.raises(TypeError, match=r"convolve: no forward mode.*layers\.forward_mode\(function\)"):
        jax.jvp(lambda x: layers.convolve(x, jnp.ones((3, 3, 1, 1))), (x,), (x,))
    np.testing.assert_allclose(jax.jvp(convolve, (x,), (x,))[1], convolve(x), rtol=1e-5)


def test_a_gradient_that_is_an_estimate_has_no_forward_mode():
    """The straight-through gradient of a choice is not the derivative of its value."""
    model = models.forward_mode(models.gumbel_tree(5, 4, 2))
    params, x = model.init(0), jnp.array([[1, 2, 3]])
    with pytest.raises(TypeError, match="gumbel.py.* it has no forward mode"):
        model.apply(params, x)
    relaxed = models.forward_mode(models.gumbel_tree(5, 4, 2, relaxed=True))
    assert jax.eval_shape(lambda p: jax.jvp(lambda p: relaxed.apply(p, x), (p,), (p,)), params)[0].shape == (
        1,
        2,
    )


def test_public_functions_are_what_they_say():
    """Behind a door a function keeps its name, its signature and its place in a pickle."""
    for function in (layers.max_pool, models.mlp, outputs.cross_entropy, training.fit):
        assert pickle.loads(pickle.dumps(function)) is function
    assert layers.cell_of(layers.lstm.init(0, 2, 3)) is layers.lstm
    assert layers.recurrent_cell("gru") is layers.gru


def test_models_take_inputs_then_sizes_then_outputs():
    """Sizes that have a default stand behind the star."""
    last = {
        "forward_mode",
        "character_model",
        "sequence_distribution",
        "stack_net",
        "mirrored",
        "from_flax",
        "deep_output",
        "embedded",
        "ensemble",
        "hard_attention",
        "deep_autoencoder",
        "conv_autoencoder",
        "head",
        "shared",
    }
    for name in models.__all__:
        made = getattr(models, name)
        if getattr(made, "__annotations__", {}).get("return") == "Model" and name not in last:
            plain = [p.name for p in signature(made).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
            outputs = plain.index("outputs")
            assert plain[0] in ("inputs", "vocabulary", "network"), name
            assert plain[outputs + 1 :] == [], name
    old = models.seq2seq(source_vocabulary=4, outputs=3, hidden=8)  # pyright: ignore[reportCallIssue]
    new = models.seq2seq(4, 8, 3)
    assert jax.eval_shape(old.init, jax.random.key(0)) == jax.eval_shape(new.init, jax.random.key(0))
