"""Networks of radial basis units and of low rank from a config."""

import jax
import numpy as np
import pytest

from dlnotes import data
from dlnotes.config import parse
from dlnotes.experiment.network import model_of


def model(options, dataset):
    parsed = parse({"data": {"kind": "two_moons"}, "model": options})
    return model_of(parsed, dataset)({k: getattr(parsed.model, k) for k in type(parsed.model).model_fields})


def test_centers_start_at_training_examples(key):
    dataset = data.load("two_moons", n=60)
    params = model({"kind": "rbf_network", "units": 7, "sigma": 0.5}, dataset).init(key)
    points = {tuple(p) for p in dataset.train.x.tolist()}
    assert {tuple(c) for c in params.hidden.centers.T.tolist()} <= points
    np.testing.assert_allclose(np.exp(params.hidden.log_sigma), np.full(7, 0.5), rtol=1e-6)
    random = model({"kind": "rbf_network", "units": 7, "centers": "random"}, dataset).init(key)
    assert not {tuple(c) for c in random.hidden.centers.T.tolist()} & points


def test_more_units_than_examples_are_refused():
    with pytest.raises(ValueError, match=r"model.units: got 99, two_moons has 42 training examples"):
        model({"kind": "rbf_network", "units": 99}, data.load("two_moons", n=60))


def test_rank_bias_and_learned_slopes(key):
    options = {"kind": "mlp", "widths": [8], "rank": 2, "init_bias": 0.1, "activation": "prelu"}
    params = jax.jit(model(options, data.load("two_moons", n=60)).init)(key)
    (layer,), (slopes,) = params.hidden, params.slopes
    assert (layer.U.shape, layer.V.shape, slopes.shape) == ((2, 2), (2, 8), (8,))
    np.testing.assert_allclose(layer.b, np.full(8, 0.1), rtol=1e-6)
