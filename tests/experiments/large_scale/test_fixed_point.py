"""Effects of whole numbers, and the perceptron that is timed."""

import jax
import numpy as np
import pytest
from experiment_module import experiment

from dlnotes import models

fixed_point = experiment("large_scale/fixed_point")
facts = fixed_point.processor_name.__globals__
RNG = np.random.default_rng(0)
CASES, SEEDS, IMAGES = 3, 4, 50


def measured(**changed):
    """Whole numbers lose one image of 50, two bits 20 points, fewer than five bits a point for each."""
    wide = np.ones((CASES, SEEDS, IMAGES), bool)
    narrow = wide.copy()
    narrow[..., 0] = False
    lost = np.array([20.0, 6, 2, 0.9, 0.3, 0.1, 0.0])  # with 2 to 8 bits
    sweep = 90 - lost + np.zeros((CASES, 2, SEEDS, 1))
    sweep[:, 1] -= 0.5
    seconds = np.ones((2, 2, 3, 5))
    seconds[0, 0], seconds[1, 1] = 3.0, 4.0
    found = {
        "float": wide, "int8": narrow, "float_half": wide, "int8_half": wide,
        "sweep": sweep.transpose(0, 1, 3, 2), "sweep_float": np.full((CASES, SEEDS), 90.0),
        "bytes": np.array([[400, 100], [400, 102], [400, 98]]), "seconds": seconds,
        "by_hand": np.array(True), "instructions": np.array(["avx_vnni"]), "processor": np.array("one"),
    }  # fmt: skip
    return found | changed


def test_what_is_lost_and_gained():
    m = measured()
    assert fixed_point.points_lost(m, 1).value == pytest.approx(2.0)
    assert fixed_point.points_lost(m, 1, "_half").value == 0
    assert fixed_point.lost_at(m, 2).value == pytest.approx(20)
    assert fixed_point.lost_at(m, 6).value == pytest.approx(0.3)
    assert fixed_point.scales_gain(m, 4).value == pytest.approx(0.5)
    assert fixed_point.fewest(m) == 5
    assert fixed_point.bytes_saved(m).value == pytest.approx(400 / 98)
    assert fixed_point.faster(m, "onnxruntime").value == pytest.approx(3)
    assert fixed_point.faster(m, "XLA", 16).value == pytest.approx(1 / 4)
    assert fixed_point.specialized(m).value == pytest.approx(4)
    facts = fixed_point._facts(m)
    assert (facts["fewest"], facts["fewer"], facts["lost"]) == (5, 4, "2.0")
    assert facts["hand"] == "3.00, 3.00 and 3.00"


@pytest.mark.parametrize(
    ("by_hand", "names", "can"), [(True, ["amx_int8"], True), (False, ["amx_int8"], False), (True, [], False)]
)
def test_speed_is_judged_where_the_machine_can_tell(by_hand, names, can):
    m = measured(by_hand=np.array(by_hand), instructions=np.array(names, dtype=np.str_))
    needed = fixed_point.HAS_INSTRUCTION
    assert (needed.rule(needed.effect(m)) == "holds") == can


def test_the_processor_says_what_it_has():
    assert set(fixed_point.whole_number_instructions()) <= set(facts["WHOLE"])
    assert fixed_point.processor_name()


def test_the_perceptron_is_the_same_by_hand_and_compiled():
    model = models.mlp(12, (16, 8), 5)
    params, x = model.init(jax.random.key(0)), RNG.standard_normal((40, 12)).astype(np.float32)
    networks = {("XLA", kind): f for kind, f in fixed_point.compiled(params, model, x).items()}
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    networks |= {("onnxruntime", kind): f for kind, f in fixed_point.by_hand(params, x).items()}
    want = np.asarray(model.apply(params, x))
    for (_, kind), network in networks.items():
        difference = np.abs(np.asarray(network(x)) - want).max() / np.abs(want).max()
        assert difference < (1e-5 if kind == "float32" else 0.1)
        assert kind == "float32" or difference > 1e-4
    found = fixed_point.times(networks, x, 2)
    assert found.shape == (2, 2, 3, 2)
    assert (found > 0).all()
    assert (found < 1).all()
