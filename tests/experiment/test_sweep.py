"""A sweep's points."""

import itertools
import math

import numpy as np
from scipy import stats

from dlnotes.config import parse, points

BASE = {"data": {"kind": "two_moons"}, "model": {"kind": "mlp"}}


def sweep(**options):
    return parse(BASE | {"sweep": options})


def test_no_sweep_is_one_point():
    config = parse(BASE)
    (point,) = points(config)
    assert point.values == {}
    assert point.config is config


def test_a_grid_is_every_combination_in_order():
    parameters = {"model.widths": [[3], [4, 5]], "optimizer.learning_rate": [0.1, 1], "seed": [0, 9]}
    found = points(sweep(kind="grid", parameters=parameters))
    config_values = [
        (list(p.config.model.widths), p.config.optimizer.learning_rate, p.config.seed)  # pyright: ignore[reportAttributeAccessIssue]
        for p in found
    ]
    assert config_values == [*itertools.product([[3], [4, 5]], [0.1, 1.0], [0, 9])]
    assert all(p.config.sweep is None for p in found)


def test_random_points_follow_their_distributions():
    ranges = {
        "optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "scale": "log"},
        "model.dropout": {"low": 0.2, "high": 0.6},
        "training.batch_size": [8, 16],
    }
    found = points(sweep(kind="random", samples=400, seed=3, parameters=ranges))
    rates = [math.log10(p.config.optimizer.learning_rate) for p in found]
    drops = [p.config.model.dropout for p in found]  # pyright: ignore[reportAttributeAccessIssue]
    assert stats.kstest(rates, stats.uniform(-4, 3).cdf).pvalue > 1e-3
    assert stats.kstest(drops, stats.uniform(0.2, 0.4).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(rates, drops)[0, 1]) < 0.2
    sizes = [p.config.training.batch_size for p in found]
    assert 150 < sizes.count(8) < 250
    again = points(sweep(kind="random", samples=400, seed=3, parameters=ranges))
    assert [p.values for p in again] == [p.values for p in found]
    other = points(sweep(kind="random", samples=400, seed=4, parameters=ranges))
    assert [p.values for p in other] != [p.values for p in found]


def test_a_whole_section_may_be_swept():
    found = points(
        sweep(kind="grid", parameters={"optimizer": [{"kind": "sgd"}, {"kind": "sgd", "momentum": 0.9}]})
    )
    assert [p.config.optimizer.momentum for p in found] == [None, 0.9]
