"""The verdicts and tables of the bench of an epoch; no peer is needed."""

import numpy as np

from scripts.bench import rbm_epoch


def test_ratios_are_of_one_round():
    """The machine is three times slower in the second round: the ratios do not see it."""
    slow = np.array([1.0, 3.0, 1.0])
    rate = rbm_epoch.OPERATIONS / 0.8
    found = {
        "ours": (slow * 1.0).tolist(),
        "torch": (slow * 2.0).tolist(),
        "scikit-learn": (slow * 1.7).tolist(),
        "ours, ten seeds": (slow * 9.5).tolist(),
        "product": (rate / slow).tolist(),
    }
    peers, share, seeds = rbm_epoch.judge(found)
    np.testing.assert_allclose(peers.value, 1.7)
    np.testing.assert_allclose(share.value, 0.8)
    np.testing.assert_allclose(seeds.value, 9.5)
    assert [v.met for v in (peers, share, seeds)] == [True, True, False]
    text = rbm_epoch.report(found, 2)
    assert "| ten seeds ≤ 9 × one | 9.50 [9.50–9.50] | missed |" in text
    assert [v.bar for v in rbm_epoch.judge({"ours": [1.0]})] == []


def test_operations_of_an_epoch():
    assert rbm_epoch.OPERATIONS == 2 * 5 * 784 * 500 * 20_000
    assert rbm_epoch.pixels().shape == (20_000, 784)
