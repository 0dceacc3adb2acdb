"""Real processes killed in the middle, told to stop, and training together."""

import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import chex
import numpy as np
import pytest
from commands import environment
from tiny_run import tiny

from dlnotes.config import parse, to_toml
from dlnotes.experiment.run import open_run, resume, run

SIZES = {
    "data": {"n": 300},
    "model": {"kind": "mlp", "widths": [8], "dropout": 0.2},
    "training": {
        "duration": "1200 steps",
        "batch_size": 16,
        "seeds": 2,
        "evaluate_every": "200 steps",
        "ema": None,
    },
    "checkpoint": {"every_seconds": 0},
}


def start(*arguments, devices=1, **options):
    variables = environment(devices) | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "dlnotes", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, **options,
    )  # fmt: skip


def finish(process, expected=0, timeout=120):
    try:
        output = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()[0]) from None
    assert process.returncode == expected, output
    return output


def write(directory, **sections):
    """A config file of its own folder, and where its runs will be."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = tiny(directory / "runs", **SIZES | sections)
    path = directory / "tiny.toml"
    path.write_text(to_toml(parse(raw)))
    return path, directory / "runs" / "tiny"


def only_run(runs):
    (folder,) = runs.iterdir()
    return folder


def same_end(folder, reference):
    assert (folder / "metrics.jsonl").read_bytes() == (reference / "metrics.jsonl").read_bytes()
    chex.assert_trees_all_equal(open_run(folder).state, open_run(reference).state)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    raw = tiny(tmp_path_factory.mktemp("undisturbed") / "runs", **SIZES)
    return run(parse(raw)).folder


def wait_for(condition, seconds=60):
    """Until the condition holds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("waited in vain")


def checkpoints_of(folder):
    return [p for p in folder.glob("checkpoints/*/manifest.json")]


def killed_and_resumed(directory, kills, seed):
    """Kill the run ``kills`` times at random moments after its first checkpoint, then let it end."""
    path, runs = write(directory)
    rng = random.Random(seed)
    process = start("run", path, "-q")
    wait_for(lambda: process.poll() is not None or (runs.is_dir() and any(runs.iterdir())))
    folder = only_run(runs)
    killed = 0
    for _ in range(kills):
        newest = max((p.stat().st_mtime for p in checkpoints_of(folder)), default=0)

        def moved(newest=newest, process=process):
            return process.poll() is not None or any(
                p.stat().st_mtime > newest for p in _existing(checkpoints_of(folder))
            )

        wait_for(moved)
        time.sleep(rng.uniform(0, 0.4))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.communicate()
        process = start("resume", folder, "-q")
    finish(process)
    return folder, killed


def _existing(paths):
    return [p for p in paths if p.exists()]


@pytest.mark.slow  # by default: test_run, which goes on from a copy of the folder made midway
def test_killed_at_random_moments_and_resumed_is_undisturbed(tmp_path, undisturbed):
    folder, killed = killed_and_resumed(tmp_path, 3, seed=1)
    assert killed >= 1
    same_end(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_killed_twenty_times(seed, tmp_path, undisturbed):
    folder, _ = killed_and_resumed(tmp_path, 5, seed=100 + seed)
    same_end(folder, undisturbed)


def test_told_to_stop_exits_with_75_and_resumes(tmp_path, undisturbed):
    path, runs = write(tmp_path)
    process = start("run", path, "-q")
    wait_for(lambda: runs.is_dir() and any(runs.glob("*/checkpoints/*/manifest.json")))
    process.send_signal(signal.SIGTERM)
    output = finish(process, expected=75)
    folder = only_run(runs)
    assert f"dlnotes resume {folder}" in output
    assert not (folder / "summary.json").exists()
    resume(folder)
    same_end(folder, undisturbed)


# Several processes.

TOGETHER = {
    "optimizer": {"kind": "sgd", "learning_rate": 0.05},
    "training": {
        "duration": "40 steps",
        "batch_size": 13,
        "seeds": 1,
        "evaluate_every": "20 steps",
        "ema": None,
    },
    "devices": {"strategy": "mesh"},
}
"""A batch that two and four processes do not divide, dropout on."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_together(command, target, count, devices=1, options=("-q",)):
    among = (*options, "--processes", count, "--coordinator", f"127.0.0.1:{free_port()}")
    return [start(command, target, *among, "--process-id", i, devices=devices) for i in range(count)]


def close_end(folder, reference, tolerance=1e-5):
    a, b = open_run(folder).state, open_run(reference).state
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def by_one(tmp_path_factory):
    """The same training in one process on one device."""
    sections = SIZES | TOGETHER | {"devices": {"strategy": "single"}}
    return run(parse(tiny(tmp_path_factory.mktemp("one") / "runs", **sections))).folder


def together(directory, count, by_one, devices=1):
    path, runs = write(directory, **TOGETHER)
    for process in start_together("run", path, count, devices):
        finish(process)
    folder = only_run(runs)
    close_end(folder, by_one)
    assert (folder / "summary.json").is_file()
    return folder


def test_two_processes_train_as_one(tmp_path, by_one):
    together(tmp_path, 2, by_one)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "devices"), [(2, 1), (2, 2)])
def test_processes_evaluate_and_predict_as_one(count, devices, tmp_path, by_one):
    said = [finish(p) for p in start_together("evaluate", by_one, count, devices, ())]
    (loss,) = [line for line in said[0].splitlines() if line.startswith("test loss")]
    assert loss in finish(start("evaluate", by_one))
    assert "loss" not in said[1]  # the first process speaks
    dataset = open_run(by_one).dataset
    np.savez(tmp_path / "x.npz", x=dataset.test.x, y=dataset.test.y)
    written = [tmp_path / "several.csv", tmp_path / "one.csv"]
    options = (tmp_path / "x.npz", "--output", written[0])
    for process in start_together("predict", by_one, count, devices, options):
        finish(process)
    finish(start("predict", by_one, tmp_path / "x.npz", "--output", written[1]))
    several, one = (np.genfromtxt(path, delimiter=",", skip_header=1) for path in written)
    assert len(several) == dataset.test.size
    np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "devices"), [(2, 2), (4, 1)])
def test_more_processes_and_devices_train_as_one(count, devices, tmp_path, by_one):
    together(tmp_path, count, by_one, devices)


LONG = TOGETHER | {
    "training": TOGETHER["training"] | {"duration": "100000 steps", "evaluate_every": "50 steps"}
}


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_process_dies_the_others_stop_soon_and_can_be_resumed(victim, tmp_path):
    path, runs = write(tmp_path, **LONG)
    processes = start_together("run", path, 2)
    wait_for(lambda: runs.is_dir() and any(runs.glob("*/checkpoints/*/manifest.json")))
    processes[victim].kill()
    died = time.monotonic()
    finish(processes[1 - victim], expected=75, timeout=40)
    assert time.monotonic() - died < 25
    processes[victim].communicate()
    assert checkpoints_of(only_run(runs))


@pytest.mark.slow
def test_another_number_of_processes_goes_on(tmp_path, by_one):
    """Told to stop in two processes, resumed in one and in three."""
    path, runs = write(tmp_path, **TOGETHER | {"checkpoint": {"every": "5 steps"}})
    processes = start_together("run", path, 2)
    wait_for(lambda: runs.is_dir() and any(runs.glob("*/checkpoints/*/manifest.json")))
    processes[1].send_signal(signal.SIGTERM)
    codes = [p.wait(60) for p in processes]
    assert codes in ([75, 75], [0, 0]), [p.communicate()[0] for p in processes]
    for process in processes:
        process.communicate()
    folder = only_run(runs)
    for process in start_together("resume", folder, 3):
        finish(process)
    close_end(folder, by_one)


def test_the_package_under_test_is_this_one():
    import dlnotes

    assert Path(dlnotes.__file__).parents[1] == Path(__file__).parents[2]
