"""What is made of the races: the goal, failures, and one processor."""

import numpy as np
import pytest
from experiment_module import experiment

asynchronous = experiment("large_scale/asynchronous")


def measured(seconds, updates, processors=2):
    rows = [np.repeat(np.asarray(v, float)[:, None], 10, axis=1) for v in (seconds, updates)]
    noise = np.random.default_rng(1).lognormal(0, 0.02, rows[0].shape)
    return {
        "seconds": rows[0] * noise,
        "updates": rows[1],
        "pace": rows[1] / rows[0],
        "simulated": np.full((5, 10), 300.0),
        "loss": np.array([[0.30], [0.33], [0.32], [0.33]]) * np.ones(10),
        "stale": np.full((4, 10), 0.9),
        "most": np.array(1000),
        "processors": np.array(processors),
    }


def test_the_goal_is_reached_at_the_first_error_that_is_low_enough():
    errors = np.array([[0.9, 0.9], [0.04, 0.3], [0.2, 0.06]])
    np.testing.assert_array_equal(asynchronous.first_below(errors), [1, np.inf])


def test_ratios_are_those_of_the_races():
    m = measured([0.9, 0.6, 0.8, 3.0], [500, 600, 600, 650])
    assert asynchronous.against_one(m, "two").value == pytest.approx(1.5, rel=0.03)
    assert asynchronous.against_one(m, "server").value == pytest.approx(0.3, rel=0.03)
    assert asynchronous.lost(m).value == pytest.approx(1.2)
    assert asynchronous.behind(m).value == pytest.approx(1.1)
    assert asynchronous.paces(m, "two").value == pytest.approx(1.8, rel=0.03)


def test_a_training_that_fails_counts_as_all_that_it_had():
    m = measured([1.0, 1.0, 1.0, 1.0], [500, 500, 500, 500])
    m["pace"][1], m["seconds"][1], m["updates"][1] = 2000.0, np.inf, np.inf
    np.testing.assert_allclose(asynchronous.seconds(m)[1], 0.5)
    assert asynchronous.lost(m).value == pytest.approx(2.0)
    assert asynchronous.LEARNED.rule(asynchronous.reached(m)) != "holds"


def test_on_one_processor_speed_is_open_and_updates_are_not():
    m = measured([1.0, 0.5, 1.0, 1.0], [500, 600, 600, 600], processors=1)
    effects = {part.name: (part.rule, part.effect(m)) for part in asynchronous.CLAIM.parts}
    for name in ("more updates", "sooner", "much sooner", "than a lock", "a server", "staleness"):
        rule, effect = effects[name]
        assert rule(effect) == "open", name
        assert "one processor" in effect.method
        assert effect.low <= effect.value <= effect.high
    rule, effect = effects["less per update"]
    assert rule(effect) == "holds"
