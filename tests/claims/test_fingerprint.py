"""The fingerprint of a measurement: what changes it and what does not, in a small library of its own."""

import json
import shutil
from pathlib import Path

import pytest

from dlnotes.claims import fingerprint as fp

ROOT = Path(__file__).parents[2]
LIBRARY = {
    "__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    from dlnotes import data, layers\n",
    "layers/__init__.py": "from dlnotes.layers.flat import dense\nfrom dlnotes.layers.rules import root\n",
    "layers/flat.py": "import numpy as np\nSCALE = 2.0\ndef dense(x):\n    return SCALE * x\n"
    "def other(x):\n    return x\n",
    "layers/rules.py": "def rule(f):\n    return f\n@rule\ndef root(x):\n    return x ** 0.5\n"
    "def forward(x):\n    return x\nroot.defvjp(forward)\n",
    "data/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
    "    from dlnotes.data.toy import moons, xor\n"
    'SOURCES = {"xor": 1, "moons": 2}\n'
    "def source(kind):\n    return SOURCES[kind]\ndef load(kind):\n    return source(kind)()\n",
    "data/toy.py": "def xor():\n    return [0, 1]\ndef moons():\n    return [2, 3]\n",
}
CLAIM = '''"""A claim."""
from dlnotes import data, layers
from dlnotes.layers import root as square_root
from ._helper import half


def measure(options):
    """Measure."""
    x = data.load("xor")
    return square_root(layers.dense(half(x)))


def draw(options, measured):
    return 1
'''


@pytest.fixture
def house(tmp_path, monkeypatch):
    """The folder that holds the small library and a claim; with the fingerprint of that claim."""
    for name, text in LIBRARY.items():
        path = tmp_path / "dlnotes" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    chapter = tmp_path / "experiments/chapter"
    chapter.mkdir(parents=True)
    (chapter / "claim.py").write_text(CLAIM)
    (chapter / "_helper.py").write_text("def half(x):\n    return x / 2\ndef third(x):\n    return x / 3\n")
    monkeypatch.setattr(fp, "LIBRARY", tmp_path / "dlnotes")
    return tmp_path


def now(house: Path) -> str:
    fp._code.cache_clear()
    return fp.fingerprint(house / "experiments/chapter/claim.py", {"seeds": 10})


def change(house: Path, file: str, old: str, new: str) -> None:
    path = house / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("dlnotes/layers/flat.py", "SCALE * x", "SCALE + x"),  # a function that is used through a facade
        ("dlnotes/layers/flat.py", "2.0", "3.0"),  # a constant that it uses
        ("dlnotes/layers/rules.py", "x ** 0.5", "x ** 0.25"),  # a function under another name
        ("dlnotes/layers/rules.py", "return f", "return 2"),  # its decorator
        ("dlnotes/layers/rules.py", "def forward(x):\n    return x", "def forward(x):\n    return 2"),
        ("dlnotes/layers/rules.py", "root.defvjp(forward)", "root.defvjp(rule)"),  # a rule of its gradient
        ("dlnotes/data/toy.py", "[0, 1]", "[1, 1]"),  # a source that is called by its name
        ("experiments/chapter/_helper.py", "x / 2", "x / 4"),
        ("experiments/chapter/claim.py", "dense(half(x))", "dense(x)"),
    ],
)
def test_what_measure_reaches_counts(house, file, old, new):
    before = now(house)
    change(house, file, old, new)
    assert now(house) != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("dlnotes/layers/flat.py", "def other(x):\n    return x", "def other(x):\n    return 2"),
        ("dlnotes/layers/flat.py", "def dense(x):\n", 'def dense(x):\n    """Some words."""  # and more\n'),
        ("dlnotes/layers/flat.py", "def dense(x):", "def dense(x: float) -> float:"),
        ("dlnotes/data/toy.py", "[2, 3]", "[3, 3]"),  # a source that is not named
        ("dlnotes/data/__init__.py", '"moons": 2}', '"moons": 2, "new": 3}'),
        ("experiments/chapter/_helper.py", "x / 3", "x / 4"),
        ("experiments/chapter/claim.py", "return 1", "return 2"),
        ("experiments/chapter/claim.py", '"""Measure."""', '"""Other words."""'),
        # The same function by another way of importing it.
        ("experiments/chapter/claim.py", "import root as square_root", "import root as square_root, dense"),
    ],
)
def test_what_it_does_not_reach_does_not_count(house, file, old, new):
    before = now(house)
    change(house, file, old, new)
    assert now(house) == before


def test_a_name_of_a_function_s_own_is_not_the_module_of_that_name(house):
    change(
        house, "experiments/chapter/claim.py", "return square_root(", "layers = x\n    return square_root("
    )
    change(house, "experiments/chapter/claim.py", "layers.dense(half(x))", "layers")
    reached = fp.reached(house / "experiments/chapter/claim.py", {})
    assert not any(name.endswith(":dense") for name in reached)


def test_an_option_may_name_the_source(house):
    change(house, "experiments/chapter/claim.py", 'data.load("xor")', "data.load(options.source)")
    path = house / "experiments/chapter/claim.py"
    reached = fp.reached(path, {"source": "moons"})
    assert "dlnotes/data/toy.py:moons" in reached
    assert "dlnotes/data/toy.py:xor" not in reached


def test_a_module_handed_on_as_a_whole_counts_as_a_whole(house):
    change(house, "experiments/chapter/claim.py", "layers.dense(", "getattr(layers, 'dense')(")
    reached = fp.reached(house / "experiments/chapter/claim.py", {})
    assert {"dlnotes/layers/flat.py:dense", "dlnotes/layers/rules.py:root"} <= set(reached)


def test_a_new_file_and_a_moved_one_change_nothing(house):
    before = now(house)
    for folder in ("layers", "data", "."):
        (house / "dlnotes" / folder / "new.py").write_text("")
    assert now(house) == before
    (house / "dlnotes/layers/deep").mkdir()
    shutil.move(house / "dlnotes/layers/flat.py", house / "dlnotes/layers/deep/dense.py")
    change(house, "dlnotes/layers/__init__.py", "dlnotes.layers.flat", "dlnotes.layers.deep.dense")
    change(house, "experiments/chapter/claim.py", "from dlnotes import data, layers", "import dlnotes")
    change(house, "experiments/chapter/claim.py", "data.load", "dlnotes.data.load")
    change(house, "experiments/chapter/claim.py", "layers.dense", "dlnotes.layers.dense")
    assert now(house) == before


def test_options_count(house):
    path = house / "experiments/chapter/claim.py"
    assert fp.fingerprint(path, {"seeds": 10}) != fp.fingerprint(path, {"seeds": 11})


def test_a_record_knows_whether_it_is_of_this_code(house):
    record = {"module": "experiments/chapter/claim.py", "options": {"seeds": 10}, "fingerprint": now(house)}
    folder = house / "experiments"
    assert fp.marked([record], folder)[0]["current"] is True
    assert fp.on_this_code(record | {"fingerprint": "other"}, folder) is False
    assert fp.on_this_code(record | {"module": "experiments/chapter/gone.py"}, folder) is False
    assert fp.on_this_code(record, None) is False


def test_the_claims_here_use_what_their_modules_say():
    committed = json.loads((ROOT / "experiments/results.json").read_text(encoding="utf-8"))
    by_name = {record["name"]: record for record in committed}
    record = by_name["F1.2_xor_linear"]
    reached = fp.reached(ROOT / record["module"], record["options"])
    names = {name.rsplit(":", 1)[1] for name in reached}
    assert {"measure", "linear", "xor", "fit", "train_step", "squared_error"} <= names
    assert not {"draw", "CLAIM", "conv_net", "digits", "lstm", "Above"} & names
    prints = {n: fp.fingerprint(ROOT / r["module"], r["options"]) for n, r in by_name.items()}
    assert len(set(prints.values())) == len(prints)


def test_how_a_package_loads_its_names_does_not_count(house):
    """A name more in a lazy package, the way it is looked up there: no measurement is another for it."""
    before = now(house)
    facade = house / "dlnotes/data/__init__.py"
    lazily = 'from dlnotes.lazy import lazy\n__getattr__, __dir__ = lazy(__name__, {"xor": "toy"})\n'
    (house / "dlnotes/lazy.py").write_text("def lazy(package, home):\n    return home.get, home.keys\n")
    facade.write_text(lazily + facade.read_text())
    assert now(house) == before


def test_a_claim_is_the_same_in_a_wheel(house):
    """Where the experiments lie in the package's folder."""
    before = now(house)
    shipped = house / "dlnotes/shipped"
    shipped.mkdir()
    shutil.move(house / "experiments", shipped / "experiments")
    assert now(shipped) == before
    change(shipped, "experiments/chapter/claim.py", "dense(half(x))", "dense(x)")
    assert now(shipped) != before
