"""Figures of language models: bits per character beside a compressor and n-grams, and what a model writes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples, are_characters
from dlnotes.data.texts.ngrams import ngram_bits, xz_bits
from dlnotes.experiment.figures.common import Draw, good_members, shown_point, styled
from dlnotes.experiment.figures.predictions import shown_split, symbols_of
from dlnotes.experiment.intervals import POSITIVE, mean_interval
from dlnotes.experiment.kept_files import write_text
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, GRAY, ORANGE, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

ORDER = 5
"""The longest n-gram."""

TEMPERATURES = (0.5, 0.8, 1.0)
WRITTEN = 400
"""Characters of a sample."""


def fitting(dataset: Dataset) -> list[tuple[str, Draw]]:
    """The figures of a data set whose targets are its own next symbols, by name."""
    if dataset.input != "tokens" or dataset.task != "tokens" or dataset.classes != dataset.symbols:
        return []
    return [("bits_per_symbol", bits_per_symbol), ("samples", samples)]


def text_codes(examples: Examples) -> np.ndarray:
    """The text that windows were cut from: each symbol is a target once, but for the very first."""
    y = np.asarray(examples.y)
    return np.concatenate([np.asarray(examples.x)[:1, 0], y[y >= 0]])


@styled
def bits_per_symbol(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """The model's bits per symbol beside those of n-grams and of ``xz -9`` on the same text."""
    position, _, _, title = shown_point(result)
    dataset = result.dataset
    split, examples = shown_split(dataset)
    train, test = text_codes(dataset.train), text_codes(examples)
    losses = result.summary["points"][position]["metrics"][split]["loss"]["values"]
    own = mean_interval(
        np.array([math.nan if v is None else v for v in losses]) / math.log(2), limits=POSITIVE
    )
    rows: list[tuple[str, float]] = []
    if are_characters(dataset.symbols):
        texts = [
            "".join(s if len(s := dataset.symbols[i]) == 1 else "\ufffd" for i in t) for t in (train, test)
        ]
        rows += list(
            zip((f"xz -9, the {split} text alone", "xz -9 behind the training text"), xz_bits(*texts))
        )
    grams = ngram_bits(train, test, order=ORDER, symbols=dataset.outputs)
    rows += [(f"interpolated {k}-gram", float(grams[k - 1])) for k in (1, 3, ORDER)]
    rows.append((f"this net ({result.config.model.kind.replace('_', ' ')})", own["mean"] or math.nan))
    figure = new_figure(7.2, 0.42 * len(rows) + 1.3)
    axes = figure.subplots()
    place = np.arange(len(rows))[::-1]
    bars = axes.barh(
        place, [v for _, v in rows], color=[*[GRAY] * 2, *[BLUE] * 3, ORANGE][-len(rows) :], height=0.62
    )
    axes.bar_label(bars, labels=[f"{v:.3f}" for _, v in rows], padding=4)
    axes.set_yticks(place, [name for name, _ in rows])
    axes.set(xlabel="bits per symbol", xlim=(0, 1.12 * max(v for _, v in rows)))
    axes.grid(axis="y", visible=False)
    set_title(figure, f"{title}\n{split}, {len(test):,} symbols; {len(train):,} in training")
    return [
        save(figure, kept.figures / "bits_per_symbol.png"),
        write_table(kept.figures / "bits_per_symbol.csv", ["model", f"{split}_bits_per_symbol"], rows),
    ]


def samples(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """What the first seed writes after the beginnings of three windows, at three temperatures."""
    import jax
    import jax.numpy as jnp

    from dlnotes.models.recurrent.sequence import sample
    from dlnotes.training.state import evaluated_params

    _, g, _, _ = shown_point(result)
    split, examples = shown_split(result.dataset)
    shown = good_members(result)[0]
    params = jax.tree.map(lambda a: a[shown], evaluated_params(result.states[g].members, best=True))
    rows = np.linspace(0, examples.size - 1, min(3, examples.size)).astype(int)
    prefix = jnp.asarray(np.asarray(examples.x)[rows])

    def text(codes: Any) -> str:
        return symbols_of(result.dataset, codes, None)

    lines = []
    for temperature in TEMPERATURES:
        written = sample(params, jax.random.key(0), prefix, length=WRITTEN, temperature=temperature)
        for row, before, after in zip(rows, prefix, written):
            lines += [
                f"== {split} window {row}, temperature {temperature}",
                f"{text(before)} [[{text(after)}]]",
                "",
            ]
    path = kept.figures / "samples.txt"
    write_text(path, "\n".join(["What stands between [[ and ]] was written by the model.", "", *lines]))
    return [path]
