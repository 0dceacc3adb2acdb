"""Buffers that a thread fills while the one before is in use: the same steps however they are asked for."""

import threading

import numpy as np
import pytest

from dlnotes.training.ahead import Ahead


def squares(told=None):
    """Buffers of four places with the squares of the steps."""

    def fill(buffer, first, low, high):
        if told is not None:
            told.append((first + low, first + high, threading.current_thread() is threading.main_thread()))
        buffer[low:high] = np.square(np.arange(first + low, first + high))

    return Ahead(lambda: np.zeros(4, int), fill)


@pytest.mark.parametrize("counts", [[1, 1, 2, 4, 3, 4, 1], [4, 4, 4], [3, 1, 4]])
def test_the_steps_are_those_asked_for(counts):
    ahead, first, kept = squares(), 0, []
    for count in counts:
        buffer = ahead.take(first, count)
        kept.append((buffer, first, count))
        first += count
    for buffer, first, count in kept:  # none is written to again
        np.testing.assert_array_equal(buffer[:count], np.square(np.arange(first, first + count)))


def test_the_next_chunk_is_filled_in_a_thread_and_another_at_once():
    told = []
    ahead = squares(told)
    ahead.take(0, 2)
    np.testing.assert_array_equal(ahead.take(2, 3)[:3], [4, 9, 16])
    assert told[:3] == [(0, 2, True), (2, 4, False), (4, 5, True)]
    np.testing.assert_array_equal(ahead.take(9, 2, more=False)[:2], [81, 100])
    assert (9, 11, True) in told
    assert ahead._next is None


def test_what_goes_wrong_in_the_thread_is_raised_where_the_steps_are_asked_for():
    def fill(buffer, first, low, high):
        if first >= 2:
            raise OSError("the disk is gone")

    ahead = Ahead(list, fill)
    ahead.take(0, 2)
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.take(2, 2)
