"""Evaluate on a file, predict for every kind of input, export to a process that has no dlnotes."""

# pyright: reportOptionalOperand=false, reportArgumentType=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

import csv
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from commands import environment
from scipy import special
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run
from dlnotes.outputs import mixture

SHORT = {"duration": "4 steps", "batch_size": 8, "seeds": 2}
RUNS = {
    "vector": ({"kind": "two_moons", "n": 60}, {"kind": "mlp", "widths": [4]}),
    "image": ({"kind": "digits"}, {"kind": "cnn", "channels": [2], "dense": []}),
    "volume": (
        {"kind": "moving_digits", "frames": 3, "size": 8, "n_train": 20, "n_validation": 4, "n_test": 8},
        {"kind": "conv_net", "stages": [{"channels": 2}], "head": "average"},
    ),
    "tokens": (
        {"kind": "reber", "n": 40, "max_length": 20},
        {"kind": "sequence_classifier", "hidden": 3, "embedding": 2},
    ),
    "pair": (
        {"kind": "number_words", "maximum": 99, "n_train": 20, "n_validation": 4, "n_test": 4},
        {"kind": "seq2seq", "hidden": 4, "embedding": 3},
    ),
    "text": (
        {"kind": "text", "window": 8, "limit": 400},
        {"kind": "character_model", "hidden": 3, "embedding": 2},
    ),
    "tree": (
        {"kind": "list_ops", "n_train": 20, "n_validation": 4, "n_test": 4, "max_length": 12},
        {"kind": "tree_net", "hidden": 3},
    ),
    "regression": ({"kind": "tabular", "name": "diabetes"}, {"kind": "linear"}),
    "density": ({"kind": "tabular", "name": "diabetes"}, {"kind": "linear"}),
}
TRAINING = {"density": {"loss": "mixture_nll", "components": 2, "spread_floor": 0.1}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """``trained(kind) -> Result`` of a short run of that kind of input, made when first asked for."""
    made = {}

    def get(kind):
        if kind not in made:
            data, model = RUNS[kind]
            raw = tiny(tmp_path_factory.mktemp(kind)) | {"data": data, "model": model, "training": SHORT}
            raw["training"] = SHORT | TRAINING.get(kind, {})
            made[kind] = run(parse(raw))
        return made[kind]

    return get


def raw_of(result, n=7, split="test"):
    """Inputs as a file would hold them, and their standardized form."""
    x = result.dataset.split(split).x[:n]
    scale = result.dataset.standardize
    return (x if scale is None else scale.inverse(x)).astype(np.float32), x


def apply(result, x, member=0, **options):
    trained = open_run(result.folder)
    model = trained.evaluator.setup.recipe_of({}).model
    return np.asarray(model.apply(result.params(member), x, **options))


def read(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_evaluate_a_split(split, trained):
    result = trained("vector")
    got = evaluate_run(result.folder, split=split)
    part = result.dataset.split(split)
    right = [(apply(result, part.x, m).argmax(1) == part.y).mean() for m in range(2)]
    np.testing.assert_allclose(got["accuracy"]["values"], right, rtol=1e-5)
    if split != "train":
        np.testing.assert_allclose(got["loss"]["values"], result.metrics[split]["loss"]["values"], rtol=1e-5)


def test_evaluate_a_file_of_ones_own(trained, tmp_path):
    result = trained("vector")
    raw, x = raw_of(result, 12)
    y = result.dataset.split("test").y[:12]
    np.savez(tmp_path / "mine.npz", x=raw, y=y)
    got = evaluate_run(result.folder, data_path=tmp_path / "mine.npz")
    right = [(apply(result, x, m).argmax(1) == y).mean() for m in range(2)]
    np.testing.assert_allclose(got["accuracy"]["values"], right, rtol=1e-5)


def test_evaluate_a_table_with_columns_left_out(tmp_path):
    """The target is named in the config, so a file may have more columns than one besides the inputs."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 2))
    lines = ["a,b,id,label", *(f"{a},{b},{i},{'yes' if a > b else 'no'}" for i, (a, b) in enumerate(x))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    raw = tiny(tmp_path) | {
        "data": {"kind": "csv", "path": str(tmp_path / "t.csv"), "target": "label", "drop": ["id"]},
        "model": {"kind": "linear"},
        "training": SHORT,
    }
    result = run(parse(raw))
    got = evaluate_run(result.folder, data_path=tmp_path / "t.csv")
    assert 0 <= got["accuracy"]["mean"] <= 1
    assert read(predict_run(result.folder, tmp_path / "t.csv"))[0] == ["row", "class", "p(no)", "p(yes)"]


@pytest.mark.parametrize("kind", ["vector", "image", pytest.param("volume", marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_predict_classes_with_their_probabilities(kind, suffix, trained, tmp_path):
    result = trained(kind)
    raw, x = raw_of(result)
    np.save(tmp_path / "x.npy", raw)
    out = predict_run(result.folder, tmp_path / "x.npy", output=tmp_path / f"out{suffix}", member=1)
    p = special.softmax(apply(result, x, 1).astype(np.float64), -1)
    classes = result.dataset.classes
    if suffix == ".npz":
        with np.load(out) as got:
            np.testing.assert_allclose(got["probability"], p, atol=1e-5)
            assert got["class"].tolist() == [classes[i] for i in p.argmax(1)]
        return
    header, *rows = read(out)
    assert header == ["row", "class", *(f"p({c})" for c in classes)]
    np.testing.assert_allclose(np.array([r[2:] for r in rows], float), p, atol=1e-5)
    assert [r[1] for r in rows] == [classes[i] for i in p.argmax(1)]


def test_predict_values_in_the_targets_own_units(trained, tmp_path):
    result = trained("regression")
    raw, x = raw_of(result)
    np.save(tmp_path / "x.npy", raw)
    header, *rows = read(predict_run(result.folder, tmp_path / "x.npy", output=tmp_path / "out.csv"))
    assert header == ["row", "value"]
    expected = result.dataset.standardize_y.inverse(apply(result, x))
    np.testing.assert_allclose(np.array([r[1] for r in rows], float), expected[:, 0], rtol=1e-3)


@pytest.mark.slow
def test_predict_a_density_by_its_mean_deviation_and_most_likely_value(trained, tmp_path):
    result = trained("density")
    raw, x = raw_of(result)
    np.save(tmp_path / "x.npy", raw)
    header, *rows = read(predict_run(result.folder, tmp_path / "x.npy", output=tmp_path / "out.csv"))
    assert header == ["row", "value", "deviation", "most_likely"]
    given, scale = mixture(jnp.asarray(apply(result, x)), 2, 1, floor=0.1), result.dataset.standardize_y
    expected = [
        scale.inverse(np.asarray(given.mean)),
        np.sqrt(np.asarray(given.variance)) * scale.scale,
        scale.inverse(np.asarray(given.mode)),
    ]
    np.testing.assert_allclose(np.array([r[1:] for r in rows], float), np.hstack(expected), rtol=1e-3)
    reported = result.metrics["test"]["absolute_error"]["values"][0]
    examples = result.dataset.test
    mean = mixture(jnp.asarray(apply(result, examples.x)), 2, 1, floor=0.1).mean
    error = scale.scale * np.abs(np.asarray(mean) - examples.y)  # in the unit of the target
    np.testing.assert_allclose(reported, error.mean(), rtol=1e-4)


def texts(result, n=5):
    """Sources that can be written as a line of text, and their row numbers in the training part."""
    part, symbols = result.dataset.train, result.dataset.symbols
    ids = part.x.source if result.dataset.input == "pair" else part.x
    mask = np.ones(ids.shape, bool) if part.mask is None else part.mask
    lines = ["".join(symbols[i] for i in row[real]) for row, real in zip(ids, mask)]
    rows = [i for i, line in enumerate(lines) if not set(line) & set("<\n\r\t") and line == line.strip()][:n]
    assert len(rows) == n
    return [lines[i] for i in rows], np.array(rows)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("tokens", ["class"]),
        pytest.param("pair", ["output", "log_p"], marks=pytest.mark.slow),
        pytest.param("text", ["bits_per_symbol", "next"], marks=pytest.mark.slow),
    ],
)
def test_predict_for_lines_of_text(kind, columns, trained, tmp_path):
    result = trained(kind)
    lines, chosen = texts(result)
    (tmp_path / "in.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    header, *rows = read(predict_run(result.folder, tmp_path / "in.txt"))
    assert header[: 1 + len(columns)] == ["row", *columns]
    assert [r[0] for r in rows] == [f"line {i + 1}" for i in range(len(lines))]
    if kind == "text":
        for i, row in enumerate(chosen):
            ids = result.dataset.train.x[row : row + 1]
            log_p = special.log_softmax(apply(result, ids)[0].astype(np.float64), -1)
            bits = -log_p[np.arange(len(ids[0]) - 1), ids[0, 1:]].mean() / np.log(2)
            np.testing.assert_allclose(float(rows[i][1]), bits, rtol=1e-4)
            assert rows[i][2] == result.dataset.classes[log_p[-1].argmax()]
    if kind == "tokens":
        part = result.dataset.train
        p = special.softmax(apply(result, part.x[chosen], mask=part.mask[chosen]).astype(np.float64), -1)
        np.testing.assert_allclose(np.array([r[2:] for r in rows], float), p, atol=1e-5)


@pytest.mark.slow
def test_predict_a_class_for_every_position(tmp_path):
    rng = np.random.default_rng(0)
    lengths = np.array([5, 2, 4] * 8)
    x = rng.normal(size=(24, 5, 2)).astype(np.float32)
    y = np.where(np.arange(5) < lengths[:, None], (x[..., 0] > 0) + 0, -1)
    np.savez(tmp_path / "labels.npz", x=x, y=y, lengths=lengths)
    raw = tiny(tmp_path) | {
        "data": {"kind": "npz", "path": str(tmp_path / "labels.npz"), "input": "sequence", "task": "tokens"},
        "model": {"kind": "sequence_labeler", "hidden": 3, "bidirectional": True},
        "training": SHORT,
    }
    result = run(parse(raw))
    np.savez(tmp_path / "new.npz", x=x[:3], lengths=lengths[:3])
    header, *rows = read(predict_run(result.folder, tmp_path / "new.npz"))
    assert header == ["row", "classes"]
    scaled, mask = result.dataset.standardize(x[:3]), np.arange(5) < lengths[:3, None]
    found = apply(result, np.asarray(scaled * mask[..., None], np.float32), mask=mask).argmax(-1)
    for i, row in enumerate(rows):
        assert row[1] == " ".join(result.dataset.classes[c] for c in found[i, : lengths[i]])


def test_mistakes_are_told(trained, tmp_path):
    result = trained("vector")
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.float32))
    np.save(tmp_path / "good.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(ConfigError, match=r"x.npy.*\(3, 5\)"):
        predict_run(result.folder, tmp_path / "x.npy")
    with pytest.raises(ConfigError, match="no such file"):
        predict_run(result.folder, tmp_path / "nowhere.npy")
    with pytest.raises(ConfigError, match=r"must end in .csv or .npz"):
        predict_run(result.folder, tmp_path / "good.npy", output=tmp_path / "out.txt")
    with pytest.raises(ConfigError, match="member: got 2"):
        predict_run(result.folder, tmp_path / "good.npy", member=2)
    with pytest.raises(ConfigError, match="beam, best: are for sequences to sequences"):
        predict_run(result.folder, tmp_path / "good.npy", beam=2)
    with pytest.raises(ConfigError, match="holds no targets"):
        evaluate_run(result.folder, data_path=tmp_path / "good.npy")
    with pytest.raises(ConfigError, match="split: got 'tset'"):
        evaluate_run(result.folder, split="tset")
    with pytest.raises(ConfigError, match="is not a run folder"):
        evaluate_run(tmp_path)


LOADER = """
import sys
sys.modules["dlnotes"] = None
import jax, numpy as np
model = jax.export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
with np.load(sys.argv[2]) as given:
    batches = [[given[f"{n}_{i}"] for i in range(int(given["arguments"]))] for n in (1, 7)]
np.savez(sys.argv[3], one=model.call(*batches[0]), seven=model.call(*batches[1]))
"""


SLOW = ("image", "volume", "text", "tree", "regression", "density")
SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in SLOW]


@pytest.mark.parametrize("kind", ["vector", "tokens", pytest.param("pair", marks=pytest.mark.slow), *SLOW])
def test_an_export_needs_only_jax_and_takes_any_batch(kind, trained, tmp_path):
    result = trained(kind)
    path = export_run(result.folder, output=tmp_path / "model.jax", member=1)
    part = result.dataset.split("train")
    some = jax.tree.map(lambda a: a[:7], tuple(part))
    x, _, mask = some
    mask = np.ones(np.asarray(jax.tree.leaves(x)[0]).shape[:2], bool) if mask is None else mask
    if kind in ("vector", "image", "volume", "regression", "density"):
        raw, x = raw_of(result, split="train")
        arguments = [raw]
        expected = apply(result, x, 1)
    elif kind == "tree":
        arguments = [x.label, mask, x.children, x.order]
        expected = apply(result, x, 1, mask=mask)
    elif kind == "pair":
        from dlnotes.models import greedy_decode

        arguments = [x.source, mask]
        length = result.dataset.train.y.shape[1] + 1
        expected = np.asarray(greedy_decode(result.params(1), x.source, mask, length=length))
    else:
        arguments = [x, mask]
        expected = apply(result, x, 1, mask=mask)
    if kind == "density":
        expected = np.asarray(mixture(jnp.asarray(expected), 2, 1, floor=0.1).mean)
    if kind in ("regression", "density"):
        expected = result.dataset.standardize_y.inverse(expected)
    elif kind != "pair":
        expected = special.softmax(expected.astype(np.float64), -1)
    given = {f"{n}_{i}": a[:n] for n in (1, 7) for i, a in enumerate(arguments)}
    np.savez(tmp_path / "in.npz", arguments=len(arguments), **given)
    subprocess.run(
        [sys.executable, "-I", "-c", LOADER, path, tmp_path / "in.npz", tmp_path / "out.npz"],
        check=True, timeout=120, env=environment(), cwd=tmp_path,
    )  # fmt: skip
    with np.load(tmp_path / "out.npz") as got:
        np.testing.assert_allclose(got["seven"], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(got["one"], expected[:1], rtol=1e-4, atol=1e-5)
    assert "model.jax" in (tmp_path / "README.md").read_text()
