"""Every claim of chapter P14, at its quick size."""

from quick_claims import check, of_chapter


@of_chapter("P14")
def test_claim(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(path)
