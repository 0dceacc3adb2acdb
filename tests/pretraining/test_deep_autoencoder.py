"""The deep autoencoder: exact starts, principal components as the linear case, the road from a config."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit
from sklearn.decomposition import PCA

import dlnotes
from dlnotes import data, models, outputs, pretraining, training
from dlnotes.config import ConfigError
from dlnotes.pretraining import greedy, rbm
from dlnotes.pretraining.autoencoder import autoencoder
from dlnotes.pretraining.deep_autoencoder import autoencoder_layers
from dlnotes.pretraining.learner import Encoder, Learner

rng = np.random.default_rng(5)


def digits(n=300):
    return data.inputs_as_targets(data.load("digits", standardize=False)).train.y[:n]


def stack(members=2, **options):
    learners = [rbm(12), autoencoder(5, activation="tanh", output="bernoulli", **options)]
    return greedy(learners, digits(100), seeds=range(members), epochs=1, batch_size=50)


@pytest.mark.parametrize("tied", [True, False])
def test_it_begins_as_the_composition_of_the_stack(tied):
    encoders, x = stack(tied=tied), digits(20)
    found = pretraining.unroll(encoders)
    for member in range(2):
        one = pretraining.member_of(encoders, member)
        h = up = one[0].learner.encode(one[0].params, x)
        h = one[1].learner.encode(one[1].params, h)
        back = one[0].learner.decode(one[0].params, np.asarray(decoded_before_output(one[1], h)))
        params = jax.tree.map(lambda a, m=member: a[m], found.params)
        np.testing.assert_allclose(found.halves.encode(params, jnp.asarray(x)), h, atol=1e-5)
        np.testing.assert_allclose(found.halves.reconstruct(params, jnp.asarray(x)), back, atol=1e-5)
        np.testing.assert_allclose(expit(found.model.apply(params, jnp.asarray(x))), back, atol=1e-5)
        assert up.shape == (20, 12)


def decoded_before_output(encoder, h):
    """The upper layer's decoder gives what its unit, the activation of the layer below, makes of it."""
    return encoder.learner.decode(encoder.params, h)


def test_layers_are_carried_over_as_they_are():
    encoders = stack()
    params = pretraining.unroll(encoders).params
    assert [layer.W.shape for layer in params.encoder] == [(2, 64, 12), (2, 12, 5)]
    assert [layer.W.shape for layer in params.decoder] == [(2, 5, 12), (2, 12, 64)]
    np.testing.assert_array_equal(params.encoder[0].W, encoders[0].params.W)
    np.testing.assert_array_equal(params.decoder[1].W, np.swapaxes(encoders[0].params.W, 1, 2))
    np.testing.assert_array_equal(params.decoder[1].b, encoders[0].params.b)


def test_a_layer_without_a_decoder_gets_the_transposed_encoder():
    learner = Learner(
        3, init=None, step=None, encode=None,  # pyright: ignore[reportArgumentType]
        activation="tanh", dense_of=lambda p: p, kind="plain",
    )  # fmt: skip
    layer = models.mlp(4, (3,), 2).init(jax.random.key(0)).hidden[0]
    params = pretraining.unroll([Encoder(layer, learner)]).params
    np.testing.assert_array_equal(params.decoder[0].W, layer.W.T)
    np.testing.assert_array_equal(params.decoder[0].b, np.zeros(4))


def test_linear_units_reach_the_error_of_principal_components():
    """The optimum of a linear autoencoder is PCA's: Baldi and Hornik, 1989."""
    x = (rng.normal(size=(120, 3)) @ rng.normal(size=(3, 8)) + 0.3 * rng.normal(size=(120, 8))).astype(
        np.float32
    )
    x -= x.mean(0)
    model = models.deep_autoencoder(8, (6, 2), activation="identity")
    recipe = training.Recipe(model, outputs.squared_error, {}, training.optimizer("adam", 3e-3))
    fit = training.fit(recipe, data.Examples(x, x), steps=3000, seeds=range(2), record=3000)
    halves = models.autoencoder_halves(8, (6, 2), activation="identity", output="gaussian")
    error = pretraining.squared_errors(halves, fit.params, x).mean(-1)
    pca = PCA(2).fit(x)
    best = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean()
    np.testing.assert_allclose(error, best, rtol=2e-3)
    assert (error >= best * (1 - 1e-5)).all()


def test_halves_fit_together_and_blocks_change_nothing(monkeypatch):
    encoders, x = stack(), digits(50)
    found = pretraining.unroll(encoders)
    codes = pretraining.by_blocks(found.halves.encode, found.params, x)
    assert codes.shape == (2, 50, 5)
    monkeypatch.setattr("dlnotes.pretraining.deep_autoencoder.BLOCK", 16)
    np.testing.assert_allclose(pretraining.by_blocks(found.halves.encode, found.params, x), codes, atol=1e-6)
    one = jax.tree.map(lambda a: a[1], found.params)
    whole = pretraining.by_blocks(found.halves.reconstruct, one, x)
    np.testing.assert_allclose(found.halves.decode(one, jnp.asarray(codes[1])), whole, atol=1e-5)
    errors = pretraining.squared_errors(found.halves, found.params, x)
    np.testing.assert_allclose(errors[1], np.square(whole - x).sum(1), rtol=1e-5)


def test_soft_bits():
    z, y = rng.normal(size=(6, 4)).astype(np.float32), rng.uniform(size=(6, 4)).astype(np.float32)
    nll = outputs.bernoulli_nll(z, y)
    np.testing.assert_allclose(
        nll.total, -(y * np.log(expit(z)) + (1 - y) * np.log1p(-expit(z))).sum(1), rtol=1e-5
    )
    bits = (y > 0.5).astype(np.float32)
    np.testing.assert_allclose(
        outputs.SoftBernoulli(jnp.asarray(z)).log_prob(bits),
        outputs.Bernoulli(jnp.asarray(z)).log_prob(bits),
        atol=1e-6,
    )


CONFIG = {
    "data": {"kind": "digits", "standardize": False},
    "model": {"kind": "deep_autoencoder", "widths": [24, 4]},
    "optimizer": {"learning_rate": 1e-2},
    "training": {"duration": "3 epochs", "batch_size": 100, "loss": "bernoulli_nll", "seeds": 2},
}


def test_a_config_trains_it_on_its_own_inputs(tmp_path):
    result = dlnotes.run(CONFIG, folder=tmp_path / "run")
    test = result.metrics["test"]
    x = result.dataset.test.x.reshape(-1, 64)
    np.testing.assert_array_equal(result.dataset.test.y, x)
    halves = models.autoencoder_halves(64, (24, 4))
    for m in range(2):
        shown = np.asarray(halves.reconstruct(result.params(member=m), jnp.asarray(x)))
        np.testing.assert_allclose(
            test["root_mean_squared_error"]["values"][m], np.sqrt(np.mean((shown - x) ** 2)), rtol=1e-3
        )
        np.testing.assert_allclose(test["absolute_error"]["values"][m], np.abs(shown - x).mean(), rtol=1e-3)
    # better than the mean of all, and than chance
    assert test["root_mean_squared_error"]["mean"] < x.std(0).mean()


def test_a_config_starts_it_from_a_stack():
    learners = [{"kind": "rbm", "epochs": 1}, {"kind": "autoencoder", "activation": "identity", "epochs": 1}]
    config = CONFIG | {
        "pretraining": {"learners": learners},
        "training": CONFIG["training"] | {"duration": "0 epochs"},
    }
    config["training"] = CONFIG["training"] | {"duration": "1 epochs", "seeds": 1}
    config["optimizer"] = {"kind": "sgd", "learning_rate": 1e-30}
    result = dlnotes.run(config)
    params = result.params()
    up, down, _ = autoencoder_layers(pretraining.member_of(result.pretrained[0], 0))
    jax.tree.map(np.testing.assert_array_equal, params, models.DeepAutoencoder(up, down))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"data": {"kind": "digits"}},
            r"bernoulli_nll.*allowed are targets in \[0, 1\]; data.standardize = false",
        ),
        ({"augment": {"shift": 1}}, "augment: got it with model.kind 'deep_autoencoder'"),
        ({"data": {"kind": "reber"}}, "deep_autoencoder"),
        ({"training": {"loss": "mixture_nll"}}, "takes .* numbers for 64 inputs"),
        ({"training": {"loss": "cross_entropy"}}, "'cross_entropy', which does not fit regression"),
        (
            {"pretraining": {"learners": [{"kind": "rbm"}, {"kind": "rbm"}]}},
            "model.code: got 'identity' for layer 2, allowed is 'sigmoid'",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_told_so(change, told):
    with pytest.raises((ConfigError, ValueError), match=told):
        dlnotes.run(CONFIG | change)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="encoders: got none"):
        pretraining.unroll(())
    with pytest.raises(ValueError, match="widths: got none"):
        models.deep_autoencoder(4, ())
    with pytest.raises(ValueError, match="activation: got 1 names"):
        models.deep_autoencoder(4, (3, 2, 1), activation=("tanh",))
    with pytest.raises(ValueError, match="output: got 'poisson'"):
        models.autoencoder_halves(4, (3,), output="poisson")
    with pytest.raises(ValueError, match=r"encoders\[0\]: got dbm"):
        pretraining.unroll(greedy([pretraining.dbm((3,))], digits(10), seeds=[0], epochs=0, batch_size=5))
    with pytest.raises(ValueError, match="data: got tokens"):
        data.inputs_as_targets(data.load("reber", n_train=5, n_validation=2, n_test=2))
    with pytest.raises(ValueError, match="dataset: got classification.*inputs_as_targets"):
        dlnotes.run(CONFIG, dataset=data.load("digits", standardize=False))
