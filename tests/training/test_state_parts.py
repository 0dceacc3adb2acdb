"""Checkpoints in parts: each process writes what it holds, and any number of processes reads the whole."""

import shutil

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from training_parts import equal

from dlnotes.training.checkpoints import Checkpoints, flatten, unflatten
from dlnotes.training.state_files import MANIFEST
from dlnotes.training.state_parts import held, join, lies_apart

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def state():
    """On 4 × 2 devices: divided along one axis, along two, along both axes of the mesh at once, and not."""
    mesh = Mesh(np.array(jax.devices()[:8]).reshape(4, 2), ("fsdp", "model"))
    shapes = {
        "rows | of it": ((8, 3), P("fsdp")),
        "both": ((4, 6), P("fsdp", "model")),
        "at once": ((16, 2), P(("fsdp", "model"))),
        "whole": ((5,), P()),
        "number": ((), P()),
        "empty": ((0, 2), P()),
    }
    return {
        name: jax.device_put(RNG.standard_normal(shape).astype(np.float32), NamedSharding(mesh, spec))
        for name, (shape, spec) in shapes.items()
    } | {"host": np.arange(3)}


def in_two(pieces):
    """Pieces as two processes could hold them, in no order."""
    names = RNG.permutation(sorted(pieces)).tolist()
    return [{n: pieces[n] for n in names[i::2]} for i in range(2)]


def test_every_number_is_in_one_part(state):
    pieces = held(state)
    whole = flatten(state)
    assert sum(a.size for a in pieces.values()) == sum(a.size for a in whole.values())
    assert "['both']|0:1,3:6" in pieces
    equal(unflatten(join(in_two(pieces)), state), {k: np.asarray(v) for k, v in state.items()})
    pieces.pop("['both']|0:1,3:6")
    with pytest.raises(ValueError, match=r"\['both'\]: some of its numbers are in no part"):
        join([pieces])
    assert not lies_apart(state)  # one process holds everything


def test_pieces_are_copies(state):
    own = {"host": np.arange(3)}
    pieces = held(own)
    own["host"] += 5
    assert pieces["['host']"].tolist() == [0, 1, 2]


def saved(folder, state, step, parts=(0, 1)):
    store = Checkpoints(folder, keep=1)
    two = in_two(held(state))
    for i in parts:
        store.save_part(step, two[i], {"process": i}, process=i, processes=2)
    return store


def test_a_checkpoint_in_parts_is_one_like_any_other(state, tmp_path):
    store = saved(tmp_path, state, 10)
    step, arrays, extra = store.newest()
    assert (step, extra) == (10, {"process": 0})
    equal(unflatten(arrays, state), {k: np.asarray(v) for k, v in state.items()})
    assert store.newest_extra() == {"process": 0}
    store.save(20, {k: np.asarray(v) for k, v in state.items()}, {})  # by one process
    assert store.steps() == [20]
    saved(tmp_path, state, 30)
    store.prune()
    assert store.steps() == [30]
    store.save(30, {"host": np.ones(2)}, {})
    assert store.load(30)[0].keys() == {"['host']"}


def test_a_process_may_hold_nothing(state, tmp_path):
    store = Checkpoints(tmp_path)
    store.save_part(3, held(state), {}, process=0, processes=2)
    assert store.steps() == []
    store.save_part(3, {}, {}, process=1, processes=2)
    equal(unflatten(store.load(3)[0], state), {k: np.asarray(v) for k, v in state.items()})


@pytest.mark.parametrize("what", ["part not written", "manifest", "extra.json", "byte", "part gone"])
def test_a_part_that_is_missing_or_damaged_costs_the_checkpoint(what, state, tmp_path):
    store = saved(tmp_path, state, 10)
    saved(tmp_path, state, 20, parts=(1,) if what == "part not written" else (0, 1))
    part = tmp_path / "20" / "part-1-of-2"
    if what == "manifest":
        (part / MANIFEST).unlink()
    elif what == "extra.json":
        (part / what).unlink()
    elif what == "byte":
        file = max((p for p in part.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif what == "part gone":
        shutil.rmtree(part)
    told = []
    assert store.newest(told.append)[0] == 10
    (said,) = told
    assert "step 20" in said
    assert ("part-1-of-2" in said) == (what in ("extra.json", "byte"))
    if "part-1" not in said:
        store.remove_unfinished()
    else:
        store.set_aside_after(10)
    assert store.steps() == [10]
    assert not (tmp_path / "20").exists()
