"""Every test runs with warnings as errors, strict promotion of dtypes and ranks, and a cache of its own."""

import functools
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

# Most of a test's time is compiling: the compiler's costly optimizations are left out, and where it is
# known to have them, its older and simpler ways to write a loop are taken, in half the time.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_force_host_platform_device_count=8"
    " --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    " --xla_cpu_parallel_codegen_split_count=1"
    + (" --xla_cpu_use_fusion_emitters=false" if version("jaxlib").startswith("0.10.") else ""),
)
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "agg")
if "PYTEST_XDIST_WORKER" not in os.environ:  # workers share one: what one has compiled the other finds
    os.environ["DLNOTES_CACHE"] = tempfile.mkdtemp(prefix="dlnotes-tests-")

import jax
import numpy as np
import pytest
from jax._src.interpreters import mlir
from tiny_run import tiny

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_traceback_in_locations_limit", 0)  # which only a reader of compiled programs needs


# A context for each program costs milliseconds, an eighth of all time here; programs can share one.
mlir.make_ir_context = functools.lru_cache(None)(mlir.make_ir_context)


LONG_VARIANTS = Path(__file__).with_name("long_variants.txt")
"""Made by scripts/long_variants.py."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Variants that take long are slow tests; one that is not there any more must leave the list."""
    listed = set(LONG_VARIANTS.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)
    if not any("::" in argument for argument in config.args):
        files = {item.nodeid.split("::")[0] for item in items}
        gone = sorted(n for n in listed - {item.nodeid for item in items} if n.split("::")[0] in files)
        if gone:
            raise pytest.UsageError(f"{LONG_VARIANTS}: no test is called {', '.join(gone)}")


@pytest.fixture(scope="session")
def _generators():
    """The generators of random numbers that test files and helpers own, and their states before any test."""
    folder = str(Path(__file__).parent)
    files = [m for m in list(sys.modules.values()) if (getattr(m, "__file__", None) or "").startswith(folder)]
    owned = {id(v): v for m in files for v in vars(m).values() if isinstance(v, np.random.Generator)}
    return [(generator, generator.bit_generator.state) for generator in owned.values()]


@pytest.fixture(autouse=True)
def _same_draws(_generators):
    """A test draws the same numbers whichever tests ran before it on this worker."""
    for generator, state in _generators:
        generator.bit_generator.state = state


@pytest.fixture
def key():
    return jax.random.key(20261123)


@pytest.fixture
def config(tmp_path):
    """``config(model={…}, training={…}) -> Config`` writing under the test's own folder."""
    from dlnotes.config import parse

    return lambda **sections: parse(tiny(tmp_path / "runs", **sections))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The result of an undisturbed run."""
    from dlnotes.config import parse
    from dlnotes.experiment.run import run

    return run(parse(tiny(tmp_path_factory.mktemp("finished") / "runs")))


@pytest.fixture(scope="session", autouse=True)
def _no_cache_afterwards():
    yield
    jax.config.update("jax_compilation_cache_dir", None)


def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["DLNOTES_CACHE"], ignore_errors=True)
