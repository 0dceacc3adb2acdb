"""Cascades of classifiers for a rare class: cheap stages reject most examples, dear ones see what is left.

A stage gives each example a score, and keeps those above its threshold; what a stage rejects no later one
computes. Thresholds come from scores of a validation part (`cascade_thresholds`), inference gathers the
rows that are left before each stage (`run_cascade`), and `cascade_counts` says what each stage costs and
keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive as check_positive
from dlnotes.typing import Array, Params

TILE = 128
"""Rows that a stage computes at once."""

Score = Callable[[Params, Any], Array]
"""``score(params, x) -> (rows,)``, more for what is more like the class; of each row by itself."""


class CascadePassage(NamedTuple):
    """What became of examples in a cascade of K stages.

    Attributes:
      accepted: ``(n,)`` booleans, whether all stages kept it.
      passed: ``(n,)`` int32, how many stages kept it, 0 … K: the number of the stage that rejected it,
        counted from 0, or K.
      score: ``(n,)`` of the last stage that computed it.
    """

    accepted: Array
    passed: Array
    score: Array


class CascadeCount(NamedTuple):
    """What a stage of a cascade saw, kept and cost.

    Attributes:
      name: of the stage.
      reached, kept: examples that it computed, and that it kept; weighted, where examples have weights.
      positives_reached, positives_kept: those of the class among them.
      recall: share that it kept of the positives that reached it.
      overall_recall: share of all positives that are left after it.
      false_positive_rate: share of all negatives that are left after it.
      precision: share of positives among what is left after it; NaN where nothing is.
      multiply_adds: of this stage for one example on average, over all examples.
    """

    name: str
    reached: float
    kept: float
    positives_reached: float
    positives_kept: float
    recall: float
    overall_recall: float
    false_positive_rate: float
    precision: float
    multiply_adds: float


def one_against_rest(logits: Array, which: int) -> Array:
    """The log-odds of one class against all others, ``log p_k − log(1 − p_k)`` of a softmax.

    Args:
      logits: ``(..., classes)``, of two classes or more.
      which: k.

    Returns:
      ``(...)``.

    Raises:
      ValueError: when there is no such class, or no other.

    Example:
      >>> import jax.numpy as jnp
      >>> one_against_rest(jnp.array([[2.0, 5.0]]), 1).tolist()
      [3.0]

    Source: notes L13.7.
    """
    classes = logits.shape[-1]
    if classes < 2 or not 0 <= which < classes:
        raise ValueError(f"which: got {which} of {classes} classes, allowed is one of two or more, from 0")
    others = jnp.concatenate([logits[..., :which], logits[..., which + 1 :]], axis=-1)
    return logits[..., which] - jax.nn.logsumexp(others, axis=-1)


def run_cascade(
    stages: Sequence[Score], params: Sequence[Params], thresholds: Array, x: Any, *, tile: int = TILE
) -> CascadePassage:
    """Run the stages one after another, each on what is left: accepted is ``s_k(x) > t_k`` for all k.

    Before each stage the rows that are left are gathered in tiles of a fixed number of rows, and only as
    many tiles as they fill are computed. So nothing is dropped whatever share passes, the work is
    that of the rows that are left up to the padding of the last tile, and any shares are the same compiled
    program. A row's score does not depend on the other rows. A score that is not a number is rejected.
    There is no gradient.

    Args:
      stages: of each stage its score; pure functions.
      params: of each stage.
      thresholds: ``(stages,)``; from `cascade_thresholds`.
      x: inputs, an array or a tree of arrays ``(n, ...)``.
      tile: rows that a stage computes at once.

    Returns:
      `CascadePassage`.

    Raises:
      ValueError: when the numbers of stages, parameters and thresholds differ, or there is no stage.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes import models
      >>> by = lambda i: lambda params, x: params * x[:, i]
      >>> x = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
      >>> models.run_cascade([by(0), by(1)], [1.0, 1.0], jnp.zeros(2), x).passed.tolist()
      [2, 1, 0]

    Source: notes L13.7, «abandonando cualquier ejemplo en el momento en el que un modelo de la cascada lo
      rechace».
    """
    check_positive(tile=tile)
    if not stages or not len(stages) == len(params) == thresholds.shape[0] or thresholds.ndim != 1:
        raise ValueError(
            f"stages, params, thresholds: got {len(stages)}, {len(params)} and {list(thresholds.shape)}, "
            "needed is one of each for every stage, and one stage or more"
        )
    n = jax.tree.leaves(x)[0].shape[0]
    left = jnp.ones(n, bool)
    passed, score = jnp.zeros(n, jnp.int32), jnp.full(n, -jnp.inf, jnp.float32)
    for function, own, threshold in zip(stages, params, thresholds):
        found = _of_rows(function, own, x, left, tile)
        score = jnp.where(left, found, score)
        left = left & (found > threshold.astype(jnp.float32))
        passed = passed + left.astype(jnp.int32)
    return CascadePassage(left, passed, score)


def _of_rows(function: Score, params: Params, x: Any, wanted: Array, tile: int) -> Array:
    """Scores ``(n,)`` of the wanted rows, 0 of the others, which are not computed."""
    n = wanted.shape[0]
    places = max(1, -(-n // tile)) * tile
    rows = jnp.nonzero(wanted, size=places, fill_value=n)[0].astype(jnp.int32)
    count = jnp.sum(wanted.astype(jnp.int32))

    def one(i: Array, found: Array) -> Array:
        some = jax.lax.dynamic_slice_in_dim(rows, i * tile, tile)
        scores = function(params, jax.tree.map(lambda a: a.at[some].get(mode="clip"), x))
        return jax.lax.dynamic_update_slice_in_dim(found, scores.astype(jnp.float32), i * tile, 0)

    used = (count + (tile - 1)) // tile
    found = jax.lax.fori_loop(jnp.int32(0), used, one, jnp.zeros(places, jnp.float32))
    return jnp.zeros(n, jnp.float32).at[rows].set(found, mode="drop")


def cascade_ranking(passage: CascadePassage, stages: int) -> Array:
    """Scores for a ROC curve: of the last stage, and below all of them where it was not reached.

    Args:
      passage: of `run_cascade`.
      stages: how many there are.

    Example:
      >>> import jax.numpy as jnp
      >>> from dlnotes import models
      >>> passage = models.CascadePassage(
      ...     jnp.array([True, False]), jnp.array([2, 0]), jnp.array([0.5, 9.0]))
      >>> models.cascade_ranking(passage, 2).tolist()
      [0.5, -inf]
    """
    return jnp.where(passage.passed >= stages - 1, passage.score, -jnp.inf)


def cascade_thresholds(
    scores: Any,
    positive: Any,
    *,
    recall: float | Sequence[float],
    given: Sequence[float | None] | None = None,
    names: Sequence[str] | None = None,
    part: str = "validation",
) -> np.ndarray:
    """The largest thresholds with which the stages keep a recall on some examples.

    The stages up to k keep the share ``r^{k/K}`` of all positives, or the product of the shares up to k,
    rounded up: the overall recall on these examples is the least that is not below r. A threshold lies
    halfway between the lowest score that is kept for this and the next lower score of any example, so that
    rounding decides nothing.

    Args:
      scores: ``(stages, n)`` of all stages for all examples of a part that no stage was trained on.
      positive: ``(n,)`` booleans, whether an example is of the class.
      recall: r in (0, 1], over all stages; or of each stage, of the positives that reach it.
      given: thresholds that are set, ``None`` for those to be chosen.
      names: of the stages, for messages.
      part: which examples they are, for messages.

    Returns:
      ``(stages,)`` float32.

    Raises:
      ValueError: when there are no positives, or a stage keeps none of them; naming the part and the stage.

    Example:
      >>> cascade_thresholds([[3.0, 2.0, 1.0, 0.0]], [True, True, False, False], recall=1.0).tolist()
      [1.5]

    Source: notes L13.7, «se entrenan para que tengan un recall alto».
    """
    scores, positive = np.asarray(scores, np.float32), np.asarray(positive, bool)
    if scores.ndim != 2 or positive.shape != scores.shape[1:] or not len(scores):
        raise ValueError(
            f"scores, positive: got shapes {scores.shape} and {positive.shape}, needed are (stages, n) and "
            "(n,)"
        )
    shares = _shares(recall, len(scores))
    fixed = [None] * len(scores) if given is None else list(given)
    if len(fixed) != len(scores):
        raise ValueError(f"given: got {len(fixed)} thresholds for {len(scores)} stages, one each is needed")
    if not positive.any():
        raise ValueError(
            f"positive: the {part} part has none among its {positive.size} examples; a threshold that keeps "
            "a recall needs at least one"
        )
    left, chosen, overall = positive.copy(), [], 1.0
    for k, (own, share, threshold) in enumerate(zip(scores, shares, fixed)):
        overall *= share
        if threshold is None:
            threshold = _threshold(own, left, ceil(overall * positive.sum() - 1e-9))
        before, left = int(left.sum()), left & (own > np.float32(threshold))
        if not left.any():
            called = f" ({names[k]})" if names else ""
            broken = "; its scores are not numbers" if np.isnan(own[positive]).all() else ""
            raise ValueError(
                f"thresholds: stage {k + 1}{called} keeps 0 of {before} positives of the {part} part{broken}"
            )
        chosen.append(threshold)
    return np.array(chosen, np.float32)


def _shares(recall: float | Sequence[float], stages: int) -> list[float]:
    """The share of the positives that reach it that each stage keeps."""
    if isinstance(recall, (int, float, np.number)):
        if not 0 < recall <= 1:
            raise ValueError(f"recall: got {recall}, allowed is 0 < recall <= 1")
        return [float(recall) ** (1 / stages)] * stages
    shares = [float(r) for r in recall]
    if len(shares) != stages or not all(0 < r <= 1 for r in shares):
        raise ValueError(f"recall: got {shares}, allowed are one number or {stages}, each in (0, 1]")
    return shares


def _threshold(scores: np.ndarray, left: np.ndarray, must: int) -> float:
    """Just under the lowest score that must be kept, so many of those that are left or all."""
    own = np.sort(scores[left & ~np.isnan(scores)])[::-1]
    if not len(own):
        return float("inf")
    last = own[min(must, len(own)) - 1]
    lower = scores[scores < last]
    below = lower.max() if lower.size and np.isfinite(lower.max()) else last - max(1e-3, 1e-3 * abs(last))
    middle = np.float32(below / 2 + last / 2)
    return float(middle if middle < last else below)


def cascade_counts(
    passed: Any,
    positive: Any,
    costs: Sequence[float],
    *,
    weight: Any = None,
    names: Sequence[str] | None = None,
) -> tuple[CascadeCount, ...]:
    """What each stage saw, kept and cost; see `CascadeCount`.

    Args:
      passed: ``(n,)`` of a `CascadePassage`.
      positive: ``(n,)`` booleans, whether an example is of the class.
      costs: multiply-adds of each stage for one example.
      weight: ``(n,)`` how much each example counts, such as for another prevalence; by default all alike.
      names: of the stages.

    Raises:
      ValueError: when shapes do not agree.

    Example:
      >>> first, second = cascade_counts([2, 1, 0, 0], [True, False, False, False], [10, 1000])
      >>> first.multiply_adds, second.multiply_adds, second.precision
      (10.0, 500.0, 1.0)
    """
    passed, positive = np.asarray(passed), np.asarray(positive, bool)
    weight = np.ones(passed.shape) if weight is None else np.asarray(weight, np.float64)
    if not passed.shape == positive.shape == weight.shape or passed.ndim != 1 or not passed.size:
        raise ValueError(
            f"passed, positive, weight: got shapes {passed.shape}, {positive.shape} and {weight.shape}, "
            "needed is (n,) of each, with one example or more"
        )
    every, of_class = float(weight.sum()), float(weight[positive].sum())
    names = names or [str(k + 1) for k in range(len(costs))]
    rows = []
    for k, (name, cost) in enumerate(zip(names, costs)):
        here, after = passed >= k, passed > k
        reached, kept, p_reached, p_kept = (
            float(weight[which].sum()) for which in (here, after, here & positive, after & positive)
        )
        rows.append(
            CascadeCount(
                name,
                reached,
                kept,
                p_reached,
                p_kept,
                recall=_over(p_kept, p_reached),
                overall_recall=_over(p_kept, of_class),
                false_positive_rate=_over(kept - p_kept, every - of_class),
                precision=_over(p_kept, kept),
                multiply_adds=cost * reached / every,
            )
        )
    return tuple(rows)


def cascade_multiply_adds(costs: Sequence[float], kept: Sequence[float]) -> float:
    """Multiply-adds of a cascade for one example, ``Σ_k c_k Π_{j<k} p_j``.

    Args:
      costs: c, of each stage for one example.
      kept: p, the share that each stage keeps of what reaches it; that of the last does not matter.

    Raises:
      ValueError: when their numbers differ.

    Example:
      >>> cascade_multiply_adds([10, 1000], [0.1, 0.5])
      110.0

    Source: notes L13.7.
    """
    if len(costs) != len(kept):
        raise ValueError(
            f"costs, kept: got {len(costs)} and {len(kept)}, one of each for every stage is needed"
        )
    reach = np.concatenate([[1.0], np.cumprod(np.asarray(kept, np.float64))[:-1]])
    return float(np.sum(np.asarray(costs, np.float64) * reach))


def recall_at(score: Any, positive: Any, false_positive_rate: float) -> float:
    """The largest recall of any threshold that accepts at most a share of the negatives.

    Args:
      score: ``(n,)``; equal scores are accepted together, those of −∞ never.
      positive: ``(n,)`` booleans, of both kinds.
      false_positive_rate: share in [0, 1).

    Raises:
      ValueError: when there are no positives or no negatives.

    Example:
      >>> recall_at([4.0, 3.0, 2.0, 1.0], [True, False, True, False], 0.0)
      0.5
    """
    score, positive = np.asarray(score), np.asarray(positive, bool)
    if not positive.any() or positive.all():
        raise ValueError(f"positive: got {int(positive.sum())} of {positive.size}, needed are both kinds")
    negatives = np.sort(score[~positive])[::-1]
    threshold = max(negatives[int(false_positive_rate * len(negatives) + 1e-9)], -np.inf)
    return float((score[positive] > threshold).mean())


def _over(a: float, b: float) -> float:
    return a / b if b else float("nan")
