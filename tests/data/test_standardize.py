import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from dlnotes.data import standardize


def test_vectors_agree_with_sklearn_and_invert():
    raw = np.random.default_rng(0).normal(5, 3, (40, 3))
    raw[:, 1] = 0.1
    oracle = StandardScaler().fit(raw)
    ours = standardize.fit(raw)
    np.testing.assert_allclose(ours(raw), oracle.transform(raw), atol=1e-12)
    assert ours.scale[1] == 1
    np.testing.assert_allclose(ours.inverse(ours(raw)), raw)
    assert (ours(raw)[:, 1] == 0).all()


def test_images_by_channel_over_many_chunks(monkeypatch):
    monkeypatch.setattr(standardize, "_ROWS", 7)
    raw = np.random.default_rng(0).normal(2, 3, (40, 5, 4, 3)).astype(np.float32)
    ours = standardize.fit(raw)
    np.testing.assert_allclose(ours.mean, raw.mean((0, 1, 2), dtype=np.float64), rtol=1e-5)
    np.testing.assert_allclose(ours.scale, raw.std((0, 1, 2), dtype=np.float64), rtol=1e-5)
    assert ours.mean.dtype == np.float32


def test_masked_positions_do_not_count_and_become_zero():
    raw = np.random.default_rng(0).normal(2, 3, (6, 4, 2))
    mask = np.arange(4)[None] < np.array([1, 2, 3, 4, 4, 2])[:, None]
    raw[~mask] = np.nan
    ours = standardize.fit(raw, mask=mask)
    np.testing.assert_allclose(ours.mean, raw[mask].mean(0))
    x = standardize.apply(ours, raw, mask)
    assert (x[~mask] == 0).all()
    assert np.isfinite(x).all()
    with pytest.raises(ValueError, match="no position"):
        standardize.fit(raw, mask=np.zeros_like(mask))


def test_large_offsets_keep_their_differences():
    raw = 1.7e9 + np.random.default_rng(0).normal(0, 1000, (50, 1))
    x = standardize.apply(standardize.fit(raw), raw)
    np.testing.assert_allclose(x, (raw - raw.mean()) / raw.std(), atol=1e-5)
