"""Tasks on engines, whose processes may be killed; a sweep on one, against the same in one process."""

import os
import signal
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import chex
import pytest
from tiny_run import tiny
from typer.testing import CliRunner

from dlnotes.cli.main import app
from dlnotes.config import ConfigError, parse
from dlnotes.experiment import engines
from dlnotes.experiment.engines import Engine, Lost, Task, check, each
from dlnotes.experiment.on_engine import run_on, train_group
from dlnotes.experiment.run import run
from dlnotes.experiment.run_folder import RunFolder

LOCAL = {
    "ray": Engine("ray"),
    "slurm": Engine("slurm", options=(("cluster", "local"),)),
}
"""Both on this machine alone."""


@pytest.fixture(params=LOCAL)
def engine(request, tmp_path, monkeypatch):
    if not find_spec(engines.ENGINES[request.param]):
        pytest.skip(f"{engines.ENGINES[request.param]} is not installed (the extra {request.param})")
    monkeypatch.chdir(tmp_path)
    here = Path(__file__).parent
    path = [str(here), str(here.parent / "helpers"), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    return LOCAL[request.param]._replace(folder=str(tmp_path / "slurm"))


def test_what_cannot_be_used_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="--on: got 'dask', allowed are ray, slurm"):
        check(Engine("dask"))
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"--on slurm: needs the extra.*dlnotes\[slurm\]"):
        check(Engine("slurm"))
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    with pytest.raises(ValueError, match="--address: is for ray"):
        check(Engine("slurm", "10.0.0.1:6379"))


def test_options_of_the_command_line(monkeypatch):
    from dlnotes.cli.options import engine_of

    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    assert engine_of(None, None, 1, 0, None) is None
    found = engine_of("slurm", None, 4, 1, ["slurm_partition=gpu", "timeout_min=60"])
    assert dict(found.options) == {"slurm_partition": "gpu", "timeout_min": 60}
    assert (found.cpus, found.gpus) == (4, 1)
    for wrong in ((None, "1.2.3.4", 1, 0, None), ("slurm", None, 1, 0, ["x"]), ("dask", None, 1, 0, None)):
        with pytest.raises(ConfigError):
            engine_of(*wrong)


@pytest.mark.parametrize(
    ("config", "options", "told"),
    [
        ("claims/F1.4_xor_starts", [], "a claim is a task of `dlnotes reproduce`"),
        ("quickstart", ["--processes", "2"], "--on, --processes: allowed is one of them"),
    ],
)
def test_an_engine_is_not_ignored(config, options, told, monkeypatch):
    monkeypatch.setattr(engines, "find_spec", lambda name: name)
    path = Path(__file__).parents[2] / "configs" / f"{config}.toml"
    done = CliRunner().invoke(app, ["run", str(path), "--on", "ray", *options])
    assert done.exit_code == 2
    assert told in done.output


SWEEP = {
    "sweep": {
        "kind": "grid",
        "parameters": {"model.widths": [[3], [4]], "optimizer.learning_rate": [0.1, 0.01]},
    },
    "training": {"duration": "12 steps", "seeds": 2},
    "checkpoint": {"every": "4 steps"},
}


def test_a_group_is_trained_as_in_its_run(tmp_path):
    """Without any engine: each group by itself, then the run goes on with what there is."""
    config = parse(tiny(tmp_path / "a", **SWEEP))
    whole = run(config)

    def here(engine, tasks):
        for i, task in enumerate(tasks):
            yield i, task.function(*task.arguments)

    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlnotes.experiment.on_engine.each", here)
        apart = run_on(parse(tiny(tmp_path / "b", **SWEEP)), Engine("ray"), watch=said.append)
    chex.assert_trees_all_equal(apart.states, whole.states)
    assert [p["metrics"] for p in apart.summary["points"]] == [p["metrics"] for p in whole.summary["points"]]
    assert [s.message for s in said if "is trained" in s.message] == [
        "group 0 is trained (1 of 2)", "group 1 is trained (2 of 2)"
    ]  # fmt: skip


def once(path, value):
    """Dies the first time."""
    if not os.path.exists(path):
        open(path, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return value, os.getcwd()


def always(value):
    os.kill(os.getpid(), signal.SIGKILL)


def fails(value):
    raise ConfigError("mine", [f"got {value}"])


@pytest.mark.slow
def test_a_killed_process_is_started_again(engine, tmp_path):
    tasks = [Task(once, (str(tmp_path / f"{i}"), i), f"task {i}") for i in range(3)]
    found = dict(each(engine, tasks))
    assert found == {i: (i, str(tmp_path)) for i in range(3)}


@pytest.mark.slow
def test_what_always_dies_or_fails_is_told(engine, monkeypatch):
    monkeypatch.setattr(engines, "RETRIES", 1)
    with pytest.raises(Lost, match="group 7: its process died 2 times"):
        list(each(engine, [Task(always, (1,), "group 7")]))
    with pytest.raises(Exception, match="got 5"):
        list(each(engine, [Task(fails, (5,), "group 8")]))


def killed_midway(folder, index):
    """`train_group`, killed once after a checkpoint."""
    mark = RunFolder.open(folder).path / f"killed-{index}"
    if not mark.exists():
        from dlnotes.training.checkpoints import Checkpoints

        save = Checkpoints.save

        def then_die(self, *arguments, **options):
            save(self, *arguments, **options)
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

        Checkpoints.save = then_die
    train_group(folder, index)


@pytest.mark.slow
def test_a_sweep_is_that_of_one_process_though_each_group_was_killed(engine, tmp_path, monkeypatch):
    whole = run(parse(tiny(tmp_path / "a", **SWEEP)))
    monkeypatch.setattr("dlnotes.experiment.on_engine.train_group", killed_midway)
    apart = run_on(parse(tiny(tmp_path / "b", **SWEEP)), engine)
    assert len([*apart.folder.glob("killed-*")]) == 2
    same = partial(chex.assert_trees_all_close, rtol=1e-5, atol=1e-6)
    same(apart.states, whole.states)
    assert apart.summary["status"] == "done"


def test_a_job_that_left_the_queue_is_missed_after_a_while(monkeypatch):
    """As it is without SLURM's accounts: the queue is all that tells."""
    answer, now = {"stdout": "7\n8\n", "returncode": 0}, [100.0]
    monkeypatch.setattr(engines.subprocess, "run", lambda *a, **k: SimpleNamespace(**answer))
    monkeypatch.setattr(engines.time, "monotonic", lambda: now[0])
    missed = engines._Missed()
    assert missed.among(["7", "8"]) == set()
    answer["stdout"] = "8\n"
    now[0] += engines._ASK
    assert missed.among(["7", "8"]) == set()
    now[0] += engines._GRACE + 1
    assert missed.among(["7", "8"]) == {"7"}
    assert missed.among(["7", "8"]) == set()  # not asked again so soon
    now[0] += engines._ASK
    answer["returncode"] = 1
    assert missed.among(["7", "8"]) == set()
