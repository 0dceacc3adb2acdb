"""Slices of chips by name, and how long they take to add up arrays."""

import re

import numpy as np
import pytest

from dlnotes.devices.absent import compilable, described, missing
from dlnotes.devices.chips import CHIPS, nearest, topology


@pytest.mark.parametrize(
    ("name", "count", "hosts"),
    [("v5e:4x4", 16, 4), ("v5e:1x1", 1, 1), ("v5p:2x2x4", 16, 4), ("v6e:16x16", 256, 64), ("h100:8", 8, 1),
     ("h100:4x8", 32, 4), ("cpu:8", 8, 1)],
)  # fmt: skip
def test_a_slice_has_chips_in_hosts(name, count, hosts):
    slice = topology(name)
    assert (slice.count, slice.hosts) == (count, hosts)
    chips = described(slice)
    assert len(chips) == count
    assert {c.process_index for c in chips} == set(range(hosts))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("v5e", "something like 4x4"),
        ("v5e:4", "something like 4x4"),
        ("v5e:3x4", "1, 2, 4, 8"),
        ("v5p:4x4", "something like 2x2x4"),
        ("v5x:4x4", "known chips are v5e"),
        ("h100:16", "at most 8"),
        ("h100:0", "something like 8 or 4x8"),
        ("tpu", "known chips are v5e, v5p, v6e, h100, cpu"),
    ],
)
def test_what_is_no_slice_is_refused(name, told):
    with pytest.raises(ValueError, match=re.escape(f"--on: got {name!r}")) as error:
        topology(name)
    assert told in str(error.value)


def test_a_part_of_a_slice_lies_together():
    slice = topology("v6e:8x16")
    assert [slice.part(2**k).shape for k in range(8)] == [
        (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4), (8, 8), (8, 16)
    ]  # fmt: skip
    gpus = topology("h100:4x8")
    assert [gpus.part(n).shape for n in (1, 8, 16, 32)] == [(1, 1), (1, 8), (2, 8), (4, 8)]


def test_all_reduce_is_a_ring():
    size = 3e6
    assert topology("v5e:1x1").all_reduce(size) == 0
    chip = CHIPS["v5e"]
    expected = 2 * 15 / 16 * size / chip.link + 12 * chip.hop
    np.testing.assert_allclose(topology("v5e:4x4").all_reduce(size), expected)
    within, between = (topology(name).all_reduce(1e9) for name in ("h100:8", "h100:4x8"))
    assert between > 8 * within  # over the network


def test_cpu_devices_share_a_memory_and_need_no_compiler():
    one, eight = topology("cpu:1"), topology("cpu:8")
    assert one.chip.memory // 8 == eight.chip.memory
    assert missing(eight) is None
    assert [d.platform for d in compilable(eight)] == ["cpu"] * 8


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr("dlnotes.devices.absent.find_spec", lambda name: None)
    assert "dlnotes[tpu]" in missing(topology("v5e:2x2"))
    assert "dlnotes[cuda]" in missing(topology("h100:8"))


@pytest.mark.parametrize(
    ("kind", "platform", "count", "expected"),
    [
        ("TPU v5 lite", "tpu", 4, "v5e:2x2"),
        ("TPU v5e", "tpu", 1, "v5e:1x1"),
        ("TPU v5", "tpu", 4, "v5p:2x2x1"),
        ("TPU v5p", "tpu", 8, "v5p:2x2x2"),
        ("TPU v6 lite", "tpu", 8, "v6e:4x2"),
        ("TPU v4", "tpu", 4, "v5p:2x2x1"),
        ("an unheard-of one", "tpu", 4, "v5e:2x2"),
        ("NVIDIA H100 80GB HBM3", "gpu", 8, "h100:8"),
        ("NVIDIA A100-SXM4-40GB", "gpu", 3, "h100:3"),
    ],
)
def test_devices_are_taken_for_the_chips_most_like_them(kind, platform, count, expected):
    found = nearest(kind, platform, count)
    assert found.name == expected
    assert found.count == count
    assert found.chip == topology(expected).chip
