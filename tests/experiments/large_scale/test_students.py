"""What students are shown, and what they learn from it."""

import sys

import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import data, outputs

claim = experiment("large_scale/distillation")
students = sys.modules[claim.train_students.__module__]


def images(n=40):
    rng = np.random.default_rng(1)
    x = (rng.random((n, 28, 28)) < 0.1).astype(np.float32)
    x[:, :2] = x[:, -2:] = x[:, :, :2] = x[:, :, -2:] = 0
    return x.reshape(n, -1), rng.integers(0, 10, n).astype(np.int32)


def test_copies_are_images_with_noise():
    x, _ = images(6)
    noise = students.corrupted(x, 50, np.random.default_rng(0)).reshape(50, 6, 784) - x[None]
    np.testing.assert_allclose(noise.std(), students.NOISE, rtol=0.02)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.01)
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.1


def test_inputs_are_gray_levels_and_know_their_classes():
    x, y = images()
    found = students.inputs_of(data.Examples(x, y), 3)
    for name, examples in found.items():
        assert examples.x.dtype == np.float32
        slack = 6 * students.NOISE if name == "copies" else 0
        assert -slack <= examples.x.min()
        assert examples.x.max() <= 1 + slack
        assert examples.x.shape == ((1 if name == "images" else 3) * len(y), 784)
    np.testing.assert_array_equal(found["copies"].y, np.tile(y, 3))
    assert (found["generated"].y == -1).all()
    assert (found["noise"].y == -1).all()


@pytest.mark.parametrize("arm", [students.LABELS, students.SMOOTHED, students.SOFT])
def test_each_student_learns_from_its_own_teacher(arm):
    rng = np.random.default_rng(4)
    answers, y = rng.normal(size=(3, 8, 10)), rng.integers(0, 10, 8).astype(np.int32)
    z = jnp.asarray(rng.normal(size=(8, 10)), jnp.float32)
    examples = students.answered(data.Examples(np.zeros((8, 784), np.float32), y), answers)
    chosen = students.ARMS[arm]
    got = students.learned(
        z, jnp.asarray(examples.y), arm=chosen, teacher=jnp.float32(2), temperature=jnp.float32(3)
    )
    want = (
        outputs.distillation(z, y, jnp.asarray(answers[2], jnp.float32), temperature=3.0)
        if chosen.share
        else outputs.cross_entropy(z, y, label_smoothing=chosen.smoothing)
    )
    np.testing.assert_allclose(got.total, want.total, rtol=1e-5)


@pytest.mark.parametrize("temperature", students.TEMPERATURES)
@pytest.mark.parametrize("rate", students.RATES)
def test_the_best_temperature_is_chosen_and_then_its_rate(rate, temperature):
    tried = []

    def score(grid):
        tried.extend(grid)
        return [-abs(np.log(r / rate)) - abs(np.log(t / temperature)) for r, t in grid]

    assert students.choose(score, students.TEMPERATURES) == (rate, temperature)
    assert len(set(tried)) == len(tried) == len(students.TEMPERATURES) + len(students.RATES) - 1


def test_a_rate_at_which_all_diverge_is_not_chosen():
    def score(grid):
        return [-np.inf if rate > min(students.RATES) else -1.0 for rate, _ in grid]

    assert students.choose(score, (1.0, 4.0)) == (min(students.RATES), 1.0)


def test_half_of_the_gain():
    student = np.full((len(students.ARMS), 2, 4), 6.0)
    student[students.SOFT_COPIED] = 4.5
    m = {"student": student, "teacher": np.full(4, 4.0)}
    assert claim.kept(m, students.SOFT_COPIED) == 0.75
    assert claim.past_half(m, students.SOFT_COPIED, claim.END).value == -0.5
    assert claim.difference(m, students.SOFT_COPIED, students.LABELS, claim.END).value == -1.5
