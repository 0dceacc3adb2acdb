"""Figures made from predictions: confusion, worst mistakes, regression."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.data.dataset import Dataset, Examples, are_characters
from dlnotes.data.scaling import raw_inputs, steps_of
from dlnotes.data.table_targets import LABELS, kind_of
from dlnotes.data.trees.brackets import to_brackets
from dlnotes.data.trees.tree import tree_at
from dlnotes.experiment.class_quality import class_rows
from dlnotes.experiment.figures.common import Draw, shown_point, styled
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, GRAY, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

MOST_OUTPUTS = 2**26
"""Numbers predicted at once (256 MiB of float32); fewer seeds are used where all would need more."""

MOST_NAMED = 20
"""Classes up to which a confusion matrix has numbers in it."""

MOST_SHOWN = 300
"""Classes up to which a confusion matrix has them all; of more, those with most mistakes."""

MOST_REPORTED = 60
"""Classes up to which the F1 of each is drawn; of more there is the table."""

MOST_SEEN = 10_000
"""Training images whose range is looked at."""

WORST = 20
"""Mistakes in the picture; the table has five times as many."""


def fitting(dataset: Dataset) -> list[tuple[str, Draw]]:
    """The figures that make sense for a data set, by name."""
    if dataset.task == "classification":
        return [
            ("confusion_matrix", confusion_matrix),
            ("class_report", class_report),
            ("worst_mistakes", worst_mistakes),
        ]
    if kind_of(dataset) == LABELS:
        return [("label_report", label_report)]
    if dataset.task == "regression":
        return [("regression", regression)]
    return []


def shown_split(dataset: Dataset) -> tuple[str, Examples]:
    """The test part, or what comes nearest to it."""
    for name in ("test", "validation"):
        if getattr(dataset, name) is not None:
            return name, dataset.split(name)
    return "train", dataset.train


def predictions(result: Result, evaluators: list[Evaluator]) -> tuple[str, Examples, np.ndarray, str]:
    """Outputs ``(seeds, examples, …)`` of the shown point's seeds that did not fail.

    Returns:
      Split, its examples, the outputs, and the point's title.

    Raises:
      ValueError: when every seed's outputs are not finite.
    """
    import jax

    _, g, members, title = shown_point(result)
    split, examples = shown_split(result.dataset)
    most = max(1, MOST_OUTPUTS // (examples.size * max(1, result.dataset.outputs)))
    members = slice(members.start, min(members.stop, members.start + most))
    outputs = evaluators[g].predict(jax.tree.map(lambda a: a[members], result.states[g].members), examples)
    finite = np.isfinite(outputs.reshape(len(outputs), -1)).all(-1)
    if not finite.any():
        raise ValueError("outputs: no seed's are finite")
    return split, examples, outputs[finite], title


def _probabilities(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"{count} seeds"


@styled
def confusion_matrix(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """How often each class is taken for each, summed over seeds; colors are shares of a row.

    Of very many classes those with most mistakes are shown, and the table lists the pairs instead.
    """
    split, examples, logits, title = predictions(result, evaluators)
    names, y = result.dataset.classes, np.asarray(examples.y)
    true, taken, number = _pairs(y, logits.argmax(-1), len(names))
    whole = len(names) <= MOST_SHOWN
    mistakes = np.bincount(true, number * (true != taken), len(names))
    shown_classes = np.arange(len(names)) if whole else np.sort(np.argsort(-mistakes)[:MOST_SHOWN])
    k = len(shown_classes)
    place = np.full(len(names), -1)
    place[shown_classes] = np.arange(k)
    counts = np.zeros((k, k), np.int64)
    inside = (place[true] >= 0) & (place[taken] >= 0)
    counts[place[true[inside]], place[taken[inside]]] = number[inside]
    totals = np.bincount(true, number, len(names))[shown_classes]
    shares = counts / np.maximum(totals[:, None], 1)
    few, labels = k <= MOST_NAMED, [names[i] for i in shown_classes]
    longest = max(map(len, labels))
    side = max(3.6, 0.42 * k + 1.2) if few else 6.0
    figure = new_figure(side + 0.9, side + 0.3)
    axes = figure.subplots()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    shown = axes.imshow(100 * shares, cmap="Blues", vmin=0, vmax=100)
    if few:
        rotation = 45 if longest > 3 else 0
        axes.set_xticks(range(k), labels, rotation=rotation, ha="right" if rotation else "center",
                        rotation_mode="anchor" if rotation else "default")  # fmt: skip
        axes.set_yticks(range(k), labels)
        for (i, j), count in np.ndenumerate(counts):
            if count:
                axes.text(j, i, f"{count}", ha="center", va="center", fontsize=8 if count < 10_000 else 6,
                          color="white" if shares[i, j] > 0.5 else "black")  # fmt: skip
        # White lines between the cells let the eye follow a row.
        axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="both", length=0)
    axes.set(xlabel="predicted", ylabel="true")
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, label="% of the true class")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    right = 100 * number[true == taken].sum() / number.sum()
    told = f"{title}\n{split}, {len(y)} examples × {_seeds(len(logits))}, {right:.2f}% on the diagonal"
    set_title(figure, told if whole else f"{told}\n{k} classes with most mistakes, of {len(names)}")
    path = kept.figures / "confusion_matrix.csv"
    if whole:
        rows = [(names[i], *map(int, counts[i])) for i in range(k)]
        table = write_table(path, ["true \\ predicted", *names], rows)
    else:
        pairs = sorted(zip(-number, true, taken))
        table = write_table(
            path, ["true", "predicted", "count"], [(names[i], names[j], -n) for n, i, j in pairs]
        )
    return [save(figure, kept.figures / "confusion_matrix.png"), table]


@styled
def class_report(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Precision, recall and F1 of every class, with intervals over seeds: a table, and F1 as bars."""
    split, examples, logits, title = predictions(result, evaluators)
    header, rows = class_rows(result.dataset, logits.argmax(-1), examples.y)
    files = [write_table(kept.figures / "class_report.csv", header, rows)]
    if len(rows) > MOST_REPORTED:
        return files
    place = {name: header.index(name) for name in ("f1", "f1_low", "f1_high")}
    mean, low, high = (
        np.array([np.nan if row[j] is None else 100 * row[j] for row in rows]) for j in place.values()
    )
    figure = new_figure(6.2, max(2.4, 0.28 * len(rows) + 1.3))
    axes = figure.subplots()
    lines = np.arange(len(rows))
    axes.barh(lines, mean, color=BLUE, alpha=0.85, height=0.7)
    if np.isfinite(low).any():
        reach = np.nan_to_num(np.stack([mean - low, high - mean]))
        axes.errorbar(mean, lines, xerr=reach, color=GRAY, fmt="none", capsize=3, elinewidth=1.2)
    axes.set_yticks(lines, [f"{row[0]} ({row[1]})" for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="F1 (%)", ylabel="class (examples)", xlim=(0, 100))
    set_title(figure, f"{title}\n{split}, F1 of each class" + (", 95% intervals" if len(low) else ""))
    return [save(figure, kept.figures / "class_report.png"), *files]


@styled
def label_report(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Precision, recall and F1 of every label of examples that may have several: mean over seeds, a table."""
    from dlnotes.experiment.label_quality import label_table

    split, examples, logits, title = predictions(result, evaluators)
    header, rows = label_table(result.dataset.classes, logits, np.asarray(examples.y))
    figure = new_figure(6.2, max(2.4, 0.28 * len(rows) + 1.3))
    axes = figure.subplots()
    lines = np.arange(len(rows))
    f1 = header.index("f1")
    axes.barh(lines, [100 * (row[f1] or 0) for row in rows], color=BLUE, alpha=0.85, height=0.7)
    axes.set_yticks(lines, [f"{row[0]} ({row[1]})" for row in rows])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="F1 (%)", ylabel="label (examples)", xlim=(0, 100))
    set_title(figure, f"{title}\n{split}, F1 of each label, mean of {_seeds(len(logits))}")
    return [
        save(figure, kept.figures / "label_report.png"),
        write_table(kept.figures / "label_report.csv", header, rows),
    ]


def _pairs(y: np.ndarray, predicted: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of a true and a predicted class that occur, and how often over all seeds."""
    found, number = np.unique(y.astype(np.int64) * k + predicted, return_counts=True)
    return *np.divmod(found, k), number


@styled
def worst_mistakes(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Examples that some seed gets wrong, highest mean loss first: a table, and the images."""
    split, examples, logits, title = predictions(result, evaluators)
    dataset, y = result.dataset, np.asarray(examples.y)
    p = _probabilities(logits)
    loss = -np.log(np.maximum(p[:, np.arange(len(y)), y], 1e-300)).mean(0)
    answers = logits.argmax(-1)
    misses = (answers != y).sum(0)
    order = np.argsort(-loss, kind="stable")
    wrong = order[misses[order] > 0][: 5 * WORST]
    described, describe = _described(dataset)
    rows, captions = [], []
    for i in map(int, wrong):
        mistaken = answers[answers[:, i] != y[i], i]
        taken_for = int(np.bincount(mistaken).argmax())
        true, other, share = dataset.classes[y[i]], dataset.classes[taken_for], p[:, i, taken_for].mean()
        rows.append((i, true, other, share, loss[i], int(misses[i]), len(logits), *describe(examples, i)))
        often = f"{misses[i]}/{len(logits)}" if len(logits) > 1 else ""
        captions.append(f"{true} → {other}  {100 * share:.0f}%  {often}".rstrip())
    header = [
        f"{split}_example",
        "true",
        "taken_for",
        "probability",
        "loss",
        "seeds_wrong",
        "seeds",
        *described,
    ]
    files = [write_table(kept.figures / "worst_mistakes.csv", header, rows)]
    if dataset.input == "image":
        told = "true → taken for, its probability" + (", seeds that are wrong" if len(logits) > 1 else "")
        told = f"worst mistakes on {split}: {told}"
        if not len(wrong):
            wrong, told = order, f"no mistakes on {split}; the examples of highest loss"
            captions = [dataset.classes[y[i]] for i in order[:WORST]]
        path = kept.figures / "worst_mistakes.png"
        files.insert(0, _gallery(path, dataset, examples, wrong[:WORST], captions, f"{title}\n{told}"))
    return files


def _gallery(
    path: Path, dataset: Dataset, examples: Examples, chosen: np.ndarray, captions: list[str], title: str
) -> Path:
    images = examples.x[chosen]
    seen = dataset.train.x[:MOST_SEEN]
    low, high = np.min(seen, axis=(0, 1, 2)), np.max(seen, axis=(0, 1, 2))
    if dataset.standardize is not None:
        images, low, high = map(dataset.standardize.inverse, (images, low, high))
    images = np.clip((images - low.min()) / max(float(high.max() - low.min()), 1e-12), 0, 1)
    columns = 5
    lines = -(-len(chosen) // columns)
    longest = max(map(len, captions[: len(chosen)]), default=0)
    width, height, side = max(1.4, 0.085 * longest), 1.65, 1.3  # inches, of a place and of an image
    figure = new_figure(width * columns + 0.2, height * lines + 0.6)
    axes = figure.subplots()  # for all: a fifth of the time of axes for each
    axes.set_axis_off()
    for j, (image, caption) in enumerate(zip(images, captions)):
        tall, wide = side / 2 * np.array(image.shape[:2]) / max(image.shape[:2])
        x, y = width * (j % columns + 0.5), height * (j // columns + 1) - side / 2
        image = image[..., 0] if image.shape[-1] == 1 else image
        axes.imshow(image, cmap="gray", vmin=0, vmax=1, extent=(x - wide, x + wide, y + tall, y - tall))
        axes.text(x, y - tall - 0.04, caption, fontsize=9, ha="center", va="bottom")
    axes.set(xlim=(0, width * columns), ylim=(height * lines, 0), aspect="equal")
    set_title(figure, title)
    return save(figure, path)


def _described(dataset: Dataset) -> tuple[list[str], Any]:
    """Columns that show an input in a table, and the function that fills them."""
    if dataset.input == "vector":
        names = list(dataset.features) or [f"x{j}" for j in range(dataset.inputs[0])]

        def numbers(examples: Examples, i: int) -> list[float]:
            x = np.asarray(examples.x[i])
            if steps_of(dataset) is not None:
                return list(raw_inputs(x, dataset))
            return list(x if dataset.standardize is None else dataset.standardize.inverse(x))

        return names, numbers
    if dataset.input == "tokens":
        return ["input"], lambda examples, i: [symbols_of(dataset, examples.x[i], _mask(examples, i))]
    if dataset.input == "tree":
        return ["input"], lambda examples, i: [to_brackets(tree_at(examples.x, i, dataset.symbols))]
    if dataset.input == "sequence":
        return ["length"], lambda examples, i: [
            int(np.sum(examples.mask[i])) if examples.mask is not None else len(examples.x[i])
        ]
    return [], lambda examples, i: []


def _mask(examples: Examples, i: int) -> np.ndarray | None:
    return None if examples.mask is None else np.asarray(examples.mask)[i]


def symbols_of(dataset: Dataset, ids: Any, mask: np.ndarray | None) -> str:
    """Input symbols as text, without a space where each is one character."""
    ids = np.asarray(ids) if mask is None else np.asarray(ids)[mask]
    return ("" if are_characters(dataset.symbols) else " ").join(dataset.symbols[i] for i in ids)


@styled
def regression(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Predicted against true values in the target's own units, mean over seeds."""
    split, examples, outputs, title = predictions(result, evaluators)
    import jax.numpy as jnp

    scale, spread = result.dataset.standardize_y, unit_of(result.config, result.dataset)
    if spread is not None:
        outputs = np.asarray(spread.distribution(jnp.asarray(outputs)).mean)
    y, each = np.asarray(examples.y, np.float64), outputs.astype(np.float64)
    if scale is not None:
        y, each = scale.inverse(y), scale.inverse(each)
    y, each = y.reshape(len(y), -1), each.reshape(len(each), len(y), -1)
    mean = each.mean(0)
    shown = min(4, y.shape[1])
    figure = new_figure(4.4 * shown, 4.4)
    for j, axes in enumerate(figure.subplots(1, shown, squeeze=False)[0]):
        both = np.concatenate([y[:, j], mean[:, j]])
        margin = 0.04 * float(np.ptp(both)) or 1.0
        limits = (both.min() - margin, both.max() + margin)
        axes.plot(limits, limits, color=GRAY, linewidth=1, linestyle="--", label="perfect")
        alpha = float(np.clip(80 / len(y), 0.15, 0.8))
        axes.plot(y[:, j], mean[:, j], "o", color=BLUE, alpha=alpha, markeredgewidth=0, markersize=5)
        error = np.sqrt(np.mean((each[:, :, j] - y[None, :, j]) ** 2))
        spread = np.var(y[:, j])
        explained = 1 - np.mean((each[:, :, j] - y[None, :, j]) ** 2) / spread if spread else float("nan")
        axes.set(xlim=limits, ylim=limits, xlabel="true", ylabel="predicted", aspect="equal")
        axes.set_title(f"R² = {explained:.3f}, root mean square error {error:.4g}", fontsize=10)
        axes.legend(loc="upper left")
    set_title(figure, f"{title}\n{split}, mean of {_seeds(len(each))}")
    outputs_named = [""] if y.shape[1] == 1 else [f"_{j}" for j in range(y.shape[1])]
    header = [
        f"{split}_example",
        *(f"true{n}" for n in outputs_named),
        *(f"predicted{n}" for n in outputs_named),
    ]
    rows = [(i, *y[i], *mean[i]) for i in range(len(y))]
    return [
        save(figure, kept.figures / "regression.png"),
        write_table(kept.figures / "regression.csv", header, rows),
    ]
