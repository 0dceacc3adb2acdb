"""One update: accumulation, padding, failures, averages, precision, smoothing."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from training_parts import batch_of, close, equal, examples, member_of, recipe_of, state_of

from dlnotes.outputs import cross_entropy
from dlnotes.training.state import BAD_GRADIENT, BAD_LOSS, REASONS, evaluated_params, note_evaluation
from dlnotes.training.step import evaluate_batch, example_keys, train_step


@pytest.fixture(scope="module")
def data():
    return examples(24)


def step(recipes, member, batch, number=0):
    return jax.jit(lambda m, b, t: train_step(recipes(m.hyper), m, b, t))(member, batch, jnp.int32(number))


def test_sgd_step_is_the_gradient_of_the_mean_loss(data):
    recipes = recipe_of(rate=0.3)
    member = member_of(state_of(recipes))
    batch = batch_of(data)
    model = recipes({}).model

    def loss(params):
        log_p = jax.nn.log_softmax(model.apply(params, batch.x))
        return -jnp.mean(log_p[jnp.arange(24), batch.y])

    value, gradient = jax.value_and_grad(loss)(member.params)
    after, metrics = step(recipes, member, batch)
    close(after.params, jax.tree.map(lambda p, g: p - 0.3 * g, member.params, gradient))
    close(metrics["loss"], value)
    close(metrics["grad_norm"], jnp.linalg.norm(ravel_pytree(gradient)[0]), 1e-5)
    right = np.asarray(model.apply(member.params, batch.x)).argmax(1) == data.y
    close(metrics["accuracy"], right.mean())


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_changes_nothing(data, parts, dropout):
    batch = batch_of(data, weight=[1] * 19 + [0] * 5)
    whole = recipe_of(dropout=dropout)
    member = member_of(state_of(whole))
    expected, expected_metrics = step(whole, member, batch)
    got, metrics = step(recipe_of(dropout=dropout, accumulate=parts), member, batch)
    close(got, expected)
    close(metrics, expected_metrics)


def test_padding_rows_change_nothing(data):
    recipes = recipe_of()
    member = member_of(state_of(recipes))
    expected = step(recipes, member, batch_of(data))
    noisy = data._replace(
        x=np.concatenate([data.x, 1e3 * data.x[:7]]), y=np.concatenate([data.y, (data.y[:7] + 1) % 3])
    )
    close(step(recipes, member, batch_of(noisy, [1] * 24 + [0] * 7)), expected)


def test_a_batch_without_examples_moves_nothing(data):
    recipes = recipe_of()
    member = member_of(state_of(recipes))
    after, metrics = step(recipes, member, batch_of(data, np.zeros(24)))
    equal(after.params, member.params)
    assert float(metrics["loss"]) == 0


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_non_finite_loss_stops_only_that_member(data, kind):
    recipes = recipe_of(kind=kind, ema=0.9)
    state = state_of(recipes, members=3, rates=[0.1, 0.1, 0.1])
    bad = jax.tree.map(lambda a: a.at[1].set(jnp.inf), state.members.params)
    members = state.members._replace(params=bad)
    run = jax.jit(
        jax.vmap(lambda m, t: train_step(recipes(m.hyper), m, batch_of(data), t), in_axes=(0, None))
    )
    after, metrics = run(members, jnp.int32(7))
    assert after.stopped_at.tolist() == [-1, 7, -1]
    assert [REASONS[int(r)] for r in after.reason] == ["running", "non-finite loss", "running"]
    one = lambda tree: jax.tree.map(lambda a: a[1], tree)  # noqa: E731
    equal(one((after.params, after.opt_state, after.average)), one((bad, members.opt_state, members.average)))
    assert np.isfinite(np.asarray(metrics["loss"])[[0, 2]]).all()
    for m in (0, 2):
        alone = member_of(state_of(recipes, rates=[0.1], first_seed=m))
        close(
            member_of(state._replace(members=after), m).params,
            step(recipes, alone, batch_of(data), 7)[0].params,
        )
    again, metrics = run(after, jnp.int32(8))
    assert again.stopped_at.tolist() == [-1, 7, -1]
    assert np.isnan(metrics["loss"][1])
    equal(one(again), one(after))


def test_a_non_finite_gradient_of_a_finite_loss_stops_too(data):
    def rooted(output, y):
        loss = cross_entropy(output, y)
        return loss._replace(total=loss.total + jnp.sqrt(jnp.abs(output * 0.0)).sum(-1))

    recipes = recipe_of(loss=rooted)
    member = member_of(state_of(recipes))
    after, metrics = step(recipes, member, batch_of(data), 3)
    assert np.isfinite(metrics["loss"])
    assert int(after.reason) == BAD_GRADIENT != BAD_LOSS
    assert int(after.stopped_at) == 3
    equal(after.params, member.params)


def test_average_against_numpy(data):
    recipes = recipe_of(ema=0.8)
    member = member_of(state_of(recipes))
    run = jax.jit(lambda m, t: train_step(recipes({}), m, batch_of(data), t)[0])
    expected = np.asarray(ravel_pytree(member.params)[0], np.float64)
    for t in range(6):
        member = run(member, jnp.int32(t))
        expected = 0.8 * expected + 0.2 * np.asarray(ravel_pytree(member.params)[0])
    close(ravel_pytree(member.average)[0], expected)
    assert evaluated_params(member) is member.average


def test_bfloat16_computes_low_and_keeps_parameters_high(data):
    seen = []

    def watching(output, y):
        seen.append(output.dtype)
        return cross_entropy(output, y)

    low, high = recipe_of(loss=watching, compute_dtype=jnp.bfloat16), recipe_of()
    member = member_of(state_of(low))
    text = str(
        jax.make_jaxpr(lambda m: train_step(low({}), m, batch_of(data), jnp.int32(0))[0].params)(member)
    )
    assert "bf16[24,6]" in text  # the forward pass
    after, metrics = step(low, member, batch_of(data))
    assert {a.dtype for a in jax.tree.leaves(after.params)} == {jnp.dtype("float32")}
    assert set(seen) == {jnp.dtype("float32")}  # losses are summed in float32
    expected, _ = step(high, member, batch_of(data))
    close(after.params, expected.params, 2e-2)
    assert not np.array_equal(np.asarray(after.params.hidden[0].W), np.asarray(expected.params.hidden[0].W))
    assert metrics["loss"].dtype == jnp.float32


def test_smoothing_is_for_training_only(data):
    smooth = partial(cross_entropy, label_smoothing=0.2)
    recipes = recipe_of(loss=smooth, evaluation_loss=cross_entropy)
    member, batch = member_of(state_of(recipes)), batch_of(data)
    output = recipes({}).model.apply(member.params, batch.x)
    _, metrics = step(recipes, member, batch)
    close(metrics["loss"], smooth(output, batch.y).total.mean())
    total, count = evaluate_batch(recipes({}), member.params, batch)[0]["loss"]
    close(total / count, cross_entropy(output, batch.y).total.mean())


def test_keys_belong_to_a_row_of_the_whole_batch(key):
    words = jax.random.key_data(key)
    whole = jax.random.key_data(example_keys(words, jnp.int32(5), 0, 8))
    part = jax.random.key_data(example_keys(words, jnp.int32(5), 3, 4))
    equal(part, whole[3:7])
    assert len({tuple(k) for k in np.asarray(whole).tolist()}) == 8
    other = jax.random.key_data(example_keys(words, jnp.int32(6), 0, 8))
    assert (np.asarray(other) != np.asarray(whole)).any(1).all()


def test_early_stopping_keeps_the_best_and_counts_patience():
    recipes = recipe_of()
    member = member_of(state_of(recipes, keep_best=True))
    losses, kept = [0.9, 0.5, 0.495, 0.7, 0.2], []
    note = jax.jit(partial(note_evaluation, patience=2, min_delta=0.01))
    for t, loss in enumerate(losses):
        member = member._replace(params=jax.tree.map(lambda p, t=t: jnp.full_like(p, t), member.params))
        member = note(member, jnp.float32(loss), jnp.int32(10 * t))
        kept.append((int(member.best.step), int(member.best.waits), int(member.stopped_at)))
    # 0.495 is less than min_delta better; patience ends at step 30; what comes later does not count.
    assert kept == [(0, 0, -1), (10, 0, -1), (10, 1, -1), (10, 2, 30), (10, 2, 30)]
    assert REASONS[int(member.reason)] == "early stopping"
    assert all((p == 1).all() for p in jax.tree.leaves(member.best.params))


def test_a_validation_loss_that_is_not_a_number_is_never_the_best():
    member = member_of(state_of(recipe_of(), keep_best=True))
    member = note_evaluation(member, jnp.float32(jnp.nan), jnp.int32(4), patience=None, min_delta=0.0)
    assert member.best is not None
    assert np.isinf(member.best.loss)
    assert int(member.best.waits) == 1


def test_max_norm_holds_from_the_start_and_after_each_step(data):
    from dlnotes.training.optimizers import max_norm

    recipes = recipe_of(rate=5.0, project=partial(max_norm, limit=0.5))
    member = member_of(state_of(recipes))
    for m in (member, step(recipes, member, batch_of(data))[0]):
        assert (np.linalg.norm(m.params.hidden[0].W, axis=0) <= 0.5 + 1e-5).all()


def test_feed_replaces_what_the_network_reads_in_training(data):
    """It is given the parameters, a key for each example and the step, and nothing passes back through it."""

    def feed(params, x, *, key, mask, step):
        noise = jax.vmap(lambda k: jax.random.normal(k, x.shape[1:]))(key)
        return x * params.hidden[0].W.sum() + noise * step.astype(jnp.float32)

    recipes = recipe_of(rate=0.3)

    def fed(hyper):
        return recipes(hyper)._replace(sample_inputs=feed, random=True)

    member, batch = member_of(state_of(recipes)), batch_of(data)
    after, _ = step(fed, member, batch, 2)
    keys = jax.vmap(lambda k: jax.random.fold_in(k, 2))(example_keys(member.key, jnp.int32(2), 0, 24))
    x = feed(member.params, batch.x, key=keys, mask=None, step=jnp.int32(2))
    want, _ = step(recipes, member, batch._replace(x=x), 2)
    close(after.params, want.params)
