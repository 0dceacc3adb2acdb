"""An encoder-decoder on the road from a config to error rates, figures and predictions with beams."""

# pyright: reportOptionalOperand=false, reportArgumentType=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

import csv
import json
import os

import chex
import jax
import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.data.dataset import Pair
from dlnotes.data.texts.number_words import shift_right
from dlnotes.devices import placement
from dlnotes.experiment.decoding import text_scores
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run
from dlnotes.models import beam_decode
from dlnotes.models.recurrent import generation

DATA = {"kind": "number_words", "maximum": 99, "n_train": 60, "n_validation": 4, "n_test": 8}
SHARE = {"kind": "linear", "final": 0.5, "over": "4 steps"}


def config(directory, **sections):
    raw = tiny(directory)
    raw |= {
        "data": DATA,
        "model": {"kind": "seq2seq", "hidden": 6, "embedding": 4},
        "optimizer": {"kind": "adam", "learning_rate": 0.01},
        "training": {"duration": "8 steps", "batch_size": 16, "seeds": 2, "scheduled_sampling": SHARE},
        "decoding": {"beam": 3},
    }
    return raw | sections


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    raw = config(tmp_path_factory.mktemp("pairs"))
    raw["output"] |= {"figures": True}
    return run(parse(raw))


def best(trained, member, part, width=3):
    length = trained.dataset.train.y.shape[1] + 1
    return beam_decode(trained.params(member), part.x.source, part.mask, length=length, width=width)


def plain_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row, before = [i], row
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (x != y)))
    return row[-1]


@pytest.mark.slow
def test_summary_has_the_error_rates_of_beam_search(trained):
    part = trained.dataset.test
    found = json.loads((trained.folder / "summary.json").read_text())["points"][0]["metrics"]
    assert set(found["test"]) == {"loss", "accuracy", "exact_match", "token_error", "sequence_error"}
    assert "token_error" not in found["validation"]
    for m in range(2):
        written = np.asarray(best(trained, m, part).symbols[:, 0])
        pairs = [([c for c in w if c > 0], [c for c in y if c > 0]) for w, y in zip(written, part.y)]
        edits = [plain_distance(*pair) for pair in pairs]
        want = sum(edits) / sum(len(y) for _, y in pairs)
        np.testing.assert_allclose(found["test"]["token_error"]["values"][m], want)
        np.testing.assert_allclose(found["test"]["sequence_error"]["values"][m], np.mean(np.array(edits) > 0))
    again = evaluate_run(trained.folder)
    assert again["token_error"]["values"] == found["test"]["token_error"]["values"]


def test_predict_writes_several_hypotheses(trained, tmp_path):
    part, symbols = trained.dataset.test, trained.dataset.symbols
    lines = ["".join(symbols[i] for i in row[real]) for row, real in zip(part.x.source, part.mask)]
    (tmp_path / "words.txt").write_text("\n".join(lines) + "\n")
    out = predict_run(trained.folder, tmp_path / "words.txt", output=tmp_path / "out.csv", beam=4, best=2)
    with open(out, newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["row", "output", "log_p", "output_2", "log_p_2"]
    # Each written line has the probability that the network gives to it.
    model = open_run(trained.folder).evaluator.setup.recipe_of({}).model
    classes = trained.dataset.classes
    for j in (1, 3):
        longest = trained.dataset.train.y.shape[1] + 1
        ids = [[classes.index(c) for c in row[j]] for row in rows]
        y = np.full((len(rows), longest), -1)
        for line, each in zip(y, ids):
            line[: len(each)] = each
            line[len(each) : len(each) + 1] = 0
        x = Pair(part.x.source, shift_right(y, len(classes)))
        logits = model.apply(trained.params(0), x, mask=part.mask)
        np.testing.assert_allclose(
            [float(row[j + 1]) for row in rows], generation.taken(logits, y).sum(1), rtol=1e-3, atol=1e-3
        )
    assert all(float(row[2]) >= float(row[4]) for row in rows)


def test_figures_show_where_it_looks(trained):
    with open(trained.folder / "figures" / "alignments.csv", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert (trained.folder / "figures" / "alignments.png").stat().st_size > 5_000
    totals = {}
    for row in rows:
        cells = dict(zip(header, row))
        key = cells["test_example"], cells["step"]
        totals[key] = totals.get(key, 0.0) + float(cells["weight"])
    np.testing.assert_allclose(list(totals.values()), 1, rtol=1e-4)
    with open(trained.folder / "figures" / "examples.csv", newline="") as file:
        assert next(csv.reader(file)) == ["test_example", "source", "target", "output", "log_p", "right"]


@pytest.mark.slow
def test_scheduled_sampling_changes_training_only_once_its_share_rises(tmp_path, monkeypatch):
    if "xla_cpu_use_fusion_emitters" in os.environ["XLA_FLAGS"]:
        # As runs compile: the older loops of the tests may round two programs differently.
        options = {"xla_cpu_use_fusion_emitters": True}
        monkeypatch.setattr(placement, "compiler_options", lambda **_: options)
    raw = config(tmp_path, training={"duration": "1 steps", "batch_size": 16})
    alone = run(parse(raw), keep=False)
    raw["training"] = raw["training"] | {"scheduled_sampling": SHARE}
    mixed = run(parse(raw), keep=False)
    # At the first step the share is 0.
    chex.assert_trees_all_equal(alone.params(0), mixed.params(0))
    for part in (raw["training"], raw["training"] | {"scheduled_sampling": SHARE | {"over": "1 steps"}}):
        part["duration"] = "3 steps"
    raw["training"] = part
    again = run(parse(raw), keep=False)
    raw["training"] = {k: v for k, v in part.items() if k != "scheduled_sampling"}
    plain = run(parse(raw), keep=False)
    changed = jax.tree.map(lambda a, b: np.abs(a - b).max(), again.params(0), plain.params(0))
    assert max(jax.tree.leaves(changed)) > 1e-4


def test_mistakes_are_told(trained, tmp_path):
    (tmp_path / "words.txt").write_text("one\n")
    with pytest.raises(ConfigError, match="best: got 5, allowed is 1 to the beam, 3"):
        predict_run(trained.folder, tmp_path / "words.txt", best=5)
    with pytest.raises(ConfigError, match="beam: got 0"):
        predict_run(trained.folder, tmp_path / "words.txt", beam=0)
    moons = {"data": {"kind": "two_moons", "n": 60}, "model": {"kind": "mlp", "widths": [4]}}
    with pytest.raises(ConfigError, match="decoding: is for model.kind 'seq2seq'"):
        parse(tiny(tmp_path) | moons | {"decoding": {"beam": 2}})
    raw = tiny(tmp_path) | moons
    raw["training"] = {"duration": "1 steps", "scheduled_sampling": SHARE}
    with pytest.raises(ConfigError, match="does not read its own symbols"):
        run(parse(raw), keep=False)


def test_scores_of_text_take_all_references(trained):
    pytest.importorskip("sacrebleu")
    dataset = trained.dataset
    right = np.array([[1, 2, 3, 4, 5, 0], [6, 7, 8, 9, 0, -1]])
    references = [[(9, 9), (1, 2, 3, 4, 5)], [(6, 7, 8, 9)]]
    scores = text_scores(dataset, right, references)
    assert scores["chrf"] == pytest.approx(100)
    worse = text_scores(dataset, np.where(right == 3, 4, right), references)
    assert worse["chrf"] < 100
    assert set(scores) == {"bleu", "chrf"}
