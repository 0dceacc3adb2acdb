"""What an encoder-decoder writes when it feeds itself: symbols, text, and how far it is from references."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from dlnotes.config.training import Decoding
from dlnotes.data.dataset import Dataset, Examples, are_characters
from dlnotes.models import beam_decode
from dlnotes.outputs.edit_distance import error_rates
from dlnotes.training.state import Member, evaluated_params
from dlnotes.typing import Params

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator

MOST_ROWS = 256
"""Sources decoded at once."""


class Written(NamedTuple):
    """Hypotheses of each source, best first.

    Attributes:
      symbols: ``(n, beam, length)`` classes, 0 the end and -1 behind it.
      log_p: ``(n, beam)``; -inf where a source has fewer hypotheses.
    """

    symbols: np.ndarray
    log_p: np.ndarray


def decoded_length(dataset: Dataset) -> int:
    """How many symbols are decoded at most: one more than the longest target of the training part."""
    return dataset.train.y.shape[1] + 1


def write(
    dataset: Dataset,
    params: Params,
    source: Any,
    mask: Any,
    how: Decoding | None = None,
    rows: int = MOST_ROWS,
) -> Written:
    """Hypotheses by beam search, of one beam (greedily) unless ``how`` says more.

    Args:
      dataset: for the length.
      params: of a `dlnotes.models.seq2seq`.
      source: ``(n, time)`` symbols.
      mask: ``(n, time)`` booleans, or ``None`` where every position is real.
      how: the config's [decoding].
      rows: decoded at once.
    """
    how = how or Decoding()
    source = np.asarray(source)
    mask = np.ones(source.shape, bool) if mask is None else np.asarray(mask)
    decode = partial(
        beam_decode,
        width=how.beam,
        length=decoded_length(dataset),
        length_penalty=np.float32(how.length_penalty),
    )
    n, rows = len(source), min(rows, len(source))
    parts = []
    for first in range(0, n, rows):
        # The last rows again, so that every call has the same shape.
        part = slice(min(first, n - rows), min(first, n - rows) + rows)
        beams = decode(params, source[part], mask[part])
        new = slice(first - part.start, None)
        parts.append((np.asarray(beams.symbols)[new], np.asarray(beams.log_p)[new]))
    return Written(*(np.concatenate(a) for a in zip(*parts)))


def text_of(dataset: Dataset, symbols: np.ndarray) -> np.ndarray:
    """Classes as text, ``(...)`` strings of ``(..., length)``, without a space where each is a character."""
    classes = dataset.classes
    join = "" if are_characters(classes) else " "
    flat = symbols.reshape(-1, symbols.shape[-1])
    return np.array([join.join(classes[i] for i in row if i > 0) for row in flat]).reshape(symbols.shape[:-1])


def references_of(dataset: Dataset, split: str) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each example of a split its right answers, without the end symbol."""
    if split in dataset.references:
        return dataset.references[split]
    return answers_of(dataset.split(split))


def answers_of(examples: Examples) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """The one answer of each example, as `references_of`."""
    return tuple((tuple(int(c) for c in row if c > 0),) for row in np.asarray(examples.y))


def decoding_metrics(
    evaluator: Evaluator,
    members: Member,
    examples: Examples,
    references: tuple[tuple[tuple[int, ...], ...], ...],
    how: Decoding | None,
) -> dict[str, np.ndarray]:
    """Error rates of the best hypotheses of every member, each ``(members,)``.

    Beside token_error and sequence_error, bleu and chrf where the outputs are running text and
    sacrebleu is installed.

    Args:
      evaluator: of the members.
      members: trained ones.
      examples: sources, with their mask.
      references: of each example, see `references_of`.
      how: the config's [decoding].
    """
    dataset, found = evaluator.setup.dataset, []
    for m in range(len(members.stopped_at)):
        one = jax.tree.map(lambda a, m=m: np.asarray(a)[m], evaluated_params(members, best=True))
        symbols = write(dataset, one, examples.x.source, examples.mask, how).symbols[:, 0]
        rates = error_rates(symbols, references)
        measured = {"token_error": rates.token, "sequence_error": rates.sequence}
        if " " in dataset.classes and find_spec("sacrebleu") is not None:
            measured |= text_scores(dataset, symbols, references)
        found.append(measured)
    return {name: np.array([each[name] for each in found]) for name in found[0]}


def text_scores(dataset: Dataset, symbols: np.ndarray, references: Any) -> dict[str, float]:
    """BLEU and chrF of sacrebleu, 0 to 100, against all references.

    Source: Papineni et al., 2002; Popović, 2015; Post, 2018.
    """
    import sacrebleu

    most = max(map(len, references))
    answers = [
        ["".join(dataset.classes[i] for i in each[j]) if j < len(each) else None for each in references]
        for j in range(most)
    ]
    hypotheses = text_of(dataset, symbols).tolist()
    return {
        "bleu": float(sacrebleu.corpus_bleu(hypotheses, answers).score),  # pyright: ignore[reportArgumentType]
        "chrf": float(sacrebleu.corpus_chrf(hypotheses, answers).score),  # pyright: ignore[reportArgumentType]
    }
