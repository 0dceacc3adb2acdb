"""Training by buckets: the order is a pure function, the answers are those of padding to the largest."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.data.buckets import buckets_for, choose_buckets, masked_sizes, rows_of
from dlnotes.data.dataset import Examples
from dlnotes.data.order import BucketOrder
from dlnotes.devices.placement import Division, place
from dlnotes.experiment import run as running
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.evaluator import Evaluator
from dlnotes.experiment.groups import groups
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import Interrupted, resume, run
from dlnotes.experiment.setup import prepare
from dlnotes.experiment.trainer import Trainer
from dlnotes.training.loader import Loader
from dlnotes.training.loop import order_key_data
from dlnotes.training.state import init_state

BUCKETED = {
    "data": {"kind": "reber", "n": 80, "max_length": 24},
    "model": {"kind": "sequence_classifier", "cell": "rnn", "hidden": 4, "embedding": 3},
    "training": {
        "duration": "16 steps",
        "batch_size": 9,
        "seeds": 2,
        "buckets": 2,
        "ema": None,
        "log_every": 1,
        "evaluate_every": "8 steps",
    },
}


def written(directory, **sections):
    """A config whose tiny sections are replaced, not merged."""
    base = tiny(directory) | BUCKETED
    merged = {k: ({**base.get(k, {}), **v} if isinstance(v, dict) else v) for k, v in sections.items()}
    return parse(base | merged)


def test_an_epoch_visits_every_example_once_in_batches_of_one_bucket():
    order = BucketOrder(((4,), (7,), (9,)), (11, 3, 8), 4)
    assert order.steps == (3, 1, 2)
    bucket_of_row = np.repeat([0, 1, 2], order.counts)
    words = np.array([5, 6], np.uint32)
    epochs = []
    for epoch in range(5):
        seen, visited = [], []
        for t in range(epoch * 6, epoch * 6 + 6):
            bucket, own = order.at(t)
            rows, weight = order.rows(int(bucket[0]), own, key_data=words)
            assert rows.shape == weight.shape == (4,)
            assert (bucket_of_row[rows] == bucket[0]).all()
            seen += rows[weight > 0].tolist()
            visited.append(int(bucket[0]))
        assert sorted(seen) == list(range(22))
        epochs.append((tuple(visited), tuple(seen)))
    assert len({v for v, _ in epochs}) > 2  # another order of buckets …
    assert len({tuple(s) for _, s in epochs}) == 5  # … and of rows


def test_the_order_is_the_same_under_jax_and_every_place_comes_up():
    order = BucketOrder(((4,), (7,)), (30, 10), 4)
    words = jnp.asarray([[5, 6], [7, 8]], jnp.uint32)
    at = jax.jit(lambda t: order.at(t, xp=jnp))
    rows = jax.jit(jax.vmap(lambda own, w: order.rows(1, own, key_data=w, xp=jnp), in_axes=(None, 0)))
    first = []
    for t in range(330):
        bucket, own = order.at(t)
        assert [int(a[0]) for a in at(np.int32(t))] == [int(bucket[0]), int(own[0])]
        if t % order.per_epoch == 0:
            first.append(int(bucket[0]))
        if t < 12:
            got = rows(own, words)
            for m in range(2):
                expected = order.rows(1, own, key_data=np.asarray(words[m]))
                np.testing.assert_array_equal(got[0][m], expected[0])
                np.testing.assert_array_equal(got[1][m], expected[1])
    assert 0 < np.mean(first) < 0.6  # three of eleven batches are of the second


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    told = []
    folder = tmp_path_factory.mktemp("bucketed")
    result = run(written(folder), watch=lambda p: told.append(p.message))
    return result, [message for message in told if message]


def test_what_was_chosen_is_said_and_written(finished):
    result, told = finished
    assert len(told) == 1
    assert told[0].startswith("2 buckets: ")
    assert told[0].endswith("; the training step is compiled for 2 shapes")
    assert result.summary["buckets"] == [told[0].rpartition(";")[0]]
    sizes = masked_sizes(result.dataset.train.mask)
    chosen = choose_buckets(sizes, most=2)
    assert chosen.describe() in told[0]
    assert len(result.history()) == 16 + 2  # steps, evaluations


@pytest.mark.parametrize("at", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_interrupted_and_resumed_is_undisturbed(at, finished, tmp_path, monkeypatch):
    taken = []
    from contextlib import contextmanager

    @contextmanager
    def stoppable():
        yield lambda: bool(taken) and taken[-1] >= at

    with monkeypatch.context() as patched:
        patched.setattr(running, "_stoppable", stoppable)
        with pytest.raises(Interrupted) as stopped:
            run(written(tmp_path), watch=lambda p: taken.append(p.step))
    result = resume(stopped.value.folder)
    whole = finished[0]
    chex.assert_trees_all_equal(result.states, whole.states)
    assert result.history() == whole.history()


@pytest.mark.parametrize(
    "devices",
    [
        {"resident": "no"},
        pytest.param({"strategy": "mesh", "count": 2}, marks=pytest.mark.slow),
        pytest.param({"strategy": "pmap", "count": 2}, marks=pytest.mark.slow),
        pytest.param({"strategy": "mesh", "count": 2, "resident": "no"}, marks=pytest.mark.slow),
    ],
)
def test_streamed_and_divided_training_gives_the_same(devices, finished, tmp_path):
    result = run(written(tmp_path, devices={"strategy": "single"} | devices), keep=False)
    jax.tree.map(close, result.states[0].members.params, finished[0].states[0].members.params)


@pytest.mark.slow
@pytest.mark.parametrize("devices", [{}, {"resident": "no"}])
def test_a_member_alone_and_a_batch_divided_over_devices_give_the_same(devices, finished, tmp_path):
    training = {"seeds": 1}
    config = written(tmp_path, training=training, devices={"strategy": "mesh", "count": 2} | devices)
    result = run(config, keep=False)
    assert "each batch" in result.summary["placement"][0]
    first = jax.tree.map(lambda a: a[:1], finished[0].states[0].members.params)
    jax.tree.map(close, result.states[0].members.params, first)


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_step_is_that_of_its_rows_padded_to_the_largest(tmp_path):
    """The loss of the first steps equals the loss of the same rows without any cutting."""
    config = written(tmp_path, optimizer={"kind": "sgd", "learning_rate": 1e-12})
    dataset = load_data(config)
    result = run(config, dataset=dataset)
    trainer = Trainer(prepare(groups(config)[0], dataset), place("single", members=2))
    buckets = choose_buckets(masked_sizes(dataset.train.mask), most=2)
    order = BucketOrder(buckets.shapes, buckets.counts, 9)
    sorted_rows = np.argsort(buckets.index, kind="stable")
    start = init_state(trainer.setup.recipe_of, np.arange(2, dtype=np.int32), {}).members
    losses = [r["loss"] for r in result.history() if r["split"] == "train"]
    model = trainer.setup.recipe_of({}).model
    apply = jax.jit(lambda p, x, mask: model.apply(p, x, mask=mask))
    for t in (0, 7):
        bucket, own = order.at(t)
        for m in range(2):
            member = jax.tree.map(lambda a: a[m], start)  # noqa: B023
            rows, weight = order.rows(int(bucket[0]), own, key_data=np.asarray(order_key_data(member)))
            taken = rows_of(dataset.train, sorted_rows[rows[weight > 0]])
            params = jax.tree.map(lambda a: a[m], start.params)  # noqa: B023
            logits = apply(params, taken.x, taken.mask)
            expected = np.mean(logsumexp(logits, axis=1) - logits[np.arange(len(logits)), taken.y])
            np.testing.assert_allclose(losses[t][m], expected, rtol=1e-4)


def test_evaluation_and_prediction_do_not_depend_on_buckets(finished, tmp_path):
    result = finished[0]
    dataset = result.dataset
    whole = groups(written(tmp_path, training={"buckets": 1}))[0]
    padded = Evaluator(prepare(whole, dataset), place("single", members=2))
    members = result.states[0].members
    for split in ("validation", "test"):
        expected = padded.evaluate(members, split)
        got = evaluate_run(result.folder, split=split)
        for name, values in expected.items():
            np.testing.assert_allclose(got[name]["values"], values, rtol=1e-5)
    bucketed = Evaluator(prepare(groups(result.config)[0], dataset), place("single", members=2))
    np.testing.assert_allclose(
        bucketed.predict(members, dataset.test), padded.predict(members, dataset.test), rtol=1e-4, atol=1e-6
    )


def test_strings_of_a_file_are_predicted(finished, tmp_path):
    file = tmp_path / "strings.txt"
    file.write_text("BTBTXSETE\nBTBTXSEPE\nBPBPTTTTTTTVPSEPE\n")
    table = predict_run(finished[0].folder, file).read_text().splitlines()
    assert len(table) == 4


def test_streamed_chunks_hold_the_rows_of_the_order(tmp_path):
    rng = np.random.default_rng(0)
    examples = Examples(rng.normal(size=(12, 6, 2)), rng.integers(0, 3, 12), np.ones((12, 6), bool))
    order = BucketOrder(((3,), (6,)), (7, 5), 3)
    words = np.array([[1, 2]], np.uint32)
    feed = Loader(
        examples,
        place("single", members=1),
        Division(),
        batch_size=3,
        words=words,
        resident=False,
        order=order,
    )
    got = feed.prepare(2, 4)
    for i in range(4):
        bucket, own = order.at(2 + i)
        rows, weight = order.rows(int(bucket[0]), own, key_data=words[0])
        np.testing.assert_array_equal(got.y[0, i], examples.y[rows])
        np.testing.assert_array_equal(got.weight[0, i], weight)


@pytest.mark.slow
def test_pairs_by_both_lengths_are_trained_and_measured_as_if_padded_to_the_largest(tmp_path):
    data = {"kind": "number_words", "maximum": 9999, "n_train": 60, "n_validation": 9, "n_test": 1}
    model = {"kind": "seq2seq", "cell": "rnn", "hidden": 4, "embedding": 3}
    training = {
        "duration": "8 steps",
        "batch_size": 11,
        "seeds": 1,
        "buckets": 3,
        "log_every": 1,
        "ema": None,
    }
    config = parse(
        tiny(tmp_path)
        | {"data": data, "model": model, "training": training}
        | {"optimizer": {"kind": "sgd", "learning_rate": 1e-12}}
    )
    result = run(config)
    train, buckets = result.dataset.train, buckets_for(result.dataset.train, 3)
    assert len(buckets.shapes) == 3
    order = BucketOrder(buckets.shapes, buckets.counts, 11)
    sorted_rows = np.argsort(buckets.index, kind="stable")
    trainer = Trainer(prepare(groups(config)[0], result.dataset), place("single", members=1))
    member = jax.tree.map(
        lambda a: a[0], init_state(trainer.setup.recipe_of, np.zeros(1, np.int32), {}).members
    )
    apply = jax.jit(trainer.setup.recipe_of({}).model.apply)
    losses = [r["loss"] for r in result.history() if r["split"] == "train"]
    for t in (0, 3, 7):
        bucket, own = order.at(t)
        rows, weight = order.rows(int(bucket[0]), own, key_data=np.asarray(order_key_data(member)))
        taken = rows_of(train, sorted_rows[rows[weight > 0]])
        logits = np.asarray(apply(member.params, taken.x, mask=taken.mask))
        picked = np.take_along_axis(logits, np.maximum(taken.y, 0)[..., None], -1)[..., 0]
        real = taken.y >= 0
        expected = (logsumexp(logits, axis=-1) - picked)[real].mean()
        np.testing.assert_allclose(losses[t][0], expected, rtol=1e-4)
    whole = groups(parse(config.model_dump() | {"training": training | {"buckets": 1}}))[0]
    padded = Evaluator(prepare(whole, result.dataset), place("single", members=1))
    members = result.states[0].members
    got, expected = (t.evaluate(members, "validation") for t in (trainer.evaluator, padded))
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5)


def test_buckets_of_examples_of_one_size_are_refused(tmp_path):
    moons, model = {"kind": "two_moons", "n": 60}, {"kind": "mlp", "widths": [3]}
    config = parse(tiny(tmp_path) | {"data": moons, "model": model, "training": {"buckets": 2}})
    with pytest.raises(ConfigError, match="training.buckets: got 2"):
        run(config)
