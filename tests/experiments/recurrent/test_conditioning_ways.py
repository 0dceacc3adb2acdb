"""What the claim on ways of conditioning is measured with."""

import jax
import numpy as np
from experiment_module import experiment
from scipy.special import log_softmax

from dlnotes import models

MODULE = experiment("recurrent/conditioning_ways")


def test_the_answer_names_the_signs():
    y, x = MODULE.sequences(300, 6, np.random.default_rng(0))
    assert (y[:, :-2] < MODULE.LETTERS).all()
    assert (y[:, -2] == MODULE.MARK).all()
    for row, signs in zip(y, x):
        bits = (signs > 0).astype(int)
        assert row[-1] - MODULE.FIRST_ANSWER == bits[0] + 2 * bits[1] + 4 * bits[2]
    assert len(np.unique(y[:, -1])) == MODULE.ANSWERS


def test_scores_of_the_answers_are_those_of_the_next_symbol(key):
    """The quotient of two whole sequences against the logits that a step of the net gives."""
    model = models.sequence_distribution(MODULE.SYMBOLS, 5, 4, cell="rnn", vector=MODULE.SIGNS, way="both")
    one = model.init(key)
    one = one._replace(c=jax.random.normal(key, one.c.shape), b_0=one.b_0 + 0.3)
    p = jax.tree.map(np.asarray, one)
    test = MODULE.sequences(7, 4, np.random.default_rng(1))
    got = MODULE.answers(model, jax.tree.map(lambda a: a[None], one), test)[0]
    np.testing.assert_allclose(np.exp(got).sum(-1), 1, rtol=1e-5)
    h = np.tanh(test.vector @ p.W_0 + p.b_0)
    begin = np.full(len(h), MODULE.SYMBOLS)
    for symbol in (begin, *test.symbols[:, :-1].T):
        h = np.tanh(p.cell.U[symbol] + p.cell.b + test.vector @ p.R + h @ p.cell.W)
    logits = h @ p.V + p.c
    ends = []
    for a in range(MODULE.ANSWERS):
        symbol = np.full(len(h), MODULE.FIRST_ANSWER + a)
        after = np.tanh(p.cell.U[symbol] + p.cell.b + test.vector @ p.R + h @ p.cell.W)
        ends.append(log_softmax(after @ p.V + p.c, 1)[:, MODULE.SYMBOLS])
    chosen = slice(MODULE.FIRST_ANSWER, MODULE.SYMBOLS)
    want = log_softmax(logits[:, chosen] + np.stack(ends, 1), 1)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_the_vector_as_an_input_is_a_bias(key):
    model = models.sequence_distribution(MODULE.SYMBOLS, 5, 6, cell="rnn", vector=MODULE.SIGNS)
    test = MODULE.sequences(9, 6, np.random.default_rng(2))
    assert MODULE.as_a_bias(model.init(key), 5, test) < 1e-5
