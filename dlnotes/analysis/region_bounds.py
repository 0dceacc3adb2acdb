"""How many linear regions a network of piecewise linear units can have: closed forms.

d is the number of inputs, n the units of each hidden layer, l the number of hidden layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb, prod

from dlnotes.checks import all_positive, positive


def one_layer(d: int, n: int) -> int:
    """The regions that n lines in general position cut d dimensions into, ``Σ_{j ≤ d} C(n, j)``.

    It is exact for one generic hidden layer of ReLU, leaky or absolute-value units.

    Args:
      d: number of inputs, of a line 1, of a plane 2.
      n: units.

    Raises:
      ValueError: when one is not a positive integer.

    Example:
      >>> one_layer(2, 3)
      7

    Source: Zaslavsky, 1975.
    """
    positive(d=d, n=n)
    return sum(comb(n, j) for j in range(d + 1))


def relu_regions(d: int, n: int, l: int) -> Fraction:
    """The order that deep ReLU networks reach, ``(n/d)^{d(l−1)} n^d``: exponential in the depth.

    The notes print a binomial coefficient, n over d, where the theorem has the quotient n/d; see
    `as_printed`. It is the asymptotic form of `reached`, not a limit that no network exceeds.

    Args:
      d: number of inputs.
      n: units of each hidden layer, at least d.
      l: hidden layers.

    Raises:
      ValueError: when one is not a positive integer, or n < d.

    Example:
      >>> print(relu_regions(2, 8, 3))
      16384

    Source: Montúfar et al., 2014, corollary 6; notes F4.3.
    """
    _at_least(d, n, l)
    return Fraction(n, d) ** (d * (l - 1)) * n**d


def reached(d: int, n: int, l: int) -> int:
    """Regions of a network that can be built by hand, ``⌊n/d⌋^{d(l−1)} Σ_{j ≤ d} C(n, j)``.

    The largest number that is possible is not less.

    Args:
      d, n, l: as in `relu_regions`.

    Raises:
      ValueError: as in `relu_regions`.

    Example:
      >>> reached(2, 4, 3)
      176

    Source: Montúfar et al., 2014, theorem 5.
    """
    _at_least(d, n, l)
    return (n // d) ** (d * (l - 1)) * one_layer(d, n)


def at_most(d: int, widths: Sequence[int]) -> int:
    """A number that no ReLU network exceeds, ``Π_i Σ_{j ≤ d_i} C(n_i, j)``.

    Each layer cuts a region of the layers before into at most that many; ``d_i`` is the smallest width
    up to there, for no region's image has more dimensions.

    Args:
      d: number of inputs.
      widths: units of each hidden layer.

    Raises:
      ValueError: when one is not a positive integer.

    Example:
      >>> at_most(2, (4, 4, 4))
      1331

    Source: Raghu et al., 2017; Montúfar, 2017.
    """
    positive(d=d)
    widths = all_positive("widths", widths)
    return prod(one_layer(min(d, *widths[: i + 1]), n) for i, n in enumerate(widths))


def as_printed(d: int, n: int, l: int) -> int:
    """The number as the notes print it, ``C(n, d)^{d(l−1)} n^d``: a misprint, it can exceed `at_most`.

    Args:
      d, n, l: as in `relu_regions`.

    Raises:
      ValueError: as in `relu_regions`.

    Example:
      >>> as_printed(2, 8, 4) > at_most(2, (8, 8, 8, 8))
      True

    Source: notes F4.3.
    """
    _at_least(d, n, l)
    return comb(n, d) ** (d * (l - 1)) * n**d


def maxout_regions(d: int, k: int, l: int) -> int:
    """The order that deep maxout networks reach, ``k^{(l−1)+d}``.

    Args:
      d: number of inputs.
      k: linear pieces of each unit.
      l: hidden layers.

    Raises:
      ValueError: when one is not a positive integer.

    Example:
      >>> maxout_regions(2, 3, 4)
      243

    Source: Montúfar et al., 2014, theorem 10; notes F4.3.
    """
    positive(d=d, k=k, l=l)
    return k ** (l - 1 + d)


def _at_least(d: int, n: int, l: int) -> None:
    positive(d=d, n=n, l=l)
    if n < d:
        raise ValueError(f"n: got {n} units for {d} inputs, allowed is at least one for each input")
