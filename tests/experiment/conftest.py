"""A compilation cache of the session's own, and a small run that several files look at."""

import os
import shutil
import tempfile

import jax
import pytest
from tiny_run import tiny

os.environ["DLNOTES_CACHE"] = tempfile.mkdtemp(prefix="dlnotes-tests-")


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
    shutil.rmtree(os.environ["DLNOTES_CACHE"], ignore_errors=True)
