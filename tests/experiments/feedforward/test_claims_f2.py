"""Every claim of chapter F2, at its quick size."""

from quick_claims import check, of_chapter


@of_chapter("F2")
def test_claim(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(path)
