import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from dlnotes.data.order import batch_rows, permute, radices

WORDS = np.array([0x12345678, 0x9ABCDEF0], np.uint32)


def test_a_permutation_for_every_small_n():
    for n in range(1, 301):
        assert (np.sort(permute(np.arange(n), n, WORDS)) == np.arange(n)).all(), n


@pytest.mark.parametrize("n", [1009, 1437, 55000, 60000, 65537])
def test_a_permutation_for_large_n_the_same_under_jax(n):
    order = permute(np.arange(n), n, WORDS)
    assert (np.sort(order) == np.arange(n)).all()
    jitted = jax.jit(lambda i, w: permute(i, n, w, xp=jnp))
    assert (np.asarray(jitted(jnp.arange(n), WORDS)) == order).all()


def test_the_largest_n():
    n = 2**31 - 1
    a, b = radices(n)
    assert a * b >= n
    some = np.random.default_rng(0).choice(n, 1000)
    out = permute(some, n, WORDS)
    assert (out < n).all()
    assert len(set(out.tolist())) == len(set(some.tolist()))
    assert (np.asarray(permute(jnp.asarray(some), n, WORDS, xp=jnp)) == out).all()


@pytest.mark.parametrize("n", [2, 3, 5, 8, 30])
def test_positions_are_uniform_over_keys(n):
    rng = np.random.default_rng(1)
    trials = 1500
    keys = rng.integers(0, 2**32, (trials, 2), dtype=np.uint32)
    keys[:50] = np.arange(100, dtype=np.uint32).reshape(50, 2)  # related keys are as good
    each = jax.vmap(lambda w: permute(jnp.arange(n), n, w, xp=jnp))
    orders = np.asarray(each(jnp.asarray(keys)))
    for i in {0, n // 2, n - 1}:
        assert stats.chisquare(np.bincount(orders[:, i], minlength=n)).pvalue > 1e-4
    if n > 2:  # neighbors end up anywhere with regard to one another
        gaps = np.bincount((orders[:, 1].astype(int) - orders[:, 0]) % n, minlength=n)[1:]
        assert stats.chisquare(gaps).pvalue > 1e-4


def test_one_order_looks_random():
    order = permute(np.arange(60000), 60000, WORDS).astype(float)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.arange(60000), order)[0, 1]) < 0.02
    quarters = np.add.reduceat(order, np.arange(0, 60000, 6000)) / 6000
    assert (abs(quarters / 60000 - 0.5) < 0.02).all()


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (12, 4), (7, 1), (5, 4)])
def test_an_epoch_visits_each_row_once(n, batch):
    steps = -(-n // batch)
    orders = []
    for epoch in range(3):
        seen = []
        for step in range(epoch * steps, (epoch + 1) * steps):
            rows, weight = batch_rows(step, n=n, batch_size=batch, key_data=WORDS)
            assert rows.shape == weight.shape == (batch,)
            assert rows.dtype == np.int32
            assert weight.dtype == np.float32
            assert ((rows >= 0) & (rows < n)).all()
            seen += rows[weight == 1].tolist()
        assert sorted(seen) == list(range(n))
        orders.append(seen)
    assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (1437, 32), (60000, 128), (6, 8)])
def test_traced_step_and_keys_agree_with_numpy(n, batch):
    steps = np.array([0, 1, 2, 45, 469, 5000], np.int32)
    keys = np.stack([WORDS, WORDS[::-1]])

    def run(words):
        return jax.lax.scan(
            lambda _, t: (None, batch_rows(t, n=n, batch_size=batch, key_data=words, xp=jnp)),
            None,
            jnp.asarray(steps),
        )[1]

    rows, weight = jax.jit(jax.vmap(run))(jnp.asarray(keys))
    for i, words in enumerate(keys):
        for j, step in enumerate(steps):
            expected = batch_rows(int(step), n=n, batch_size=batch, key_data=words)
            assert (np.asarray(rows[i, j]) == expected[0]).all()
            assert (np.asarray(weight[i, j]) == expected[1]).all()


def test_a_full_batch_keeps_its_order():
    rows, weight = batch_rows(7, n=4, batch_size=6, key_data=WORDS)
    assert rows.tolist() == [0, 1, 2, 3, 3, 3]
    assert weight.tolist() == [1, 1, 1, 1, 0, 0]


def test_refuses():
    with pytest.raises(ValueError, match="n: got 0"):
        permute(np.arange(1), 0, WORDS)
    with pytest.raises(ValueError, match="batch_size: got 0"):
        batch_rows(0, n=3, batch_size=0, key_data=WORDS)
