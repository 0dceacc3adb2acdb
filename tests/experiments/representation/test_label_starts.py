"""What P14.4 stands on: nested labels of every class, arms that differ in what they learn, errors counted."""

import jax
import numpy as np
import pytest

from dlnotes import data, models
from experiments.representation import _label_starts as starts
from experiments.representation.few_labels import FewLabels, fall, steps_with


@pytest.fixture
def own():
    rng = np.random.default_rng(0)
    x = rng.random((4, 60, 784)).astype(np.float32)
    y = np.tile(np.arange(10), 6).astype(np.int32)
    part = data.Examples(rng.random((30, 784)).astype(np.float32), rng.integers(0, 10, 30))
    return starts.Images(x, np.tile(y, (4, 1)), part, part)


def test_the_first_images_hold_each_class_equally_often(monkeypatch):
    rng = np.random.default_rng(1)
    part = data.Examples(rng.random((400, 784)).astype(np.float32), rng.integers(0, 10, 400))
    monkeypatch.setattr(starts.data, "load", lambda *args, **kwargs: None)
    monkeypatch.setattr(starts.data, "parts_of", lambda *args: (part, part, part))
    found = starts.images(3, 200, 10, 10)
    for m in range(3):
        assert (np.bincount(found.y[m, :30], minlength=10) == 3).all()
        rows = [np.flatnonzero((part.x == x).all(1))[0] for x in found.x[m]]
        assert len(set(rows)) == 200
        np.testing.assert_array_equal(part.y[rows], found.y[m])
    assert not np.array_equal(found.x[0], found.x[1])


def test_errors_are_those_counted_by_hand(own):
    model = models.mlp(784, (5,), 10)
    params = jax.vmap(model.init)(jax.random.split(jax.random.key(0), 4))
    for x, y in ((own.x, own.y), (own.test.x[None], own.test.y)):
        found, loss = starts.errors(model, params, x, y)
        for m in range(4):
            z = np.asarray(model.apply(jax.tree.map(lambda a: a[m], params), x[m % len(x)]), np.float64)  # noqa: B023
            wanted = y[m] if y.ndim == 2 else y
            assert found[m] == pytest.approx(100 * (z.argmax(-1) != wanted).mean())
            log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
            assert loss[m] == pytest.approx(-log_p[np.arange(len(wanted)), wanted].mean(), rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("start", starts.STARTS, ids=lambda s: s.name)
def test_every_start_is_trained_and_judged(own, start):
    stack = starts.stacks(own, start.learner, 6, 1) if start.learner else ()
    model, params = starts.starting(start, stack, 6, 4)
    features = None
    if not start.whole:
        below = [starts.pretraining.encode(stack, part.x) for part in (own.validation, own.test)]
        features = (starts.pretraining.encode(stack, own.x, data_per_member=True), *below)
    found = starts.judge(start, model, params, own, features, 30, 60, 16, 2)
    assert found.test.shape == found.train.shape == found.loss.shape == (2, 2)
    assert found.rate in starts.RATES
    assert (found.train[1] <= found.train[0] + 20).all()


def test_steps_grow_as_the_cube_root_of_the_labels_and_the_slope_is_the_planted_one():
    options = FewLabels(steps=600)
    assert [steps_with(options, n) for n in (100, 800)] == [600, 1200]
    labels = np.array([30, 100, 300, 1000, 3000, 8000])
    test = np.zeros((6, 6, 2, 3))
    test[starts.RANDOM, :, starts.END] = (9 - 2 * np.log10(labels))[:, None] + np.arange(3)
    assert fall({"test": test, "labels": labels}).value == pytest.approx(-2)
