"""Counting steps to a goal."""

import numpy as np
import pytest
from experiment_module import experiment

batch_returns = experiment("large_scale/batch_returns")


def measured(steps, most=100.0):
    steps = np.repeat(np.asarray(steps, float)[:, None], 10, axis=1)
    return {"steps": steps, "most": np.full(len(steps), most)}


def test_linear_returns_have_a_slope_of_minus_one():
    m = measured(2048 / np.array(batch_returns.SIZES))
    np.testing.assert_allclose(batch_returns.slope(m, batch_returns.SMALL).value, -1)
    np.testing.assert_allclose(batch_returns.slope(m, batch_returns.LARGE).value, -1)
    np.testing.assert_allclose(batch_returns.examples(m).value, 1)


def test_no_returns_have_a_slope_of_zero():
    m = measured(np.full(len(batch_returns.SIZES), 50.0))
    np.testing.assert_allclose(batch_returns.slope(m, batch_returns.LARGE).value, 0, atol=1e-12)
    np.testing.assert_allclose(batch_returns.examples(m).value, 256)


def test_a_training_that_fails_is_counted_with_all_its_steps_and_told():
    steps = 2048 / np.array(batch_returns.SIZES)
    steps[-1] = np.inf
    m = measured(steps)
    assert (batch_returns.counted(m)[-1] == 100).all()
    assert batch_returns.reached(m).value == pytest.approx(8 / 9)
    assert batch_returns.LEARNED.rule(batch_returns.reached(m)) == "fails"


def test_outputs_do_not_depend_on_the_company():
    assert batch_returns.separate(16) < 1e-5
