"""Keras 3 on JAX: ``model.fit`` on arrays, timed by a callback, a step or several a call."""
# pyright: reportMissingImports=false

from __future__ import annotations

import os
import time
from functools import partial

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

from scripts.bench.interface import Data, Setup, Variant, Weights, repeated
from scripts.bench.networks import Cnn, Mlp, Network
from scripts.bench.spec import Case

EPSILON = 1e-8 * (1 - 0.999**2) ** 0.5
"""Keras adds ε before the bias correction, the others after it: this is their 1e-8 at the second step."""


def build(case: Case, weights: Weights, steps_per_execution: int) -> keras.Model:
    """The network of a case with the given weights."""
    model = keras.Sequential(_layers(case.network))
    model.set_weights([array for layer in weights for array in layer])
    losses = keras.losses
    model.compile(
        optimizer=keras.optimizers.Adam(case.learning_rate, epsilon=EPSILON),
        steps_per_execution=steps_per_execution,
        loss=losses.BinaryCrossentropy(from_logits=True)
        if case.output == "sigmoid"
        else losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def _layers(network: Network) -> list:
    layers = keras.layers
    match network:
        case Mlp():
            hidden = [layers.Dense(m, activation=network.activation) for m in network.widths[1:-1]]
            return [keras.Input(network.input_shape), *hidden, layers.Dense(network.outputs)]
        case Cnn():
            first, second = network.channels
            return [
                keras.Input(network.input_shape),
                layers.Conv2D(first, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
                layers.Conv2D(second, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
                layers.Flatten(),
                layers.Dense(network.dense, activation="relu"),
                layers.Dense(network.outputs),
            ]
    raise TypeError(f"network: got {type(network).__name__}, keras_jax has Mlp and Cnn")


class Timer(keras.callbacks.Callback):
    """Stops ``fit`` after ``seconds`` and keeps the steps and the time.

    Keras hands a callback like this one the loss as a float, so it waits for every execution. Without
    any callback ``fit`` is not measurably faster.
    """

    def __init__(self, seconds: float, steps_per_call: int):
        super().__init__()
        self.seconds, self.steps_per_call = seconds, steps_per_call
        self.steps, self.start, self.elapsed = 0, 0.0, 0.0

    def on_train_begin(self, logs=None):
        self.start = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        self.steps += self.steps_per_call
        self.elapsed = time.perf_counter() - self.start
        if self.elapsed >= self.seconds:
            self.model.stop_training = True


def setup(case: Case, weights: Weights, data: Data, steps_per_execution: int = 1) -> Variant:
    """A full batch is fed by ``train_on_batch``: there ``fit`` would rebuild its iterator every step."""
    model = build(case, weights, steps_per_execution)

    def targets(y: np.ndarray) -> np.ndarray:
        return y[:, None].astype(np.float32) if case.output == "sigmoid" else y

    x, y = data.x, targets(data.y)

    def check(fixed):
        losses = []
        for xs, ys in fixed:
            if steps_per_execution == 1:
                losses.append(float(np.asarray(model.train_on_batch(xs, targets(ys)))))
            else:
                history = model.fit(xs, targets(ys), batch_size=case.batch, shuffle=False, verbose=0)
                losses.append(history.history["loss"][0])
        return losses

    def run_fit(seconds: float) -> tuple[int, float]:
        timer = Timer(seconds, steps_per_execution)
        model.fit(x, y, batch_size=case.batch, epochs=10**9, shuffle=True, verbose=0, callbacks=[timer])
        return timer.steps * case.batch, timer.elapsed

    if case.batch == case.examples:
        return Variant(check, repeated(lambda: model.train_on_batch(x, y), case.batch))
    return Variant(check, run_fit)


VARIANTS: dict[str, Setup] = {
    "keras_fit": setup,
    "keras_steps": partial(setup, steps_per_execution=8),
}
"""``steps_per_execution`` costs a user one word; 8 divides every case's steps per epoch, so that no execution
is cut short."""
