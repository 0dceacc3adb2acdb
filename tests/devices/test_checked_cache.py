"""A damaged or foreign entry of the cache of compiled programs costs a compilation, never a run."""

import subprocess
import sys

import numpy as np
import pytest
from commands import environment

from dlnotes.devices.checked_cache import CheckedCache, machine_kind

PROGRAM = """
import sys, warnings
warnings.simplefilter("error")
import jax, jax.numpy as jnp
from jax import monitoring
from dlnotes.devices.compiler import enable_compilation_cache

seen = []
monitoring.register_event_listener(lambda event, **_: seen.append(event))
enable_compilation_cache(sys.argv[1])
found = jax.jit(lambda x: jnp.sum(jnp.sin(x) ** 2))(jnp.arange(12.0))
hits = seen.count("/jax/compilation_cache/cache_hits")
print(repr(float(found)), hits)
"""


class Kept:
    """As jax's own: a file for each key, which is not written again while it is there."""

    def __init__(self, path):
        self.path = path

    def get(self, key):
        file = self.path / f"{key}-cache"
        return file.read_bytes() if file.exists() else None

    def put(self, key, value):
        if not (self.path / f"{key}-cache").exists():
            (self.path / f"{key}-cache").write_bytes(value)


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "longer"])
def test_a_damaged_entry_counts_as_missing_and_is_replaced(damage, tmp_path):
    cache = CheckedCache(Kept(tmp_path))
    value = np.random.default_rng(0).bytes(1000)
    assert cache.get("a") is None
    cache.put("a", value)
    assert cache.get("a") == value
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[500] ^= 4
    bad = {"bit": content, "cut": content[:300], "empty": b"", "longer": file.read_bytes() + b"x"}[damage]
    file.write_bytes(bad)
    assert cache.get("a") is None
    cache.put("a", value)
    assert cache.get("a") == value


def test_an_entry_of_another_kind_of_machine_is_not_seen(tmp_path):
    here, there = CheckedCache(Kept(tmp_path)), CheckedCache(Kept(tmp_path), machine="another")
    there.put("a", b"its code")
    assert here.get("a") is None
    here.put("a", b"our code")
    assert (here.get("a"), there.get("a")) == (b"our code", b"its code")
    assert machine_kind() == here.machine


def run(folder):
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    value, hits = done.stdout.split()
    return value, int(hits)


def test_jax_compiles_again_what_is_damaged_and_says_nothing(tmp_path):
    value, hits = run(tmp_path)
    assert hits == 0
    again, kept = run(tmp_path)
    assert again == value
    assert kept > 0
    for number, file in enumerate(sorted(tmp_path.glob("*-cache"))):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content if number % 2 else content[:100])
    assert run(tmp_path) == (value, 0)
    assert run(tmp_path) == (value, kept)
