"""A class for every pixel on the road from a config to figures, masks and an exported model."""

# pyright: reportOptionalOperand=false, reportArgumentType=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false

import json

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn import metrics
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.export import export_run
from dlnotes.experiment.predict import predict_run
from dlnotes.experiment.run import open_run, run

DATA = {
    "kind": "scenes",
    "size": (14, 12),
    "object_size": (8, 10),
    "clutter": 1,
    "classes": 2,
    "n_train": 24,
    "n_validation": 4,
    "n_test": 6,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    raw = tiny(
        tmp_path_factory.mktemp("pixels"),
        data=DATA,
        model={"kind": "pixel_labeler", "channels": (3, 4)},
        training={"duration": "6 steps", "batch_size": 8, "seeds": 2},
        augment={"shift": 1, "flip": True},
    )
    raw["data"], raw["model"] = DATA, {"kind": "pixel_labeler", "channels": (3, 4)}
    raw["output"] |= {"figures": True}
    return run(parse(raw))


@pytest.fixture(scope="module")
def labels(trained):
    """Most probable classes of the test part, ``(seeds, n, height, width)``."""
    opened = open_run(trained.folder)
    model = opened.evaluator.setup.recipe_of({}).model
    x = trained.dataset.test.x
    return np.stack([np.asarray(model.apply(trained.params(m), x)).argmax(-1) for m in range(2)])


@pytest.mark.slow
def test_summary_has_overlap_and_outlines_over_seeds(trained, labels):
    y = trained.dataset.test.y
    found = json.loads((trained.folder / "summary.json").read_text())["points"][0]["metrics"]["test"]
    assert set(found) == {"loss", "accuracy", "mean_iou", "boundary_f"}
    want = [
        metrics.jaccard_score(y.ravel(), given.ravel(), average="macro", zero_division=0) for given in labels
    ]
    np.testing.assert_allclose(found["mean_iou"]["values"], want, rtol=1e-6)
    np.testing.assert_allclose(found["accuracy"]["values"], [(g == y).mean() for g in labels], rtol=1e-5)
    assert found["mean_iou"]["low"] <= found["mean_iou"]["mean"] <= found["mean_iou"]["high"]
    assert all(0 <= v <= 1 for v in found["boundary_f"]["values"])
    again = evaluate_run(trained.folder)
    assert again["mean_iou"]["values"] == found["mean_iou"]["values"]
    assert again["boundary_f"]["values"] == found["boundary_f"]["values"]


def test_figures(trained):
    names = {path.name for path in (trained.folder / "figures").iterdir()}
    assert {"pixel_labels.png", "pixel_labels.csv", "class_iou.png", "class_iou.csv"} <= names
    rows = (trained.folder / "figures/class_iou.csv").read_text().splitlines()
    assert rows[0] == "class,pixels,mean,seed_0,seed_1"
    assert rows[1].startswith("background,")


def test_predict_writes_a_mask_for_each_image(trained, labels, tmp_path):
    x = trained.dataset.standardize.inverse(trained.dataset.test.x).astype(np.float32)
    np.savez(tmp_path / "new.npz", x=x)
    folder = predict_run(trained.folder, tmp_path / "new.npz")
    assert folder == trained.folder / "predictions"
    for i in range(6):
        np.testing.assert_array_equal(np.asarray(Image.open(folder / f"{i}.png")), labels[0, i])
    path = predict_run(trained.folder, tmp_path / "new.npz", output=tmp_path / "out.npz", member=1)
    np.testing.assert_array_equal(np.load(path)["class"], labels[1])
    with pytest.raises(ConfigError, match="folder"):
        predict_run(trained.folder, tmp_path / "new.npz", output=tmp_path / "out.csv")


def test_evaluate_a_folder_of_images_and_masks(trained, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    rng = np.random.default_rng(0)
    for i in range(2):
        Image.fromarray(rng.integers(0, 255, (14, 12), dtype=np.uint8)).save(tmp_path / f"images/{i}.png")
        mask = rng.integers(0, 3, (14, 12), dtype=np.uint8)
        mask[0] = 255
        Image.fromarray(mask).save(tmp_path / f"masks/{i}.png")
    found = evaluate_run(trained.folder, data_path=tmp_path)
    assert 0 < found["accuracy"]["mean"] < 1
    masks = predict_run(trained.folder, tmp_path / "images", output=tmp_path / "given")
    assert sorted(p.name for p in masks.iterdir()) == ["0.png", "1.png"]


def test_export(trained, labels):
    path = export_run(trained.folder)
    model = jax.export.deserialize(bytearray(path.read_bytes()))
    x = trained.dataset.standardize.inverse(trained.dataset.test.x).astype(np.float32)
    p = np.asarray(model.call(x))
    assert p.shape == (6, 14, 12, 3)
    np.testing.assert_allclose(p.sum(-1), 1, atol=1e-5)
    assert (p.argmax(-1) == labels[0]).mean() > 0.99
    assert "(batch, height, width, classes)" in (path.parent / "README.md").read_text()


def test_a_classifier_does_not_fit(tmp_path):
    raw = tiny(tmp_path) | {"data": DATA, "model": {"kind": "cnn"}}
    with pytest.raises(ConfigError, match=r"pixel_labeler, recurrent_refinement"):
        parse(raw)


def test_moved_out_pixels_leave_the_objective():
    """A step with augmentation divides by the targets that are left."""
    import jax.numpy as jnp
    import optax

    from dlnotes.models.model import Model
    from dlnotes.outputs import cross_entropy
    from dlnotes.training.state import Recipe, init_member
    from dlnotes.training.step import train_step
    from dlnotes.typing import Batch

    def first_row_out(key, x, y):
        return x, y.at[:, 0].set(-1)

    model = Model(lambda key: jnp.zeros(3), lambda p, x, **_: jnp.broadcast_to(p, (*x.shape[:-1], 3)) + 0 * x)
    recipe = Recipe(model, cross_entropy, {}, optax.sgd(0.1), augment=first_row_out, random=True)
    member = init_member(lambda _: recipe, jnp.array(0), {}, keep_best=False)
    x = jnp.ones((2, 4, 5, 1))
    batch = Batch(x, jnp.ones((2, 4, 5), jnp.int32), None, jnp.ones(2))
    _, found = train_step(recipe, member, batch, jnp.array(0))
    # At equal logits the loss of each target is log 3 and the gradient (1/3, -2/3, 1/3).
    np.testing.assert_allclose(float(found["loss"]), np.log(3), rtol=1e-6)
    np.testing.assert_allclose(float(found["grad_norm"]), np.sqrt(6) / 3, rtol=1e-5)
