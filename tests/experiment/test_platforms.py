"""What is fast on a CPU only stays there: the programs of all families, for chips that are not here."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

from dlnotes.config import load
from dlnotes.devices.placement import place
from dlnotes.devices.platform import platform, written_for
from dlnotes.experiment.plan import setups
from dlnotes.experiment.setup import state_shapes
from dlnotes.experiment.trainer import Trainer

ROOT = Path(__file__).parents[2]
FAMILIES = sorted((ROOT / "configs" / "families").glob("*.toml"))
ALWAYS = "tree_lstm_list_ops"
ALLOWED = {"Sharding", "cu_threefry2x32"}
"""Calls of compiled functions: jax's own notes on placement, and its random numbers on GPUs."""


def test_the_platform_is_asked_for_in_one_place():
    assert platform() == "cpu"
    with written_for("cuda"):
        assert platform() == "gpu"
        with written_for("tpu"):
            assert platform() == "tpu"
        assert platform() == "gpu"
    assert platform() == "cpu"


@pytest.mark.parametrize("on", ["tpu", pytest.param("cuda", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "path",
    [p if p.stem == ALWAYS else pytest.param(p, marks=pytest.mark.slow) for p in FAMILIES],
    ids=lambda p: p.stem,
)
def test_the_program_of_another_platform(path, on, monkeypatch):
    setup = setups(load(path))[0]
    trainer = Trainer(setup, place("single", members=setup.group.members))

    def lowered(platform):
        jax.clear_caches()  # a function that was traced for one platform is not traced for another
        with written_for(platform):
            loader, chunk = trainer.compiled(np.zeros((setup.group.members, 2), np.uint32))
            shapes = jax.tree.map(
                lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (state_shapes(setup), loader.shapes())
            )
            traced = chunk.trace(*shapes, jax.ShapeDtypeStruct((), np.int32))
            return traced.lower(lowering_platforms=(platform,)).as_text()

    here = lowered("cpu")

    def asked():
        raise AssertionError("the platform of a program is asked by dlnotes.devices.platform")

    monkeypatch.setattr(jax, "default_backend", asked)
    text = lowered(on)
    assert set(re.findall(r"custom_call @(\w+)", text)) <= ALLOWED
    assert text.count("stablehlo.case") <= here.count("stablehlo.case")  # none is chosen at run time
    if setup.group.config.model.convolutional:
        assert "stablehlo.convolution" in text
        assert text.count("stablehlo.convolution") != here.count("stablehlo.convolution")
    if path.stem.startswith("tree"):
        assert text.count("stablehlo.while") < here.count("stablehlo.while")
