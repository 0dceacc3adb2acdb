"""Networks with a state: the engine against plain flax loops, divided and not; what never moves it."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from stateful_parts import MODELS, Linen, Nnx, recipe_with
from training_parts import NAMES, batch_of, examples, member_of, recipe_of, state_of

from dlnotes import models
from dlnotes.analysis.counting import count
from dlnotes.data.order import BucketOrder, batch_rows
from dlnotes.devices.placement import place
from dlnotes.models.model import WithState
from dlnotes.training import loop
from dlnotes.training.loader import Loader
from dlnotes.training.optimizers import max_norm, optimizer
from dlnotes.training.state import evaluated_params
from dlnotes.training.step import evaluate_batch, train_step

STEPS, RATE = 5, 0.2


@pytest.fixture(scope="module")
def data():
    return examples(24)


@pytest.fixture(scope="module", params=["linen", "nnx"])
def model(request):
    return MODELS[request.param]()


def step(recipes, member, batch, number=0):
    return jax.jit(lambda m, b, t: train_step(recipes(m.hyper), m, b, t))(member, batch, jnp.int32(number))


def apart(one, other):
    """The largest difference between two trees."""
    return max(float(jnp.abs(a - b).max()) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other)))


def ours(recipes, batches):
    """The members after each of the batches, and the losses."""
    run = jax.jit(lambda m, b, t: train_step(recipes(m.hyper), m, b, t))
    member, members, losses = member_of(state_of(recipes)), [], []
    for t, batch in enumerate(batches):
        member, metrics = run(member, batch, jnp.int32(t))
        members.append(member)
        losses.append(metrics["loss"])
    return members, losses


def batches_of(data):
    """Eight rows each, in an order of no meaning."""
    rows = [np.random.default_rng(t).permutation(data.size)[:8] for t in range(STEPS)]
    return [batch_of(data._replace(x=data.x[r], y=data.y[r])) for r in rows]


def test_linen_training_is_a_plain_flax_loop(data):
    """As flax's guide on batch normalization writes it: mutable statistics, optax's SGD."""
    recipes, batches = recipe_with(MODELS["linen"](), options={"momentum": 0.9}), batches_of(data)
    members, losses = ours(recipes, batches)
    net, rule = Linen(), optax.sgd(RATE, momentum=0.9)
    params, state = member_of(state_of(recipes)).params
    stats, memory = state["batch_stats"], rule.init(params)

    def loss_of(params, stats, batch):
        output, after = net.apply(
            {"params": params, "batch_stats": stats}, batch.x, train=True, mutable=["batch_stats"]
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(output, batch.y).mean()
        return loss, after["batch_stats"]

    for batch, member, got in zip(batches, members, losses):
        (loss, stats), grads = jax.value_and_grad(loss_of, has_aux=True)(params, stats, batch)
        updates, memory = rule.update(grads, memory, params)
        params = optax.apply_updates(params, updates)
        chex.assert_trees_all_close(got, loss, rtol=1e-5)
        chex.assert_trees_all_close(
            member.params, WithState(params, {"batch_stats": stats}), rtol=1e-5, atol=1e-6
        )
    x = batches[0].x
    want = net.apply({"params": params, "batch_stats": stats}, x)
    chex.assert_trees_all_close(recipes({}).model.apply(members[-1].params, x), want, rtol=1e-4, atol=1e-5)


def test_nnx_training_is_a_plain_nnx_loop(data):
    """``nnx.Optimizer`` on the instance from which the model takes its start."""
    net = Nnx(rngs=nnx.Rngs(5))
    model = models.from_flax(lambda rngs: nnx.clone(net), jnp.zeros((1, 5)))
    recipes, batches = recipe_with(model), batches_of(data)
    members, losses = ours(recipes, batches)
    rule = nnx.Optimizer(net, optax.sgd(RATE), wrt=nnx.Param)
    net.train()

    def loss_of(net, batch):
        return optax.softmax_cross_entropy_with_integer_labels(net(batch.x), batch.y).mean()

    for batch, member, got in zip(batches, members, losses):
        loss, grads = nnx.value_and_grad(loss_of)(net, batch)
        rule.update(net, grads)
        params, state = nnx.state(net, nnx.Param, nnx.BatchStat)
        want = WithState(nnx.to_pure_dict(params), nnx.to_pure_dict(state))
        chex.assert_trees_all_close(got, loss, rtol=1e-5)
        chex.assert_trees_all_close(member.params, want, rtol=1e-5, atol=1e-6)
    net.eval()
    got = evaluate_batch(recipes({}), members[-1].params, batches[0])[1]
    chex.assert_trees_all_close(got, net(batches[0].x), rtol=1e-4, atol=1e-5)


def by_parts(model, params, batch, parts):
    """Gradient of the mean loss and mean state, each part normalized by its own rows."""
    rows = len(batch.weight) // parts

    def loss_of(learned, x, y):
        output, state = model.update(WithState(learned, params.state), x)
        loss = optax.softmax_cross_entropy_with_integer_labels(output, y)
        return loss.sum() / len(batch.weight), state

    cut = [slice(i * rows, (i + 1) * rows) for i in range(parts)]
    gradient_of = jax.jit(jax.grad(loss_of, has_aux=True))
    found = [gradient_of(params.learned, batch.x[s], batch.y[s]) for s in cut]
    gradients, states = zip(*found)
    mean = partial(jax.tree.map, lambda *a: jnp.mean(jnp.stack(a), axis=0))
    return jax.tree.map(lambda *a: sum(a), *gradients), mean(*states)


@pytest.mark.parametrize("way", ["accumulate", pytest.param("pmap", marks=pytest.mark.slow), "mesh"])
def test_parts_are_normalized_by_themselves_and_their_statistics_averaged(data, way, model):
    parts = 4
    recipes = recipe_with(model, accumulate=parts if way == "accumulate" else 1)
    member, batch = member_of(state_of(recipes)), batch_of(data)
    gradient, state = by_parts(model, member.params, batch, parts)
    want = WithState(jax.tree.map(lambda p, g: p - RATE * g, member.params.learned, gradient), state)

    def one(member, batch, first):
        return train_step(recipes({}), member, batch, jnp.int32(0), first_row=first, axis_name="d")[0]

    if way == "accumulate":
        after = step(recipes, member, batch)[0]
    elif way == "pmap":
        cut = jax.tree.map(lambda a: a.reshape(parts, -1, *a.shape[1:]), batch)
        copies = jax.pmap(one, axis_name="d", in_axes=(None, 0, 0))(member, cut, jnp.arange(0, 24, 6))
        after = jax.tree.map(lambda a: a[3], copies)
        chex.assert_trees_all_equal(jax.tree.map(lambda a: a[0], copies), after)  # the devices agree
    else:
        mesh = Mesh(np.array(jax.devices()[:parts]), ("d",))
        after = jax.jit(
            jax.shard_map(
                lambda m, b: one(m, b, 0),
                mesh=mesh,
                in_specs=(P(), P("d")),
                out_specs=P(),
                check_vma=False,
            )
        )(member, batch)
    chex.assert_trees_all_close(after.params, want, rtol=1e-5, atol=1e-6)
    whole = by_parts(model, member.params, batch, 1)
    assert apart(whole[0], gradient) > 1e-3


def test_jit_is_eager_and_members_are_as_if_alone(data, model):
    recipes, batch = recipe_with(model, kind="adam", ema=0.8), batch_of(data)
    members = state_of(recipes, 3, [0.1, 0.01, 0.03]).members
    one = lambda m: train_step(recipes(m.hyper), m, batch, jnp.int32(0))  # noqa: E731
    last = jax.tree.map(lambda a: a[2], (members, jax.jit(jax.vmap(one))(members)))
    chex.assert_trees_all_close(last[1], one(last[0]), rtol=1e-4, atol=1e-5)
    one, other = (jax.tree.map(lambda a, i=i: a[i], members.params.learned) for i in (0, 1))
    assert apart(one, other) > 0.1  # each seed drew its own


def keeping(statistic):
    """A linear net whose state, a matrix, a count and a mean, has names and shapes like parameters'."""

    def init(key, /):
        state = {"W": jnp.full((5, 3), 9.0), "count": jnp.array(0), "mean": jnp.zeros(5)}
        return WithState({"W": jax.random.normal(key, (5, 3))}, state)

    def apply(params, x, /, *, key=None, mask=None):
        return (x - params.state["mean"][None]) @ params.learned["W"] + x @ params.state["W"]

    def update(params, x, /, *, key=None, mask=None):
        return apply(params, x), statistic(params.state, x)

    return models.Model(init, apply, update)


def counted(state, x):
    return {"W": state["W"] + 1.0, "count": state["count"] + 1, "mean": x.mean(axis=0)}


@pytest.mark.parametrize("parts", [1, 3])
def test_only_update_moves_a_state(data, parts):
    """Decay, momentum, projection, averaging and the gradient's norm see what is learned, and that alone."""
    options = {"weight_decay": 0.1, "clip_norm": 0.5}
    more = {"project": partial(max_norm, limit=0.7), "ema": 0.9, "accumulate": parts}
    recipes = recipe_with(keeping(counted), "adamw", options=options, **more)
    member, batch = member_of(state_of(recipes)), batch_of(data)
    assert (jnp.linalg.norm(member.params.learned["W"], axis=0) < 0.7001).all()
    after, metrics = step(recipes, member, batch)
    chex.assert_trees_all_close(
        after.params.state,
        {"W": jnp.full((5, 3), 10.0), "count": jnp.array(1), "mean": batch.x.mean(0)},
        atol=1e-6,
    )
    chex.assert_trees_all_close(
        after.average.state,
        {"W": jnp.full((5, 3), 9.1), "count": jnp.array(1), "mean": 0.1 * batch.x.mean(0)},
        atol=1e-6,
    )
    learned, fixed = member.params

    def loss_of(learned):
        output = (batch.x @ learned["W"]) + batch.x @ fixed["W"]
        return optax.softmax_cross_entropy_with_integer_labels(output, batch.y).mean()

    gradient = jax.grad(loss_of)(learned)
    chex.assert_trees_all_close(metrics["grad_norm"], jnp.linalg.norm(gradient["W"]), rtol=1e-5)
    rule = optimizer("adamw", RATE, **options)
    updates, _ = rule.update(gradient, rule.init(learned), learned)
    want = max_norm(optax.apply_updates(learned, updates), 0.7)
    chex.assert_trees_all_close(after.params.learned, want, rtol=1e-5, atol=1e-6)
    assert count(keeping(counted), batch.x).parameters == 15


def test_the_averaged_network_has_averaged_statistics(data):
    recipes = recipe_with(MODELS["nnx"](), ema=0.8)
    members, _ = ours(recipes, batches_of(data))
    want = member_of(state_of(recipes)).params
    for member in members:
        want = jax.tree.map(lambda a, p: 0.8 * a + 0.2 * p, want, member.params)
    chex.assert_trees_all_close(members[-1].average, want, rtol=1e-5, atol=1e-6)
    assert evaluated_params(members[-1]) is members[-1].average


@pytest.mark.slow
def test_bfloat16_computes_low_and_keeps_statistics_high(data, model):
    low, high = recipe_with(model, compute_dtype=jnp.bfloat16), recipe_with(model)
    member, batch = member_of(state_of(low)), batch_of(data)
    got, want = step(low, member, batch)[0], step(high, member, batch)[0]
    assert {a.dtype for a in jax.tree.leaves(got.params)} == {jnp.dtype("float32")}
    chex.assert_trees_all_close(got.params, want.params, rtol=3e-2, atol=3e-2)
    assert apart(got.params, want.params) > 1e-5
    evaluated = [evaluate_batch(r({}), want.params, batch)[1] for r in (low, high)]
    chex.assert_trees_all_close(*evaluated, rtol=5e-2, atol=5e-2)


def test_a_stopped_member_keeps_its_state(data):
    recipes = recipe_with(MODELS["nnx"]())
    members = state_of(recipes, 2, [0.1, 0.1]).members
    x = data.x.copy()
    x[3] = np.inf
    run = jax.jit(jax.vmap(lambda m, b, t: train_step(recipes(m.hyper), m, b, t)[0], in_axes=(0, None, None)))
    after = run(members, batch_of(data._replace(x=x)), jnp.int32(0))
    assert after.stopped_at.tolist() == [0, 0]
    again = run(after, batch_of(data), jnp.int32(1))
    chex.assert_trees_all_equal(again.params, after.params, members.params)


@pytest.mark.slow
def test_dropout_and_statistics_go_together(data):
    for make in MODELS.values():
        recipes = recipe_with(make(0.5), random=True)
        member, batch = member_of(state_of(recipes)), batch_of(data)
        one, same, other = (step(recipes, member, batch, t)[0].params for t in (0, 0, 1))
        chex.assert_trees_all_equal(one, same)
        assert apart(one.learned, other.learned) > 1e-3
        chex.assert_trees_all_equal(one.state, other.state)  # dropout comes after the normalization
        model = recipes({}).model
        np.testing.assert_array_equal(model.apply(one, batch.x), model.apply(one, batch.x))


def test_what_fills_a_batch_up_is_other_examples():
    """The last batch has as many different examples as the others, the same under numpy and jax."""
    n, size, words = 23, 8, np.array([3, 4], np.uint32)
    plain = [batch_rows(t, n=n, batch_size=size, key_data=words) for t in range(3)]
    wrapped = [batch_rows(t, n=n, batch_size=size, key_data=words, wrap=True) for t in range(3)]
    for (rows, weight), (more, same) in zip(plain, wrapped):
        np.testing.assert_array_equal(weight, same)
        np.testing.assert_array_equal(rows[weight > 0], more[weight > 0])
        assert len(set(more.tolist())) == size
    assert wrapped[2][0][-1] == wrapped[0][0][0]
    traced = jax.jit(
        lambda t: batch_rows(t, n=n, batch_size=size, key_data=jnp.asarray(words), xp=jnp, wrap=True)
    )
    for t in range(3):
        chex.assert_trees_all_equal(traced(t), wrapped[t])
    rows, weight = batch_rows(0, n=3, batch_size=5, key_data=words, wrap=True)
    assert rows.tolist() == [0, 1, 2, 0, 1]
    assert weight.tolist() == [1, 1, 1, 0, 0]
    order = BucketOrder(((4,), (9,)), (5, 3), 2)
    found = [order.rows(1, own, key_data=words, wrap=True)[0].tolist() for own in (0, 1)]
    assert found[1][1] == found[0][0]
    assert set(found[0] + found[1]) == {5, 6, 7}


@pytest.mark.parametrize("resident", [True, False])
def test_every_part_of_every_batch_is_full_of_examples(resident):
    """Thirteen rows over four devices of two parts each make sixteen, of which none stands for nothing."""
    division = loop.Division(parts=1, multiple=8, wrap=True)
    numbered = examples(22)._replace(x=np.arange(22, dtype=np.float32)[:, None])
    member = member_of(state_of(recipe_of()))
    words = np.asarray(loop.order_key_data(member))[None]
    feed = Loader(
        numbered, place("single", members=1), division, batch_size=13, words=words, resident=resident
    )
    data = feed.prepare(0, 2)
    for i in range(2):
        rows = data if resident else jax.tree.map(lambda a: a[0], data)
        batch = feed.batch_at(rows, member, jnp.int32(i), jnp.int32(i))
        x, weight = np.asarray(batch.x[:, 0]), np.asarray(batch.weight)
        assert weight.sum() == (13, 9)[i]
        assert len(set(x[:13].tolist())) == 13
        np.testing.assert_array_equal(x[13:], x[:3])


def test_wrong_models_are_named(data):
    whole = keeping(counted)
    for wrong in (whole._replace(update=None), models.linear(5, 3)._replace(update=whole.update)):
        with pytest.raises(
            ValueError, match=r"model: its init gives .* allowed are a WithState and a function"
        ):
            state_of(recipe_with(wrong))
    recipes = recipe_with(keeping(lambda state, x: state | {"mean": x}))
    with pytest.raises(ValueError, match=r"model.update: got a state of shapes .*\(24, 5\).*needed are"):
        step(recipes, member_of(state_of(recipes)), batch_of(data))


def test_chunks_give_the_same_bits_however_cut(data):
    recipes = recipe_with(MODELS["linen"](), kind="adam", ema=0.9)
    division = loop.Division(wrap=True)
    chunk = jax.jit(
        loop.train_chunk(
            recipes,
            loop.resident_batches(24, 10, division),
            metric_names=NAMES,
            capacity=8,
            division=division,
            rows_per_part=10,
        )
    )
    start, data = state_of(recipes, 2, [0.1, 0.01]), jax.tree.map(jnp.asarray, data)
    whole, _ = chunk(start, data, np.int32(7))
    part, _ = chunk(start, data, np.int32(3))
    part, _ = chunk(part, data, np.int32(4))
    chex.assert_trees_all_equal(part, whole)
