"""Damage is found, named and passed over; nothing half-written counts."""

import json
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_parts import equal, recipe_of, state_of

from dlnotes.training import state_files
from dlnotes.training.checkpoints import Checkpoints, flatten, unflatten
from dlnotes.training.state_files import MANIFEST, DamagedCheckpoint, LostCheckpoint


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
    assert len(told) == 1
    words = {"truncated": "has changed", "missing": "is missing", "extra": "was added"}
    words = words.get(kind, "no manifest" if kind == "no manifest" else "")
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
        monkeypatch.setattr(state_files, "_write", full)
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


NAMES = {
    "brackets": "runs [v2]",
    "backslash": "a\\b",
    "pattern": "a*b?{c}!",
    "quotes": 'it\'s "x" `y` $HOME',
    "web": "50%20#1&x=1;y",
    "unicode": "año 猫 😀",
    "line": "two\nlines\ttab",
    "dash": "-r",
    "long": "/".join(["x" * 200] * 6),
    "blank": "  lead and trail  ",
}


@pytest.mark.parametrize("name", NAMES)
def test_any_legal_path_holds_checkpoints(name, tmp_path):
    arrays = {"a": np.arange(3.0), "b": np.array([np.nan, -0.0])}
    store = Checkpoints(tmp_path / NAMES[name] / "checkpoints")
    store.save(3, arrays, {"seconds": 1.0})
    store.save(4, arrays, {"seconds": 2.0})
    step, got, extra = store.newest()
    assert (step, extra) == (4, {"seconds": 2.0})
    equal(unflatten(got, arrays), arrays)
    moved = shutil.move(store.folder, tmp_path / "plain")  # what was written is a checkpoint like any other
    equal(unflatten(Checkpoints(moved).newest()[1], arrays), arrays)
    assert not list(tmp_path.rglob("*.orbax-checkpoint-tmp*"))


def test_a_path_of_other_bytes_than_text_holds_checkpoints(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9")
    try:
        os.mkdir(path)
    except OSError:
        pytest.skip("this file system has names of text only")
    store = Checkpoints(os.fsdecode(path))
    store.save(1, {"a": np.ones(2)}, {})
    assert store.newest()[0] == 1


def test_a_relative_path_and_one_through_links_hold_checkpoints(tmp_path, monkeypatch):
    (tmp_path / "real [1]" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real [1]")
    monkeypatch.chdir(tmp_path / "real [1]" / "below")
    Checkpoints("../checkpoints").save(1, {"a": np.ones(2)}, {})
    assert Checkpoints(tmp_path / "link" / "checkpoints").newest()[0] == 1


@pytest.mark.parametrize("how", ["nothing written", "other numbers", "a leaf less"])
def test_what_cannot_be_read_back_fails_at_once_and_costs_no_older_one(store, states, monkeypatch, how):
    import orbax.checkpoint as ocp

    save = ocp.Checkpointer.save

    def careless(self, path, args):
        if how == "nothing written":
            path.mkdir()
            return
        item = dict(args.item)
        name = sorted(item)[-1]
        if how == "a leaf less":
            del item[name]
        else:
            item[name] = item[name] + np.asarray(1, item[name].dtype)
        save(self, path, args=ocp.args.PyTreeSave(item))

    monkeypatch.setattr(ocp.Checkpointer, "save", careless)
    for step in (30, 40, 50):
        with pytest.raises(LostCheckpoint, match=f"{step}: the checkpoint cannot be read back"):
            store.save(step, states[2], {})
    monkeypatch.undo()
    assert store.steps() == [10, 20]
    assert store.newest()[0] == 20


def test_a_checkpoint_that_was_never_whole_is_damaged_though_its_manifest_fits(store):
    """Older versions wrote such ones below a path with brackets."""
    folder = store.folder / "20"
    for name in ("manifest.ocdbt", "_METADATA"):
        (folder / name).unlink()
    state_files._write(folder / MANIFEST, json.dumps(state_files._digests(folder)))
    told = []
    assert store.newest(told.append)[0] == 10
    assert len(told) == 1


def test_large_arrays_are_read_one_by_one_and_small_ones_together():
    one = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (2**26 + 1,), (0,))
    arrays = {"a": np.zeros(3), "b": np.zeros(4), "c": one, "d": np.zeros(2), "e": one, "f": one}
    assert list(state_files._together(arrays)) == [["a", "b"], ["c"], ["d"], ["e"], ["f"]]
