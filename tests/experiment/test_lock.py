"""One process trains in a run folder at a time, and a dead one holds nothing."""

import os
import signal
import subprocess
import sys

import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.lock import locked
from dlnotes.experiment.run import Interrupted, resume, run

HOLD = """
import sys, time
from pathlib import Path
from dlnotes.experiment.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of the folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_that_another_process_holds_is_refused_with_its_number(holder, tmp_path):
    told = rf"is in use: process {holder.pid} on .* \(since 20.*\) is training"
    with pytest.raises(ConfigError, match=told), locked(tmp_path):
        raise AssertionError("not reached")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_died_holds_nothing(how, holder, tmp_path):
    os.kill(holder.pid, how)
    holder.wait()
    with locked(tmp_path):
        assert (tmp_path / ".lock.json").is_file()
    assert not (tmp_path / ".lock.json").exists()


def test_a_folder_is_held_while_it_is_trained_and_free_afterwards(tmp_path):
    refused = []

    def watch(progress):
        if progress.step == 10 and not refused:
            (folder,) = (tmp_path / "tiny").iterdir()
            with pytest.raises(ConfigError, match=f"is in use: process {os.getpid()} on") as error:
                resume(folder)
            refused.append(error.value)

    config = parse(tiny(tmp_path, training={"duration": "10 steps"}))
    result = run(config, watch=watch)
    assert len(refused) == 1
    assert resume(result.folder).summary["steps"] == result.summary["steps"]


def test_a_stopped_run_leaves_its_folder_free(tmp_path):
    def stop(progress):
        raise Interrupted(None)

    with pytest.raises(Interrupted):
        run(parse(tiny(tmp_path, training={"duration": "10 steps"})), watch=stop)
    (folder,) = (tmp_path / "tiny").iterdir()
    assert resume(folder).summary["status"] == "done"


def test_a_folder_without_a_lock_of_its_file_system_is_trained_with_a_warning(tmp_path, monkeypatch, caplog):
    import filelock

    def none(self, *_, **__):
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", none)
    with locked(tmp_path):
        assert "its file system has no locks" in caplog.text


def test_a_folder_in_which_nothing_can_be_written_is_refused(tmp_path):
    (tmp_path / ".lock").mkdir()
    with pytest.raises(ConfigError, match="cannot be written: Is a directory"), locked(tmp_path):
        raise AssertionError("not reached")
