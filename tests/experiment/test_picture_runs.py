"""From pictures and videos in files to predictions, by the commands' functions."""

import csv

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import run

N = 60


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """scikit-learn's digits as files, in a table and in folders of the parts, and as clips."""
    folder = tmp_path_factory.mktemp("digits")
    images, labels = load_digits(n_class=2, return_X_y=True)
    rows = []
    for i in range(N):
        levels = (images[i].reshape(8, 8) / 16 * 255).astype(np.uint8)
        name, part = ("zero", "one")[labels[i]], ("train", "train", "val", "test")[i // 2 % 4]
        (folder / "parts" / part / name / f"batch {i % 3}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(levels).save(folder / "parts" / part / name / f"batch {i % 3}" / f"{i}.png")
        path = f"parts/{part}/{name}/batch {i % 3}/{i}.png"
        rows.append(
            {"file": path, "name": name, "ink": f"{levels.mean():.6f}", "left": f"{levels[:, :4].mean()}"}
        )
        (folder / "clips" / name).mkdir(parents=True, exist_ok=True)
        np.savez(folder / "clips" / name / f"{i}.npz", np.stack([np.roll(levels, t, 0) for t in range(3)]))
    for file, some in (("labels.csv", rows), ("new.csv", [{"file": row["file"]} for row in rows[:5]])):
        with open(folder / file, "w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(some[0]))
            writer.writeheader()
            writer.writerows(some)
    return folder


def trained(directory, data, **sections):
    raw = tiny(
        directory, training={"duration": "60 steps", "seeds": 1}, model={"dropout": 0.0, "widths": [16]}
    )
    return run(parse(raw | {"data": {"size": [8, 8], "channels": 1} | data} | sections)).folder


def table_of(digits, **options):
    return {"kind": "image_table", "path": str(digits / "labels.csv"), "image": "file"} | options


def written(path):
    with open(path, encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_numbers_of_pictures(digits, tmp_path):
    folder = trained(tmp_path, table_of(digits, target=["ink", "left"]))
    measured = evaluate_run(folder, data_path=digits / "labels.csv")
    assert measured["r2"]["mean"] > 0.5
    rows = written(predict_run(folder, digits / "new.csv", output=tmp_path / "p.csv"))
    assert list(rows[0]) == ["row", "value(ink)", "value(left)"]
    assert [row["row"] for row in rows] == [row["file"] for row in written(digits / "new.csv")]
    model = jax.export.deserialize(bytearray(export_run(folder).read_bytes()))
    raw = np.stack([np.asarray(Image.open(digits / row["row"]).copy(), np.float32) / 255 for row in rows])
    answer = np.asarray(model.call(raw[..., None]))
    np.testing.assert_allclose(answer[:, 1], [float(row["value(left)"]) for row in rows], rtol=1e-3)


def test_labels_and_numbers_at_once(digits, tmp_path):
    tasks = {"name": {}, "ink": {"target": "ink", "kind": "regression"}}
    folder = trained(tmp_path, table_of(digits, target="name"), tasks=tasks)
    measured = evaluate_run(folder, data_path=digits / "labels.csv")
    assert measured["name.accuracy"]["mean"] > 0.9
    assert measured["ink.r2"]["mean"] > 0.3
    rows = written(predict_run(folder, digits / "new.csv", output=tmp_path / "p.csv"))
    assert list(rows[0]) == ["row", "name.class", "name.p(one)", "name.p(zero)", "ink.value"]
    with pytest.raises(ConfigError, match="columns are for data.kind 'csv', 'image_table'"):
        parse(tiny(tmp_path) | {"data": {"kind": "digits"}, "tasks": {"ink": {"target": "ink"}}})


def test_folders_of_parts(digits, tmp_path):
    folder = trained(tmp_path, {"kind": "image_folder", "path": str(digits / "parts")})
    split = evaluate_run(folder, split="test")
    assert split["accuracy"]["mean"] > 0.9
    given = evaluate_run(folder, data_path=digits / "parts" / "test")
    assert given["loss"]["mean"] == pytest.approx(split["loss"]["mean"], rel=1e-5)
    rows = written(predict_run(folder, digits / "parts" / "val", output=tmp_path / "p.csv"))
    assert all(row["row"].startswith(("zero/batch", "one/batch")) for row in rows)


def test_videos(digits, tmp_path):
    data = {"kind": "video_folder", "path": str(digits / "clips"), "frames": 3}
    folder = trained(tmp_path, data)
    given = evaluate_run(folder, data_path=digits / "clips")
    assert given["accuracy"]["mean"] > 0.9
    rows = written(predict_run(folder, digits / "clips" / "one", output=tmp_path / "p.csv"))
    assert sum(row["class"] == "one" for row in rows) > 0.8 * len(rows)
    export_run(folder)


def test_what_is_wrong_stops_before_anything_is_written(digits, tmp_path):
    with pytest.raises(ConfigError, match=r"data: 1 error\n  target: got 'nam', the columns of"):
        trained(tmp_path, table_of(digits, target="nam"))
    with pytest.raises(ConfigError, match=r"with \[tasks\], allowed is one column"):
        trained(tmp_path, table_of(digits, target=["ink", "left"]), tasks={"ink": {"target": "ink"}})
    assert not list(tmp_path.iterdir())
