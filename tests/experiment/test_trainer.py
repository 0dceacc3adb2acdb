"""Sweeps as groups of members, early stopping per seed, what a failed run and a best step keep."""

# pyright: reportOptionalOperand=false, reportArgumentType=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import parse
from dlnotes.experiment.groups import groups
from dlnotes.experiment.run import run


def alone(directory, **sections):
    return run(parse(tiny(directory, **sections)), keep=False)


def test_a_sweep_of_sizes_and_numbers_is_one_group_per_shape_and_equals_single_runs(tmp_path):
    parameters = {
        "model.widths": [[3], [4]],
        "optimizer.learning_rate": [0.1, 0.01],
        "training.label_smoothing": [0.0, 0.1],
    }
    training = {"duration": "12 steps", "seeds": 2}
    sweep = {"kind": "grid", "parameters": parameters}
    config = parse(tiny(tmp_path, sweep=sweep, training=training, checkpoint={"every": "5 steps"}))
    assert [g.members for g in groups(config)] == [8, 8]
    result = run(config)
    assert len(result.summary["points"]) == 8
    assert [p["point"] for p in result.summary["points"]] == list(range(8))
    assert len([*result.folder.glob("group-*/metrics.jsonl")]) == 2
    plain, smoothed = (result.summary["points"][i]["metrics"]["test"]["loss"]["mean"] for i in (6, 7))
    assert abs(plain - smoothed) > 1e-6
    for point in (result.summary["points"][i] for i in (7,)):
        values = point["values"]
        single = alone(
            tmp_path,
            model={"widths": list(values["model.widths"])},
            optimizer={"learning_rate": values["optimizer.learning_rate"]},
            training=training | {"label_smoothing": values["training.label_smoothing"]},
        )
        for split in ("validation", "test"):
            np.testing.assert_allclose(
                point["metrics"][split]["loss"]["values"],
                single.metrics[split]["loss"]["values"],
                rtol=1e-5,
            )


@pytest.mark.slow
def test_every_swept_number_reaches_its_member(tmp_path):
    """Dropout, initial scale, clipping, decay, momentum, max-norm: traced equals written down."""
    numbers = {
        "model.dropout": 0.5,
        "model.init_scale": 0.3,
        "optimizer.clip_norm": 0.05,
        "optimizer.clip_value": 0.01,
        "optimizer.weight_decay": 0.9,
        "optimizer.momentum": 0.7,
        "training.max_norm": 0.4,
    }
    base = {"training": {"duration": "8 steps", "seeds": 1, "ema": None}}
    sections = base | {"optimizer": {"kind": "sgd", "learning_rate": 0.2, "momentum": 0.2}}
    plain = alone(tmp_path, **sections).metrics["test"]["loss"]["mean"]
    for path, value in numbers.items():
        sweep = {"kind": "grid", "parameters": {path: [value, value / 2]}}
        swept = alone(tmp_path, **sections, sweep=sweep).summary["points"][0]["metrics"]["test"]["loss"][
            "mean"
        ]
        section, name = path.split(".")
        written = alone(tmp_path, **sections | {section: sections.get(section, {}) | {name: value}})
        np.testing.assert_allclose(swept, written.metrics["test"]["loss"]["mean"], rtol=1e-5, err_msg=path)
        assert abs(swept - plain) > 1e-6, path


@pytest.mark.slow
def test_seeds_may_be_swept_too(tmp_path):
    sweep = {"kind": "grid", "parameters": {"seed": [0, 7], "training.seeds": [1, 2]}}
    result = alone(tmp_path, sweep=sweep, training={"duration": "4 steps"})
    assert [p["seeds"] for p in result.summary["points"]] == [[0], [0, 1], [7], [7, 8]]
    values = [p["metrics"]["test"]["loss"]["values"] for p in result.summary["points"]]
    assert [len(v) for v in values] == [1, 2, 1, 2]
    np.testing.assert_allclose(values[0][0], values[1][0], rtol=1e-5)
    assert values[0][0] != values[2][0]


def test_a_random_sweep_draws_inside_its_ranges_and_repeats_itself(tmp_path):
    ranges = {
        "optimizer.learning_rate": {"low": 1e-3, "high": 1e-1, "scale": "log"},
        "model.dropout": {"low": 0.1, "high": 0.3},
        "optimizer.kind": ["adam", "sgd"],
    }
    sweep = {"kind": "random", "samples": 5, "parameters": ranges}
    config = parse(tiny(tmp_path, sweep=sweep, training={"duration": "3 steps", "seeds": 1}))
    found = groups(config)
    assert sorted(i for g in found for i in g.indices) == list(range(5))
    assert len(found) == len({g.config.optimizer.kind for g in found})
    for g in found:
        assert (
            (g.hyperparams["optimizer.learning_rate"] > 1e-3)
            & (g.hyperparams["optimizer.learning_rate"] < 0.1)
        ).all()
        assert ((g.hyperparams["model.dropout"] > 0.1) & (g.hyperparams["model.dropout"] < 0.3)).all()
    again = groups(config)
    assert [g.hyperparams["model.dropout"].tolist() for g in again] == [
        g.hyperparams["model.dropout"].tolist() for g in found
    ]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Seeds that overfit and so stop at steps of their own."""
    sections = {
        "data": {"kind": "two_moons", "n": 40, "noise": 0.6, "validation": 12},
        "model": {"kind": "mlp", "widths": [24], "dropout": 0.0},
        "optimizer": {"kind": "adam", "learning_rate": 0.05},
        "training": {
            "duration": "400 steps",
            "batch_size": 16,
            "seeds": 4,
            "ema": None,
            "evaluate_every": "5 steps",
            "early_stopping": {"patience": 3, "min_delta": 0.001},
        },
    }
    return run(parse(tiny(tmp_path_factory.mktemp("stopped"), **sections)))


def test_each_seed_stops_by_its_own_validation_loss(stopped):
    """Replays the rule on the logged losses."""
    point = stopped.summary["points"][0]
    logged = [(r["step"], r["loss"]) for r in stopped.history() if r["split"] == "validation"]
    expected = {}
    for m in range(4):
        best, best_step, waits = np.inf, 0, 0
        for step, losses in logged:
            if losses[m] < best - 0.001:
                best, best_step, waits = losses[m], step, 0
            else:
                waits += 1
            if waits == 3:
                expected[m] = (step, best_step, best)
                break
    assert len(expected) == 4
    assert {s["member"]: s["step"] for s in point["stopped"]} == {m: e[0] for m, e in expected.items()}
    assert all(s["reason"] == "early stopping" for s in point["stopped"])
    assert point["best_step"] == [expected[m][1] for m in range(4)]
    assert stopped.summary["status"] == "done"
    # The parameters kept are those of the best step, so the final measurement repeats the best loss.
    np.testing.assert_allclose(
        point["metrics"]["validation"]["loss"]["values"], [expected[m][2] for m in range(4)], rtol=1e-5
    )
    assert len({e[0] for e in expected.values()}) > 1


def test_training_ends_when_the_last_seed_stops(stopped):
    last = max(s["step"] for s in stopped.summary["points"][0]["stopped"])
    assert stopped.summary["steps"] == [last]
    assert stopped.history()[-1]["step"] == last


def test_parameters_of_the_best_step_are_given(stopped):
    best = stopped.states[0].members.best
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[2]), stopped.params(2), best.params)
    last = jax.tree.map(lambda a: a[2], stopped.states[0].members.params)
    assert not np.array_equal(stopped.params(2).output.W, last.output.W)


def test_no_duration_compiles_the_chunk_again(tmp_path):
    """A run's chunks grow with the clock; one program must serve them all."""
    import logging

    records = []

    class Handler(logging.Handler):
        def emit(self, record):
            records.append(record.getMessage())

    logger, handler = logging.getLogger("jax"), Handler()
    logger.addHandler(handler)
    try:
        with jax.log_compiles():
            alone(tmp_path, training={"duration": "300 steps", "evaluate_every": "70 steps"})
    finally:
        logger.removeHandler(handler)
    names = [r.split(" ")[1] for r in records if r.startswith("Compiling")]
    assert names.count("jit(chunk)") == 1, names


SLOW = [
    pytest.param(k, marks=pytest.mark.slow) for k in ("reber", "number_words", "list_ops", "text", "digits")
]


@pytest.mark.parametrize("kind", [*SLOW, "diabetes"])
def test_every_kind_of_data_trains_its_family(kind, tmp_path):
    tiny_data = {
        "reber": {"kind": "reber", "n": 40, "max_length": 20},
        "number_words": {
            "kind": "number_words",
            "maximum": 99,
            "n_train": 20,
            "n_validation": 4,
            "n_test": 4,
        },
        "list_ops": {"kind": "list_ops", "n_train": 20, "n_validation": 4, "n_test": 4, "max_length": 12},
        "text": {"kind": "text", "window": 8, "limit": 400},
        "diabetes": {"kind": "tabular", "name": "diabetes"},
        "digits": {"kind": "digits"},
    }
    models = {
        "reber": {"kind": "sequence_classifier", "hidden": 3, "embedding": 2, "cell": "rnn"},
        "number_words": {"kind": "seq2seq", "hidden": 3, "embedding": 2, "cell": "rnn"},
        "list_ops": {"kind": "tree_net", "hidden": 3, "cell": "affine"},
        "text": {"kind": "character_model", "hidden": 3, "embedding": 2, "cell": "gru"},
        "diabetes": {"kind": "maxout_mlp", "widths": [3], "pieces": 2},
        "digits": {"kind": "linear"},
    }
    raw = tiny(tmp_path) | {"data": tiny_data[kind], "model": models[kind]}
    raw["training"] = {"duration": "2 steps", "batch_size": 8, "seeds": 1}
    told = []
    result = run(parse(raw), keep=False, watch=lambda p: told.append(p.message or ""))
    assert np.isfinite(result.metrics["test"]["loss"]["mean"])
    assert any(t.startswith("a batch of 8 trees has ") for t in told) == (kind == "list_ops")
