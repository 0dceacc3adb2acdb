"""Cascades against a plain loop, scikit-learn's ROC curve, and what must be true of any."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score, roc_curve

from dlnotes import models

RNG = np.random.default_rng(13_7)
N, FEATURES = 301, 5


def score(params, x):
    return jnp.tanh(x @ params["W"]) @ params["v"]


def drawn(stages=3):
    x = RNG.standard_normal((N, FEATURES)).astype(np.float32)
    params = [
        {
            "W": jnp.asarray(RNG.standard_normal((FEATURES, 4 * k + 2)), jnp.float32),
            "v": jnp.asarray(RNG.standard_normal(4 * k + 2), jnp.float32),
        }
        for k in range(stages)
    ]
    return jnp.asarray(x), params


def plainly(params, thresholds, x):
    """One example after another, stopping at the first stage that rejects it."""
    passed, last = [], []
    for row in np.asarray(x, np.float64):
        for k, (p, t) in enumerate(zip(params, thresholds)):
            s = np.tanh(row @ np.asarray(p["W"], np.float64)) @ np.asarray(p["v"], np.float64)
            if not s > t:
                passed.append(k)
                break
        else:
            passed.append(len(params))
        last.append(s)
    return np.array(passed), np.array(last)


@pytest.mark.parametrize("thresholds", [(-0.3, 0.1, 0.4), (-9, -9, -9), (9, 9, 9), (-9, 0.2, -9), (-9, 9, 0)])
@pytest.mark.parametrize("tile", [1, 32, 128, 301, 1000])
def test_a_cascade_is_the_plain_loop_whatever_share_passes(tile, thresholds):
    x, params = drawn()
    found = models.run_cascade([score] * 3, params, jnp.array(thresholds, jnp.float32), x, tile=tile)
    passed, last = plainly(params, thresholds, x)
    np.testing.assert_array_equal(found.passed, passed)
    np.testing.assert_array_equal(found.accepted, passed == 3)
    np.testing.assert_allclose(found.score, last, rtol=2e-5, atol=2e-5)


def test_other_shares_are_the_same_program():
    x, params = drawn()
    traced = []

    def counted(params, x):
        traced.append(x.shape)
        return score(params, x)

    run = jax.jit(lambda params, t, x: models.run_cascade([counted] * 3, params, t, x, tile=32))
    for thresholds in ((-9, -9, -9), (0, 0, 0), (9, 9, 9)):
        run(params, jnp.array(thresholds, jnp.float32), x)
    assert run._cache_size() == 1
    assert {shape[0] for shape in traced} == {32}


def test_rejected_rows_are_not_computed():
    """A stage that no row reaches is not even run once."""
    x, params = drawn(2)
    ran = []

    def noting(params, x):
        jax.debug.callback(lambda: ran.append(1))
        return score(params, x)

    thresholds = jnp.array([9.0, 0.0])
    jax.block_until_ready(models.run_cascade([score, noting], params, thresholds, x, tile=32))
    jax.effects_barrier()
    assert not ran
    few = jnp.sort(score(params[0], x))[-40]
    jax.block_until_ready(models.run_cascade([score, noting], params, jnp.array([few, 0.0]), x, tile=32))
    jax.effects_barrier()
    assert len(ran) == 2  # 39 rows in tiles of 32


def test_the_order_of_stages_does_not_change_what_is_accepted():
    x, params = drawn()
    thresholds = np.array([-0.3, 0.1, 0.2], np.float32)
    sets = [
        np.asarray(
            models.run_cascade(
                [score] * 3, [params[i] for i in order], jnp.asarray(thresholds[list(order)]), x, tile=64
            ).accepted
        )
        for order in permutations(range(3))
    ]
    assert 0 < sets[0].sum() < N
    for found in sets[1:]:
        np.testing.assert_array_equal(found, sets[0])


def test_members_can_be_mapped_and_inputs_can_be_trees():
    x, params = drawn(2)
    pair = {"a": x, "b": -x}
    stages = [lambda p, x: score(p, x["a"]), lambda p, x: score(p, x["b"])]
    thresholds = jnp.array([[-0.3, 0.1], [0.2, -9.0]])
    run = lambda t: models.run_cascade(stages, params, t, pair, tile=32)  # noqa: E731
    together = jax.vmap(run)(thresholds)
    for i in range(2):
        np.testing.assert_array_equal(together.passed[i], run(thresholds[i]).passed)


def test_a_score_that_is_not_a_number_is_rejected():
    x, params = drawn(1)
    broken = x.at[7].set(jnp.nan)
    found = models.run_cascade([score], params, jnp.array([-9.0]), broken)
    assert np.flatnonzero(~np.asarray(found.accepted)).tolist() == [7]


def test_the_cost_is_what_the_identity_says_exactly():
    x, params = drawn()
    thresholds, costs = jnp.array([-0.3, 0.1, 0.2]), (7, 300, 5001)
    passed = np.asarray(models.run_cascade([score] * 3, params, thresholds, x).passed)
    rows = models.cascade_counts(passed, RNG.random(N) < 0.3, costs)
    counted = sum(cost for p in passed for cost in costs[: p + 1]) / N  # one example after another
    assert sum(row.multiply_adds for row in rows) == pytest.approx(counted, rel=1e-12)
    shares = [row.kept / row.reached for row in rows]
    assert models.cascade_multiply_adds(costs, shares) == pytest.approx(counted, rel=1e-12)


def test_recall_precision_and_rates_of_stages_are_those_of_scikit_learn():
    passed, positive = RNG.integers(0, 4, N), RNG.random(N) < 0.2
    weight = RNG.random(N)
    for k, row in enumerate(models.cascade_counts(passed, positive, (1, 1, 1), weight=weight)):
        kept = passed > k
        assert row.overall_recall == pytest.approx(recall_score(positive, kept, sample_weight=weight))
        assert row.precision == pytest.approx(precision_score(positive, kept, sample_weight=weight))
        inverse = recall_score(~positive, ~kept, sample_weight=weight)
        assert row.false_positive_rate == pytest.approx(1 - inverse)
        reached = passed >= k
        own = recall_score(positive[reached], kept[reached], sample_weight=weight[reached])
        assert row.recall == pytest.approx(own)


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.01, 0.1, 0.5])
@pytest.mark.parametrize("digits", [1, 6])
def test_recall_at_a_rate_is_on_scikit_learns_curve(rate, digits):
    positive = RNG.random(2000) < 0.1
    values = np.round(RNG.standard_normal(2000) + positive, digits)  # with ties and without
    false_positives, recalls, _ = roc_curve(positive, values, drop_intermediate=False)
    expected = recalls[false_positives <= rate + 1e-12].max()
    assert models.recall_at(values, positive, rate) == pytest.approx(expected)


def test_a_ranking_puts_what_was_rejected_early_below_all_else():
    x, params = drawn()
    passage = models.run_cascade([score] * 3, params, jnp.array([-0.3, 0.1, 9.0]), x)
    ranks, last = models.cascade_ranking(passage, 3), score(params[2], x)
    reached = np.asarray(passage.passed) >= 2
    np.testing.assert_allclose(ranks[reached], last[reached], rtol=1e-5)
    assert (np.asarray(ranks)[~reached] == -np.inf).all()


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99, 1.0, (1.0, 0.9, 0.5)])
def test_thresholds_keep_the_recall_and_no_larger_ones_would(recall):
    positive = RNG.random(N) < 0.3
    scores = RNG.standard_normal((3, N)).astype(np.float32) + positive
    chosen = models.cascade_thresholds(scores, positive, recall=recall)
    shares = [recall ** (1 / 3)] * 3 if isinstance(recall, float) else recall
    left, overall, count = np.ones(positive.sum(), bool), 1.0, positive.sum()
    for own, threshold, share in zip(scores[:, positive], chosen, shares):
        overall *= share
        lowest = own[left & (own > threshold)].min()
        without = (left & (own > lowest)).sum()  # with the next larger threshold
        left &= own > threshold
        assert without < overall * count <= left.sum() + 1e-9
    assert left.mean() >= np.prod(shares) - 1e-9
    assert left.sum() - 1 < np.prod(shares) * count  # and not one more than needed


def test_equal_scores_are_kept_together():
    scores, positive = [[1.0, 1.0, 1.0, 0.0]], [True, True, False, False]
    assert models.cascade_thresholds(scores, positive, recall=0.5).tolist() == [0.5]
    assert models.cascade_thresholds([[1.0, 1.0]], [True, False], recall=1.0)[0] < 1.0


def test_what_cannot_be_kept_is_said_with_the_part_and_the_stage():
    scores, positive = RNG.standard_normal((2, 50)), np.arange(50) < 45
    with pytest.raises(ValueError, match=r"stage 1 \(linear\) keeps 0 of 45 positives of the validation"):
        models.cascade_thresholds(scores, positive, recall=0.9, given=[99.0, None], names=["linear", "large"])
    with pytest.raises(ValueError, match="positive: the validation part has none among its 50 examples"):
        models.cascade_thresholds(scores, np.zeros(50, bool), recall=0.9)
    with pytest.raises(
        ValueError, match="stage 2 keeps 0 of 41 positives of the fresh part; its scores are not"
    ):
        models.cascade_thresholds(
            np.stack([scores[0], np.full(50, np.nan)]), positive, recall=(0.9, 0.9), part="fresh"
        )
    for wrong in (0.0, 1.5, (0.9,), (0.9, 0.0)):
        with pytest.raises(ValueError, match="recall: got"):
            models.cascade_thresholds(scores, positive, recall=wrong)
    with pytest.raises(ValueError, match="stages, params, thresholds: got 1, 2"):
        models.run_cascade([score], [1, 2], jnp.zeros(1), jnp.zeros((3, 2)))


def test_log_odds_are_those_of_the_softmax():
    logits = jnp.asarray(RNG.standard_normal((20, 4)), jnp.float32)
    p = jax.nn.softmax(logits)[:, 2]
    np.testing.assert_allclose(models.one_against_rest(logits, 2), jnp.log(p / (1 - p)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="which: got 4 of 4 classes"):
        models.one_against_rest(logits, 4)
