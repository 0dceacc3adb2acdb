"""Checkpoints in a thread: the state that was given, one after another, and no error is lost."""

import threading
import time

import numpy as np
import pytest

from dlnotes.training import saver
from dlnotes.training.checkpoints import Checkpoints
from dlnotes.training.saver import Saver


@pytest.fixture
def large(monkeypatch):
    """Every state is a large one."""
    monkeypatch.setattr(saver, "LARGE", 0)


class Slow(Checkpoints):
    """Tells the thread of each save, which takes a while."""

    def __init__(self, folder):
        super().__init__(folder, keep=9)
        self.told = []

    def save(self, step, state, extra):
        time.sleep(0.1)
        self.told.append((step, threading.current_thread() is threading.main_thread()))
        super().save(step, state, extra)


def test_a_large_state_is_saved_as_it_was_while_it_changes(tmp_path, large):
    store, state = Slow(tmp_path), {"w": np.arange(4.0)}
    with Saver(store) as saving:
        for step in (1, 2):
            saving.save(step, state, {"step": step})
            state["w"] += 10
        assert len(store.told) == 1  # the second waited for the first, and nobody for the second
    assert store.told == [(1, False), (2, False)]
    for step in (1, 2):
        arrays, extra = store.load(step)
        np.testing.assert_array_equal(arrays["['w']"], np.arange(4.0) + 10 * (step - 1))
        assert extra == {"step": step}


def test_a_small_one_is_saved_at_once(tmp_path):
    store = Slow(tmp_path)
    with Saver(store) as saving:
        saving.save(1, {"w": np.arange(4.0)}, {})
        assert store.told == [(1, True)]


class Full(Checkpoints):
    def save(self, step, state, extra):
        raise OSError(28, "No space left on device")


def test_what_goes_wrong_is_raised_at_the_next_chance(tmp_path, large):
    def started():
        saving = Saver(Full(tmp_path))
        saving.save(1, {}, {})
        return saving

    def checked(saving):
        while saving._running is not None:
            saving.check()

    for ask in (Saver.wait, checked, lambda s: s.save(2, {}, {})):
        with pytest.raises(OSError, match="No space left"):
            ask(started())
    with pytest.raises(OSError, match="No space left"), started():
        pass


def test_an_error_of_the_training_is_not_hidden_by_one_of_a_checkpoint(tmp_path, large):
    def train():
        with Saver(Full(tmp_path)) as saving:
            saving.save(1, {}, {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()


def test_the_memory_of_a_copy_is_used_again(tmp_path, large):
    state = {"w": np.arange(4.0), "n": np.int32(3)}
    with Saver(Slow(tmp_path)) as saving:
        saving.save(1, state, {})
        first = saving._copy["w"]
        assert not np.shares_memory(first, state["w"])
        saving.save(2, {"w": state["w"] + 1, "n": np.int32(4)}, {})
        assert saving._copy["w"] is first
        assert saving._copy["n"] == 4
