"""run and resume: the same bits however interrupted, nothing written on mistakes, the result's API."""

# pyright: reportOptionalOperand=false, reportArgumentType=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
import json
import shutil

import chex
import numpy as np
import pytest
from tiny_run import tiny

import dlnotes
from dlnotes import data, models
from dlnotes.config import ConfigError, load, parse, to_toml
from dlnotes.experiment import durations
from dlnotes.experiment import run as running
from dlnotes.experiment.run import Interrupted, RunFailed, resume, run, summary_of
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.training.checkpoints import Checkpoints


def lines(folder):
    return (folder / "metrics.jsonl").read_bytes()


def equal(got, expected):
    chex.assert_trees_all_equal(got, expected)


def interrupting(monkeypatch, at):
    """Make the next run be told to stop once it has taken ``at`` steps; returns its watch."""
    from contextlib import contextmanager

    from dlnotes.experiment import run as running

    steps = [0]

    @contextmanager
    def stoppable():
        yield lambda: steps[0] >= at

    monkeypatch.setattr(running, "_stoppable", stoppable)
    return lambda progress: steps.__setitem__(0, progress.step)


@pytest.mark.parametrize("at", [1, 7, 13])
def test_interrupted_and_resumed_is_undisturbed(at, config, finished, monkeypatch):
    watch = interrupting(monkeypatch, at)
    with pytest.raises(Interrupted, match="dlnotes resume") as stopped:
        run(config(), watch=watch)
    monkeypatch.undo()
    folder = stopped.value.folder
    assert not (folder / "summary.json").exists()
    assert Checkpoints(folder / "checkpoints").steps()[-1] < 30
    result = resume(folder)
    equal(result.states, finished.states)
    assert lines(folder) == lines(finished.folder)
    assert result.metrics == finished.metrics


def test_a_folder_copied_midway_goes_on_as_if_killed(config, finished, tmp_path):
    """Every chunk is followed by a copy; one in the middle must lead to the same end."""
    copies = []

    def watch(progress):
        for folder in (tmp_path / "runs" / "tiny").iterdir():
            if 0 < progress.step < 30 and progress.step > len(copies):
                copies.append(shutil.copytree(folder, tmp_path / f"copy-{progress.step}"))

    result = run(config(checkpoint={"every_seconds": 0}), watch=watch)
    equal(result.states, finished.states)
    assert lines(result.folder) == lines(finished.folder)
    assert len(copies) > 2
    copy = copies[len(copies) // 2]
    equal(resume(copy).states, finished.states)
    assert lines(copy) == lines(finished.folder)


def test_a_damaged_checkpoint_is_passed_over_with_a_message(config, finished, tmp_path):
    result = run(config(checkpoint={"every": "9 steps"}))
    store = Checkpoints(result.folder / "checkpoints")
    newest = store.steps()[-1]
    path = max((store.folder / str(newest)).rglob("*"), key=lambda p: p.stat().st_size if p.is_file() else 0)
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 3] ^= 4
    path.write_bytes(raw)
    told = []
    again = resume(result.folder, watch=lambda p: told.append(p.message))
    assert any("damaged checkpoint" in m and str(path) in m for m in told)
    equal(again.states, finished.states)
    assert lines(result.folder) == lines(finished.folder)


def test_resuming_a_finished_run_changes_nothing(config):
    result = run(config(training={"seeds": 1, "ema": 0.5}))
    before = lines(result.folder)
    again = resume(result.folder)
    equal(again.states, result.states)
    assert lines(result.folder) == before
    assert again.metrics == result.metrics


def test_running_the_resolved_config_again_gives_the_same_numbers(finished, tmp_path):
    resolved = load(finished.folder / "config.toml", [f'output.directory="{tmp_path}"'])
    again = run(resolved)
    assert lines(again.folder) == lines(finished.folder)


def test_the_result_says_what_came_of_it(finished):
    metrics = finished.metrics
    assert {"validation", "test"} <= set(metrics)
    accuracy = metrics["test"]["accuracy"]
    assert len(accuracy["values"]) == 3
    np.testing.assert_allclose(accuracy["mean"], np.mean(accuracy["values"]))
    assert accuracy["low"] <= accuracy["mean"] <= accuracy["high"]
    model = models.mlp((2,), (5,), 2)
    test = finished.dataset.test
    for member in range(3):
        output = np.asarray(model.apply(finished.params(member), test.x))
        np.testing.assert_allclose((output.argmax(1) == test.y).mean(), accuracy["values"][member], rtol=1e-5)
    history = finished.history()
    assert [r["step"] for r in history if r["split"] == "train"] == [4, 8, 12, 16, 20, 24, 28, 30]
    assert len(history[0]["loss"]) == 3
    assert summary_of(finished.folder) == json.loads(json.dumps(finished.summary))
    assert finished.summary["status"] == "done"
    for name in ("config.toml", "environment.json", "metrics.jsonl", "checkpoints"):
        assert (finished.folder / name).exists()
    assert dlnotes.run is run


def test_training_learns(config):
    sections = {
        "data": {"n": 200},
        "model": {"widths": [16], "dropout": 0.0},
        "training": {"duration": "40 epochs"},
    }
    result = run(config(**sections), keep=False)
    assert result.metrics["test"]["accuracy"]["mean"] > 0.9


def test_without_keeping_nothing_is_written(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(config(training={"seeds": 1, "duration": "3 steps"}), keep=False)
    assert result.folder is None
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="kept no folder"):
        result.history()


WRONG = {
    "missing file": {"data": {"kind": "npz", "path": "nowhere.npz"}, "model": {"kind": "linear"}},
    "too few devices": {"devices": {"strategy": "mesh", "count": 99}},
    "loss and task": {"training": {"loss": "squared_error"}},
    "network and image": {
        "data": {"kind": "digits"},
        "model": {"kind": "cnn", "channels": [2] * 7, "dense": []},
    },
    "no validation part": {"data": {"kind": "two_moons", "validation": 0}, "training": {"select": "best"}},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_told_before_anything_is_written(name, tmp_path):
    from tiny_run import tiny

    from dlnotes.config import parse

    sections = tiny(tmp_path / "runs") | WRONG[name]
    sections["output"] = {"figures": False, "directory": str(tmp_path / "runs")}
    with pytest.raises(ConfigError) as error:
        run(parse(sections))
    assert error.value.problems
    assert not (tmp_path / "runs").exists()


def test_a_model_that_does_not_fit_is_told_before_anything_is_written(config, tmp_path):
    with pytest.raises(ConfigError):
        run(config(), model=models.mlp((7,), (5,), 2))
    assert not (tmp_path / "runs").exists()


def test_overrides_are_for_files(config):
    with pytest.raises(ValueError, match="overrides"):
        run(config(), ["training.seeds=2"])


def test_what_is_no_run_folder_is_told(tmp_path):
    with pytest.raises(ConfigError, match="is not a run folder"):
        resume(tmp_path)


def test_every_seed_failing_is_a_failure_with_reasons(config):
    with pytest.raises(RunFailed, match="every seed failed .*non-finite") as error:
        run(config(optimizer={"kind": "sgd", "learning_rate": 1e30}))
    assert "run folder" in str(error.value)


def test_where_all_seeds_fail_the_log_ends_whatever_the_chunks(config, monkeypatch):
    from dlnotes.experiment import trainer

    for seconds in (1e-9, 100.0):
        monkeypatch.setattr(trainer, "CHUNK_SECONDS", seconds)
        sections = {
            "optimizer": {"kind": "sgd", "learning_rate": 1e12},
            "training": {"duration": "300 steps"},
        }
        with pytest.raises(RunFailed):
            run(config(**sections))
    logs = [lines(f.parent) for f in _config_files(config())]
    assert len(logs) == 2
    assert logs[0] == logs[1]


def test_one_seed_failing_leaves_the_others(config):
    sweep = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.02, 1e30]}}
    result = run(config(optimizer={"kind": "sgd"}, training={"seeds": 2}, sweep=sweep), keep=False)
    good, bad = result.summary["points"]
    assert result.summary["status"] == "done"
    assert result.summary["failed_members"] == 2
    assert good["stopped"] == []
    assert [s["reason"] for s in bad["stopped"]] == ["non-finite loss"] * 2
    assert bad["metrics"]["test"]["loss"]["mean"] is None
    alone = run(config(optimizer={"kind": "sgd", "learning_rate": 0.02}, training={"seeds": 2}), keep=False)
    np.testing.assert_allclose(
        good["metrics"]["test"]["loss"]["values"], alone.metrics["test"]["loss"]["values"], rtol=1e-5
    )


@pytest.mark.parametrize("where", ["metrics", "checkpoint", "summary"])
def test_a_full_disk_is_said_and_can_be_resumed(where, config, monkeypatch):
    from dlnotes.experiment import metrics_log
    from dlnotes.experiment import run as running

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if where == "metrics":
        monkeypatch.setattr(metrics_log.os, "fsync", full)
    elif where == "checkpoint":
        monkeypatch.setattr(Checkpoints, "save", full)
    else:
        monkeypatch.setattr(running, "write_json", full)
    settings = config(training={"seeds": 1, "duration": "5 steps"})
    with pytest.raises(RunFailed, match="no space left") as error:
        run(settings)
    monkeypatch.undo()
    folder = next(f.parent for f in _config_files(settings))
    assert str(folder) in str(error.value)
    assert resume(folder).summary["status"] == "done"


def _config_files(config):
    from pathlib import Path

    return Path(config.output.directory).rglob("config.toml")


def test_tensorboard_event_files_hold_the_metrics(config):
    import struct

    from tensorboardX.proto import event_pb2

    result = run(config(output={"tensorboard": True}, training={"seeds": 1}))
    (path,) = (result.folder / "tensorboard").iterdir()
    raw, at, values = path.read_bytes(), 0, {}
    while at < len(raw):
        (length,) = struct.unpack("<Q", raw[at : at + 8])
        event = event_pb2.Event.FromString(raw[at + 12 : at + 12 + length])
        values |= {(v.tag, event.step): v.simple_value for v in event.summary.value}
        at += 16 + length
    for record in result.history():
        loss = values[f"{record['split']}/loss", record["step"]]
        np.testing.assert_allclose(loss, record["loss"][0], rtol=1e-6)


def test_a_network_and_a_data_set_of_ones_own(config):
    dataset = data.two_moons(n=80, noise=0.05, seed=3)
    result = run(config(training={"seeds": 1}), model=models.linear((2,), 2), dataset=dataset, keep=False)
    assert result.params().W.shape == (2, 2)
    assert result.dataset is dataset


def test_run_folders_do_not_collide(config):
    settings = config()
    assert RunFolder.create(settings).path != RunFolder.create(settings).path


def test_a_mapping_is_run_like_a_file(tmp_path):
    """A person in a notebook writes the sections down; a file of them gives the same numbers."""
    raw = tiny(tmp_path / "runs", training={"duration": "4 steps"})
    written = tmp_path / "tiny.toml"
    written.write_text(to_toml(parse(raw)))
    of_mapping = run(raw, ["training.seeds=2"], keep=False)
    of_file = run(written, ["training.seeds=2"], keep=False)
    assert of_mapping.metrics == of_file.metrics
    assert raw["training"]["seeds"] == 3  # what was given is left as it was
    with pytest.raises(ConfigError, match="did you mean 'widths'"):
        run(tiny(tmp_path, model={"widht": [3]}))
    with pytest.raises(ConfigError, match="training.seeds"):
        run(raw, ["training.seeds=0"])


@pytest.mark.slow
def test_what_a_run_needs_is_found_once(tmp_path, monkeypatch):
    """Buckets of the training part and the groups of a sweep are found once, whatever asks for them."""
    sizes, asked = [], []
    found, divided = durations.buckets_for, running.groups
    monkeypatch.setattr(
        durations, "buckets_for", lambda part, most: sizes.append(part.size) or found(part, most)
    )
    monkeypatch.setattr(running, "groups", lambda config: asked.append(config) or divided(config))
    raw = tiny(tmp_path, training={"duration": "2 steps", "buckets": 2, "seeds": 1})
    raw["data"] = {"kind": "reber", "n": 60}
    raw["model"] = {"kind": "sequence_classifier", "hidden": 4, "cell": "rnn"}
    raw["sweep"] = {"kind": "grid", "parameters": {"model.hidden": [3, 4]}}
    dataset = data.load("reber", n=60)
    result = run(raw, dataset=dataset, keep=False)
    assert len(result.groups) == 2
    assert sizes == [dataset.train.size]
    assert len(asked) == 1


def test_an_error_knows_the_folder_that_was_written(config, monkeypatch):
    def fail(self, **_):
        raise LookupError("inside")

    monkeypatch.setattr("dlnotes.experiment.trainer.Trainer.train", fail)
    with pytest.raises(LookupError, match="inside") as told:
        run(config())
    assert RunFolder.open(told.value.run_folder).config() == config()


def test_a_large_state_is_saved_while_training_goes_on(config, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("dlnotes.training.saver.LARGE", 0)
    result = run(config(checkpoint={"every": "5 steps"}))
    equal(result.states, finished.states)
    (result.folder / "summary.json").unlink()
    store = Checkpoints(result.folder / "checkpoints")
    store.set_aside_after(store.steps()[0])
    equal(resume(result.folder).states, finished.states)
    assert lines(result.folder) == lines(finished.folder)
