"""The speeches: parts by year, and windows in which every character is a target once."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalSubscript=false, reportAttributeAccessIssue=false

import gzip
import hashlib
import json

import numpy as np
import pytest

import dlnotes.data as data
from dlnotes.data import catalog
from dlnotes.data import download as store
from dlnotes.data.texts import speeches as speech


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A folder with a small file of speeches that passes for the published one, and its texts by year."""
    rng = np.random.default_rng(0)
    texts = {year: "".join(rng.choice(list("abc d\n"), 40)) + str(year % 10) for year in range(1990, 2000)}
    content = "".join(json.dumps({"year": y, "text": t}) + "\n" for y, t in texts.items()).encode()
    (tmp_path / "speeches.jsonl.gz").write_bytes(gzip.compress(content))
    files = {"speeches.jsonl.gz": hashlib.sha256(content).hexdigest()}
    monkeypatch.setattr(speech, "SPEECHES", speech.SPEECHES._replace(files=files))
    return tmp_path, texts


@pytest.mark.parametrize(("window", "context"), [(7, 0), (7, 3), (10, 9), (40, 1)])
def test_every_character_is_a_target_once(window, context):
    codes = np.arange(95)
    x, y = speech.windows_with_context(codes, window, context)
    assert sorted(y[y >= 0].tolist()) == list(range(1, 95))
    targets = y >= 0
    assert (y[targets] == x[targets] + 1).all()
    assert (np.diff(x, axis=1) == 1).all()
    seen = (
        np.nonzero(targets[1:])[1] + 1
    )  # characters up to the one before the target, but for the first window
    assert seen.min() > context


def test_parts_are_years_and_unknown_characters_are_said_so(few):
    folder, texts = few
    d = data.speeches(
        window=9, context=4, train=(1990, 1995), validation=(1996, 1997), test=(1998, 2005), data_dir=folder
    )
    for part, years in ((d.train, range(1990, 1996)), (d.validation, (1996, 1997)), (d.test, (1998, 1999))):
        text = "\n\n".join(texts[year] for year in years)
        known = [c if c in d.symbols else "<unk>" for c in text]
        first = [d.symbols[part.x[0, 0]]]
        assert first + [d.symbols[i] for row in part.y for i in row if i >= 0] == known
    assert {"6", "7", "8", "9"}.isdisjoint(d.symbols)
    assert d.classes == d.symbols
    assert (d.train.y >= 0)[:-1].all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": (1990, 1996), "validation": (1996, 1997)}, "overlap"),
        ({"train": (1996, 1990)}, "train: got"),
        ({"window": 5, "context": 5}, "context: got 5"),
        ({"window": 0}, "window: got 0"),
        ({"window": 90, "train": (1990, 1990)}, "train: the speeches of 1990 to 1990 are too short"),
    ],
)
def test_years_and_windows_that_do_not_fit(few, options, message):
    years = {"train": (1990, 1995), "validation": (1996, 1997), "test": (1998, 1999)}
    with pytest.raises(ValueError, match=message):
        data.speeches(data_dir=few[0], **{**years, **options})
    (few[0] / "other.jsonl").write_text('{"year": 1990, "text": "a"}\n{"year": "x"}\n')
    with pytest.raises(ValueError, match="line 2: not JSON with a year and a text"):
        speech.read_speeches(few[0] / "other.jsonl")


@pytest.mark.skipif(store.locate(speech.SPEECHES) is None, reason="the speeches are not here")
def test_the_published_speeches():
    spoken = speech.read_speeches(store.locate(speech.SPEECHES)[0])
    assert len(spoken) == 233
    assert sum(len(text) for _, text in spoken) == 10_760_042
    assert spoken[0][1].startswith("Fellow-Citizens of the Senate")
    assert catalog.check("speeches") == []
