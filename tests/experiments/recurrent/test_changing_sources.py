"""The sources of the claim on stationarity against sums over all that can happen."""

import sys
from itertools import product

import numpy as np
from experiment_module import experiment
from scipy.stats import entropy

MODULE = experiment("recurrent/stationarity")
HERE = MODULE.__name__.rsplit(".", 1)[0]
changing, distant = (sys.modules[f"{HERE}.{name}"] for name in ("_changing_source", "_distant_source"))


def test_windows_follow_the_transitions_of_their_times():
    rng = np.random.default_rng(0)
    found = changing.windows(40_000, 3, "drift", rng, spans=2, begin=changing.SPAN)
    assert found.t.min() == changing.SPAN
    assert found.t.max() == 2 * changing.SPAN - 1
    p = changing.transitions("drift")
    np.testing.assert_allclose(p.sum(-1), 1)
    n = changing.counts(found)
    late = n[changing.SPAN + 1 :].sum(0)
    want = (n[changing.SPAN + 1 :].sum(-1)[..., None] * p[changing.SPAN + 1 :]).sum(0)
    # Counts scatter as the root of their number.
    assert np.abs((late - want) / np.sqrt(want + 1)).max() < 5


def test_exact_losses_are_those_of_the_transitions():
    found = changing.windows(5, 4, "season", np.random.default_rng(1))
    first, second = changing.matrices()
    for y, t, got in zip(found.y, found.t, changing.exact(found, "season")):
        for i in range(1, 4):
            share = (1 + np.sin(2 * np.pi * t[i] / changing.SPAN)) / 2
            p = (1 - share) * first[y[i - 1], y[i]] + share * second[y[i - 1], y[i]]
            np.testing.assert_allclose(got[i - 1], -np.log(p))


def test_without_the_time_all_starts_are_summed():
    """``P(window) = Σ_s P(s) P(y_0 at s) ∏ P_{s+i}``, and its quotients are what is predicted."""
    found = changing.windows(3, 4, "season", np.random.default_rng(2))
    p, starts = changing.transitions("season"), changing.SPAN - 4 + 1

    def chance(y):
        total = 0.0
        for s in range(starts):
            at_s = np.full(changing.SYMBOLS, 1 / changing.SYMBOLS)
            for t in range(1, s + 1):
                at_s = at_s @ p[t]
            total += at_s[y[0]] * np.prod([p[s + i, y[i - 1], y[i]] for i in range(1, len(y))]) / starts
        return total

    for y, got in zip(found.y, changing.exact_without_time(found, "season")):
        want = [-np.log(chance(y[: i + 1]) / chance(y[:i])) for i in range(1, 4)]
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_a_table_holds_shares_and_its_prior():
    rng = np.random.default_rng(3)
    train, held = (changing.windows(n, 8, "season", rng) for n in (200, 50))
    n = changing.counts(train)
    assert n.sum() == 200 * 7
    own, shared = (changing.table(train, held, shared=s) for s in (False, True))
    np.testing.assert_allclose(own.sum(-1), 1)
    np.testing.assert_allclose(shared.sum(-1), 1)
    unseen = n.sum(-1) == 0
    np.testing.assert_allclose(own[unseen], 1 / changing.SYMBOLS)
    many = changing.windows(30_000, 64, "season", rng)
    found = changing.table(many, held)
    assert np.abs(found - changing.transitions("season"))[1 : changing.SPAN].max() < 0.1


def test_a_net_reads_the_time_and_the_symbol_before():
    found = changing.windows(3, 5, "drift", np.random.default_rng(4))
    with_clock, without = (changing.examples(found, clock=c) for c in (True, False))
    np.testing.assert_allclose(with_clock.x.source[..., 0], found.t / changing.SPAN)
    assert not without.x.source.any()
    np.testing.assert_array_equal(with_clock.x.target[:, 1:], found.y[:, :-1])
    np.testing.assert_array_equal(with_clock.y[:, 1:], found.y[:, 1:])
    assert (with_clock.y[:, 0] == -1).all()


def test_the_entropy_rate_is_that_of_the_chain_of_states():
    """States are (last key, whether a mark was just written); the chain's own stationary distribution."""
    states = list(product(range(2), (False, True)))
    move, out = np.zeros((4, 4)), np.zeros((4, distant.SYMBOLS))
    for i, (key, marked) in enumerate(states):
        if marked:
            out[i, distant.ANSWER + key] = 1 - distant.WRONG
            out[i, distant.ANSWER + 1 - key] = distant.WRONG
        else:
            out[i] = distant.AFTER_OTHERS
        for symbol, chance in enumerate(out[i]):
            after = (symbol if symbol < distant.KEYS else key, symbol == distant.MARK)
            move[i, states.index(after)] += chance
    values, vectors = np.linalg.eig(move.T)
    stationary = np.real(vectors[:, np.argmax(np.real(values))])
    stationary /= stationary.sum()
    want = sum(weight * entropy(row, base=2) for weight, row in zip(stationary, out))
    np.testing.assert_allclose(distant.entropy_rate(), want, rtol=1e-12)


def test_bits_of_a_text():
    text = distant.text(60_000, np.random.default_rng(5))
    bits, key = distant.exact_bits(text), int(text[0])
    for i in range(1, 500):
        if text[i - 1] == distant.MARK:
            assert text[i] >= distant.ANSWER
            p = 1 - distant.WRONG if text[i] - distant.ANSWER == key else distant.WRONG
        else:
            p = distant.AFTER_OTHERS[text[i]]
            key = int(text[i]) if text[i] < distant.KEYS else key
        np.testing.assert_allclose(bits[i - 1], -np.log2(p))
    assert abs(bits.mean() - distant.entropy_rate()) < 4 * bits.std() / len(bits) ** 0.5
