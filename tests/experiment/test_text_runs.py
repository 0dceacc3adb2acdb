"""Runs on own texts and labeled words: from the file to predictions, evaluated, exported, resumed."""

import csv
import json

import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, load, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import resume, run

RNN = {"kind": "sequence_classifier", "cell": "gru", "hidden": 8, "embedding": 8, "bidirectional": True}
CNN = {"kind": "conv_net", "embedding": 8, "stages": [{"channels": 16}], "head": "largest"}
LABELER = RNN | {"kind": "sequence_labeler"}
MAPS = CNN | {"head": "maps"}


def reviews(path, n=120):
    """The class is told by one word among many others."""
    rng = np.random.default_rng(0)
    lines = ["text,label"]
    for i in range(n):
        words = [f"w{rng.integers(20)}" for _ in range(rng.integers(2, 12))]
        words.insert(rng.integers(len(words)), ("great", "dull")[i % 2])
        lines.append(f"{' '.join(words)},{('good', 'bad')[i % 2]}")
    path.write_text("\n".join(lines))
    return path


def flights(path, n=150):
    rng = np.random.default_rng(0)
    blocks = []
    for _ in range(n):
        who, where = f"{'ABC'[rng.integers(3)]}nna", [["New", "York"], ["Lima"]][rng.integers(2)]
        words = [(who, "B-PER"), *[("then", "O")] * rng.integers(0, 6), ("flies", "O"), ("to", "O")]
        words += [(w, "I-LOC" if j else "B-LOC") for j, w in enumerate(where)]
        blocks.append("\n".join(f"{w} {c}" for w, c in words))
    path.write_text("\n\n".join(blocks))
    return path


def config_of(folder, data, model, **training):
    return tiny(folder / "runs") | {
        "data": data,
        "model": model,
        "optimizer": {"kind": "adam", "learning_rate": 0.02},
        "training": {"duration": "100 steps", "batch_size": 16, "buckets": 2, "seeds": 2, **training},
    }


def answers(folder, path):
    with open(predict_run(folder, path), encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("model", [RNN, pytest.param(CNN, marks=pytest.mark.slow)], ids=["rnn", "cnn"])
def test_texts(tmp_path, model):
    config = config_of(tmp_path, {"kind": "text_classes", "path": str(reviews(tmp_path / "r.csv"))}, model)
    config["output"] = {"directory": str(tmp_path / "runs")}
    done = run(parse(config))
    assert done.metrics["test"]["accuracy"]["mean"] > 0.9
    names = {p.name for p in (done.folder / "figures").iterdir()}
    assert {"confusion_matrix.png", "worst_mistakes.csv"} <= names
    assert {"vocabulary.txt", "coverage.txt"} <= {p.name for p in (done.folder / "data").iterdir()}
    (tmp_path / "new.txt").write_text("w1 w2 GREAT w3\nsomething dull here\n")
    assert [row["class"] for row in answers(done.folder, tmp_path / "new.txt")] == ["good", "bad"]
    assert evaluate_run(done.folder, data_path=tmp_path / "r.csv")["accuracy"]["mean"] > 0.9
    again = load(done.folder / "config.toml")
    assert again.data == parse(config).data
    # The vocabulary is kept in the run: it predicts where its data are gone.
    (tmp_path / "r.csv").rename(tmp_path / "elsewhere.csv")
    assert [row["class"] for row in answers(done.folder, tmp_path / "new.txt")] == ["good", "bad"]
    model_of = jax.export.deserialize(bytearray(export_run(done.folder).read_bytes()))
    symbols = json.loads((done.folder / "data" / "facts.json").read_text())["symbols"]
    x = np.array([[symbols.index("great"), symbols.index("w1")]], np.int32)
    assert model_of.call(x, np.ones((1, 2), bool)).argmax() == 1
    assert "vocabulary.txt" in (done.folder / "export" / "README.md").read_text()


@pytest.mark.parametrize("model", [MAPS, pytest.param(LABELER, marks=pytest.mark.slow)], ids=["cnn", "rnn"])
def test_labels(tmp_path, model):
    config = config_of(tmp_path, {"kind": "token_labels", "path": str(flights(tmp_path / "f.txt"))}, model)
    config["output"] = {"directory": str(tmp_path / "runs")}
    done = run(parse(config))
    measured = done.metrics["test"]
    assert measured["entity_f1"]["mean"] > 0.9
    assert measured["entity_precision"]["mean"] > 0.9
    assert {"label_f1.png", "label_mistakes.csv"} <= {p.name for p in (done.folder / "figures").iterdir()}
    again = evaluate_run(done.folder)
    assert again["entity_f1"]["values"] == measured["entity_f1"]["values"]
    assert evaluate_run(done.folder, data_path=tmp_path / "f.txt")["entity_recall"]["mean"] > 0.9
    assert evaluate_run(done.folder, ensemble=True)["entity_f1"]["mean"] > 0.9
    (tmp_path / "new.txt").write_text("Anna flies to New York\nBnna then flies to Lima .\n")
    first, second = answers(done.folder, tmp_path / "new.txt")
    assert first["classes"] == "B-PER O O B-LOC I-LOC"
    assert first["entities"] == "PER: Anna; LOC: New York"
    assert second["words"] == "Bnna then flies to Lima ."
    assert second["entities"].startswith("PER: Bnna; LOC: Lima")
    assert export_run(done.folder).stat().st_size > 1000


@pytest.mark.parametrize("kind", [pytest.param("texts", marks=pytest.mark.slow), "labels"])
def test_resumed_bit_for_bit(tmp_path, kind):
    texts = kind == "texts"
    path = reviews(tmp_path / "a.csv") if texts else flights(tmp_path / "a.txt")
    data = {"kind": "text_classes" if texts else "token_labels", "path": str(path)}
    config = config_of(
        tmp_path, data, CNN | {"dropout": 0.2} if texts else LABELER, duration="24 steps", ema=None
    )
    whole = run(parse(config))
    begun = run(parse(config | {"training": config["training"] | {"duration": "10 steps"}}))
    longer = resume(begun.folder, ["training.duration=24 steps"])
    for a, b in zip(*(jax.tree.leaves(r.states[0].members.params) for r in (whole, longer))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("kind", "model", "told"),
    [
        (
            "text_classes",
            CNN | {"head": "flatten"},
            "model.head: got 'flatten' for texts of any length, allowed are",
        ),
        ("text_classes", CNN | {"head": "maps"}, "model.head: got 'maps' for classification"),
        ("text_classes", LABELER, "'sequence_labeler' cannot be trained on data.kind 'text_classes'"),
        ("text_classes", {"kind": "mlp"}, "allowed: conv_net, sequence_classifier"),
        ("token_labels", CNN, "model.head: got 'largest' for an answer at every position"),
        ("token_labels", MAPS | {"stages": [{"channels": 4, "pool": 2}]}, "stage 0 has pool 2 and stride 1"),
        ("text", MAPS, "'conv_net' sees the symbols that follow"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, kind, model, told):
    data, training = {"kind": kind}, {"buckets": 1} if kind == "text" else {}
    if kind != "text":
        make, name = (reviews, "r.csv") if kind == "text_classes" else (flights, "r.txt")
        data["path"] = str(make(tmp_path / name))
    with pytest.raises((ConfigError, ValueError), match=told):
        run(parse(config_of(tmp_path, data, model, **training)))
    assert not list((tmp_path / "runs").glob("*/*/checkpoints"))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"kind": "text_classes", "text": 0}, "text"),
        ({"kind": "text_classes", "tokens": "bytes"}, r"data.tokens: got 'bytes' \(allowed: words"),
        (
            {"kind": "text_classes", "path": "a", "test": 0.1, "test_path": "b"},
            "test: got 0.1 beside test_path",
        ),
        ({"kind": "token_labels", "test_path": "b"}, "test_path: got .* without a path of training data"),
        ({"kind": "token_labels", "labels": 2}, "labels.*did you mean"),
        ({"kind": "text_classes", "delimiter": ";;"}, "delimiter"),
    ],
)
def test_faults_of_configs(data, told):
    with pytest.raises(ConfigError, match=told):
        parse({"data": data, "model": CNN})
