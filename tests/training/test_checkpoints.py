"""Damage is found, named and passed over; nothing half-written counts."""

import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_parts import equal, recipe_of, state_of

from dlnotes.training import checkpoints
from dlnotes.training.checkpoints import MANIFEST, Checkpoints, DamagedCheckpoint, flatten, unflatten


@pytest.fixture(scope="module")
def states():
    recipes = recipe_of(kind="adam", ema=0.9)
    state = jax.device_get(state_of(recipes, 2, [0.1, 0.2], keep_best=True))
    return [jax.tree.map(lambda a, i=i: a + np.asarray(i, a.dtype), state) for i in range(3)]


@pytest.fixture(scope="module")
def saved(states, tmp_path_factory):
    """Two checkpoints, at steps 10 and 20."""
    store = Checkpoints(tmp_path_factory.mktemp("saved"))
    for i, step in enumerate((10, 20)):
        store.save(step, states[i], {"seconds": float(i), "nan": float("nan")})
    return store.folder


@pytest.fixture
def store(saved, tmp_path):
    return Checkpoints(shutil.copytree(saved, tmp_path / "checkpoints"))


def files_of(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_gives_back_every_bit(store, states):
    step, arrays, extra = store.newest()
    assert step == 20
    assert extra["seconds"] == 1.0
    equal(unflatten(arrays, states[0]), states[1])


def test_other_types_and_empty_leaves_survive(tmp_path):
    tree = {
        "a.b/c": np.arange(3, dtype=np.int32),
        "low": jnp.arange(4, dtype=jnp.bfloat16) / 3,
        "empty": np.zeros((2, 0), np.float32),
        "flag": np.array(True),
        "words": np.array([1, 2**32 - 1], np.uint32),
    }
    store = Checkpoints(tmp_path)
    store.save(1, tree, {})
    got = unflatten(store.load(1)[0], tree)
    equal(got, tree)
    assert all(got[k].dtype == tree[k].dtype for k in tree)


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


def some_files(folder, most=6):
    names = files_of(folder)
    return names[:: max(1, len(names) // most)] + [MANIFEST, "extra.json"]


def test_one_flipped_bit_in_any_file_is_found_named_and_passed_over(store, states):
    folder = store.folder / "20"
    for name in some_files(folder):
        path = folder / name
        if not path.stat().st_size:
            continue
        before, told = path.read_bytes(), []
        flip(path)
        with pytest.raises(DamagedCheckpoint):
            store.load(20)
        step, arrays, _ = store.newest(told.append)
        assert step == 10
        equal(unflatten(arrays, states[0]), states[0])
        assert len(told) == 1
        assert "20" in told[0]
        if name != MANIFEST:
            assert str(path) in told[0]
        path.write_bytes(before)
    assert store.newest()[0] == 20


@pytest.mark.parametrize("kind", ["truncated", "missing", "extra", "empty manifest", "no manifest"])
def test_other_damage_is_found_too(store, kind):
    folder, told = store.folder / "20", []
    largest = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    if kind == "truncated":
        os.truncate(largest, largest.stat().st_size // 2)
    elif kind == "missing":
        largest.unlink()
    elif kind == "extra":
        (folder / "more").write_text("?")
    elif kind == "empty manifest":
        (folder / MANIFEST).write_text("")
    else:
        (folder / MANIFEST).unlink()
    assert store.newest(told.append)[0] == 10
    assert len(told) == (kind != "no manifest")  # without one it is unfinished, not damaged
    words = {"truncated": "has changed", "missing": "is missing", "extra": "was added"}.get(kind, "")
    assert all(words in message for message in told)


def test_nothing_whole_is_none(store):
    for step in (10, 20):
        flip(store.folder / str(step) / "extra.json")
    assert store.newest() is None
    assert Checkpoints(store.folder / "nowhere").newest() is None


def test_damaged_ones_are_set_aside_and_unfinished_ones_removed(store, states):
    flip(store.folder / "20" / "extra.json")
    store.set_aside_after(store.newest()[0])
    assert store.steps() == [10]
    assert (store.folder / "20.damaged").is_dir()
    (store.folder / "15").mkdir()
    (store.folder / "15" / "part").write_text("half")
    (store.folder / "17.orbax-checkpoint-tmp-3").mkdir()
    store.save(20, states[2], {})
    assert sorted(p.name for p in store.folder.iterdir()) == ["10", "20", "20.damaged"]
    equal(unflatten(store.newest()[1], states[0]), states[2])


def test_only_the_newest_are_kept_and_a_step_can_be_saved_again(store, states):
    store.save(30, states[2], {})
    assert store.steps() == [20, 30]
    store.save(30, states[0], {"again": True})
    _, arrays, extra = store.newest()
    assert extra == {"again": True}
    equal(unflatten(arrays, states[0]), states[0])


def test_another_shape_or_dtype_or_name_is_an_error_that_names_it(states):
    arrays = flatten(states[0])
    name = next(k for k in arrays if k.endswith(".W"))
    wrong = [
        (arrays | {name: arrays[name].astype(np.float64)}, r"float64.*needs float32"),
        (arrays | {name: arrays[name][:1]}, r"\[1, .*needs float32\[2, "),
        ({k: v for k, v in arrays.items() if k != name}, "missing from the checkpoint"),
        (arrays | {"more": arrays[name]}, "only in the checkpoint"),
    ]
    for got, message in wrong:
        with pytest.raises(DamagedCheckpoint, match=message):
            unflatten(got, states[0])
    with pytest.raises(DamagedCheckpoint) as error:
        unflatten(wrong[0][0], states[0])
    assert name in str(error.value)


@pytest.mark.parametrize("where", ["data", "manifest"])
def test_a_full_disk_leaves_the_earlier_checkpoints(store, states, monkeypatch, where):
    import orbax.checkpoint as ocp

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    if where == "data":
        monkeypatch.setattr(ocp.Checkpointer, "save", full)
    else:
        monkeypatch.setattr(checkpoints, "_write", full)
    with pytest.raises(OSError, match="No space left") as error:
        store.save(30, states[2], {})
    assert error.value.errno == 28
    monkeypatch.undo()
    assert store.steps() == [10, 20]
    assert store.newest()[0] == 20
    store.save(30, states[2], {})
    assert store.newest()[0] == 30


def test_the_manifest_lists_every_file_with_its_digest(store):
    folder = store.folder / "20"
    written = json.loads((folder / MANIFEST).read_text())
    assert sorted(written) == [name for name in files_of(folder) if name != MANIFEST]
    assert all(len(digest) == 64 for digest in written.values())
