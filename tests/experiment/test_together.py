"""Processes that cannot train together leave in bounded time, with 75 or 2 and the cause; none stays."""

import signal
import socket
import subprocess
import sys
import time

import pytest
from commands import environment
from tiny_run import tiny

from dlnotes.config import parse, to_toml
from dlnotes.devices import distributed

pytestmark = pytest.mark.slow
TRIALS = range(20)
SOON = 60
"""Seconds: the start of Python and jax on a busy machine, and the heartbeats' ten."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Together:
    """Processes of one training.

    Args:
      folder: for configs and runs.
    """

    def __init__(self, folder):
        self.folder, self.port, self.started = folder, free_port(), []

    def config(self, name="config", **sections):
        training = {"duration": "100000 steps", "batch_size": 16, "seeds": 1, "evaluate_every": "50 steps"}
        raw = tiny(self.folder / "runs", training=training, devices={"strategy": "mesh"})
        for section, options in sections.items():
            raw[section] = raw[section] | options
        path = self.folder / f"{name}.toml"
        path.write_text(to_toml(parse(raw)))
        return path

    def start(self, index, config, *, count=2, wait=15, **changed):
        among = ("--processes", count, "--process-id", index, "--coordinator", f"127.0.0.1:{self.port}")
        variables = environment() | changed
        process = subprocess.Popen(
            [sys.executable, "-m", "dlnotes", "run", *map(str, (config, "-q", *among, "--wait", wait))],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, cwd=self.folder,
        )  # fmt: skip
        self.started.append(process)
        return process

    def trained(self):
        """Wait until a checkpoint or a line of metrics is there."""
        limit = time.monotonic() + 120
        while not list((self.folder / "runs").glob("*/*/metrics.jsonl")):
            assert time.monotonic() < limit
            assert all(p.poll() is None for p in self.started), [p.communicate()[0] for p in self.started]
            time.sleep(0.1)

    def end(self):
        for process in self.started:
            process.kill()
            process.communicate()


@pytest.fixture
def together(tmp_path):
    found = Together(tmp_path)
    yield found
    found.end()


def ended(process, status, words):
    """The process leaves soon with one of the statuses, and says why."""
    output = process.communicate(timeout=SOON)[0]
    assert process.returncode in status, output
    assert words in output, output
    assert "Traceback (most recent call last)" not in output, output


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_one_is_killed_or_stands_still(how, trial, together):
    config, victim = together.config(), trial % 2
    processes = [together.start(index, config) for index in range(2)]
    together.trained()
    time.sleep(0.2 * trial)
    processes[victim].send_signal(how)
    ended(processes[1 - victim], (75,), "resume")
    if how == signal.SIGSTOP:
        processes[victim].send_signal(signal.SIGCONT)
        ended(processes[victim], (75,), "resume")


@pytest.mark.parametrize("trial", TRIALS)
def test_one_never_comes(trial, together):
    process = together.start(trial % 2, together.config(), wait=5)
    ended(process, (2, 75), "the 2 processes did not come together at 127.0.0.1")


@pytest.mark.parametrize("trial", TRIALS)
def test_one_comes_late(trial, together):
    config = together.config(training={"duration": "20 steps"})
    first = together.start(trial % 2, config, wait=60)
    time.sleep(8)
    second = together.start(1 - trial % 2, config, wait=60)
    for process in (first, second):
        ended(process, (0,), "")


@pytest.mark.parametrize("trial", TRIALS)
def test_they_were_told_other_numbers(trial, together):
    config = together.config()
    counts = (2, 3) if trial % 2 else (3, 2)
    processes = [together.start(index, config, count=count) for index, count in enumerate(counts)]
    for process in processes:
        ended(process, (2, 75), "process")


@pytest.mark.parametrize("trial", TRIALS)
@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"training": {"duration": "99 steps"}}, "another config: it has training.duration"),
        ({"optimizer": {"learning_rate": 0.5}}, "another config: it has optimizer.learning_rate"),
        ({"data": {"n": 80}}, "another config: it has data.n"),
    ],
    ids=["duration", "rate", "data"],
)
def test_they_have_other_configs(sections, words, trial, together):
    configs = [together.config(), together.config("other", **sections)]
    processes = [
        together.start(index, config) for index, config in enumerate(configs[:: 1 - 2 * (trial % 2)])
    ]
    for process in processes:
        ended(process, (2,), words)


@pytest.mark.parametrize("trial", TRIALS)
def test_they_have_other_data(trial, together):
    rows = [f"{i % 7},{i % 5},{'yes' if i % 2 else 'no'}" for i in range(60)]
    configs = []
    for name, changed in (("one", 60), ("two", trial)):
        table = together.folder / f"{name}.csv"
        lines = [row if i != changed else "99,1,no" for i, row in enumerate(rows)]
        table.write_text("\n".join(["a,b,label", *lines]) + "\n")
        data = {"kind": "csv", "path": str(table), "target": "label"}
        path = together.config(name)
        raw = tiny(together.folder / "runs", devices={"strategy": "mesh"}) | {"data": data}
        path.write_text(to_toml(parse(raw)))
        configs.append(path)
    for process in [together.start(index, config) for index, config in enumerate(configs)]:
        ended(process, (2,), "was started with another data")


@pytest.mark.parametrize("trial", TRIALS)
def test_the_port_is_in_use(trial, together):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", together.port))
        taken.listen()
        ended(
            together.start(0, together.config()), (2,), f"port {together.port} of this machine cannot be used"
        )


@pytest.mark.parametrize("trial", TRIALS)
def test_one_has_other_code(trial, together, tmp_path):
    import shutil
    from pathlib import Path

    import dlnotes

    other = tmp_path / "other" / "dlnotes"
    shutil.copytree(Path(dlnotes.__file__).parent, other, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "models" / "model.py").open("a") as file:
        file.write(f"# {trial}\n")
    config = together.config()
    first = together.start(0, config)
    second = together.start(1, config, PYTHONPATH=str(other.parent))
    for process in (first, second):
        ended(process, (2,), "another code: it has models/model.py")


def test_the_text_of_the_code_names_every_file():
    lines = distributed.code_text().splitlines()
    assert lines[0].startswith("jax ")
    assert any(line.startswith("devices/distributed.py ") for line in lines)
