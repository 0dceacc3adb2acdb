"""Perceptrons and a convolutional net that learn in float32, and what whole numbers make of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes import data, models, outputs
from dlnotes.training import Hyperparams, Recipe, optimizer, tune_briefly_and_train

RATES = (3e-4, 1e-3, 3e-3)
BITS = (2, 3, 4, 5, 6, 7, 8)
SCALES = ("of each output", "of all outputs")
BATCH = 100
ROWS = 500
"""Test images classified at once."""


class Case(NamedTuple):
    """A network and what it learns.

    Attributes:
      name: for texts.
      data: name of the data set.
      model: of images.
      convolutions: whether it has any.
    """

    name: str
    data: str
    model: models.Model
    convolutions: bool


SHAPE = (28, 28, 1)
PERCEPTRON = models.mlp(SHAPE, (512, 512), 10)
CASES = (
    Case("digits, perceptron", "mnist", PERCEPTRON, False),
    Case("clothes, perceptron", "fashion_mnist", PERCEPTRON, False),
    Case(
        "clothes, convolutional net", "fashion_mnist", models.cnn(SHAPE, 10, channels=(16, 32)), True
    ),
)  # fmt: skip


def recipes(case: Case) -> Callable[[int], Callable[[Hyperparams], Recipe]]:
    """Classes by Adam with a member's rate."""

    def of_length(steps: int) -> Callable[[Hyperparams], Recipe]:
        return lambda hyper: Recipe(case.model, outputs.cross_entropy, {}, optimizer("adam", hyper["rate"]))

    return of_length


def member(stacked: Any, m: int) -> Any:
    """The parameters of one of many."""
    return jax.tree.map(lambda a: a[m], stacked)


Classify = Callable[[Any, Any], Any]


def classify(model: models.Model) -> Classify:
    """The most probable class of each image, as one compiled program for all parameters."""
    return jax.jit(lambda params, x: jnp.argmax(model.apply(params, x), -1))


def right(classes: Classify, stacked: Any, x: Any, y: np.ndarray, seeds: int) -> np.ndarray:
    """Whether each member classifies each image as it should, ``(seeds, images)``."""
    blocks = range(0, len(x), ROWS)
    found = [
        np.concatenate([np.asarray(classes(member(stacked, m), x[i : i + ROWS])) for i in blocks])
        for m in range(seeds)
    ]
    return np.stack(found) == y


def in_whole_numbers(case: Case, stacked: Any, x: Any) -> Any:
    """Each member in 8 bits, stacked, its activations scaled by the images x."""

    def every(stacked: Any, x: Any) -> Any:
        return jax.lax.map(lambda params: models.quantized(case.model, params, x).params, stacked)

    return jax.jit(every)(stacked, x)


def measure_case(options: Any, case: Case, first_seed: int) -> tuple[dict[str, Any], Any, np.ndarray]:
    """Train, quantize and classify; also the parameters of the first member, and the test images."""
    parts = data.parts_of(data.load(case.data), options.images, options.validation, options.test)
    train, validation, test = (part._replace(x=part.x.reshape(-1, *SHAPE)) for part in parts)
    steps = 2 * max(1, options.epochs * options.images // BATCH // 2)
    trained = tune_briefly_and_train(
        recipes(case),
        train,
        validation,
        {"net": [0]},
        {"rate": RATES},
        steps=steps,
        tuning_steps=max(1, options.tuning_epochs * options.images // BATCH),
        seeds=options.seeds,
        tuning_seeds=options.tuning_seeds,
        first_seed=first_seed,
        batch_size=BATCH,
        every=steps // 2,
        probe=lambda params: params,
        record=steps,
        convolutions=case.convolutions,
    )
    x, y = jnp.asarray(test.x), np.asarray(test.y)
    some = jnp.asarray(train.x[: options.calibration])
    small = models.quantized(case.model, member(trained.fit.params, 0), some).model
    wide, narrow = classify(case.model), classify(small)
    found: dict[str, Any] = {"rate": RATES[int(trained.chosen[0])]}
    for name, at in (("", -1), ("_half", 1)):  # snapshots at the start, after half of the steps, at the end
        stacked = jax.tree.map(lambda a, at=at: jnp.asarray(a[at]), trained.fit.probes)
        whole = in_whole_numbers(case, stacked, some)
        found[f"float{name}"] = right(wide, stacked, x, y, options.seeds)
        found[f"int8{name}"] = right(narrow, whole, x, y, options.seeds)
        if at == -1:
            found["sweep"] = sweep(options, case, narrow, stacked, whole, x, y)
            found["sweep_float"] = 100 * found["float"][:, : options.sweep].mean(1)
            sizes = models.parameter_bytes(member(stacked, 0)), models.parameter_bytes(member(whole, 0))
            found["bytes"] = np.array(sizes)
    return found, member(trained.fit.params, 0), np.asarray(test.x)


def sweep(
    options: Any, case: Case, classes: Classify, stacked: Any, whole: Any, x: Any, y: np.ndarray
) -> np.ndarray:
    """Accuracy in % with weights of fewer bits, ``(kinds of scales, bits, seeds)``."""
    x, y = x[: options.sweep], y[: options.sweep]
    scales = [layer.inputs for layer in whole.layers]
    found = np.empty((len(SCALES), len(BITS), options.seeds))
    for i in range(len(SCALES)):
        for j, bits in enumerate(BITS):

            def made(params: Any, scales: Any, bits: int = bits, each: bool = i == 0) -> Any:
                return models.quantized(
                    case.model, params, x[:2], bits=bits, per_output=each, inputs=scales
                ).params

            few = jax.jit(jax.vmap(made))(stacked, scales)
            found[i, j] = 100 * right(classes, few, x, y, options.seeds).mean(1)
    return found
