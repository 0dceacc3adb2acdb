"""A compilation cache of the session's own, and a small run that several files look at."""

import os
import tempfile

import jax
import pytest

os.environ["DLNOTES_CACHE"] = tempfile.mkdtemp(prefix="dlnotes-tests-")


def tiny(directory, **sections):
    """A config mapping of a small run: two moons, a small network, three seeds."""
    base = {
        "name": "tiny",
        "data": {"kind": "two_moons", "n": 60},
        "model": {"kind": "mlp", "widths": [5], "dropout": 0.2},
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "training": {"duration": "30 steps", "batch_size": 16, "seeds": 3, "log_every": 4, "ema": 0.9},
        "devices": {"strategy": "single"},
        "output": {"figures": False, "directory": str(directory)},
    }
    merged = {k: ({**base[k], **v} if isinstance(base.get(k), dict) else v) for k, v in sections.items()}
    return base | merged


@pytest.fixture
def config(tmp_path):
    """``config(model={…}, training={…}) -> Config`` writing under the test's own folder."""
    from dlnotes.experiment.config import parse

    return lambda **sections: parse(tiny(tmp_path / "runs", **sections))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The result of an undisturbed run."""
    from dlnotes.experiment.config import parse
    from dlnotes.experiment.running import run

    return run(parse(tiny(tmp_path_factory.mktemp("finished") / "runs")))


@pytest.fixture(scope="session", autouse=True)
def _no_cache_afterwards():
    yield
    jax.config.update("jax_compilation_cache_dir", None)
