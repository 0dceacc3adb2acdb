"""What a deep autoencoder makes of its inputs, beside principal components of as many numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlnotes.experiment.figures.common import Draw, shown_point, styled
from dlnotes.experiment.figures.predictions import predictions
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.plotting import BLUE, GRAY, new_figure, save, set_title, write_table

if TYPE_CHECKING:
    from dlnotes.experiment.evaluator import Evaluator
    from dlnotes.experiment.result import Result

EXAMPLES, MOST_CODES = 12, 5000
"""Examples whose reconstructions, and codes, are shown."""


def fitting(result: Result) -> list[tuple[str, Draw]]:
    """The figures of a run that learned to reconstruct its inputs, none of others."""
    if not result.config.model.reconstructs:
        return []
    found: list[tuple[str, Draw]] = [("autoencoded", autoencoded)]
    return found + ([("codes", codes)] if _widths(result)[-1] == 2 else [])


def components(x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean ``(inputs,)`` and principal components ``(inputs, count)`` of rows, from their covariance."""
    mean = x.mean(axis=0, dtype=np.float64)
    products = np.zeros((x.shape[1], x.shape[1]))
    for i in range(0, len(x), 8192):  # float32 within a block, which is as good here and twice as fast
        centered = x[i : i + 8192] - mean.astype(np.float32)
        products += centered.T @ centered
    return mean, np.linalg.eigh(products)[1][:, ::-1][:, :count]


@styled
def autoencoded(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Originals, their reconstructions, and those of principal components; squared errors of all examples."""
    import jax.numpy as jnp

    split, examples, outputs, title = predictions(result, evaluators)
    spread, size = unit_of(result.config, result.dataset), _widths(result)[-1]
    if spread is not None:
        outputs = np.asarray(spread.distribution(jnp.asarray(outputs)).mean)
    y = np.asarray(examples.y, np.float32)
    mean, directions = components(np.asarray(result.dataset.train.y), min(size, y.shape[1]))
    linear = (mean + (y - mean) @ directions @ directions.T).astype(np.float32)
    own = np.square(outputs - y).sum(-1).astype(np.float64)
    errors = {
        "autoencoder": own.mean(0),
        "principal components": np.square(linear - y).sum(-1).astype(np.float64),
    }
    n = min(EXAMPLES, len(y))
    versions = {"original": y, "autoencoder": outputs[0], "principal components": linear}
    files = []
    shape = result.dataset.inputs
    if result.dataset.input == "image" and shape[-1] in (1, 3):
        figure = new_figure(0.95 * n + 1.6, 4.2)
        panels = figure.subplots(3, n, squeeze=False)
        for (name, version), line in zip(versions.items(), panels):
            pictures = version[:n].reshape(n, *shape)
            if result.dataset.standardize is not None:
                pictures = result.dataset.standardize.inverse(pictures)
            for axes, image in zip(line, np.clip(pictures, 0, 1)):
                axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=1)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                axes.grid(False)
            told = f"{name}\nerror {errors[name].mean():.3g}" if name in errors else name
            line[0].set_ylabel(told, rotation=0, ha="right", va="center", fontsize=9)
        told = f"{len(own)} seeds' mean error, the first seed's images" if len(own) > 1 else "one seed"
        set_title(
            figure,
            f"{title}: images of the {split} part through {size} numbers, and what comes back\n"
            f"(mean squared error of an image, over the {len(y)} of the part; {told})",
        )
        files.append(save(figure, kept.figures / "autoencoded.png"))
    rows = [(i, *(float(e[i]) for e in errors.values())) for i in range(len(y))]
    header = [f"{split}_example", "autoencoder_squared_error", "principal_components_squared_error"]
    return [*files, write_table(kept.figures / "autoencoded.csv", header, rows)]


@styled
def codes(kept: RunFolder, result: Result, evaluators: list[Evaluator]) -> list[Path]:
    """Codes of two numbers as a map of the examples; the class stands in the data, not in the training."""
    import jax
    import jax.numpy as jnp

    from dlnotes import models

    split, examples, _, title = predictions(result, evaluators)
    model: Any = result.config.model
    halves = models.autoencoder_halves(
        result.dataset.inputs, model.widths, activation=model.activation, code=model.code
    )
    x = jnp.asarray(np.asarray(examples.x[:MOST_CODES], np.float32))
    _, _, members, _ = shown_point(result)
    params = result.params(member=members.start)
    found = np.asarray(jax.jit(halves.encode)(params, x))
    figure = new_figure(5.2, 5.0)
    axes = figure.subplots()
    axes.plot(found[:, 0], found[:, 1], "o", color=BLUE, markersize=3, alpha=0.4, markeredgewidth=0)
    axes.axhline(0, color=GRAY, linewidth=0.5)
    axes.axvline(0, color=GRAY, linewidth=0.5)
    axes.set(xlabel="code 1", ylabel="code 2")
    set_title(figure, f"{title}: codes of {len(found)} examples of the {split} part, one seed")
    rows = [(i, *map(float, code)) for i, code in enumerate(found)]
    return [
        save(figure, kept.figures / "codes.png"),
        write_table(kept.figures / "codes.csv", [f"{split}_example", "code_1", "code_2"], rows),
    ]


def _widths(result: Result) -> tuple[int, ...]:
    return tuple(getattr(result.config.model, "widths"))  # noqa: B009
