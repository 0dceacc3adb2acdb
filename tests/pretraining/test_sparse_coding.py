"""Sparse codes and dictionaries against scikit-learn, which solves the same problems in other ways."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learner_loop import fitted
from sklearn.datasets import load_digits
from sklearn.decomposition import MiniBatchDictionaryLearning, sparse_encode

from dlnotes import layers
from dlnotes.pretraining.sparse_codes import fista, ista, largest_eigenvalue, shrink, sparse_objective
from dlnotes.pretraining.sparse_coding import (
    BLOCK,
    dictionary_update,
    forgetting,
    replace_unused,
    sparse_coding,
    unit_columns,
)

RNG = np.random.default_rng(21)


def problem(rows=20, inputs=12, units=25):
    D = RNG.normal(size=(inputs, units))
    D /= np.linalg.norm(D, axis=0)
    return RNG.normal(size=(rows, inputs)).astype(np.float32), D.astype(np.float32)


def objective(x, z, D, penalty):
    """In float64 numpy."""
    x, z, D = (np.asarray(a, np.float64) for a in (x, z, D))
    return 0.5 * np.square(x - z @ D.T).sum(-1) + penalty * np.abs(z).sum(-1)


def sklearn_codes(x, D, penalty, *, positive=False):
    return sparse_encode(
        x.astype(np.float64),
        D.T.astype(np.float64),
        algorithm="lasso_cd",
        alpha=penalty,
        positive=positive,
        max_iter=50_000,
    )


@pytest.mark.parametrize("positive", [False, True], ids=["signed", "nonnegative"])
@pytest.mark.parametrize("penalty", [0.02, 0.3])
def test_codes_have_the_objective_of_coordinate_descent(penalty, positive):
    x, D = problem()
    want = sklearn_codes(x, D, penalty, positive=positive)
    for solve, iterations in ((fista, 1000), (ista, 4000))[: 1 if penalty < 0.1 else 2]:  # ista is slow
        got = jax.jit(lambda x, s=solve, n=iterations: s(x, D, penalty, iterations=n, nonnegative=positive))(
            x
        )
        np.testing.assert_allclose(
            objective(x, got, D, penalty), objective(x, want, D, penalty), rtol=1e-5, atol=3e-6
        )
        if positive:
            assert (np.asarray(got) >= 0).all()
    ours = sparse_objective(jnp.asarray(x), got, D, penalty)
    np.testing.assert_allclose(ours, objective(x, got, D, penalty), rtol=1e-5)


def test_in_double_precision_they_have_it_to_nine_digits():
    x, D = (a.astype(np.float64) for a in problem())
    want = sklearn_codes(x, D, 0.1)
    with jax.enable_x64(True):
        got = jax.jit(lambda x: fista(x, D, 0.1, iterations=5000))(x)
        assert got.dtype == np.float64
        np.testing.assert_allclose(objective(x, got, D, 0.1), objective(x, want, D, 0.1), rtol=1e-9)


def test_of_orthonormal_atoms_the_codes_are_shrunk_products():
    D = np.linalg.qr(RNG.normal(size=(9, 9)))[0].astype(np.float32)
    x = RNG.normal(size=(5, 9)).astype(np.float32)
    v = x @ D
    want = np.sign(v) * np.maximum(np.abs(v) - 0.4, 0)
    np.testing.assert_allclose(fista(jnp.asarray(x), D, 0.4, iterations=60), want, atol=1e-5)
    np.testing.assert_allclose(shrink(jnp.asarray(v), 0.4), want, atol=1e-6)
    np.testing.assert_allclose(
        shrink(jnp.asarray(v), 0.4, nonnegative=True), np.maximum(v - np.float32(0.4), 0), atol=1e-6
    )


def test_plain_steps_never_rise_and_both_keep_their_bounds():
    """Beck and Teboulle, theorems 3.1 and 4.4: L‖z*‖²/2k and 2L‖z*‖²/(k + 1)²."""
    x, D = problem()
    best_codes = sklearn_codes(x, D, 0.1)
    best, L = objective(x, best_codes, D, 0.1), float(largest_eigenvalue(D))
    size = np.square(best_codes).sum(-1)
    values = [objective(x, ista(jnp.asarray(x), D, 0.1, iterations=k), D, 0.1) for k in (1, 2, 3, 10, 40)]
    assert (np.diff(values, axis=0) <= 1e-6).all()
    for k, value in zip((1, 2, 3, 10, 40), values):
        assert (value - best <= L * size / (2 * k) + 1e-5).all()
    for k in (1, 2, 10, 40):
        fast = objective(x, fista(jnp.asarray(x), D, 0.1, iterations=k), D, 0.1)
        assert (fast - best <= 2 * L * size / (k + 1) ** 2 + 1e-5).all()


@pytest.mark.parametrize("shape", [(12, 25), (30, 4), (1, 1), (64, 64)])
def test_the_largest_eigenvalue_from_above(shape):
    D = RNG.normal(size=shape).astype(np.float32) * 3
    exact = np.linalg.norm(D.astype(np.float64), 2) ** 2
    bound = float(largest_eigenvalue(D))
    assert exact * (1 - 1e-5) <= bound <= exact * shape[1] ** (1 / 128) * (1 + 1e-5)
    assert float(largest_eigenvalue(np.zeros(shape, np.float32))) < 1e-30


def test_codes_of_other_shapes_starts_and_penalties():
    x, D = problem()
    x, want = jnp.asarray(x), fista(jnp.asarray(x), D, 0.2, iterations=30)
    np.testing.assert_allclose(
        fista(x.reshape(4, 5, 12), D, 0.2, iterations=30).reshape(20, 25), want, atol=1e-6
    )
    np.testing.assert_allclose(fista(x[3], D, 0.2, iterations=30), want[3], atol=1e-5)
    many = jax.vmap(lambda p: fista(x, D, p, iterations=30))(jnp.array([0.2, 0.5]))
    np.testing.assert_allclose(many[0], want, atol=1e-5)
    on = fista(x, D, 0.2, iterations=2, start=fista(x, D, 0.2, iterations=3000))
    np.testing.assert_allclose(on, fista(x, D, 0.2, iterations=3000), atol=1e-4)
    assert not np.asarray(fista(x, D, 1e6, iterations=3)).any()
    assert not np.asarray(fista(x, np.zeros_like(D), 0.1, iterations=3)).any()


def plain_update(D, A, B):
    """Algorithm 2 as it is printed."""
    D = D.copy()
    for j in range(D.shape[1]):
        if A[j, j] > 1e-6:
            u = (B[:, j] - D @ A[:, j]) / A[j, j] + D[:, j]
            D[:, j] = u / max(np.linalg.norm(u), 1)
    return D


@pytest.mark.parametrize("units", [1, 7, BLOCK, BLOCK + 5, 3 * BLOCK])
def test_the_dictionary_is_updated_as_printed(units):
    z = RNG.normal(size=(300, units)) * (RNG.random((300, units)) < 0.3)
    z[:, units // 2] = 0 if units > 1 else z[:, 0]  # an atom without codes stays
    x, D = RNG.normal(size=(300, 10)), RNG.normal(size=(10, units)) / 3
    A, B = z.T @ z / 300, x.T @ z / 300
    got = dictionary_update(*(jnp.asarray(a, jnp.float32) for a in (D, A, B)))
    np.testing.assert_allclose(got, plain_update(D, A, B), atol=2e-5)


def test_updates_reach_the_best_dictionary_for_fixed_codes():
    """Without a constraint that binds this is least squares."""
    z = RNG.normal(size=(400, 6))
    x = z @ (0.1 * RNG.normal(size=(6, 9))) + 0.01 * RNG.normal(size=(400, 9))
    A, B = (jnp.asarray(a, jnp.float32) for a in (z.T @ z / 400, x.T @ z / 400))
    D = jax.lax.fori_loop(0, 50, lambda _, D: dictionary_update(D, A, B), jnp.zeros((9, 6)))
    np.testing.assert_allclose(D.T, np.linalg.lstsq(z, x, rcond=None)[0], atol=1e-4)


def test_forgetting_is_that_of_the_paper():
    got = [float(forgetting(jnp.int32(t), 10)) for t in range(30)]
    want = []
    for t in range(1, 31):
        theta = 10 * t if t < 10 else 100 + t - 10
        want.append((theta + 1 - 10) / (theta + 1))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_unused_atoms_become_examples():
    D, x = jnp.asarray(problem()[1]), jnp.asarray(RNG.normal(size=(8, 12)), jnp.float32)
    A = jnp.diag(jnp.where(jnp.arange(25) % 5 == 0, 0.0, 1.0))
    new, fresh = replace_unused(jax.random.key(0), D, A, x)
    assert np.flatnonzero(fresh).tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(new[:, 1:5], D[:, 1:5])
    np.testing.assert_allclose(jnp.linalg.norm(new, axis=0), 1, rtol=1e-5)
    alike = np.asarray(unit_columns(x.T)).T @ np.asarray(new)[:, ::5]
    assert (alike.max(0) > 0.99).all()
    blank, _ = replace_unused(jax.random.key(0), D, A, jnp.zeros_like(x))
    np.testing.assert_allclose(jnp.linalg.norm(blank, axis=0), 1, rtol=1e-5)


@pytest.fixture(scope="module")
def digits():
    x = load_digits().data[:600] / 16
    return ((x - x.mean(0)) / 2).astype(np.float32)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_dictionary_is_as_good_as_scikit_learns(digits):
    """The objective with exact codes, not the atoms; scikit-learn takes the same batches as often."""
    units, penalty = 20, 0.1
    theirs = MiniBatchDictionaryLearning(
        units,
        alpha=penalty,
        batch_size=50,
        max_iter=6,
        max_no_improvement=None,
        tol=0,
        transform_algorithm="lasso_cd",
        fit_algorithm="cd",
        random_state=0,
    ).fit(digits)
    state, metrics = fitted(sparse_coding(units, penalty=penalty), digits, epochs=6, batch=50)
    D = np.asarray(state.params.D)
    value = [
        objective(digits, sklearn_codes(digits, d, penalty), d, penalty).mean()
        for d in (D, theirs.components_.T)
    ]
    assert value[0] < 1.02 * value[1], value
    assert np.linalg.norm(D, axis=0).max() < 1 + 1e-5
    assert metrics["loss"][-12:].mean() < 0.9 * metrics["loss"][0]
    assert 0 < metrics["active"][-1] < 0.9


@pytest.mark.parametrize("nonnegative", [False, True], ids=["signed", "nonnegative"])
def test_the_learned_step_starts_as_a_step_of_the_solver_and_nears_the_codes(digits, nonnegative):
    learner = sparse_coding(20, penalty=0.1, encoder="learned", nonnegative=nonnegative, iterations=30)
    x = jnp.asarray(digits)
    start = learner.init(jax.random.key(0), x.mean(0), 64)
    first = ista(x, start.params.D, 0.1, iterations=1, nonnegative=nonnegative)
    np.testing.assert_allclose(learner.encode(start.params, x), first, atol=1e-6)
    state, metrics = fitted(learner, digits, epochs=15, batch=50)
    params = state.params
    codes = fista(x, params.D, 0.1, iterations=200, nonnegative=nonnegative)
    one_step = ista(x, params.D, 0.1, iterations=1, nonnegative=nonnegative)
    learned = learner.encode(params, x)
    off = [float(jnp.sum((z - codes) ** 2)) for z in (learned, one_step)]
    assert off[0] < 0.5 * off[1], off
    assert metrics["encoder"][-12:].mean() < metrics["encoder"][12:24].mean()
    if nonnegative:
        assert learner.activation == "relu"
        h = layers.relu(layers.dense(learner.dense_of(params), x))
        np.testing.assert_array_equal(learned, h)
    else:
        assert learner.activation is None
        assert learner.dense_of is None


def test_the_solver_is_the_encoder_and_is_no_layer():
    learner = sparse_coding(25, penalty=0.2, iterations=40, solver="ista", nonnegative=True)
    assert learner.activation is None
    assert learner.dense_of is None
    x, D = problem()
    params = learner.init(jax.random.key(0), jnp.zeros(12), 12).params._replace(D=D)
    z = ista(jnp.asarray(x), D, 0.2, iterations=40, nonnegative=True)
    np.testing.assert_array_equal(learner.encode(params, jnp.asarray(x)), z)
    np.testing.assert_allclose(learner.decode(params, z), np.asarray(z) @ D.T, atol=1e-5)
    np.testing.assert_allclose(layers.dense(learner.decoder_of(params), z), np.asarray(z) @ D.T, atol=1e-5)


@pytest.mark.parametrize("encoder", ["solver", "learned"])
def test_compiled_is_eager_and_seeds_together_are_seeds_alone(encoder):
    learner = sparse_coding(5, penalty=0.1, iterations=8, encoder=encoder)
    x = jnp.asarray(problem(rows=9, inputs=4)[0])
    keys = jax.random.split(jax.random.key(1), 2)

    def trained(key):
        state = learner.init(key, x.mean(0), 4)
        return learner.step(state, x, jax.random.fold_in(key, 1), jnp.float32(0))

    together = jax.jit(jax.vmap(trained))(keys)
    for i, want in enumerate([trained(keys[0]), jax.jit(trained)(keys[1])]):
        got = jax.tree.map(lambda a: a[i], together)  # noqa: B023
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), got, want)


BAD = [
    ({"units": 0}, "units: got 0, allowed is a positive integer"),
    ({"units": 3, "penalty": -0.1}, "penalty: got -0.1, allowed is a number of 0 or more"),
    ({"units": 3, "iterations": 0}, "iterations: got 0"),
    ({"units": 3, "solver": "lasso"}, "solver: got 'lasso', allowed are ista, fista"),
    ({"units": 3, "encoder": "lista"}, "encoder: got 'lista', allowed are solver, learned"),
    ({"units": 3, "learning_rate": float("nan")}, "learning_rate: got nan"),
]


@pytest.mark.parametrize(("options", "message"), BAD, ids=[m.split(",")[0] for _, m in BAD])
def test_what_is_not_allowed_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        sparse_coding(**options)


def test_shapes_that_do_not_fit_are_named():
    x, D = (jnp.asarray(a) for a in problem())
    with pytest.raises(ValueError, match=r"x: got shape \(20, 11\), D of shape \(12, 25\) takes"):
        fista(x[:, 1:], D, 0.1)
    with pytest.raises(ValueError, match=r"start: got shape \(3,\), allowed is \(20, 25\)"):
        ista(x, D, 0.1, start=jnp.zeros(3))
    with pytest.raises(ValueError, match="x: got nan in row 0, column 1"):
        sparse_coding(3).check(np.array([[0.0, np.nan]]))
