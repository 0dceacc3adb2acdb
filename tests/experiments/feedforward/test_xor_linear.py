"""Closed forms of the linear model on XOR."""

import numpy as np
import pytest
from experiment_module import experiment

linear = experiment("feedforward/xor_linear")


def test_normal_equations_against_numpy():
    rng = np.random.default_rng(0)
    x, y = rng.integers(-3, 4, (9, 3)), rng.integers(-5, 6, 9)
    want = np.linalg.lstsq(np.hstack([x, np.ones((9, 1))]), y, rcond=None)[0]
    np.testing.assert_allclose([float(v) for v in linear.normal_equations(x, y)], want, rtol=1e-10)


def test_margin_of_a_line():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    # AND: w = (1, 1) allows b in (−2, −1); within |b| ≤ 1 the best is w = (2/3, 2/3), b = −1: margin 1/3.
    assert linear.widest_margin(x, np.array([0, 0, 0, 1])) == pytest.approx(1 / 3)
    assert linear.widest_margin(x, np.array([0, 1, 1, 0])) == 0
