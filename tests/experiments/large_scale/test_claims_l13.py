"""Every claim of chapter L13, at its quick size."""

from quick_claims import check, of_chapter


@of_chapter("L13")
def test_claim(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(path)
