"""Configs that come with dlnotes: found by name in any folder, copied so that they mean the same."""

import shutil
import tomllib
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from dlnotes.claims.measure import open_claim
from dlnotes.claims.reproduce import choose, configs_to_choose_from
from dlnotes.config import ConfigError, is_claim, load, read_raw, shipped
from dlnotes.config.copying import copy_config
from dlnotes.config.shipped import find_config, shipped_configs, shipped_folder

REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = [name for name in shipped_configs() if not name.startswith("claims/")]


@pytest.fixture
def empty(tmp_path, monkeypatch):
    (tmp_path / "a folder").mkdir()
    monkeypatch.chdir(tmp_path / "a folder")
    return tmp_path / "a folder"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """The folders as a wheel has them, and no checkout around."""
    package = tmp_path / "site-packages" / "dlnotes"
    for name in ("configs", "experiments"):
        shutil.copytree(
            REPOSITORY / name, package / "shipped" / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setattr(shipped, "LIBRARY", package)
    monkeypatch.setattr("dlnotes.config.copying.LIBRARY", package)
    return package / "shipped"


def test_the_wheel_puts_the_folders_where_they_are_looked_for():
    wheel = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    wanted = {name: f"dlnotes/shipped/{name}" for name in ("configs", "experiments")}
    assert wheel["wheel"]["sources"] == wanted
    assert set(wheel["wheel"]["only-include"]) == {"dlnotes", *wanted}


def test_names_are_those_of_one_file_each():
    stems = [name.rpartition("/")[2] for name in shipped_configs()]
    assert len(set(stems)) == len(stems)


@pytest.mark.parametrize(
    ("given", "file"),
    [
        ("quickstart", "quickstart.toml"),
        ("quickstart.toml", "quickstart.toml"),
        ("configs/quickstart.toml", "quickstart.toml"),
        ("./configs/quickstart.toml", "quickstart.toml"),
        ("linear_digits", "families/linear_digits.toml"),
        ("families/linear_digits", "families/linear_digits.toml"),
        ("configs/families/linear_digits.toml", "families/linear_digits.toml"),
        ("F1.4", "claims/F1.4_xor_starts.toml"),
        ("F3.3", "claims/F3.3_maxout_convex.toml"),
        ("F1.4_xor_starts", "claims/F1.4_xor_starts.toml"),
        ("configs/claims/F1.4_xor_starts.toml", "claims/F1.4_xor_starts.toml"),
    ],
)
@pytest.mark.parametrize("how", ["checkout", "installed"])
def test_a_shipped_config_is_found_by_name_in_any_folder(given, file, how, empty, request):
    folder = (
        request.getfixturevalue("installed") / "configs" if how == "installed" else REPOSITORY / "configs"
    )
    assert find_config(given) == folder / file
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "given", ["", ".", "nothing", "../quickstart", "/quickstart", "a\0b", "F1", "x" * 300]
)
def test_what_is_no_name_stays_as_it_is(given, empty):
    assert find_config(given) == Path(given)


def test_files_of_ones_own_come_first(empty):
    (empty / "quickstart").mkdir()  # a folder is no config
    assert find_config("quickstart") == REPOSITORY / "configs/quickstart.toml"
    (empty / "quickstart.toml").write_text("")
    assert find_config("quickstart") == find_config("quickstart.toml") == Path("quickstart.toml")


def test_without_configs_nothing_is_found(empty, monkeypatch):
    monkeypatch.setattr(shipped, "LIBRARY", empty / "site-packages" / "dlnotes")
    (empty / "site-packages" / "configs").mkdir(parents=True)  # a stranger's, beside the package
    assert shipped_folder("configs") is None
    assert shipped_configs() == {}
    assert find_config("quickstart") == Path("quickstart")


@pytest.mark.parametrize(
    ("given", "told"),
    [("quikstart", "did you mean 'quickstart'"), ("families/linear_digit", "families/linear_digits")],
)
def test_a_misspelled_name_is_told_the_nearest(given, told, empty):
    with pytest.raises(ConfigError, match=told):
        load(given)


@pytest.mark.parametrize("how", ["checkout", "installed"])
def test_a_copy_of_every_config_means_the_same(how, empty, request):
    if how == "installed":
        request.getfixturevalue("installed")
    for name in NAMES:
        copied = copy_config(name, f"{Path(name).name}.toml")
        assert load(copied) == load(name), name
        first = copied.read_text().splitlines()[0]
        schema = unquote(urlparse(first.removeprefix("#:schema ")).path)
        assert Path(schema).name == "schema.json"
        assert Path(schema).is_file()


def test_a_copy_within_the_project_has_a_relative_schema(tmp_path):
    (tmp_path / "configs" / "deep").mkdir(parents=True)
    (tmp_path / "configs" / "schema.json").write_text("{}")
    own = tmp_path / "configs" / "own.toml"
    own.write_text('#:schema ./schema.json\n[data]\nkind = "xor"\n[model]\nkind = "mlp"\n')
    for target, line in (("own.toml", "./configs/schema.json"), ("configs/deep/x.toml", "../schema.json")):
        copied = copy_config(own, tmp_path / target)
        assert copied.read_text().splitlines()[0] == f"#:schema {line}"


def test_a_copy_without_a_name_lies_here_and_nothing_is_written_over(empty):
    assert copy_config("quickstart") == Path("quickstart.toml")
    before = (empty / "quickstart.toml").read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        copy_config("configs/quickstart.toml")
    with pytest.raises(ConfigError, match="is there already"):
        copy_config("quickstart", empty)
    assert (empty / "quickstart.toml").read_bytes() == before
    (empty / "sub").mkdir()
    assert copy_config("quickstart", "sub") == Path("sub/quickstart.toml")


@pytest.mark.parametrize("target", ["none/my.toml", "a\0b", "x" * 300])
def test_a_copy_that_cannot_be_written_is_told(target, empty):
    with pytest.raises(ConfigError):
        copy_config("quickstart", target)
    assert list(empty.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["path = 'it \"is\".csv'", 'path = "it \\"is\\".csv"', "path='it \"is\".csv'"]
)
def test_a_path_may_be_quoted_in_either_way(line, empty, tmp_path):
    (tmp_path / 'it "is".csv').write_text("a,b\n1,2\n")
    (tmp_path / "own.toml").write_text(
        f'[data]\nkind = "csv" # path = "x"\n{line}\ntarget = "b"\n[model]\nkind = "mlp"\n'
    )
    copied = copy_config(tmp_path / "own.toml", "my.toml")
    assert load(copied, ["name=own"]) == load(tmp_path / "own.toml")
    assert load(copied).data.path == str(tmp_path / 'it "is".csv')


@pytest.mark.parametrize("how", ["checkout", "installed"])
def test_a_claim_and_its_copy_run_the_experiments_that_are_shipped(how, empty, request):
    root = request.getfixturevalue("installed") if how == "installed" else REPOSITORY
    copied = copy_config("F1.2", "mine.toml")
    assert is_claim(read_raw(copied))
    opened = [open_claim(path, budget="quick", reading=True) for path in ("F1.2", copied)]
    assert {one.module for one in opened} == {root / "experiments/feedforward/xor_linear.py"}
    assert opened[0].fingerprint == opened[1].fingerprint


def test_claims_are_chosen_from_here_and_from_what_is_shipped(empty, installed):
    ids = [path.stem for path in choose(configs_to_choose_from(None, ["F1.4"]), ["F1.4"])]
    assert ids == ["F1.4_xor_starts"]
    everything = configs_to_choose_from(None, [])
    assert len(everything) == len(list((installed / "configs/claims").glob("*.toml")))
    (empty / "configs").mkdir()
    mine = empty / "configs" / "X1_mine.toml"
    mine.write_text('experiment = "a/b"\n')
    assert [p.name for p in configs_to_choose_from(None, [])] == [mine.name]
    assert [p.name for p in configs_to_choose_from(None, ["X1"])] == [mine.name]
    assert mine.name in [p.name for p in configs_to_choose_from(None, ["X1", "F1.4"])]
    assert configs_to_choose_from(empty / "sub", ["F1.4"]) == []
