"""A run keeps what it must know of its data: it predicts without them, and notices when they have changed."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalOperand=false, reportAttributeAccessIssue=false

import json

import numpy as np
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.data import load
from dlnotes.data.metadata import changes, dataset_of, metadata_of
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, resume, run
from dlnotes.experiment.run_folder import RunFolder, keep_metadata

SHORT = {"duration": "3 steps", "batch_size": 8, "seeds": 1, "ema": None}
SETS = {
    "digits": {},
    "diabetes": {"kind": "tabular", "name": "diabetes"},
    "number_words": {"maximum": 99, "n_train": 9, "n_validation": 2, "n_test": 0},
    "list_ops": {"n_train": 9, "n_validation": 2, "n_test": 2},
    "lorenz": {"n": 150, "horizon": 3, "observed": ("x",)},
}


@pytest.mark.parametrize("name", SETS)
def test_facts_survive_json_and_give_a_data_set_without_examples(name):
    options = dict(SETS[name])
    dataset = load(options.pop("kind", name), **options)
    facts = json.loads(json.dumps(metadata_of(dataset)))
    assert changes(facts, dataset) == []
    bare = dataset_of(facts, missing="lost")
    assert metadata_of(bare) == metadata_of(dataset)
    for scale in ("standardize", "standardize_y"):
        for one, other in zip(getattr(bare, scale) or (), getattr(dataset, scale) or (), strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype
    assert type(bare.train.x) is type(dataset.train.x)
    assert (bare.test is None) == (dataset.test is None)
    with pytest.raises(ValueError, match="examples of .* are not at hand, lost"):
        bare.split("train")


def test_another_vocabulary_is_noticed():
    facts = metadata_of(load("parity", n_train=4, n_validation=0, n_test=0))
    other = load("parity", n_train=5, n_validation=0, n_test=0)
    assert changes(json.loads(json.dumps(facts)), other) == [
        "its splits are no longer what the run was trained on"
    ]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A language model's run on a file of its own, and that file."""
    folder = tmp_path_factory.mktemp("own")
    text = folder / "own.txt"
    text.write_text("abcabdabcabe" * 40)
    config = tiny(folder / "runs") | {
        "data": {"kind": "text", "path": str(text), "window": 8},
        "model": {"kind": "character_model", "hidden": 3, "embedding": 2},
        "training": SHORT,
    }
    return run(parse(config)).folder, text


def predicted(folder, directory):
    (directory / "new.txt").write_text("abcab\nabe\n")
    return predict_run(folder, directory / "new.txt", output=directory / "out.csv").read_text()


def test_it_predicts_with_its_own_vocabulary_when_the_data_have_changed_or_are_gone(trained, tmp_path):
    folder, text = trained
    original = text.read_text()
    facts = json.loads((folder / "data" / "facts.json").read_text())
    assert facts["symbols"] == ["<unk>", *"abcde"]
    before = predicted(folder, tmp_path)
    measured = evaluate_run(folder)
    try:
        text.write_text("zyx" * 200)
        assert predicted(folder, tmp_path) == before
        with pytest.raises(ConfigError, match=r"not at hand, .*own\.txt is not the file"):
            evaluate_run(folder)
        with pytest.raises(ConfigError, match=r"own\.txt is not the file that the run was trained on"):
            resume(folder)
        text.unlink()
        assert predicted(folder, tmp_path) == before
        with pytest.raises(ConfigError, match=r"not at hand, .*own\.txt"):
            evaluate_run(folder)
        (folder / "data" / "facts.json").rename(tmp_path / "facts.json")  # a run of before
        with pytest.raises(ConfigError, match=r"own\.txt"):
            open_run(folder)
    finally:
        text.write_text(original)
        if (tmp_path / "facts.json").exists():
            (tmp_path / "facts.json").rename(folder / "data" / "facts.json")
    assert evaluate_run(folder) == measured


def test_the_words_of_each_part_are_in_the_run(tmp_path):
    lines = [f"{chr(97 + i)}b\t{i}" for i in range(20)]
    (tmp_path / "own.tsv").write_text("\n".join(lines))
    config = tiny(tmp_path / "runs") | {
        "data": {"kind": "text_pairs", "path": str(tmp_path / "own.tsv")},
        "model": {"kind": "seq2seq", "hidden": 3, "embedding": 2},
    }
    kept = RunFolder.create(parse(config))
    keep_metadata(kept, load_data(parse(config)))
    words = [
        (kept.path / "data" / f"{part}_sources.txt").read_text().split()
        for part in ("train", "validation", "test")
    ]
    assert [len(w) for w in words] == [16, 2, 2]
    assert sorted(word for part in words for word in part) == [line.split("\t")[0] for line in lines]


def test_a_series_of_ones_own_is_forecast_from_a_new_file(tmp_path):
    def table(name, rows):
        lines = [f"{i},{np.sin(i / 3):.4f},{i % 7}" for i in range(rows)]
        (tmp_path / name).write_text("\n".join(["day,load,weekday", *lines]) + "\n")
        return tmp_path / name

    config = tiny(tmp_path / "runs") | {
        "data": {
            "kind": "csv_series",
            "path": str(table("own.csv", 90)),
            "columns": ["load", "weekday"],
            "targets": ["load"],
            "window": 5,
            "horizon": 2,
        },
        "model": {"kind": "sequence_classifier", "cell": "rnn", "hidden": 3},
        "training": SHORT,
    }
    folder = run(parse(config)).folder
    (tmp_path / "own.csv").unlink()  # the scales and the columns are the run's own
    written = predict_run(folder, table("new.csv", 8), output=tmp_path / "out.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in written] == [
        "row",
        "line 8",
        "line 9",
        "1 after line 9",
        "2 after line 9",
    ]
    assert all(np.isfinite(float(line.split(",")[3])) for line in written[1:])
    measured = evaluate_run(folder, data_path=table("later.csv", 12))
    assert np.isfinite(measured["loss"]["mean"])
