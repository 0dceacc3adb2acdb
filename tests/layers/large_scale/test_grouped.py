"""Grouped products against those of each row by itself: any groups, forward and backward."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.layers import Dense, grouped_dense, sort_by_group
from dlnotes.layers.large_scale import grouped

RNG = np.random.default_rng(11)
N, E, INPUTS, OUTPUTS = 37, 5, 6, 4


def own(groups=E, dtype=np.float32):
    W = RNG.standard_normal((groups, INPUTS, OUTPUTS)).astype(dtype)
    return Dense(jnp.asarray(W), jnp.asarray(RNG.standard_normal((groups, OUTPUTS)).astype(dtype)))


GROUPS = {
    "random": RNG.integers(0, E, N),
    "skewed": np.where(RNG.random(N) < 0.8, 3, RNG.integers(0, E, N)),
    "all in one": np.full(N, 2),
    "some empty": RNG.choice([0, 4], N),
    "sorted": np.sort(RNG.integers(0, E, N)),
}


def by_row(params, x, group):
    """numpy, one row after another."""
    W, b = (np.asarray(p, np.float64) for p in params)
    return np.stack([row @ W[g] + b[g] for row, g in zip(np.asarray(x, np.float64), group)])


@pytest.mark.parametrize("tile", [1, 8, 64, None])
@pytest.mark.parametrize("name", GROUPS)
def test_rows_lie_in_tiles_of_their_group(name, tile):
    group = GROUPS[name]
    found = sort_by_group(jnp.asarray(group), E, tile=tile)
    tiles, rows = found.row.shape
    assert tiles == N // rows + E
    assert sorted(found.row[found.row < N].tolist()) == list(range(N))
    np.testing.assert_array_equal(found.row.reshape(-1)[found.slot], np.arange(N))
    np.testing.assert_array_equal(found.counts, np.bincount(group, minlength=E))
    for row, g in zip(np.asarray(found.row), np.asarray(found.group)):
        kept = row[row < N]
        assert (group[kept] == g).all()
        assert len(kept) == 0 if g == E else len(kept) > 0
        assert (np.diff(kept) > 0).all()  # in their own order, for the same bits each time


@pytest.mark.parametrize("way", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("name", GROUPS)
def test_values_and_gradients_are_those_of_each_row(name, way):
    group, params = GROUPS[name], own()
    x = jnp.asarray(RNG.standard_normal((N, INPUTS)).astype(np.float32))
    weight = jnp.asarray(RNG.standard_normal((N, OUTPUTS)).astype(np.float32))
    groups = sort_by_group(jnp.asarray(group), E, tile=8)

    def ours(params, x):
        return grouped._WAYS[way](x, *params, groups)

    def theirs(params, x):
        return grouped.masked_dense_of_groups(x, *params, jnp.asarray(group))

    np.testing.assert_allclose(ours(params, x), by_row(params, x, group), rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(theirs(params, x), by_row(params, x, group), rtol=2e-5, atol=2e-6)
    got, want = (
        jax.grad(lambda p, x, f=f: (f(p, x) * weight).sum() + (f(p, x) ** 2).sum(), (0, 1))(params, x)
        for f in (ours, theirs)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), got, want)


@pytest.mark.parametrize(("n", "groups"), [(1, 1), (1, 5), (3, 8), (500, 2), (37, 1)])
def test_sizes(n, groups):
    params, group = own(groups), RNG.integers(0, groups, n)
    x = RNG.standard_normal((n, INPUTS)).astype(np.float32)
    got = grouped_dense(params, jnp.asarray(x), sort_by_group(jnp.asarray(group), groups))
    np.testing.assert_allclose(got, by_row(params, x, group), rtol=2e-5, atol=2e-6)


def test_other_groups_are_the_same_program():
    params, calls = own(), 0
    x = jnp.asarray(RNG.standard_normal((N, INPUTS)).astype(np.float32))

    @jax.jit
    def product(group):
        nonlocal calls
        calls += 1
        return grouped_dense(params, x, sort_by_group(group, E, tile=8))

    for group in GROUPS.values():
        np.testing.assert_allclose(
            product(jnp.asarray(group, jnp.int32)), by_row(params, x, group), rtol=2e-5, atol=2e-6
        )
    assert calls == 1


def test_many_members_at_once():
    members = 3
    params = jax.tree.map(lambda *a: jnp.stack(a), *[own() for _ in range(members)])
    x = jnp.asarray(RNG.standard_normal((members, N, INPUTS)).astype(np.float32))
    group = jnp.asarray(np.stack(list(GROUPS.values())[:members]).astype(np.int32))

    def loss(params, x, group):
        return (grouped_dense(params, x, sort_by_group(group, E, tile=8)) ** 2).sum()

    got = jax.vmap(jax.value_and_grad(loss))(params, x, group)
    for m in range(members):
        alone = jax.value_and_grad(loss)(jax.tree.map(lambda a, m=m: a[m], params), x[m], group[m])
        jax.tree.map(lambda a, b, m=m: np.testing.assert_allclose(a[m], b, rtol=2e-5, atol=2e-5), got, alone)


def test_what_does_not_fit_is_named():
    params, x = own(), jnp.ones((N, INPUTS))
    groups = sort_by_group(jnp.zeros(N, jnp.int32), E)
    with pytest.raises(ValueError, match="group: got float32"):
        sort_by_group(jnp.ones(3), 2)
    with pytest.raises(ValueError, match="groups, tile: got 0"):
        sort_by_group(jnp.zeros(3, jnp.int32), 0)
    with pytest.raises(ValueError, match="x: got shape"):
        grouped_dense(params, x[:, :2], groups)
    with pytest.raises(ValueError, match="groups: got 37 rows in 5 groups, allowed are the 36 rows"):
        grouped_dense(params, x[1:], groups)
    with pytest.raises(ValueError, match="params: got W of shape"):
        grouped_dense(Dense(params.W[0], params.b), x, groups)


def test_many_groups_lie_as_few_do(monkeypatch):
    """Counted or sorted, the rows lie alike."""
    group = jnp.asarray(RNG.integers(0, 40, 300).astype(np.int32))
    sorted_ = sort_by_group(group, 40)
    monkeypatch.setattr(grouped, "FEW", 40)
    jax.tree.map(np.testing.assert_array_equal, sort_by_group(group, 40), sorted_)


def test_curvature_along_a_direction_is_that_of_all_groups():
    params, group = own(), jnp.asarray(GROUPS["skewed"].astype(np.int32))
    x = jnp.asarray(RNG.standard_normal((N, INPUTS)).astype(np.float32))
    direction = jax.tree.map(lambda a: jnp.asarray(RNG.standard_normal(a.shape).astype(np.float32)), params)
    groups = sort_by_group(group, E, tile=8)

    def along(f):
        gradient = jax.grad(lambda p: jnp.sum(jnp.tanh(f(p)) ** 2))
        return jax.jvp(gradient, (params,), (direction,))[1]

    got = along(lambda p: grouped._WAYS["cpu"](x, p.W, p.b, groups))
    want = along(lambda p: grouped.masked_dense_of_groups(x, *p, group))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), got, want)
