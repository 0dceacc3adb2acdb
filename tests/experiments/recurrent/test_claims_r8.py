"""Every claim of chapter R8, at its quick size."""

from quick_claims import check, of_chapter


@of_chapter("R8")
def test_claim(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(path)
