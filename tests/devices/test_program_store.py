"""Programs that a later process loads: the same results, nothing traced; what is wrong is made anew."""

import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.devices import program_store
from dlnotes.devices.program_store import StoredProgram, can_be_stored


class Counted:
    """``x W + b`` and its sum, and how often it was traced."""

    def __init__(self, **options):
        self.traced = 0
        self.function = jax.jit(self._call, donate_argnums=0, **options)

    def _call(self, state, x):
        self.traced += 1
        state = {"W": state["W"] - 0.1 * x.T @ (x @ state["W"]), "n": state["n"] + 1}
        return state, jnp.sum(x @ state["W"])


RNG = np.random.default_rng(3)
W, X = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(4, 5)).astype(np.float32)


def arguments(rows=4):
    return {"W": jnp.array(W), "n": jnp.array(0, jnp.int32)}, jnp.array(X[:rows])


def called(folder, key="k", rows=4):
    counted = Counted()
    program = StoredProgram(counted.function, key, folder)
    state, total = program(*arguments(rows))
    state, total = program(state, jnp.array(X[:rows]))
    return counted.traced, np.asarray(state["W"]), float(total), int(state["n"])


def test_a_later_one_loads_it_and_computes_the_same_bits(tmp_path):
    first, second = called(tmp_path), called(tmp_path)
    assert (first[0], second[0]) == (1, 0)
    np.testing.assert_array_equal(first[1], second[1])
    assert first[2:] == second[2:] == (first[2], 2)
    plain, state = jax.jit(Counted()._call), arguments()[0]
    for _ in range(2):
        state, total = plain(state, jnp.array(X))
    np.testing.assert_array_equal(first[1], state["W"])
    assert float(total) == first[2]


def test_the_state_is_donated_as_before(tmp_path):
    for _ in range(2):
        program = StoredProgram(Counted().function, "k", tmp_path)
        state, x = arguments()
        jax.block_until_ready(program(state, x))
        assert state["W"].is_deleted()
        assert not x.is_deleted()


@pytest.mark.parametrize("what", ["key", "shape", "type", "code", "options", "machine"])
def test_whatever_decides_the_program_makes_another(tmp_path, monkeypatch, what):
    assert called(tmp_path)[0] == 1
    if what == "key":
        assert called(tmp_path, key="other")[0] == 1
    elif what == "shape":
        assert called(tmp_path, rows=3)[0] == 1
    elif what == "type":
        counted, half = Counted(), {"W": jnp.array(W, jnp.bfloat16), "n": jnp.array(0, jnp.int32)}
        StoredProgram(counted.function, "k", tmp_path)(half, jnp.array(X, jnp.bfloat16))
        assert counted.traced == 1
    elif what == "code":
        monkeypatch.setattr(program_store, "code_digest", lambda: "other")
        assert called(tmp_path)[0] == 1
    elif what == "options":
        with jax.default_matmul_precision("float32"):
            assert called(tmp_path)[0] == 1
    else:
        monkeypatch.setattr(program_store, "machine_kind", lambda: "other")
        assert called(tmp_path)[0] == 1


@pytest.mark.parametrize("order", [range(8), (3, 1, 0, 2, 7, 6, 5, 4)])
def test_a_program_of_several_devices(tmp_path, order):
    devices = [jax.devices()[i] for i in order]
    mesh = jax.sharding.Mesh(np.array(devices), ("rows",))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    x = jax.device_put(np.arange(16, dtype=np.float32), rows)
    found, traced = [], []

    def f(x):
        traced.append(1)
        return jnp.cumsum(x) + x[::-1]

    for _ in range(2):
        out = StoredProgram(jax.jit(f, out_shardings=rows), f"{tuple(order)}", tmp_path)(x)
        assert out.sharding == rows
        found.append(np.asarray(out))
    assert len(traced) == 1
    np.testing.assert_array_equal(found[0], np.cumsum(np.arange(16)) + np.arange(16)[::-1])
    np.testing.assert_array_equal(*found)


def test_one_program_for_each_shape(tmp_path):
    counted = Counted()
    program = StoredProgram(counted.function, "k", tmp_path)
    for rows in (4, 3, 4, 3):
        program(*arguments(rows))
    assert counted.traced == 2
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text"])
def test_a_damaged_one_is_made_anew_and_kept_again(tmp_path, damage):
    expected = called(tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    file.write_bytes(
        {"cut": whole[:-7], "changed": bytes(changed), "empty": b"", "text": b"no program"}[damage]
    )
    again = called(tmp_path)
    assert again[0] == 1
    np.testing.assert_array_equal(again[1], expected[1])
    assert called(tmp_path)[0] == 0


def test_where_nothing_can_be_kept_it_runs(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    assert called(file / "folder")[0] == called(file / "folder")[0] == 1


def test_what_cannot_be_written_runs(tmp_path):
    seen = []

    @jax.jit
    def told(x):
        jax.debug.callback(lambda v: seen.append(float(v)), x.sum())
        return x + 1

    for _ in range(2):
        out = StoredProgram(told, "k", tmp_path)(jnp.ones(3))
        np.testing.assert_array_equal(out, 2)
    jax.effects_barrier()
    assert seen == [3.0, 3.0]


SOLVED = """
import sys
import jax, jax.numpy as jnp
from dlnotes.devices.program_store import StoredProgram
a = jnp.array([[2.0, 1.0], [0.0, 4.0]])
program = StoredProgram(jax.jit(lambda a: jnp.linalg.qr(a)[1]), "k", sys.argv[1])
print(float(jnp.abs(program(a)[0, 0])))
"""


def test_what_calls_lapack_is_never_loaded(tmp_path):
    """In a process that has not lowered such a program calling it would end the process."""
    for _ in range(2):
        command = [sys.executable, "-c", SOLVED, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert float(done.stdout) == pytest.approx(2.0)
    assert not list(tmp_path.iterdir())


def test_a_program_from_jaxs_own_cache_can_be_kept(tmp_path):
    """It cannot be serialized again: what the cache has is kept."""
    called(tmp_path / "a")
    jax.clear_caches()
    assert called(tmp_path / "b")[0] == 1
    jax.clear_caches()
    assert called(tmp_path / "b")[0] == 0


def test_those_not_used_for_the_longest_time_go_first(tmp_path, monkeypatch):
    for key in "abc":
        called(tmp_path, key=key)
        time.sleep(0.01)
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    oldest = min(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime)
    os.utime(oldest)  # used again
    monkeypatch.setattr(program_store, "MOST_BYTES", 3 * max(sizes))
    called(tmp_path, key="d")
    assert len(list(tmp_path.iterdir())) == 3
    assert oldest.exists()
    assert called(tmp_path, key="b")[0] == 1


def test_what_is_not_one_jitted_function_of_one_process_is_left_alone(tmp_path, monkeypatch):
    assert not can_be_stored(lambda x: x)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert not can_be_stored(jax.jit(lambda x: x))
