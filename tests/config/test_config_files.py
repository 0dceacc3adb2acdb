"""Config files as editors and systems write them: encodings, names of files, places with ~ and $VARIABLE."""

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlnotes.config import ClaimConfig, ConfigError, load, parse, validate_as
from dlnotes.config.places import expanded, name_of
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.run_folder import RunFolder

TEXT = '# año\n[data]\nkind = "xor"\n[model]\nkind = "mlp"\nwidths = [3]\n'
SECTIONS = {"data": {"kind": "xor"}, "model": {"kind": "mlp"}}
ENCODED = {
    "utf-8": TEXT.encode(),
    "utf-8 with a mark": codecs.BOM_UTF8 + TEXT.encode(),
    "utf-16, little": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
    "utf-16, big": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
    "utf-32": TEXT.encode("utf-32"),
    "Windows' ends of lines": codecs.BOM_UTF8 + TEXT.replace("\n", "\r\n").encode(),
    "Windows' in utf-16": codecs.BOM_UTF16_LE + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
    "old ends of lines": TEXT.replace("\n", "\r").encode(),
}


@pytest.mark.parametrize("how", ENCODED)
def test_a_config_is_read_however_it_was_saved(how, tmp_path):
    (tmp_path / "plain.toml").write_bytes(TEXT.encode())
    (tmp_path / "saved.toml").write_bytes(ENCODED[how])
    got = load(tmp_path / "saved.toml", ["name=plain"])
    assert got == load(tmp_path / "plain.toml")


UNREADABLE = {
    "utf-16 without a mark": (TEXT.encode("utf-16-le"), "zero byte (UTF-16 without its mark?)"),
    "latin-1": (TEXT.encode("latin-1"), "line 1; save it as UTF-8"),
    "cut utf-16": (codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")[:-1], "is not UTF-8 text: truncated data"),
    "word processor": (TEXT.replace('"xor"', "“xor”").encode(), "there is '“', TOML's quotes are"),
    "web page": (TEXT.replace("widths ", "widths\u00a0").encode(), r"there is '\xa0', which only looks like"),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_what_cannot_be_read_is_refused_with_the_reason(how, tmp_path):
    raw, told = UNREADABLE[how]
    (tmp_path / "saved.toml").write_bytes(raw)
    with pytest.raises(ConfigError) as error:
        load(tmp_path / "saved.toml")
    assert told in str(error.value)
    assert "saved.toml" in str(error.value)


def test_a_path_that_is_no_file_is_refused(tmp_path):
    for path in (tmp_path, Path("a\0b.toml"), tmp_path / ("x" * 300 + ".toml")):
        with pytest.raises(ConfigError):
            load(path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("mine.v2_a-b.toml", "mine.v2_a-b"),
        ("run (1).toml", "run-1"),
        ("año.toml", "ano"),
        ("my run [final] #2.toml", "my-run-final-2"),
        ("猫.toml", "run"),
        ("-x.toml", "x"),
        ("...toml", "run"),
        ("it's 50%.toml", "it-s-50"),
        ("two\nlines.toml", "two-lines"),
    ],
)
def test_any_file_name_gives_the_run_a_name(file, name, tmp_path):
    (tmp_path / file).write_text(TEXT)
    assert load(tmp_path / file).name == name


@given(st.text(max_size=300))
def test_every_name_that_a_file_gives_is_one_that_a_config_may_have(stem):
    name = name_of(stem)
    assert parse(SECTIONS | {"name": name}).name == name
    assert name_of(name) == name


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a b", "x" * 101, "a\\b"])
def test_other_names_are_refused_in_trainings_and_claims(name):
    with pytest.raises(ConfigError, match="name: got"):
        parse(SECTIONS | {"name": name})
    with pytest.raises(ConfigError, match="name: got"):
        validate_as(ClaimConfig, {"name": name, "experiment": "a/b"}, source="claim")


def test_places_with_home_and_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path / "there"))
    monkeypatch.delenv("NOWHERE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert expanded("~/a b") == tmp_path / "a b"
    assert expanded("$PLACE/x") == expanded("${PLACE}/x") == tmp_path / "there" / "x"
    for text in ("a/~/b", "cost 5$", "$5", "50%", "runs [v2]"):
        assert expanded(text) == Path(text)
    for text in ("$NOWHERE/x", "a/${NOWHERE}"):
        with pytest.raises(ValueError, match="the variable NOWHERE is not set"):
            expanded(text)
    (tmp_path / "$NOWHERE").mkdir()
    assert expanded("$NOWHERE") == Path("$NOWHERE")


@pytest.mark.parametrize("given", ["~/runs", "$PLACE/runs", "${PLACE}/runs"])
def test_runs_and_data_are_where_the_config_says(given, tmp_path, monkeypatch):
    for name in ("HOME", "USERPROFILE", "PLACE"):
        monkeypatch.setenv(name, str(tmp_path))
    config = parse(SECTIONS | {"output": {"directory": given}})
    folder = RunFolder.create(config).path
    assert folder.parent == tmp_path / "runs" / "run"
    rows = [f"{i},{i % 3},{'uv'[i % 2]}" for i in range(30)]
    (tmp_path / "runs" / "t.csv").write_text("\n".join(["a,b,y", *rows]))
    section = {"kind": "csv", "path": f"{given}/t.csv", "target": "y"}
    (tmp_path / "c.toml").write_text(
        f'data = {{kind="csv", path="{given}/t.csv", target="y"}}\nmodel = {{kind="mlp"}}\n'
    )
    for config in (parse(SECTIONS | {"data": section}), load(tmp_path / "c.toml")):
        assert load_data(config).outputs == 2


@pytest.mark.parametrize("kind", ["a file", "unset", "zero", "long"])
def test_a_place_where_no_folder_can_be_made_is_told(kind, tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    (tmp_path / "file").write_text("")
    given = {
        "a file": str(tmp_path / "file"),
        "unset": "$NOWHERE/runs",
        "zero": "a\0b",
        "long": str(tmp_path / ("x" * 300)),
    }[kind]
    with pytest.raises(ConfigError, match="output.directory: got"):
        RunFolder.create(parse(SECTIONS | {"output": {"directory": given}}))


def test_a_path_of_other_bytes_than_text_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"caf.udce9.*bytes are not UTF-8"):
        RunFolder.create(parse(SECTIONS | {"output": {"directory": "caf\udce9"}}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["runs [v2]", "-r", "a b", "a*?", "50%#1", 'it\'s "x"', "año 猫", "two\nlines", "a\\b", "../up/x"]
)
def test_a_run_folder_has_any_name(name, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    config = parse(SECTIONS | {"output": {"directory": name}})
    folder = RunFolder.create(config)
    assert os.path.samefile(folder.path.parent.parent, tmp_path / "in" / name)
    assert RunFolder.open(folder.path).config() == config
