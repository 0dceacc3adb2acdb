"""What the device at hand attains: its peak of products, its memory's bandwidth, the roof over a layer.

The roofline (Williams, Waterman and Patterson 2009): a computation that does I operations for each byte that
it moves to or from memory runs at no more than ``min(peak, bandwidth · I)`` operations a second. Peak and
bandwidth are measured, in turns with whatever is compared with them, for a machine has not the same speed at
every moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SIZES = (256, 512, 1024, 2048)
"""Rows and columns of the matrices whose product is timed."""
TRIAD_BYTES = 256 * 2**20
"""Of each array of the triad: more than caches hold."""


class Roofline(NamedTuple):
    """The two limits of a device.

    Attributes:
      products: operations a second of matrix products, two for each multiply-add.
      bandwidth: bytes a second to and from memory.
    """

    products: float
    bandwidth: float

    @property
    def ridge(self) -> float:
        """Operations for each byte from which on products limit, below which bandwidth does."""
        return self.products / self.bandwidth

    def attainable(self, intensity: float) -> float:
        """Operations a second at so many operations for each byte, ``min(products, bandwidth · intensity)``.

        Example:
          >>> device = Roofline(products=2e11, bandwidth=2e10)
          >>> device.ridge, device.attainable(0.5), device.attainable(100.0)
          (10.0, 10000000000.0, 200000000000.0)
        """
        return min(self.products, self.bandwidth * intensity)


class Timed(NamedTuple):
    """Something that is timed.

    Attributes:
      name: for a table.
      run: computes once and gives what can be waited for.
      work: of one such run, in whatever is counted: operations, or bytes.
    """

    name: str
    run: Callable[[], Any]
    work: float


def timed(name: str, function: Callable[..., Any], *arguments: Any, work: float, **options: Any) -> Timed:
    """A function of arrays, compiled, with memory for its result that is used again at every call.

    Memory that is new at every call would be what is measured: a system hands it out page by page, on first
    use, slower than any memory is. So a result lasts until the next call.

    Args:
      name: for a table.
      function: pure, of arrays to arrays.
      arguments: what it is called with.
      work: of one call.
      options: for ``jax.jit``, such as ``compiler_options``.

    Example:
      >>> double = timed("double", lambda x: 2 * x, jnp.ones(3), work=3)
      >>> double.run().tolist(), double.run().tolist()
      ([2.0, 2.0, 2.0], [2.0, 2.0, 2.0])
    """
    jitted: Any = jax.jit(
        lambda spare, *given: function(*given), donate_argnums=0, keep_unused=True, **options
    )
    shapes = jax.eval_shape(function, *arguments)
    last = [jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)]
    compiled = jitted.lower(last[0], *arguments).compile()

    def run() -> Any:
        last[0] = compiled(last[0], *arguments)
        return last[0]

    return Timed(name, run, work)


def product(size: int, dtype: Any = "float32") -> Timed:
    """The product of two square matrices; its work is ``2 · size³`` operations."""
    a, b = (jax.random.normal(jax.random.key(i), (size, size)).astype(dtype) for i in range(2))
    return timed(f"product of {size}", jnp.matmul, a, b, work=2.0 * size**3)


def triad(size: int = TRIAD_BYTES, dtype: Any = "float32") -> Timed:
    """``a = b + 3 c`` on long arrays, as in STREAM; its work is the bytes of all three.

    Args:
      size: bytes of each array.
      dtype: of their numbers.

    Source: McCalpin 1995, «Memory bandwidth and machine balance in current high performance computers».
    """
    n = max(1, size // jnp.dtype(dtype).itemsize)
    b, c = jnp.arange(n).astype(dtype), jnp.ones(n, dtype)
    work = 3.0 * n * jnp.dtype(dtype).itemsize
    return timed("triad", lambda b, c: b + jnp.asarray(3, c.dtype) * c, b, c, work=work)


def rates(parts: Sequence[Timed], *, rounds: int = 5, seconds: float = 0.05) -> np.ndarray:
    """Work a second of several things, in turns: what slows the machine for a while slows all of them.

    Args:
      parts: what is timed; see `timed`, `product` and `triad`.
      rounds: in each, every part runs; another one begins each time.
      seconds: that a part runs in a round, at least once.

    Returns:
      ``(rounds, parts)``.

    Raises:
      ValueError: without parts, or with fewer than one round.

    Example:
      >>> rates([product(8), triad(1024)], rounds=2, seconds=0.001).shape
      (2, 2)
    """
    if not parts or rounds < 1:
        raise ValueError(f"parts, rounds: got {len(parts)} and {rounds}, needed is one of each or more")
    calls = [_calls(part, seconds) for part in parts]
    found = np.zeros((rounds, len(parts)))
    for i in range(rounds):
        first = i % len(parts)
        for j in (*range(first, len(parts)), *range(first)):
            start = time.perf_counter()
            for _ in range(calls[j]):
                jax.block_until_ready(parts[j].run())
            found[i, j] = calls[j] * parts[j].work / (time.perf_counter() - start)
    return found


def _calls(part: Timed, seconds: float) -> int:
    """How many calls take so long, by one that is not the first."""
    jax.block_until_ready(part.run())
    start = time.perf_counter()
    jax.block_until_ready(part.run())
    return max(1, round(seconds / max(time.perf_counter() - start, 1e-7)))


def roofline_of(found: np.ndarray, products: Sequence[int], triads: Sequence[int]) -> Roofline:
    """The limits of a device from `rates`.

    Args:
      found: ``(rounds, parts)``.
      products: which parts are products; the fastest one's median is the peak.
      triads: which move bytes; likewise.
    """
    middle = np.median(found, 0)
    return Roofline(float(middle[list(products)].max()), float(middle[list(triads)].max()))


def measure_roofline(
    sizes: Sequence[int] = SIZES,
    *,
    triad_bytes: int = TRIAD_BYTES,
    dtype: Any = "float32",
    rounds: int = 5,
    seconds: float = 0.05,
) -> Roofline:
    """Measure jax's default device: products of growing size in turns with the triad, a few seconds.

    Args:
      sizes: of the matrices; the peak is that of the fastest size.
      triad_bytes: of each array of the triad; more than caches hold.
      dtype: of all numbers.
      rounds, seconds: as in `rates`; medians over rounds are taken.

    Example:
      >>> device = measure_roofline((8,), triad_bytes=1024, rounds=1, seconds=0.001)
      >>> device.products > 0 and device.bandwidth > 0
      True
    """
    parts = [*(product(size, dtype) for size in sizes), triad(triad_bytes, dtype)]
    found = rates(parts, rounds=rounds, seconds=seconds)
    return roofline_of(found, range(len(sizes)), [len(sizes)])
