import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlnotes.data import augment


@pytest.fixture
def images():
    return jnp.asarray(np.random.default_rng(0).normal(2, 1, (12, 6, 5, 2)).astype(np.float32))


def moved(image, dy, dx, fill):
    out = np.full_like(image, fill)
    h, w = image.shape[:2]
    for i in range(h):
        for j in range(w):
            if 0 <= i + dy < h and 0 <= j + dx < w:
                out[i, j] = image[i + dy, j + dx]
    return out


def test_shift_is_a_move_by_whole_pixels(key, images):
    keys = jax.random.split(key, 12)
    out = np.asarray(augment.shift(keys, images, 2, fill=-3.0))
    found = set()
    for image, result in zip(np.asarray(images), out):
        fits = [
            (dy, dx)
            for dy in range(-2, 3)
            for dx in range(-2, 3)
            if np.array_equal(moved(image, dy, dx, -3), result)
        ]
        assert len(fits) == 1
        found.update(fits)
    assert len(found) > 5


def test_flip_mirrors_about_half(key, images):
    many = jnp.tile(images, (20, 1, 1, 1))
    out = np.asarray(augment.flip(key, many))
    flipped = np.array([np.array_equal(o, x[:, ::-1]) for o, x in zip(out, np.asarray(many))])
    same = np.array([np.array_equal(o, x) for o, x in zip(out, np.asarray(many))])
    assert (flipped ^ same).all()
    assert 80 < flipped.sum() < 160


def test_erase_covers_one_rectangle_of_its_share(key):
    x = jnp.asarray(np.random.default_rng(0).normal(5, 0.1, (30, 20, 16, 1)).astype(np.float32))
    out = np.asarray(augment.erase(key, x, 0.2, fill=-1.0))
    shapes = set()
    for image, result in zip(np.asarray(x)[..., 0], out[..., 0]):
        covered = result == -1
        rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert covered.sum() == tall * wide
        assert abs(covered.mean() - 0.2) < 0.03
        assert np.array_equal(result[~covered], image[~covered])
        shapes.add((tall, wide))
    assert len(shapes) > 3


def test_results_do_not_depend_on_how_the_batch_is_divided(key, images):
    keys = jax.random.split(key, 12)
    options = {"shift": 1, "flip": True, "crop": 2, "erase": 0.3, "fill": 0.5}
    run = jax.jit(lambda k, x: augment.augment(k, x, **options))
    whole = run(keys, images)
    parts = [run(keys[i : i + 4], images[i : i + 4]) for i in (0, 4, 8)]
    assert (jnp.concatenate(parts) == whole).all()
    one = run(key, images)
    assert (one[:4] == run(key, images[:4])).all()
    assert not (one == whole).all()


def test_nothing_asked_nothing_done_and_dtype_is_kept(key, images):
    assert augment.augment(key, images) is images
    out = augment.augment(key, images.astype(jnp.bfloat16), shift=1, erase=0.2, flip=True)
    assert out.dtype == jnp.bfloat16
    assert out.shape == images.shape


def test_refuses(key, images):
    with pytest.raises(ValueError, match=r"share: got 1.5"):
        augment.erase(key, images, 1.5)
    with pytest.raises(ValueError, match="pixels: got -1"):
        augment.shift(key, images, -1)
    with pytest.raises(ValueError, match="padding: got -1"):
        augment.crop(key, images, -1)
    with pytest.raises(ValueError, match=r"x: got shape \(6, 5, 2\)"):
        augment.flip(key, images[0])
    with pytest.raises(ValueError, match=r"key: got shape \(3,\)"):
        augment.flip(jax.random.split(key, 3), images)
