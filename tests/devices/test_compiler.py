"""Compiler settings: what is compiled in a hurry draws the same numbers."""

import chex
import jax
import pytest

from dlnotes import models
from dlnotes.devices.compiler import single_use_options


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="these options are the CPU compiler's")
@pytest.mark.parametrize(
    "model",
    [models.tree_net(40, 16, 10), models.cnn((8, 8, 1), 10), models.sequence_classifier(5, 16, 3)],
    ids=["tree", "cnn", "gru"],
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
