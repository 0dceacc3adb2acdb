"""What the claims on gates and on switches read off their measurements, and the tasks that they make."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import analysis, models

gates = experiment("large_scale/conditional_dropout")
switch = experiment("large_scale/switch")
RNG = np.random.default_rng(6)


def test_work_is_that_which_is_counted():
    x = np.zeros((1, 784), np.float32)
    plain = analysis.count(models.mlp(784, (256,), 10), x).multiply_adds
    masked = analysis.count(models.gated_mlp(784, (256,), 10, blocks=16), x).multiply_adds
    np.testing.assert_allclose(gates.work_of(np.array([1.0])), masked / plain)
    np.testing.assert_allclose(gates.work_of(np.array([0.25])), (0.25 * plain + 784 * 16) / plain)


def test_random_blocks_are_a_perceptron_with_a_quarter_of_its_blocks():
    model = gates.random_blocks()
    params = model.init(jax.random.key(0))
    layer = params.hidden[0]
    x = jnp.asarray(RNG.normal(size=(400, 784)), jnp.float32)
    # With ones behind every unit of a block, the output tells which blocks are on.
    layer = layer._replace(W=0 * layer.W, b=layer.b + 1)
    seen = jnp.asarray(np.eye(16).repeat(16, axis=0)[:, :10] / 16, jnp.float32)
    params = params._replace(hidden=(layer,), output=params.output._replace(W=seen))
    on = np.asarray(model.apply(params, x, key=jax.random.key(1)))
    assert set(np.unique(on.round(5))) == {0.0, 1.0}
    assert abs(on.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / on.size)
    np.testing.assert_array_equal(model.apply(params, x), model.apply(params, x))


def test_leads_and_times():
    accuracy = np.full((2, len(gates.NETWORKS), 10), 0.9)
    accuracy[1, gates.SCORE] = 0.95
    seconds = np.ones((2, 3, 5)) * np.array([2.0, 4.0, 1.0])[None, :, None]
    m = {"accuracy": accuracy, "seconds": seconds, "on": np.arange(5)[:, None] * np.ones((1, 10))}
    assert gates.lead(m, gates.SCORE, gates.ALL).value == pytest.approx(5)
    assert gates.lead(m, gates.SCORE, gates.ALL, 0).value == pytest.approx(0)
    assert gates.times(m, 1, "grouped", "all blocks").value == pytest.approx(0.5)
    np.testing.assert_array_equal(gates.share_on(m, gates.THROUGH), 3)
    assert [gates.NETWORKS[i].split(",")[0] for i in (gates.THROUGH, gates.GUMBEL)] == [
        "straight-through",
        "Gumbel",
    ]


def test_an_answer_is_the_second_symbol_of_the_pair_that_is_asked_for():
    found = switch.examples(50, 7, 3)
    keys, values, query = found.x[:, :7], found.x[:, 7:14], found.x[:, -1]
    assert all(len(set(row)) == 7 for row in keys)
    place = (keys == query[:, None]).argmax(axis=1)
    np.testing.assert_array_equal(found.y, values[np.arange(50), place])


def test_the_exponent_of_a_time():
    lengths = np.array([20, 40, 80])
    seconds = np.stack([lengths**0.0, lengths**0.5, lengths**1.0])[..., None] * RNG.uniform(1, 2, 6)
    m = {"lengths": lengths, "seconds": seconds.transpose(1, 0, 2)}
    for read, want in enumerate((0.0, 0.5, 1.0)):
        assert switch.growth(m, read).value == pytest.approx(want)


def test_a_sure_switch_reads_alike_hard_and_soft():
    x = jnp.asarray(switch.examples(9, 5, 1).x)
    params = switch.recall(switch.SOFT).init(jax.random.key(0))
    learned = params.learned._replace(queries=1e3 * params.learned.keys)
    params = params._replace(learned=learned)
    soft, *hard = (switch.recall(s).apply(params, x) for s in range(4))
    for other in hard:
        np.testing.assert_allclose(other, soft, rtol=1e-4, atol=1e-4)
