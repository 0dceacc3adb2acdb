"""metrics.jsonl: the same bytes for any cut of the steps and any interruption."""

import json

import numpy as np
import pytest

from dlnotes.experiment.metrics_log import MetricsLog, read_metrics

ROWS = np.random.default_rng(2).normal(size=(23, 2, 3)).astype(np.float32)


def log_to(path, **options):
    return MetricsLog(path, ("loss", "accuracy"), every=5, per_epoch=7, **options)


def feed(log, cuts, first=0):
    for n in cuts:
        log.steps(first, ROWS[first : first + n], last=23)
        first += n
    log.flush()


def test_lines_are_means_over_windows(tmp_path):
    log = log_to(tmp_path / "m.jsonl")
    feed(log, [23])
    records = read_metrics(tmp_path / "m.jsonl")
    assert [r["step"] for r in records] == [5, 10, 15, 20, 23]
    for record, (a, b) in zip(records, [(0, 5), (5, 10), (10, 15), (15, 20), (20, 23)]):
        np.testing.assert_allclose(record["loss"], ROWS[a:b, 0].mean(0), rtol=1e-5)
        np.testing.assert_allclose(record["accuracy"], ROWS[a:b, 1].mean(0), rtol=1e-5)
        assert record["epoch"] == round(record["step"] / 7, 4)


@pytest.mark.parametrize("cuts", [[1] * 23, [4, 4, 15], [22, 1]])
def test_any_cut_gives_the_same_bytes(cuts, tmp_path):
    for name, sizes in (("a", [23]), ("b", cuts)):
        feed(log_to(tmp_path / name), sizes)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("at", [0, 3, 5, 12])
def test_a_rewound_log_goes_on_without_gap_or_repeat(at, tmp_path):
    feed(log_to(tmp_path / "a"), [23])
    log = log_to(tmp_path / "b")
    feed(log, [at])
    position = json.loads(json.dumps(log.position()))  # as a checkpoint keeps it
    feed(log, [6], first=at)  # lost to a crash
    again = log_to(tmp_path / "b")
    again.rewind(position)
    feed(again, [23 - at], first=at)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_log_that_was_lost_is_not_filled_with_zeros(tmp_path):
    log = log_to(tmp_path / "a")
    log.rewind({"bytes": 1000, "sum": None, "count": 0})
    feed(log, [5])
    assert len(read_metrics(tmp_path / "a")) == 1


def test_a_line_cut_off_is_left_out(tmp_path):
    feed(log_to(tmp_path / "a"), [23])
    raw = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(raw[:-20])
    assert [r["step"] for r in read_metrics(tmp_path / "a")] == [5, 10, 15, 20]


def test_what_is_not_finite_is_null_and_writers_see_every_record(tmp_path):
    seen = []
    log = log_to(tmp_path / "a", writers=(seen.append,))
    rows = ROWS[:5].copy()
    rows[2, 0, 1] = np.nan
    log.steps(0, rows, last=5)
    log.evaluation(5, "validation", {"loss": np.array([1.0, np.inf, 0.1], np.float32)})
    log.flush()
    train, validation = read_metrics(tmp_path / "a")
    assert train["loss"][1] is None
    assert validation == {"step": 5, "epoch": 0.7143, "split": "validation", "loss": [1.0, None, 0.1]}
    assert [r["split"] for r in seen] == ["train", "validation"]


def test_without_a_path_nothing_is_written(tmp_path):
    log = log_to(None)
    log.rewind(None)
    feed(log, [23])
    assert log.position()["bytes"] == 0
    assert list(tmp_path.iterdir()) == []
