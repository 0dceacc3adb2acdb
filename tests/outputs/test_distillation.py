"""Learning from a teacher's answers, held against closed forms in numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from dlnotes import outputs
from dlnotes.outputs.distillation import join_answers, targets_of, with_answers, without_answers

RNG = np.random.default_rng(6)
Z, T = (RNG.normal(0, 2, (7, 5)).astype(np.float32) for _ in range(2))
Y = RNG.integers(0, 5, 7).astype(np.int32)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_divergence_and_labels(temperature, share):
    log_p, log_q = (log_softmax(a.astype(np.float64) / temperature, -1) for a in (T, Z))
    want = share * temperature**2 * (np.exp(log_p) * (log_p - log_q)).sum(-1)
    want -= (1 - share) * log_softmax(Z.astype(np.float64), -1)[np.arange(7), Y]
    got = outputs.distillation(Z, Y, T, temperature=temperature, share=share)
    np.testing.assert_allclose(got.total, want, rtol=2e-5)
    np.testing.assert_array_equal(got.count, np.ones(7))


def test_never_below_zero_and_zero_at_the_teacher():
    assert (outputs.distillation(Z, Y, T, temperature=2.0).total > 0).all()
    np.testing.assert_allclose(outputs.distillation(T, Y, T - 3, temperature=2.0).total, 0, atol=1e-6)


def test_the_gradient_becomes_that_of_matched_logits():
    want = ((Z - Z.mean(-1, keepdims=True)) - (T - T.mean(-1, keepdims=True))) / 5
    errors = []
    for temperature in (1.0, 10.0, 100.0):
        slope = jax.grad(lambda z, t=temperature: outputs.distillation(z, Y, T, temperature=t).total.sum())(Z)
        np.testing.assert_allclose(
            slope, temperature * (softmax(Z / temperature, -1) - softmax(T / temperature, -1)), atol=2e-4
        )
        errors.append(np.abs(slope - want).max())
    assert errors[1] < errors[0] / 2  # the error falls as 1/T
    np.testing.assert_allclose(errors[2], errors[1] / 10, rtol=0.3)


def test_a_student_at_the_teacher_stays():
    slope = jax.grad(lambda z: outputs.distillation(z, Y, T, temperature=4.0).total.sum())(T)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    none = jax.grad(lambda t: outputs.distillation(Z, Y, t, temperature=4.0).total.sum())(T)
    np.testing.assert_array_equal(none, 0)


def test_shares_and_temperatures_may_be_traced():
    def total(temperature, share):
        return outputs.distillation(Z, Y, T, temperature=temperature, share=share).total

    got = jax.jit(jax.vmap(total))(jnp.array([1.0, 3.0]), jnp.array([0.3, 0.3]))
    np.testing.assert_allclose(got[1], total(3.0, 0.3), rtol=1e-5)


def test_a_position_without_a_label_has_the_teacher_alone():
    z, t = Z.reshape(7, 1, 5).repeat(2, 1), T.reshape(7, 1, 5).repeat(2, 1)
    y = np.stack([Y, np.full(7, -1, np.int32)], 1)
    got = outputs.distillation(z, y, t, share=0.5)
    one = outputs.distillation(Z, Y, T, share=0.5).total + outputs.distillation(Z, Y, T, share=1.0).total / 2
    np.testing.assert_allclose(got.total, one, rtol=1e-5)
    np.testing.assert_array_equal(got.count, 2)


def test_certain_teachers_give_no_nan():
    certain = np.where(np.arange(5) == 2, 0.0, -np.inf) + np.zeros((7, 5), np.float32)
    got = jax.value_and_grad(lambda z: outputs.distillation(z, Y, certain, temperature=3.0).total.sum())(Z)
    assert all(bool(jnp.isfinite(v).all()) for v in got)


def test_numbers():
    ours, theirs, y = (RNG.normal(size=(4, 3)).astype(np.float32) for _ in range(3))
    got = outputs.imitation(ours, y, theirs, share=0.7)
    want = 0.7 * ((ours - theirs) ** 2).mean(-1) + 0.3 * ((ours - y) ** 2).mean(-1)
    np.testing.assert_allclose(got.total, want, rtol=1e-5)
    unknown = outputs.imitation(ours, np.full_like(y, np.nan), theirs, share=0.7)
    np.testing.assert_allclose(unknown.total, 0.7 * ((ours - theirs) ** 2).mean(-1), rtol=1e-5)
    slope = jax.grad(lambda v: outputs.imitation(v, jnp.full((4, 3), jnp.nan), theirs).total.sum())(ours)
    assert bool(jnp.isfinite(slope).all())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0}, "temperature: got 0"),
        ({"temperature": -1.0}, "temperature: got -1"),
        ({"share": 1.5}, "share: got 1.5"),
    ],
)
def test_refusals(options, told):
    with pytest.raises(ValueError, match=told):
        outputs.distillation(Z, Y, T, **options)


def test_another_number_of_classes_is_named():
    with pytest.raises(ValueError, match="teacher: got"):
        outputs.distillation(Z, Y, T[:, :4])
    with pytest.raises(ValueError, match="teacher: got"):
        outputs.imitation(Z, Z, T[:, :4])


@pytest.mark.parametrize("classes", [True, False])
def test_targets_and_answers_in_one_array(classes):
    y = Y if classes else RNG.normal(size=(7, 5)).astype(np.float32)
    joined = join_answers(y, T)
    assert joined.dtype == np.float32
    own, answers = targets_of(jnp.asarray(joined), classes=classes, outputs=5)
    assert own.dtype == y.dtype
    np.testing.assert_array_equal(own, y)
    np.testing.assert_array_equal(answers, T)
    assert targets_of(jnp.asarray(y), classes=classes, outputs=5)[1] is None
    measure = outputs.cross_entropy if classes else outputs.squared_error
    plain = without_answers(measure, classes=classes, outputs=5)
    for target in (y, joined):
        np.testing.assert_array_equal(plain(Z, jnp.asarray(target)).total, measure(Z, jnp.asarray(y)).total)
    loss = outputs.distillation if classes else outputs.imitation
    taught = with_answers(loss, classes=classes, outputs=5)
    np.testing.assert_array_equal(taught(Z, jnp.asarray(joined)).total, loss(Z, y, T).total)
    with pytest.raises(ValueError, match="needed are targets with a teacher's answers"):
        taught(Z, jnp.asarray(y))


def test_an_unknown_target_does_not_count():
    y = np.array([[1.0, 2.0], [np.nan, np.nan]], np.float32)
    plain = without_answers(outputs.squared_error, classes=False, outputs=2)
    got = plain(jnp.zeros((2, 2)), jnp.asarray(join_answers(y, np.ones((2, 2)))))
    np.testing.assert_allclose(got.total, [2.5, 0])
    np.testing.assert_array_equal(got.count, [1, 0])
