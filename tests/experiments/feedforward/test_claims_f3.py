"""Every claim of chapter F3, at its quick size."""

from quick_claims import check, of_chapter


@of_chapter("F3")
def test_claim(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(path)
