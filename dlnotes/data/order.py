"""The order of the data as a pure function of (key words, step).

Nothing is shuffled and no iterator is kept: the rows of the batch at any step are computed, so a
resumed run, another number of devices or another host sees the same data. The same code runs on
numpy arrays and inside jitted, vmapped, scanned programs, and gives the same numbers.
"""

from __future__ import annotations

from functools import cache
from math import isqrt
from typing import Any, NamedTuple

import numpy as np

ROUNDS = 8
_GOLDEN = 0x9E3779B9


def _mix(h: Any) -> Any:
    """A bijection of uint32 in which every input bit moves every output bit (lowbias32, Wellons)."""
    h = h ^ (h >> np.uint32(16))
    h = h * np.uint32(0x7FEB352D)
    h = h ^ (h >> np.uint32(15))
    h = h * np.uint32(0x846CA68B)
    return h ^ (h >> np.uint32(16))


@cache
def radices(n: int) -> tuple[int, int]:
    """``(a, b)`` with ``a·b ≥ n``: the two digits that a row number is written in.

    ``a = ceil(sqrt n)`` and ``b = ceil(n / a)``; for n above 1,000 an ``a`` down to half of that is taken
    where ``a·b`` comes closer to n, for then fewer numbers (often none) fall outside and walk on.
    """
    if not 1 <= n < 2**31:
        raise ValueError(f"n: got {n}, allowed is 1 <= n < 2**31")
    top = isqrt(n - 1) + 1
    candidates = range(top, top // 2 if n > 1000 else top - 1, -1)
    a = min(candidates, key=lambda a: (a * -(-n // a), -a))
    return a, -(-n // a)


_SALTS = np.array([_GOLDEN * (r + 1) & 0xFFFFFFFF for r in range(ROUNDS)], np.uint32)


def _round_keys(words: Any) -> Any:
    """One uint32 for each round, ``(ROUNDS,)``, from the two key words."""
    return _mix(_mix(words[0:1] + _SALTS) ^ words[1:2])


def _feistel(index: Any, a: int, b: int, keys: Any, xp: Any) -> Any:
    """A keyed permutation of ``0..a·b-1``: ``index = L·b + R``, then in turn ``L += F(R)``, ``R += F(L)``."""
    left, right = index // np.uint32(b), index % np.uint32(b)
    for r in range(ROUNDS):
        size = a if r % 2 == 0 else b
        moved, other = (left, right) if r % 2 == 0 else (right, left)
        offset = (
            (_mix(other * np.uint32(0x85EBCA77) + keys[r : r + 1]) >> np.uint32(16)) * np.uint32(size)
        ) >> np.uint32(16)
        moved = moved + offset
        moved = xp.where(moved >= np.uint32(size), moved - np.uint32(size), moved)
        left, right = (moved, other) if r % 2 == 0 else (other, moved)
    return left * np.uint32(b) + right


def permute(index: Any, n: int, key_data: Any, *, xp: Any = np) -> Any:
    """Where a keyed permutation of ``range(n)`` sends each index.

    A mixed-radix Feistel network over ``a·b ≥ n`` numbers (see `radices`); a result outside ``range(n)``
    is sent on until it falls inside (cycle walking), which keeps it a permutation.

    Args:
      index: whole numbers in ``0..n-1``, of any shape.
      n: how many there are; static, 1 ≤ n < 2³¹.
      key_data: two uint32 words; another pair gives another permutation. They may be traced.
      xp: ``numpy``, or ``jax.numpy`` for a traced program.

    Returns:
      uint32 of the shape of ``index``, the same numbers under numpy and jax.

    Raises:
      ValueError: when n is out of range.

    Source: Black and Rogaway, 2002, Ciphers with arbitrary finite domains.

    >>> sorted(permute(np.arange(5), 5, np.array([1, 2], np.uint32)).tolist())
    [0, 1, 2, 3, 4]
    """
    a, b = radices(n)
    if xp is np:
        shape = np.shape(index)  # numpy warns of overflow for scalars, not for arrays: at least one axis
        index = np.asarray(index).astype(np.uint32).reshape(-1)
        words = np.asarray(key_data).astype(np.uint32)
        keys = _round_keys(words)
        x = _feistel(index, a, b, keys, np)
        while (outside := x >= n).any():
            x = np.where(outside, _feistel(x, a, b, keys, np), x)
        return x.reshape(shape)
    import jax

    shape = xp.shape(index)
    index = xp.asarray(index).astype(xp.uint32).reshape(-1)
    keys = _round_keys(xp.asarray(key_data).astype(xp.uint32))
    x = _feistel(index, a, b, keys, xp)
    if a * b != n:
        x = jax.lax.while_loop(
            lambda x: xp.any(x >= np.uint32(n)),
            lambda x: xp.where(x >= np.uint32(n), _feistel(x, a, b, keys, xp), x),
            x,
        )
    return x.reshape(shape)


def steps_per_epoch(n: int, batch_size: int) -> int:
    """``ceil(n / batch_size)``: the last batch of an epoch may be smaller."""
    return -(-n // batch_size)


def batch_rows(
    step: Any, *, n: int, batch_size: int, key_data: Any, xp: Any = np, wrap: bool = False
) -> tuple[Any, Any]:
    """The rows of the batch at a step, and their weights.

    With ``s = ceil(n / batch_size)`` steps an epoch, step t is number ``t mod s`` of epoch ``t // s``; every
    epoch visits each row once, in an order of its own. A batch that holds all rows
    (``batch_size ≥ n``) takes them in their own order.

    Args:
      step: 0, 1, 2, …; may be traced.
      n: number of examples (static).
      batch_size: rows in a batch (static).
      key_data: two uint32 words, e.g. ``jax.random.key_data(key)``; may be traced or vmapped over.
      xp: ``numpy`` or ``jax.numpy``.
      wrap: fill a batch up with the first rows of the epoch's order instead of copies of its last row.

    Returns:
      ``rows`` int32 ``(batch_size,)``, always valid row numbers, and ``weight`` float32
      ``(batch_size,)``: 1, or 0 where the batch is only filled up.

    Raises:
      ValueError: when ``n`` or ``batch_size`` is out of range.
    """
    radices(n)  # checks n
    if batch_size < 1:
        raise ValueError(f"batch_size: got {batch_size}, at least 1 is needed")
    slots = xp.arange(batch_size, dtype=xp.int32)
    if batch_size >= n:
        rows = slots % np.int32(n) if wrap else xp.minimum(slots, np.int32(n - 1))
        return rows, (slots < np.int32(n)).astype(xp.float32)
    per_epoch = np.uint32(steps_per_epoch(n, batch_size))
    words = xp.asarray(key_data).astype(xp.uint32)
    step = xp.asarray(step).astype(xp.uint32)
    step = step.reshape(1)
    epoch, number = step // per_epoch, step % per_epoch
    place = number * np.uint32(batch_size) + slots.astype(xp.uint32)
    weight = (place < np.uint32(n)).astype(xp.float32)
    place = place % np.uint32(n) if wrap else xp.minimum(place, np.uint32(n - 1))
    first = _mix(words[0:1] + epoch * np.uint32(_GOLDEN))
    second = _mix(words[1:2] ^ (epoch + np.uint32(0x632BE5AB)))
    rows = permute(place, n, xp.concatenate([first, second]), xp=xp)
    return rows.astype(xp.int32), weight


class BucketOrder(NamedTuple):
    """The order of examples that lie sorted by bucket: a batch is of one bucket, each visited in turn.

    An epoch has ``S = Σ_b s_b`` steps, ``s_b = ceil(n_b / batch_size)`` of them of bucket b, in an order
    that a keyed permutation of the epoch's number gives. It is the same for every member, whose batches
    then have one shape at a step; the rows inside a bucket follow each member's own key words.

    Attributes:
      shapes: the padded sizes of each bucket.
      counts: n_b, at least 1 each; bucket b's examples are the rows from ``Σ_{a<b} n_a`` on.
      batch_size: rows in a batch.

    >>> order = BucketOrder(((4,), (9,)), (5, 3), 2)
    >>> sorted(int(order.at(t)[0][0]) for t in range(order.per_epoch))
    [0, 0, 0, 1, 1]
    """

    shapes: tuple[tuple[int, ...], ...]
    counts: tuple[int, ...]
    batch_size: int

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of each bucket in an epoch."""
        return tuple(steps_per_epoch(n, self.batch_size) for n in self.counts)

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return sum(self.steps)

    def at(self, step: Any, *, xp: Any = np) -> tuple[Any, Any]:
        """The bucket of a step, and the number of that bucket's batches before it, each int32 ``(1,)``.

        Args:
          step: 0, 1, 2, …; may be traced.
          xp: ``numpy`` or ``jax.numpy``.
        """
        total, steps = np.uint32(self.per_epoch), np.array(self.steps, np.uint32)
        ends = np.cumsum(steps, dtype=np.uint32)
        step = xp.asarray(step).astype(xp.uint32).reshape(1)
        epoch, number = step // total, step % total
        words = xp.concatenate([_mix(epoch * np.uint32(_GOLDEN) + np.uint32(0xB0CE7)), _mix(~epoch)])
        place = permute(number, self.per_epoch, words, xp=xp)
        bucket = (place[:, None] >= xp.asarray(ends)[None, :]).sum(axis=1).astype(xp.int32)
        first, own = xp.asarray(ends - steps)[bucket], xp.asarray(steps)[bucket]
        return bucket, (epoch * own + place - first).astype(xp.int32)

    def rows(
        self, bucket: int, own: Any, *, key_data: Any, xp: Any = np, wrap: bool = False
    ) -> tuple[Any, Any]:
        """`batch_rows` of a bucket's batch number ``own``, as rows of all examples.

        Args:
          bucket: which (static).
          own: of `at`.
          key_data: the member's two uint32 words; every bucket mixes its number into them.
          xp: ``numpy`` or ``jax.numpy``.
          wrap: as in `batch_rows`, of the bucket's order.
        """
        words = xp.asarray(key_data).astype(xp.uint32) ^ np.uint32(_GOLDEN * (bucket + 1) & 0xFFFFFFFF)
        n = self.counts[bucket]
        rows, weight = batch_rows(own, n=n, batch_size=self.batch_size, key_data=words, xp=xp, wrap=wrap)
        return rows + np.int32(sum(self.counts[:bucket])), weight
