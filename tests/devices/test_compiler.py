"""Compiler settings: what is compiled in a hurry draws the same numbers."""

import sys

import chex
import jax
import pytest

from dlnotes import models
from dlnotes.devices.compiler import enable_compilation_cache, single_use_options


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="these options are the CPU compiler's")
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(models.tree_net(40, 16, 10), id="tree", marks=pytest.mark.slow),
        pytest.param(models.cnn((8, 8, 1), 10), id="cnn", marks=pytest.mark.slow),
        pytest.param(models.sequence_classifier(5, 16, 3), id="gru"),
    ],
)
def test_single_use_programs_draw_the_same_bits(model, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # those of the tests set a level of their own
    options = single_use_options()
    assert options["xla_backend_optimization_level"] == 1
    start = jax.jit(model.init).lower(jax.random.key(3))
    usually = {"xla_backend_optimization_level": 3, "xla_cpu_use_fusion_emitters": True}
    as_usual = {name: usually[name] for name in options}
    quick, usual = (start.compile(compiler_options=o)(jax.random.key(3)) for o in (options, as_usual))
    chex.assert_trees_all_equal(quick, usual)


def test_a_level_that_was_asked_for_is_left(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=2")
    assert single_use_options() == {}


@pytest.fixture
def no_cache():
    before = jax.config.jax_compilation_cache_dir
    yield
    jax.config.update("jax_compilation_cache_dir", before)


@pytest.mark.parametrize("where", ["below a file", "a file", "nowhere", "a name too long", "no home"])
def test_where_no_cache_can_be_written_there_is_none_and_that_is_said_once(
    where, tmp_path, monkeypatch, no_cache
):
    (tmp_path / "file").write_text("")
    place = {
        "below a file": tmp_path / "file" / "x",
        "a file": tmp_path / "file",
        "nowhere": "/proc/none" if sys.platform == "linux" else tmp_path / "file" / "y",
        "a name too long": tmp_path / ("x" * 300),
        "no home": "",
    }[where]
    monkeypatch.setenv("DLNOTES_CACHE", str(place))
    if where == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
        monkeypatch.chdir(tmp_path)
    with pytest.warns(RuntimeWarning, match="compiled programs are not kept for later runs"):
        assert enable_compilation_cache() is None
    assert jax.config.jax_compilation_cache_dir is None
    assert enable_compilation_cache() is None  # warnings are errors here: it is not said again
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_cache_below_home_or_a_folder_that_is_named(tmp_path, monkeypatch, no_cache):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("DLNOTES_CACHE", "~/kept")
    assert enable_compilation_cache() == tmp_path / "kept" / "compiled"
    monkeypatch.delenv("DLNOTES_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert enable_compilation_cache() == tmp_path / ".cache" / "dlnotes" / "compiled"
    assert enable_compilation_cache(tmp_path / "mine") == tmp_path / "mine"
