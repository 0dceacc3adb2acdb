"""What the claims on recurrent nets make by themselves: their tasks, rivals and measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes.layers.recurrent.unroll import rnn


def test_strings_hold_one_key_anywhere():
    module = experiment("recurrent/unseen_lengths")
    lengths = np.array([4, 9, 12] * 200)
    x, y, _ = module.strings(np.random.default_rng(0), lengths, 12)
    np.testing.assert_array_equal(x.sum(-1), np.arange(12)[None] < lengths[:, None])
    keys = x[..., : module.KEYS]
    np.testing.assert_array_equal(keys.sum((1, 2)), 1)
    np.testing.assert_array_equal(keys.sum(1).argmax(-1), y)
    places = keys[lengths == 12].sum(-1).argmax(-1)
    assert np.bincount(places, minlength=12).min() > 4


def test_own_parameters_at_each_step_are_the_shared_net_where_they_agree(key):
    module, readers = experiment("recurrent/unseen_lengths"), helper("_reader")
    x, _, _ = module.strings(np.random.default_rng(1), np.array([4, 7, 9]), 9)
    shared = readers.reader(rnn, module.SYMBOLS, 6, module.KEYS)
    p = shared.init(key)
    tied = helper("_length_rivals").OwnSteps(*(jnp.broadcast_to(a, (20, *a.shape)) for a in p.cell), p.V, p.c)
    own = module.own_steps(6, 20)
    np.testing.assert_allclose(own.apply(tied, jnp.asarray(x)), shared.apply(p, jnp.asarray(x)), atol=1e-6)


def helper(name: str):
    import sys

    module = experiment("recurrent/unseen_lengths")
    return sys.modules[module.__name__.rsplit(".", 1)[0] + "." + name]


def test_the_window_sees_the_last_symbols_and_no_others(key):
    module = experiment("recurrent/unseen_lengths")
    model = module.window(6, 3)
    params = model.init(key)
    x, _, _ = module.strings(np.random.default_rng(2), np.array([5, 8]), 8)
    by_x = jax.jacrev(lambda x: model.apply(params, x).sum(-1))(jnp.asarray(x))
    seen = np.abs(by_x[np.arange(2), np.arange(2)]).sum(-1) > 0
    np.testing.assert_array_equal(seen, [[0, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1, 1, 1]])


def test_the_described_state_and_its_echo():
    module = experiment("recurrent/output_recurrence")
    rng = np.random.default_rng(0)
    x, y, _ = module.examples("described", rng, 30, 12)
    bits = x.argmax(-1)
    np.testing.assert_array_equal(y[:, 3:] % 2, bits[:, :-3])
    for back in range(3):
        np.testing.assert_array_equal(y[:, 3:] >> (back + 1) & 1, bits[:, 3 - back : 12 - back])
    assert set(np.unique(y)) <= set(range(16))
    x, y, _ = module.examples("parity", rng, 30, 12)
    np.testing.assert_array_equal(y[:, 1:], y[:, :-1] ^ x.argmax(-1)[:, 1:])


def test_greedy_answers_are_those_of_teacher_forcing_where_they_are_right(key):
    module = experiment("recurrent/output_recurrence")
    model = module.forced(8, 2)
    params = jax.tree.map(lambda a: 3 * a, model.init(key))
    x, _, _ = module.examples("parity", np.random.default_rng(0), 5, 9)
    found = module.greedy(params, jnp.asarray(x))
    fed = jnp.concatenate([jnp.asarray(x), jax.nn.one_hot(found, 2)], -1)
    np.testing.assert_array_equal(model.apply(params, fed).argmax(-1), found)


def test_steps_that_wait_for_one_another_are_counted():
    module = experiment("recurrent/cost_of_bptt")
    walk = jax.jit(lambda x: jax.lax.scan(lambda c, _: (jnp.tanh(c), None), x, length=7)[0])
    assert module.steps_in_turn(walk, 1.0) == 7
    assert module.steps_in_turn(jax.grad(walk), 1.0) == 14
    assert module.steps_in_turn(jnp.sin, 1.0) == 0
    with pytest.raises(ValueError, match="while"):
        module.steps_in_turn(lambda x: jax.lax.while_loop(lambda c: c < 3, lambda c: c + 1, x), 1.0)


def test_least_loss_is_the_entropy_of_what_is_not_seen():
    module = experiment("recurrent/output_recurrence")
    rng = np.random.default_rng(0)
    for task, least in (("described", 0.0), ("parity", 0.0)):
        assert module.least_loss(module.examples(task, rng, 200, 20)) == pytest.approx(least, abs=1e-9)
    # A guess, but for the first step, and for those after it whose previous target is 0 as a rule.
    assert 0.6 < module.least_loss(module.examples("echo", rng, 2000, 20)) < 0.68


def test_a_string_is_put_anywhere_and_padded():
    module = experiment("recurrent/unseen_lengths")
    rng = np.random.default_rng(3)
    part = module.strings(rng, np.array([4, 9, 12] * 50), 12)
    found = module.anywhere(rng, part, 48)
    there = found.x.any(-1)
    np.testing.assert_array_equal(there.sum(1), part.x.any(-1).sum(1))
    assert np.ptp(there.argmax(1)) > 30
    np.testing.assert_array_equal(found.x[there], part.x[part.x.any(-1)])


def test_the_shared_layer_does_not_see_the_order(key):
    module = experiment("recurrent/unseen_lengths")
    x, _, _ = module.strings(np.random.default_rng(0), np.array([5, 5]), 8)
    model = module.pooled(6)
    params = model.init(key)
    turned = np.concatenate([x[:, 4::-1], x[:, 5:]], 1)
    np.testing.assert_allclose(model.apply(params, turned), model.apply(params, x), atol=1e-6)


def test_the_cliff_and_the_minimum():
    module = experiment("recurrent/clipping_at_a_cliff")
    w = jnp.array([5.0, 5.0, 3.0])
    b = jnp.array([-2.5 + 0.01, -2.5 - 0.01, float(np.log(7 / 3)) - 2.1])
    above, below, best = module.last_state(w, b)
    assert above > 0.8
    assert below < 0.2
    assert abs(float(best) - module.TARGET) < 1e-4
    starts = module.starts(None, np.arange(200))
    assert np.all(starts[:, 1] >= -starts[:, 0] / 2)
    np.testing.assert_array_equal(starts[:5], module.starts(None, np.arange(5)))


def test_signals_and_gradients_of_linear_layers_are_those_of_the_product():
    module = experiment("recurrent/scale_of_depth")
    depth, width, batch = 4, 6, 3
    key = jax.random.key(0)
    signal, gradient = module.mean_squares(key, lambda z: z, jnp.float32(0.7), 1.0, depth, width, batch)
    key_x, key_g, key_w = jax.random.split(key, 3)
    Ws = [(0.7 / width) ** 0.5 * jax.random.normal(k, (width, width)) for k in jax.random.split(key_w, depth)]
    product = np.linalg.multi_dot([np.asarray(W) for W in Ws])
    x, g = (np.asarray(jax.random.normal(k, (batch, width))) for k in (key_x, key_g))
    np.testing.assert_allclose(signal[-1], np.log10(np.mean((x @ product) ** 2) / np.mean(x**2)), atol=1e-4)
    np.testing.assert_allclose(
        gradient[-1], np.log10(np.mean((g @ product.T) ** 2) / np.mean(g**2)), atol=1e-4
    )


def test_a_straight_line_is_straight():
    module = experiment("recurrent/fading_gradients")
    k = np.arange(30.0)
    rng = np.random.default_rng(0)
    found = module.straightness(np.stack([-0.3 * k, np.sqrt(k), rng.standard_normal(30)]))
    assert abs(found[0] - 1) < 1e-9
    assert 0.9 < found[1] < 0.99
    assert found[2] < 0.5


def test_the_two_tasks_of_length():
    module = experiment("recurrent/length_limits")
    x, y, _ = module.sequences("parity", np.random.default_rng(0), 40, 7)
    np.testing.assert_array_equal(y, (x[..., 0] > 0).sum(1) % 2)
    assert set(np.unique(x)) == {-1.0, 1.0}
    x, y, _ = module.sequences("latch", np.random.default_rng(0), 40, 7)
    np.testing.assert_array_equal(y, x[:, :3].mean((1, 2)) > 0)


def test_gates_start_by_keeping_a_state_for_a_part_of_the_sequence(key):
    module = experiment("recurrent/length_limits")
    hidden, length = 40, 30
    lstm, gru = (net.cell(length).init(key, 1, hidden) for net in module.NETS[-1:-3:-1])
    keep = lstm.b[hidden : 2 * hidden]
    np.testing.assert_allclose(lstm.b[:hidden], -keep)
    np.testing.assert_array_equal(lstm.b[2 * hidden :], 0)
    np.testing.assert_array_equal(gru.b[:hidden], 0)
    np.testing.assert_array_equal(gru.b[2 * hidden :], 0)
    for kept in (np.exp(keep), np.exp(gru.b[hidden : 2 * hidden])):
        assert 1 <= kept.min() < 4
        assert 26 < kept.max() <= length - 1
    assert np.abs(lstm.W).max() <= hidden**-0.5


def test_a_length_that_was_not_measured_is_refused():
    module = experiment("recurrent/length_limits")
    right = np.array([[[0.5, 0.9], [1.0, 0.99]], [[0.5, 0.5], [0.5, 0.9]]])
    measured = {"latch_length": np.array([5, 20]), "latch_accuracy": right}
    assert [module.at(5, "latch", when)(measured).value for when in (module.HALF, module.END)] == [0, 1]
    assert module.falls("latch")(measured).value == 100
    with pytest.raises(ValueError, match=r"length: got 10, measured on the latch are \[5, 20\]"):
        module.at(10, "latch")(measured)
    with pytest.raises(ValueError, match="needed is 20 among them"):
        module.LengthLimits(latch_lengths=(5, 50))


def test_the_scale_of_tanh_is_selected_on_other_draws():
    module = experiment("recurrent/scale_of_depth")
    options = module.ScaleOfDepth(depth=3, width=8, batch=2, selecting=4)
    scale, change = module.selected_scale(options)
    assert change.shape == module.SCALES.shape
    assert np.all(np.diff(change) > 0)
    assert scale == module.SCALES[np.argmin(np.abs(change))]
