"""Recurrent networks from a config: cells by name and by table, an answer per position, images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.config import ConfigError, parse
from dlnotes.data.dataset import Dataset, Examples
from dlnotes.experiment.network import model_of


def config(data="reber", **model):
    return parse({"data": {"kind": data}, "model": model})


def dataset(input, task, shape, outputs):
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    y = {"classification": (6,), "tokens": (6, shape[0]), "pixels": (6, *shape[:2])}[task]
    return Dataset("d", Examples(x, np.zeros(y, np.int32)), None, None, input, task, shape, outputs)


TABLES = [
    {"kind": "rnn", "activation": "relu", "start": "identity", "scale": 0.5},
    {"kind": "lstm", "peepholes": True, "layer_norm": True},
    {"kind": "leaky", "time_constants": [1, 10], "learned": True},
    {"kind": "delayed", "delay": 3, "short": False},
    {"kind": "deep_transition", "widths": [5], "skip": True},
]


@pytest.mark.parametrize("table", [*TABLES, "gru"], ids=lambda t: t if isinstance(t, str) else t["kind"])
def test_every_cell_is_reached_from_a_config(table):
    series = dataset("sequence", "classification", (4, 2), 3)
    checked = config(kind="sequence_classifier", hidden=6, cell=table)
    model = model_of(checked, series)(
        {k: getattr(checked.model, k) for k in type(checked.model).model_fields}
    )
    params = jax.eval_shape(model.init, jax.random.key(0))
    fields = params.forward[0]._asdict()
    if table == "gru":
        assert fields["U"].shape == (2, 18)
        return
    want = {
        "rnn": ("W", (6, 6)),
        "lstm": ("p", (3, 6)),
        "leaky": ("s", (6,)),
        "delayed": ("W", (6, 6)),
        "deep_transition": ("S", (6, 6)),
    }[table["kind"]]
    assert fields[want[0]].shape == want[1]
    if table["kind"] == "rnn":
        W = model.init(jax.random.key(0)).forward[0].W
        np.testing.assert_allclose(W, 0.5 * np.eye(6))


def test_layers_below_and_above_the_states_are_reached_from_a_config():
    series = dataset("sequence", "classification", (4, 2), 3)
    for cell in ("gru", {"kind": "deep_transition", "widths": [5]}):
        checked = config(
            kind="sequence_classifier", hidden=6, layers=2, cell=cell, input_widths=[7, 4], output_widths=[8]
        )
        model = model_of(checked, series)(
            {k: getattr(checked.model, k) for k in type(checked.model).model_fields}
        )
        params = jax.eval_shape(model.init, jax.random.key(0))
        for layer, read in zip(params.net.forward, (2, 6)):
            assert [d.W.shape for d in layer.layers] == [(read, 7), (7, 4)]
            assert layer.cell.U.shape[0] == 4
        assert params.net.V.shape == (6, 8)
        assert [d.W.shape for d in params.layers] == [(8, 3)]


def test_labeler_and_grid_answer_where_the_task_asks():
    for kind, of, data, shape in (
        ("sequence_labeler", "text", dataset("sequence", "tokens", (4, 2), 3), (6, 4, 3)),
        ("grid_recurrent", "digits", dataset("image", "classification", (4, 5, 1), 3), (6, 3)),
        ("grid_recurrent", "scenes", dataset("image", "pixels", (4, 5, 1), 3), (6, 4, 5, 3)),
    ):
        checked = config(of, kind=kind, hidden=4)
        model = model_of(checked, data)(
            {k: getattr(checked.model, k) for k in type(checked.model).model_fields}
        )
        got = jax.eval_shape(
            lambda x, m=model: m.apply(m.init(jax.random.key(0)), x), jnp.asarray(data.train.x)
        )
        assert got.shape == shape


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("lstn", "model.cell: got 'lstn'; did you mean 'lstm'? (allowed: lstm, gru, rnn)"),
        ({"kind": "delayed", "delay": 1}, "model.cell.delay: got 1, must be greater than or equal to 2"),
        ({"kind": "lstmm"}, "model.cell.kind: got 'lstmm'; did you mean 'lstm'?"),
        ({"delay": 3}, "model.cell.kind: missing, it must be set"),
        (
            {"kind": "lstm", "peephole": True},
            "model.cell.peephole: got True, unknown option; did you mean 'peepholes'?",
        ),
        (
            {"kind": "leaky", "time_constants": [0.5, 3]},
            "model.cell.time_constants[0]: got 0.5, must be greater than or equal to 1",
        ),
    ],
)
def test_errors_of_a_cell_speak_of_the_form_that_was_given(cell, said):
    with pytest.raises(ConfigError) as found:
        config(kind="sequence_classifier", cell=cell)
    assert len(found.value.problems) == 1
    assert found.value.problems[0].startswith(said)
