"""MLflow and Weights & Biases: what they are told is what the run folder says, and they never end a run."""

# pyright: reportOptionalOperand=false, reportMissingImports=false
import json
import logging
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import offline_wandb
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse, to_toml
from dlnotes.experiment import run as running
from dlnotes.experiment.loggers import loggers, needs
from dlnotes.experiment.loggers.tracks import Row, measured_of, named, rows_of
from dlnotes.experiment.run import Interrupted, RunFailed, resume, run

SWEEP = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.02, 0.05], "model.widths": [[5], [3]]}}


class Kept:
    """A logger that keeps what it is told, across processes."""

    def __init__(self):
        self.tracks, self.history = {}, defaultdict(list)
        self.final, self.notes, self.files, self.status = {}, {}, {}, {}
        self.opened, self.fail_at, self.ids = 0, None, {}

    def __call__(self, known):
        self.ids = dict(known)
        return self

    def open(self, track):
        self.ids.setdefault(track.key, f"id of {track.key}")
        self.opened += 1
        self.tracks[track.key] = track

    def write(self, key, rows):
        if self.fail_at is not None and any(row.step >= self.fail_at for row in rows):
            raise ConnectionError("the server is gone")
        self.history[key] += rows

    def measured(self, key, row):
        self.final[key] = row.values

    def note(self, key, tags):
        self.notes[key] = dict(tags)

    def keep(self, key, files):
        self.files[key] = [f"{folder}/{path.name}".lstrip("/") for path, folder in files]

    def close(self, key, status):
        self.status[key] = status


@pytest.fixture
def kept(monkeypatch):
    """A logger of the tests in MLflow's place, which is told at once."""
    logger = Kept()
    monkeypatch.setattr(loggers, "_mlflow", lambda config, folder: ("here", logger))
    monkeypatch.setattr(needs, "installed", lambda package: True)
    monkeypatch.setattr(loggers, "SECONDS", 0.0)
    return logger


@pytest.fixture
def mlflow(monkeypatch):
    """The client of MLflow, for whoever has it."""
    reason = "needs the extra: pip install 'dlnotes[mlflow]'"
    if not all(map(needs.installed, needs.PACKAGES["mlflow"])):
        pytest.skip(reason)
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    from dlnotes.experiment.loggers.mlflow_runs import client_of

    return client_of


@pytest.fixture
def wandb(monkeypatch):
    """What reads the offline runs of a run folder, for whoever has W&B."""
    if not needs.installed("wandb"):
        pytest.skip("needs the extra: pip install 'dlnotes[wandb]'")
    for variable in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_DIR"):
        monkeypatch.delenv(variable, raising=False)
    import wandb

    def read(folder):
        wandb.teardown()  # waits until its own process has written all
        return offline_wandb.read(folder)

    return read


def expected(folder, points=1, group=""):
    """By split, metric and position of the point: steps and values, as metrics.jsonl has them."""
    found = defaultdict(list)
    for line in (folder / group / "metrics.jsonl").read_text().splitlines():
        record = json.loads(line)
        for name, values in record.items():
            if name not in ("step", "epoch", "split"):
                for p, own in enumerate(np.split(np.array(values, float), points)):
                    found[p, f"{record['split']}/{name}"].append((record["step"], np.nanmean(own)))
                    for seed, value in enumerate(own):
                        found[p, f"{record['split']}/{name}/seed {seed}"].append((record["step"], value))
    return found


def same(got, folder, point=0, points=1, group=""):
    """Check that a track's history is that of metrics.jsonl, each step once."""
    told = defaultdict(list)
    for row in got:
        for name, value in row.values.items():
            told[name].append((row.step, value))
    wanted = {name: v for (p, name), v in expected(folder, points, group).items() if p == point}
    assert told.keys() - {"epoch"} == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(told[name], values, rtol=1e-12, err_msg=name)


def interrupting(monkeypatch, at):
    from contextlib import contextmanager

    steps = [0]

    @contextmanager
    def stoppable():
        yield lambda: steps[0] >= at

    monkeypatch.setattr(running, "_stoppable", stoppable)
    return lambda progress: steps.__setitem__(0, progress.step)


# What is sent, of a run and of a sweep.


def test_a_run_is_one_track_with_every_number_of_its_folder(config, kept):
    result = run(config(output={"mlflow": True}))
    same(kept.history["run"], result.folder)
    (track,) = kept.tracks.values()
    assert track.title == f"tiny/{result.folder.name}"
    assert track.params["optimizer.learning_rate"] == "0.02"
    assert track.params["model.widths"] == "[5]"
    assert track.tags["dlnotes.placement"] == "single cpu device"
    assert track.tags["dlnotes.version"]
    assert kept.status == {"run": "done"}
    assert kept.files["run"][:3] == ["summary.json", "config.toml", "environment.json"]
    loss = result.metrics["validation"]["loss"]
    assert kept.final["run"]["final/validation/loss"] == loss["mean"]
    assert kept.final["run"]["final/validation/loss/low"] == loss["low"]
    assert kept.final["run"]["final/validation/loss/high"] == loss["high"]
    assert [kept.final["run"][f"final/validation/loss/seed {s}"] for s in range(3)] == loss["values"]


def test_the_points_of_a_sweep_are_tracks_of_their_own(config, kept):
    result = run(config(output={"mlflow": True}, sweep=SWEEP))
    assert list(kept.tracks) == ["run", "point 0", "point 2", "point 1", "point 3"]  # group after group
    for index, place in {0: (0, "group-000"), 2: (1, "group-000"), 1: (0, "group-001")}.items():
        same(kept.history[f"point {index}"], result.folder, place[0], 2, place[1])
    assert not kept.history["run"]
    track = kept.tracks["point 2"]
    values = "optimizer.learning_rate = 0.05, model.widths = 5"
    assert track.title == f"tiny/{result.folder.name} point 2: {values}"
    assert (track.params["optimizer.learning_rate"], track.params["model.widths"]) == ("0.05", "[5]")
    assert track.tags["dlnotes.seeds"] == "0 … 2"
    assert set(kept.status.values()) == {"done"}
    best = result.chosen().point
    assert kept.notes["run"]["dlnotes.best_point"] == str(best)
    assert kept.final["run"] == kept.final[f"point {best}"]


@pytest.mark.parametrize("sweep", [None, pytest.param(SWEEP, marks=pytest.mark.slow)], ids=["run", "sweep"])
def test_a_resumed_run_goes_on_in_the_same_tracks(sweep, config, kept, monkeypatch):
    watch = interrupting(monkeypatch, 13)
    with pytest.raises(Interrupted) as stopped:
        run(config(output={"mlflow": True}, **({"sweep": sweep} if sweep else {})), watch=watch)
    assert set(kept.status.values()) == {"interrupted"}
    ids = dict(kept.ids)
    monkeypatch.undo()
    monkeypatch.setattr(loggers, "_mlflow", lambda config, folder: ("here", kept))
    monkeypatch.setattr(needs, "installed", lambda package: True)
    folder = stopped.value.folder
    resume(folder)
    assert ids.items() <= kept.ids.items()
    assert set(kept.status.values()) == {"done"}
    if sweep:
        same(kept.history["point 2"], folder, 1, 2, "group-000")
        same(kept.history["point 1"], folder, 0, 2, "group-001")
    else:
        same(kept.history["run"], folder)


def test_what_a_killed_process_had_not_sent_is_sent_by_the_next(config, kept, monkeypatch):
    watch = interrupting(monkeypatch, 17)
    with pytest.raises(Interrupted) as stopped:
        run(config(output={"mlflow": True}), watch=watch)
    folder = stopped.value.folder
    # As if it had been killed before anything was sent, and before the newest checkpoint.
    kept.history.clear()
    (folder / "loggers.json").unlink()
    monkeypatch.setattr(running, "_stoppable", interrupting_never)
    resume(folder)
    same(kept.history["run"], folder)


def interrupting_never():
    from contextlib import nullcontext

    return nullcontext(lambda: False)


def test_a_longer_run_goes_on_in_the_same_track(config, kept):
    folder = run(config(output={"mlflow": True})).folder
    resume(folder, ["training.duration='40 steps'"])
    steps = [row.step for row in kept.history["run"] if "train/loss" in row.values]
    assert steps == [4, 8, 12, 16, 20, 24, 28, 30, 32, 36, 40]
    assert kept.tracks["run"].params["training.duration"] == "40 steps"


# What fails.


def test_a_logger_that_fails_is_told_of_once_and_the_run_goes_on(config, finished, kept, caplog):
    kept.fail_at = 8
    with caplog.at_level(logging.WARNING):
        result = run(config(output={"mlflow": True}))
    (told,) = [r.getMessage() for r in caplog.records if "output.mlflow" in r.getMessage()]
    assert told.startswith("output.mlflow: the server is gone; the run goes on without it")
    assert f"dlnotes resume {result.folder}" in told
    assert result.metrics == finished.metrics
    assert {row.step for row in kept.history["run"]} == {3, 4, 6}
    # As the message says: what is missing is sent afterwards.
    kept.fail_at = None
    resume(result.folder)
    same(kept.history["run"], result.folder)
    assert kept.final["run"]


@pytest.mark.parametrize(
    "method",
    [
        "__call__",
        "keep",
        *(pytest.param(m, marks=pytest.mark.slow) for m in ("open", "measured", "note", "close")),
    ],
)
def test_whatever_a_logger_does_a_run_has_its_result(method, config, finished, kept, monkeypatch, caplog):
    def broken(*args):
        raise OSError("no space left\non device")

    monkeypatch.setattr(Kept, method, broken)
    result = run(config(output={"mlflow": True}))
    assert result.metrics == finished.metrics
    assert (result.folder / "summary.json").is_file()
    assert caplog.text.count("output.mlflow: no space left on device; ") == 1


def test_tensorboard_that_fails_does_not_end_a_run_either(config, finished, monkeypatch, caplog):
    def broken(*args):
        raise OSError("gone")

    monkeypatch.setattr("tensorboardX.SummaryWriter.add_scalar", broken)
    result = run(config(output={"tensorboard": True}))
    assert result.metrics == finished.metrics
    assert caplog.text.count("output.tensorboard: gone; the run goes on without it") == 1


def test_a_failed_run_is_marked_as_failed(config, kept):
    with pytest.raises(RunFailed):
        run(config(output={"mlflow": True}, optimizer={"kind": "sgd", "learning_rate": 1e30}))
    assert kept.status == {"run": "failed"}
    assert kept.notes["run"]["dlnotes.status"] == "failed"


@pytest.mark.slow
def test_a_damaged_record_of_what_was_sent_begins_anew(config, kept, caplog):
    folder = run(config(output={"mlflow": True})).folder
    kept.history.clear()
    (folder / "loggers.json").write_text("{")
    resume(folder)
    assert "the loggers begin anew" in caplog.text
    same(kept.history["run"], folder)


def test_only_the_process_that_writes_is_told_anything(config, kept):
    with loggers.logging_to(config(output={"mlflow": True}), None, [], []) as told:
        with told.of_group(0, None) as writers:
            assert writers == ()
        told.measured([], 0)
        told.ended({})
    assert not kept.tracks


def test_a_logger_can_be_added_to_a_run_that_has_ended(finished, kept, tmp_path):
    folder = shutil.copytree(finished.folder, tmp_path / "copy")
    resume(folder, ["output.mlflow=true"])
    same(kept.history["run"], folder)
    assert kept.status == {"run": "done"}


@pytest.mark.slow
def test_another_store_gets_all_of_the_run(config, kept, monkeypatch):
    folder = run(config(output={"mlflow": True})).folder
    other = Kept()
    monkeypatch.setattr(loggers, "_mlflow", lambda config, folder: ("elsewhere", other))
    resume(folder)
    same(other.history["run"], folder)


FAULTS = {
    "a path": (
        {"mlflow": "runs/mlflow"},
        "output.mlflow: got 'runs/mlflow', must be true, false, or a track",
    ),
    "a word": ({"mlflow": "yes"}, "output.mlflow: got 'yes', must be true, false, or a tracking URI such as"),
    "empty": ({"mlflow": ""}, "output.mlflow: got '', must be true, false"),
    "a password": ({"mlflow": "https://me:secret@host"}, "output: mlflow holds a password"),
    "a number": ({"mlflow": 3}, "output.mlflow: got 3, must be true, false, or"),
    "wandb": ({"wandb": "on"}, "output.wandb: got 'on', must be true, false, \"offline"),
    "project": ({"project": "a/b"}, "output.project: got 'a/b', must not hold '/'"),
    "no project": ({"project": ""}, "output.project: got ''"),
    "no such folder": (
        {"mlflow": "sqlite:////nowhere/mlflow.db"},
        "output.mlflow: got 'sqlite:////nowhere/mlflow.db', there is no folder '/nowhere'",
    ),
}


@pytest.mark.parametrize(("options", "told"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_is_refused_before_anything_is_written(options, told, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "installed", lambda package: True)
    with pytest.raises(ConfigError, match=told) as refused:
        run(
            parse(
                tiny(tmp_path / "runs", output={**tiny("")["output"], "directory": str(tmp_path), **options})
            )
        )
    assert "secret" not in str(refused.value)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["mlflow", "wandb", "tensorboard"])
def test_a_missing_library_is_one_message(option, tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "find_spec", lambda package: None)
    told = rf"output.{option}: needs the extra: python -m pip install 'dlnotes\[{option}\]'"
    with pytest.raises(ConfigError, match=told):
        run(parse(tiny(tmp_path / "runs", output={"directory": str(tmp_path), option: True})))
    assert not any(tmp_path.iterdir())


def test_a_folder_of_the_librarys_name_is_no_library(tmp_path, monkeypatch):
    (tmp_path / "dlnotes_no_such_library").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not needs.installed("dlnotes_no_such_library")


def test_a_sweep_of_very_many_points_is_too_large_for_wandb(tmp_path, monkeypatch):
    monkeypatch.setattr(needs, "installed", lambda package: True)
    sweep = {
        "kind": "random",
        "samples": 101,
        "parameters": {"optimizer.learning_rate": {"low": 0.1, "high": 1}},
    }
    config = parse(tiny(tmp_path, output={"directory": str(tmp_path), "wandb": True}, sweep=sweep))
    with pytest.raises(ConfigError, match=r"output.wandb: got a sweep of 101 points, at most 100"):
        run(config)


# Names and numbers.


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([(0, 2.0)], {"m": 2.0}),
        ([(4, 2.0), (5, 4.0)], {"m": 3.0, "m/seed 4": 2.0, "m/seed 5": 4.0}),
        ([(4, float("nan")), (5, 4.0)], {"m": 4.0, "m/seed 5": 4.0}),
        ([(0, None)], {}),
        ([(0, float("inf")), (1, None)], {}),
    ],
)
def test_what_is_not_finite_is_left_out(values, found):
    assert dict(named("m", values)) == found


def test_a_pretraining_that_points_share_is_told_to_each():
    record = {"step": 3, "epoch": 1.0, "split": "layer 1", "reconstruction": [1.0, 3.0]}
    row = Row(
        3,
        {"layer 1/reconstruction": 2.0}
        | {f"layer 1/reconstruction/seed {s}": v for s, v in [(7, 1.0), (8, 3.0)]},
    )
    assert rows_of(record, 2, [7, 8, 7, 8]) == [row, row]


def test_final_metrics_of_one_seed_have_no_interval():
    measured = {"mean": 0.5, "low": None, "high": None, "values": [0.5]}
    assert measured_of({"seeds": [0], "metrics": {"test": {"loss": measured}}}) == {"final/test/loss": 0.5}


def test_a_resolved_config_with_loggers_loads_again(config):
    made = config(output={"mlflow": "sqlite:///runs/mlflow.db", "wandb": "offline", "project": "my nets"})
    import tomllib

    assert parse(tomllib.loads(to_toml(made))) == made


# The libraries themselves, where they are installed.


theirs = pytest.mark.filterwarnings("ignore::DeprecationWarning")
"""What MLflow uses of its own libraries is not ours to mend."""


def curves(client, run_id, metric):
    return sorted((m.step, m.value) for m in client.get_metric_history(run_id, metric))


@theirs
def test_mlflow_keeps_a_run_in_the_run_folder(config, mlflow, monkeypatch):
    watch = interrupting(monkeypatch, 13)
    with pytest.raises(Interrupted) as stopped:
        run(config(output={"mlflow": True, "figures": True}), watch=watch)
    folder = stopped.value.folder
    client = mlflow(f"sqlite:///{folder}/mlflow.db")
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    (before,) = client.search_runs([experiment.experiment_id])
    assert before.info.status == "KILLED"
    monkeypatch.setattr(running, "_stoppable", interrupting_never)
    result = resume(folder, ["training.duration='40 steps'"])
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_id, found.info.status) == (before.info.run_id, "FINISHED")
    assert found.info.run_name == f"tiny/{folder.name}"
    assert found.data.params["training.duration"] == "30 steps"
    assert found.data.tags["resumed.training.duration"] == "40 steps"
    assert found.data.tags["dlnotes.placement"] == "single cpu device"
    for (_, name), values in expected(folder).items():
        np.testing.assert_allclose(curves(client, found.info.run_id, name), values, rtol=1e-12)
    loss = result.metrics["validation"]["loss"]
    assert found.data.metrics["final/validation/loss"] == loss["mean"]
    assert found.data.metrics["final/validation/loss/low"] == loss["low"]
    kept = {f.path for f in client.list_artifacts(found.info.run_id)}
    assert kept == {"summary.json", "config.toml", "environment.json", "figures"}
    figures = {f.path for f in client.list_artifacts(found.info.run_id, "figures")}
    assert figures == {f"figures/{p.name}" for p in (folder / "figures").iterdir()}


@theirs
def test_mlflow_has_the_points_of_a_sweep_below_one_run(config, mlflow, tmp_path):
    store = f"sqlite:///{tmp_path}/all.db"
    sweep = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.02, 0.05]}}
    for _ in range(2):
        result = run(config(output={"mlflow": store, "project": "both"}, sweep=sweep, training={"seeds": 1}))
    client = mlflow(store)
    runs = client.search_runs([client.get_experiment_by_name("both").experiment_id])
    names = {r.info.run_id: r.info.run_name for r in runs}
    assert len(names) == 6
    children = [r for r in runs if r.data.tags["dlnotes.folder"] == str(result.folder)]
    children = [r for r in children if r.data.tags["dlnotes.kind"] == "point"]
    assert {names[r.data.tags["mlflow.parentRunId"]] for r in children} == {f"tiny/{result.folder.name}"}
    rates = {r.data.tags["dlnotes.point"]: r.data.params["optimizer.learning_rate"] for r in children}
    assert rates == {"0": "0.02", "1": "0.05"}
    for child in children:
        point = int(child.data.tags["dlnotes.point"])
        wanted = {name: v for (p, name), v in expected(result.folder, 2).items() if p == point}
        wanted = {name: v for name, v in wanted.items() if "/seed" not in name}
        assert {n for n in child.data.metrics if not n.startswith("final/")} == wanted.keys() | {"epoch"}
        for name, values in wanted.items():
            np.testing.assert_allclose(curves(client, child.info.run_id, name), values, rtol=1e-12)


@theirs
def test_an_mlflow_server_that_does_not_answer_is_told_before_the_run(config, mlflow, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    told = "output.mlflow: got 'http://127.0.0.1:9', which does not answer: .*refused"
    with pytest.raises(ConfigError, match=told):
        run(config(output={"mlflow": "http://127.0.0.1:9"}))
    assert not (tmp_path / "runs").exists()


@theirs
def test_a_store_that_is_lost_in_the_middle_costs_no_run(config, finished, mlflow, monkeypatch, caplog):
    """The real client, whose store is no database any more."""
    monkeypatch.setattr(loggers, "SECONDS", 0.0)
    folders = []

    def watch(progress):
        if progress.step >= 8 and not folders:
            (store,) = Path(config().output.directory).rglob("mlflow.db")
            folders.append(store)
            store.write_bytes(b"no database" * 1000)

    result = run(config(output={"mlflow": True}), watch=watch)
    assert folders
    assert result.metrics == finished.metrics
    assert caplog.text.count("output.mlflow: ") == 1


def rows(found):
    """The history of a run but for its pictures."""
    measured = [{k: v for k, v in r.items() if not k.startswith("figures/")} for r in found["history"]]
    return [Row(r.pop("step"), r) for r in measured if "step" in r]


def test_wandb_keeps_an_offline_run_in_the_run_folder(config, wandb, monkeypatch):
    watch = interrupting(monkeypatch, 13)
    with pytest.raises(Interrupted) as stopped:
        run(config(output={"wandb": True, "figures": True}), watch=watch)
    folder = stopped.value.folder
    monkeypatch.setattr(running, "_stoppable", interrupting_never)
    result = resume(folder)
    (found,) = wandb(folder).values()  # both parts have one id
    assert found["exits"] == [130, 0]
    assert (found["name"], found["group"]) == (f"tiny/{folder.name}", folder.name)
    assert (found["kind"], found["project"]) == ("run", "tiny")
    assert "single cpu device" in found["tags"]
    assert found["config"]["optimizer.learning_rate"] == "0.02"
    same(rows(found), folder)
    loss = result.metrics["validation"]["loss"]
    assert found["summary"]["final/validation/loss"] == loss["mean"]
    assert found["summary"]["final/validation/loss/high"] == loss["high"]
    (files,) = found["artifacts"]
    assert {"summary.json", "config.toml", "figures/learning_curve.png"} <= set(files)


def test_wandb_has_the_points_of_a_sweep_in_one_group(config, wandb):
    sweep = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.02, 0.05]}}
    result = run(config(output={"wandb": "offline", "project": "both"}, sweep=sweep))
    found = {r["name"].partition(" ")[2]: r for r in wandb(result.folder).values()}
    assert {r["kind"] for r in found.values()} == {"sweep", "point"}
    assert {r["group"] for r in found.values()} == {result.folder.name}
    own = found["point 1: optimizer.learning_rate = 0.05"]
    assert own["config"]["optimizer.learning_rate"] == "0.05"
    same(rows(own), result.folder, 1, 2)
    assert own["exits"] == [0]
