"""A terminal that is closed, or a connection that is lost, saves the run."""

import os
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
from commands import environment
from tiny_run import tiny

from dlnotes.config import parse, to_toml
from dlnotes.experiment.run import Interrupted, resume, run

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")


IN_FRONT = """import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dlnotes.cli.main import main
main()
"""
"""A process that takes the terminal as its own, as a shell's does."""


def hang_up_at(step):
    done = []

    def watch(progress):
        if progress.step >= step and not done:
            done.append(progress.step)
            os.kill(os.getpid(), signal.SIGHUP)

    return watch


def same(one, other):
    for a, b in zip(jax.tree.leaves(one.states[0]), jax.tree.leaves(other.states[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_hears_a_hang_up_is_saved_and_goes_on_bit_for_bit(config):
    settings = config(training={"duration": "600 steps", "evaluate_every": "10 steps"})
    before = signal.getsignal(signal.SIGHUP)
    whole = run(settings, keep=False)
    with pytest.raises(Interrupted) as told:
        run(settings, watch=hang_up_at(1))
    assert signal.getsignal(signal.SIGHUP) == before
    assert not (told.value.folder / "summary.json").exists()
    same(whole, resume(told.value.folder))


def test_a_hang_up_that_is_ignored_stays_so(config):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert run(config(), watch=hang_up_at(1), keep=False).summary["status"] == "done"
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True])
def test_closing_the_terminal_saves_the_run(quiet, tmp_path):
    """The display writes to a terminal that is gone; the status is 75, and the state is there."""
    import pty

    raw = tiny(
        tmp_path / "runs",
        training={"duration": "100000000 steps", "evaluate_every": "20000 steps", "log_every": 10000},
    )
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(parse(raw)))
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_FRONT, "run", str(path), *(["-q"] if quiet else [])],
        stdin=inside, stdout=inside, stderr=inside, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(inside)
    seen = b""
    while b"loss" not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)  # which sends SIGHUP to the process in front
    assert process.wait(timeout=60) == 75
    (folder,) = (tmp_path / "runs" / "tiny").iterdir()
    assert not (folder / "summary.json").exists()
    assert any(folder.glob("checkpoints/*/manifest.json"))
