"""What the claims on experts and on trees read off their measurements."""

import numpy as np
import pytest
from experiment_module import experiment
from sklearn.metrics import mutual_info_score

experts = experiment("large_scale/mixture_of_experts")
trees = experiment("large_scale/neural_tree")
RNG = np.random.default_rng(4)


def routed(routes):
    kind = np.repeat(np.arange(4), 50)
    return {"kind": kind, "routed": np.asarray(routes)[None]}


def test_what_a_gate_knows_of_the_kinds_is_mutual_information():
    kind = np.repeat(np.arange(4), 50)
    routes = np.stack([kind + 2, RNG.integers(0, 8, 200), np.zeros(200, int)])
    m = routed(routes)
    want = [mutual_info_score(kind, r) / np.log(4) for r in routes]
    np.testing.assert_allclose(experts.known(m, 0), want, atol=1e-12)
    assert want[0] == pytest.approx(1)
    assert want[2] == pytest.approx(0)


def test_experts_in_use_have_more_than_a_hundredth():
    few = np.zeros(200, int)
    few[:2], few[2:9] = 1, 2  # exactly 1%, and 3.5%
    np.testing.assert_array_equal(experts.used(routed([few, np.arange(200) % 8]), 0), [2, 8])


def test_turning_four_times_changes_nothing():
    x = RNG.normal(size=(3, 784)).astype(np.float32)
    once = experts.turned(x)
    np.testing.assert_array_equal(once.reshape(3, 28, 28)[0], np.rot90(x.reshape(3, 28, 28)[0]))
    np.testing.assert_array_equal(experts.turned(experts.turned(experts.turned(once))), x)


def test_the_rival_is_the_smallest_that_is_as_accurate():
    sizes = {"linear": np.array([4, 8]), "nets": np.array([4]), "widths": np.array([8, 16, 32, 64, 128])}
    accuracy = np.full((2, 2, 8, 10), 0.5)
    accuracy[:, :, 2] = 0.95
    accuracy[:, :, 3:] = np.array([0.9, 0.94, 0.951, 0.94, 0.97])[:, None]
    m = sizes | {
        "accuracy": accuracy,
        "work": np.arange(1.0, 9),
        "seconds": np.ones((2, 6, 4)) * np.array([6.0, 1, 2, 3, 4, 5])[None, :, None],
    }
    assert (trees.judged(m), trees.deep(m)) == (2, 1)
    assert trees.rival(m, 2) == 5
    assert trees.rival(m, 1) == 3
    # 0.95 lies ten elevenths of the way from 0.94 (work 5) to 0.951 (work 6), on a scale of logarithms
    assert trees.work(m, 2).value == pytest.approx(3 / (5 * (6 / 5) ** (10 / 11)))
    assert trees.work(m, 1).value == pytest.approx(2 / 4)  # less accurate than any: the smallest stands
    assert trees.slower(m, 1).value == pytest.approx(2.0)
    assert trees.matched(m).value == pytest.approx(0.1)
    assert len(trees.names(m)) == 8
    accuracy[:, :, 3:] = 0.2
    assert trees.rival(m, 2) == 7


def test_work_is_that_of_a_path():
    assert trees.counted(trees.NeuralTree(linear=(8,), nets=(4,), widths=(8,))).tolist() == [
        8 * 784,
        4 * (784 * 16 + 16),
        784 * 8 + 8 * 10,
    ]
    one, hard, soft, every = experts.counted()["work"]
    assert (hard, soft) == (one + 784 * 8, every + 784 * 8)


def test_times_are_taken_in_turns():
    order = []
    calls = [lambda i=i: order.append(i) for i in range(3)]
    seconds = experts.in_turns(calls, 2, runs=[1, 2, 1])
    assert seconds.shape == (3, 2)
    assert (seconds >= 0).all()
    assert order == [2, 0, 1, 1, 0, 1, 1, 2, 1, 1, 2, 0]
