"""The net of a stack machine against plain recognizers, all short texts and very deep ones."""

from fractions import Fraction
from itertools import product

import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers.recurrent.unroll import Cell, unroll
from dlnotes.models.recurrent.stack_machine import (
    STEPS_PER_SYMBOL,
    Automaton,
    accepts,
    anbn,
    brackets,
    stack_net,
    states,
)

ANBN, BRACKETS = stack_net(anbn()), stack_net(brackets())


def is_anbn(text):
    n = len(text) // 2
    return text == "a" * n + "b" * n


def is_balanced(text):
    open_ones = []
    for symbol in text:
        if symbol in "([":
            open_ones.append(symbol)
        elif not open_ones or open_ones.pop() + symbol not in ("()", "[]"):
            return False
    return not open_ones


@pytest.mark.parametrize(
    ("net", "alphabet", "longest", "right"),
    [(ANBN, "ab", 7, is_anbn), (BRACKETS, "()[]", 4, is_balanced)],
    ids=["a^n b^n", "brackets"],
)
def test_every_text_up_to_a_length(net, alphabet, longest, right):
    texts = ["".join(t) for n in range(longest + 1) for t in product(alphabet, repeat=n)]
    assert [accepts(net, t) for t in texts] == [right(t) for t in texts]


def deep_brackets(depth, seed=0):
    opening = np.random.default_rng(seed).choice(list("(["), depth)
    return "".join(opening) + "".join({"(": ")", "[": "]"}[s] for s in opening[::-1])


def test_great_depth_exactly():
    depth = 300
    assert accepts(ANBN, "a" * depth + "b" * depth)
    assert not accepts(ANBN, "a" * depth + "b" * (depth - 1))
    assert not accepts(ANBN, "a" * depth + "b" * (depth + 1))
    text = deep_brackets(depth)
    assert accepts(BRACKETS, text)
    wrong = text[:-1] + ("]" if text[-1] == ")" else ")")  # only the outermost pair does not match
    assert not accepts(BRACKETS, wrong)


@pytest.mark.parametrize(("number", "bits"), [(np.float32, 24), (float, 53)], ids=["float32", "float64"])
def test_floats_fail_once_their_digits_are_used_up(number, bits):
    """Two bits a symbol: all is well to half the digits, and not much beyond."""
    for depth in range(1, bits // 2, 3):
        assert accepts(BRACKETS, deep_brackets(depth, depth), number=number)
    for depth in range(bits // 2 + 3, bits, 5):
        text = deep_brackets(depth, depth)
        wrong = text[:-1] + ("]" if text[-1] == ")" else ")")
        exact = [accepts(BRACKETS, t) for t in (text, wrong)]
        rounded = [accepts(BRACKETS, t, number=number) for t in (text, wrong)]
        assert exact == [True, False]
        assert rounded != exact
        assert accepts(ANBN, "a" * depth + "b" * depth)
        assert not accepts(ANBN, "a" * depth + "b" * depth, number=number)


def test_the_stack_is_the_number_to_base_four():
    *_, last = states(BRACKETS, "([[")
    stack = sum(v for v, name in zip(last, BRACKETS.units) if name.startswith("change ") and " push" in name)
    assert stack == Fraction(3, 4) + Fraction(3, 16) + Fraction(1, 64)


def test_it_is_a_plain_recurrent_net():
    """The library's engine on the same weights in float32, and rational weights throughout."""
    assert all(isinstance(w, Fraction) for w in (*ANBN.W.ravel(), *ANBN.U.ravel(), *ANBN.b))
    W, U, b, h0 = (jnp.asarray(a.astype(np.float32)) for a in BRACKETS[:4])

    def step(params, h, x):
        h = jnp.clip(h @ W.T + x @ U.T + b[None], 0, 1)
        return h, h

    cell = Cell(lambda *a, **k: (), lambda params, shape: jnp.broadcast_to(h0, (*shape, h0.size)), step)
    for text in ("([])[]", "([)]", "(", ""):
        x = np.zeros((1, STEPS_PER_SYMBOL * (len(text) + 1), len(BRACKETS.symbols)), np.float32)
        for i, symbol in enumerate(text + "$"):
            x[0, STEPS_PER_SYMBOL * i + 1, BRACKETS.symbols.index(symbol)] = 1
        h, hs = unroll(cell, (), jnp.asarray(x))
        want = [list(map(float, h)) for h in states(BRACKETS, text + "$")][1:]
        np.testing.assert_allclose(hs[0], want, atol=1e-6)
        assert (float(h[0, BRACKETS.accept]) == 1) == is_balanced(text)


def test_errors():
    with pytest.raises(ValueError, match="symbol 'c'"):
        accepts(ANBN, "abc")
    with pytest.raises(ValueError, match="nothing there"):
        stack_net(Automaton({("s", "a", "empty"): ("s", "pop")}, "s", "$", "y"))
    with pytest.raises(ValueError, match="action"):
        stack_net(Automaton({("s", "a", "empty"): ("s", "swap")}, "s", "$", "y"))
    with pytest.raises(ValueError, match="top"):
        stack_net(Automaton({("s", "a", "2"): ("s", "keep")}, "s", "$", "y"))
