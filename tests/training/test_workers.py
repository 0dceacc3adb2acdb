"""Batches made in other processes: the same ones, in any chunks; nothing is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import chex
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.data import in_file
from dlnotes.data.dataset import Examples, Pair
from dlnotes.data.order import batch_rows
from dlnotes.data.steps import Steps
from dlnotes.experiment.run import run
from dlnotes.training import workers
from dlnotes.training.ahead import Ahead
from dlnotes.training.workers import Workers

WORDS = np.array([[1, 2], [3, 4]], np.uint32)


@pytest.fixture(scope="module")
def steps():
    rng = np.random.default_rng(5)
    x = Pair(rng.standard_normal((23, 4)).astype(np.float32), rng.integers(0, 9, (23, 2)))
    examples = Examples(x, rng.integers(0, 3, 23), rng.random((23, 4)) < 0.5)
    return Steps(examples, batch_size=6, words=WORDS, total=8, positions=[4, 5, 6, 7])


def test_a_step_is_its_part_of_the_batch(steps):
    x, y, mask, weight = steps[9]
    for m, words in enumerate(WORDS):
        rows, w = batch_rows(9, n=23, batch_size=6, key_data=words)
        assert len(rows) == 6
        np.testing.assert_array_equal(x.source[m, :2], steps.examples.x.source[rows[4:]])
        np.testing.assert_array_equal(y[m, :2], steps.examples.y[rows[4:]])
        np.testing.assert_array_equal(mask[m, :2], steps.examples.mask[rows[4:]])
        np.testing.assert_array_equal(weight[m], [*w[4:], 0, 0])
    whole = steps.empty(3)
    steps.fill(whole, 8, 0, 3)
    chex.assert_trees_all_equal(tuple(a for a in _leaves(whole, 1)), tuple(_leaves(steps[9])))


def _leaves(rows, place=None):
    x, y, mask, weight = rows
    return [a if place is None else a[:, place] for a in (x.source, x.target, y, mask, weight)]


class Here(Workers):
    """Makes them in this process, and counts the starts."""

    starts = 0

    def _started(self, step):
        self.starts += 1

        class Iterator:
            def __next__(self):
                nonlocal step
                step += 1
                return steps_of[step - 1]

            def close(self):
                pass

        steps_of = self._steps
        return Iterator()


def test_chunks_of_any_length_are_filled_without_a_new_start(steps):
    made = Here(steps, 2)
    ahead = Ahead(lambda: steps.empty(8), made.fill)
    first = 3
    for count in (4, 4, 1, 2, 8, 3, 8):  # fewer, and more, than were made ahead
        got, want = ahead.take(first, count), steps.empty(8)
        steps.fill(want, first, 0, count)
        for a, b in zip(_leaves(got), _leaves(want)):
            np.testing.assert_array_equal(a[:, :count], b[:, :count])
        first += count
    assert made.starts == 1
    ahead.close()
    assert len(made._made) <= 16  # those of two chunks
    again = steps.empty(8)
    made.fill(again, 2, 0, 8)
    np.testing.assert_array_equal(again[1][:, 0], steps[2][1])
    assert made.starts == 2


def config(directory, files, count, **sections):
    """A run on files, with so many workers."""
    devices = {"strategy": "single", "resident": "no", "workers": count}
    return parse(tiny(directory, **sections) | {"data": files, "devices": devices})


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.standard_normal((60, 5)).astype(np.float32))
    np.save(tmp_path / "y.npy", rng.integers(0, 3, 60))
    return {"kind": "npy", "x_path": str(tmp_path / "x.npy"), "y_path": str(tmp_path / "y.npy")}


def test_the_extra_is_named(files, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"devices\.workers: needs the extra: .*dlnotes\[grain\]"):
        run(config(tmp_path / "runs", files, 1))


def test_data_in_memory_need_none(files, tmp_path):
    told = []
    result = run(config(tmp_path / "runs", files, 2), watch=lambda progress: told.append(progress.message))
    assert any("the data are in memory, no processes are started" in message for message in told)
    assert result.metrics


@pytest.mark.slow
def test_a_run_with_workers_is_that_without(files, tmp_path, monkeypatch):
    monkeypatch.setattr(in_file, "MOST", 100)
    sections = {"training": {"duration": "40 steps", "seeds": 2, "evaluate_every": "7 steps"}}
    states = [run(config(tmp_path / f"{n}", files, n, **sections)).states for n in (0, 2)]
    chex.assert_trees_all_equal(*states)


SCRIPT = """
import sys
import numpy as np
from dlnotes.data import in_file
in_file.MOST = 100
from dlnotes import data
from dlnotes.data.steps import Steps
from dlnotes.training.workers import Workers

if __name__ == "__main__":
    train = data.load("npy", x_path=sys.argv[1], y_path=sys.argv[2]).train
    steps = Steps(train, batch_size=4, words=np.array([[1, 2]], np.uint32), total=4, positions=range(4))
    made, into = Workers(steps, 2), steps.empty(4)
    made.fill(into, 0, 0, 4)
    print("ready", flush=True)
    {then}
"""


def _children(pid):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", ["killed", "left"])
def test_no_process_outlives_its_parent(end, files, tmp_path):
    script = tmp_path / "script.py"
    then = "import time; time.sleep(600)" if end == "killed" else "pass"
    script.write_text(SCRIPT.replace("{then}", then))
    command = [sys.executable, script, files["x_path"], files["y_path"]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        children = _children(process.pid)
        if end == "killed":
            assert len(children) >= 2
            process.send_signal(signal.SIGKILL)
        assert process.wait(30) == (-signal.SIGKILL if end == "killed" else 0)
    until = time.monotonic() + 30
    while any(map(_lives, children)) and time.monotonic() < until:
        time.sleep(0.2)
    assert not any(map(_lives, children))


def _lives(pid):
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_a_script_that_starts_itself_again_in_each_process_is_told_what_it_needs(files, tmp_path):
    lines = SCRIPT.replace("{then}", "").partition('if __name__ == "__main__":')
    script = tmp_path / "script.py"
    script.write_text(lines[0] + "\n".join(line.removeprefix("    ") for line in lines[2].splitlines()))
    command = [sys.executable, script, files["x_path"], files["y_path"]]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "WorkersFailed: devices.workers: the processes that make batches have ended" in ended.stderr
    assert 'must have `if __name__ == "__main__":`' in ended.stderr


class Sleeping:
    """A process that has been killed, as `multiprocessing` shows it."""

    exitcode = -9


def test_processes_that_failed_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(workers, "_PATIENCE", 0.0)
    monkeypatch.setattr(workers.multiprocessing, "active_children", lambda: [Sleeping()])

    def rows():
        time.sleep(60)
        yield ()

    with pytest.raises(workers.WorkersFailed, match=r"exit codes \[-9\]"):
        workers._answer(rows())


def test_a_process_that_is_starting_starts_none(monkeypatch):
    if workers.find_spec("grain"):
        assert workers.missing() is None
    monkeypatch.setattr(workers, "find_spec", lambda name: True)
    monkeypatch.setattr(workers.multiprocessing.current_process(), "_inheriting", True, raising=False)
    assert '__name__ == "__main__"' in workers.missing()


@pytest.mark.slow
def test_what_a_worker_cannot_read_is_raised_here(tmp_path, monkeypatch):
    from PIL import Image

    from dlnotes import data

    for i in range(12):
        path = tmp_path / "pictures" / "ab"[i % 2]
        path.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (5, 5), (i, i, i)).save(path / f"{i}.png")
    monkeypatch.setattr(in_file, "MOST", 100)
    train = data.image_folder(tmp_path / "pictures", size=(5, 5), validation=0, test=0).train
    for file in (tmp_path / "pictures").rglob("*.png"):
        file.write_bytes(file.read_bytes()[:50])
    steps = Steps(train, batch_size=4, words=WORDS[:1], total=4, positions=range(4))
    made = Workers(steps, 1)
    with pytest.raises(ValueError, match=r"\.png: not readable as an image"):
        made.fill(steps.empty(2), 0, 0, 2)
    made.close()
