"""[training.asynchronous]: workers train what a config describes; who is killed is counted; a run goes on."""

import importlib.util
import json
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment import asynchronous, evaluate_run
from dlnotes.experiment.run import Interrupted, resume, run
from dlnotes.experiment.setup import prepare


def config(directory, kind="shared", workers=2, **sections):
    training = {
        "duration": "3000 steps",
        "batch_size": 8,
        "seeds": 1,
        "ema": None,
        "evaluate_every": "1000 steps",
        "asynchronous": {"workers": workers, "kind": kind},
    }
    plain = {"optimizer": {"kind": "sgd", "learning_rate": 0.1}, "training": training}
    plain["training"] = training | sections.pop("training", {})
    made = tiny(directory, **(plain | sections))
    made["training"] = {k: v for k, v in made["training"].items() if v is not None}
    return made


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr(asynchronous, "LOOK_SECONDS", 0.01)


def once_trained(action):
    """A watch that acts once, after the first updates."""
    done = []

    def watch(progress):
        if progress.step and not done:
            done.append(action())

    return watch


def workers():
    return [p for p in multiprocessing.active_children() if p.name.startswith("SpawnProcess")]


@pytest.mark.slow
def test_a_run_loses_a_worker_is_stopped_and_goes_on(tmp_path):
    told = []

    def kill_then_stop(progress):
        told.append(progress.message)
        if progress.step and "kill" not in told:
            told.append("kill")
            os.kill(workers()[0].pid, signal.SIGKILL)
        elif any("1 of 2 workers ended, 1 go on" in m for m in told) and "stop" not in told:
            told.append("stop")
            os.kill(os.getpid(), signal.SIGTERM)

    long = config(tmp_path, training={"duration": "40000 steps"})
    with pytest.raises(Interrupted) as stopped:
        run(long, watch=kill_then_stop)
    folder = Path(stopped.value.folder)
    assert not multiprocessing.active_children()
    extra = asynchronous.Checkpoints(folder / "checkpoints").newest_extra()["asynchronous"]
    assert extra["ended_early"] == 1
    assert 0 < sum(extra["updates"]) < 40_000

    # What was saved goes on from there; a short end keeps the test short.
    text = (folder / "config.toml").read_text()
    assert 'duration = "40000 steps"' in text
    result = resume(folder, ["training.duration='42000 steps'"], watch=once_trained(lambda: None))
    assert result.summary["status"] == "done"
    (facts,) = result.summary["asynchronous"]
    assert facts["ended_early"] == 1
    assert sum(facts["updates"]) >= 42_000
    assert result.metrics["test"]["accuracy"]["mean"] > 0.6
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["split"] == "train"]
    assert steps == sorted(set(steps))
    assert steps[-1] == 42_000
    again = evaluate_run(folder, split="test")["accuracy"]["mean"]
    assert again == pytest.approx(result.metrics["test"]["accuracy"]["mean"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["server", "ray"])
def test_without_its_server_a_run_is_interrupted_and_resumable(tmp_path, kind, monkeypatch):
    if kind == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("needs the extra 'ray'")
    teams = []
    before = asynchronous.AsynchronousTrainer.team

    def team(self, parameters):
        teams.append(before(self, parameters))
        return teams[-1]

    monkeypatch.setattr(asynchronous.AsynchronousTrainer, "team", team)

    def kill():
        if kind == "ray":
            teams[-1]._ray.kill(teams[-1]._server)
        else:
            os.kill(teams[-1].server_process, signal.SIGKILL)

    with pytest.raises(Interrupted) as stopped:
        run(config(tmp_path, kind), watch=once_trained(kill))
    result = resume(stopped.value.folder)
    assert result.summary["status"] == "done"
    assert sum(result.summary["asynchronous"][0]["updates"]) >= 3000


@pytest.mark.slow
def test_a_rate_that_is_too_large_fails_with_its_reason(tmp_path):
    from dlnotes.experiment.run import RunFailed

    wild = config(
        tmp_path,
        optimizer={"kind": "sgd", "learning_rate": 1e30},
        data={"kind": "two_moons", "n": 60},
        training={"loss": "brier"},
    )
    with pytest.raises(RunFailed, match="non-finite"):
        run(wild)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"optimizer": {"kind": "adam"}},
            "optimizer.kind: got 'adam' with .training.asynchronous., allowed: sgd",
        ),
        (
            {"optimizer": {"kind": "sgd", "momentum": 0.9}},
            "optimizer.kind: got 'sgd' with momentum 0.9",
        ),
        ({"devices": {"strategy": "pmap"}}, "devices.strategy: got 'pmap'"),
        ({"devices": {"strategy": "auto", "mesh": {"data": 2}}}, "devices.strategy: got a mesh"),
        ({"training": {"seeds": 3}}, "seeds: got 3 with asynchronous workers, allowed is 1"),
        ({"training": {"ema": 0.9}}, "ema: got 0.9 with asynchronous workers, allowed is none"),
        ({"training": {"max_norm": 2.0}}, "max_norm: got 2.0 with asynchronous workers, allowed is none"),
        ({"workers": 0}, "workers"),
        ({"kind": "threads"}, "kind"),
    ],
)
def test_what_such_workers_cannot_do_is_refused_by_name(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        parse(config(tmp_path, **changes))


def test_what_only_the_data_or_the_network_show_is_refused_before_anything_is_written(tmp_path):
    from dlnotes import models

    swept = {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.1, 0.2]}}
    with pytest.raises(ConfigError, match="trains one network at a time, got 2"):
        run(config(tmp_path, sweep=swept))
    with pytest.raises(ConfigError, match="allowed is no network of your own"):
        run(config(tmp_path), model=models.mlp(2, (4,), 2))
    if importlib.util.find_spec("ray") is None:
        with pytest.raises(ConfigError, match="kind: got 'ray', needs the extra: python -m pip install"):
            run(config(tmp_path, "ray"))
    assert not [*tmp_path.iterdir()]


def test_more_workers_than_processors_are_said(tmp_path, monkeypatch):
    from dlnotes.data import load
    from dlnotes.experiment.groups import groups

    many = parse(config(tmp_path, workers=999, training={"duration": "1 steps"}))
    trainer = asynchronous.AsynchronousTrainer(prepare(groups(many)[0], load("two_moons", n=60)))
    told = []
    monkeypatch.setattr(trainer, "team", lambda parameters: Idle(trainer, parameters))
    trainer.train(folder=None, watch=lambda p: told.append(p.message), stop=lambda: False)
    assert any("999 workers share" in message for message in told)


class Idle:
    """A team that has done its round."""

    gone = 0

    def __init__(self, trainer, parameters):
        self._done = asynchronous.Look(
            np.zeros(parameters, np.float32),
            np.ones(999, np.int64),
            np.zeros(999),
            np.ones(len(trainer.names)),
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def go(self, vector, total, counts):
        pass

    def running(self, seconds):
        return False

    def look(self):
        return self._done
