"""The shape of the house: imports point down, no fact is missing, every name that is shown works."""

import ast
import doctest
import importlib
import re
from pathlib import Path
from typing import get_args

import architecture
import flax
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dlnotes
from dlnotes import data, layers, models, outputs
from dlnotes.claims.rows import ROWS
from dlnotes.config.data import Data
from dlnotes.config.fields import OwnSplit
from dlnotes.config.models import FAMILIES
from dlnotes.experiment.network import BUILDERS

REPOSITORY = Path(__file__).parents[1]
PACKAGES = [name for name, path in architecture.modules().items() if path.name == "__init__.py"]
MODULES = sorted(name for name in architecture.modules() if not name.endswith("__main__"))


def test_imports_point_down():
    assert not architecture.upward()


def test_no_circle_and_no_way_back_a_chapter():
    assert not architecture.circle()
    assert not architecture.backward()


def test_every_module_is_on_a_floor():
    names = {name.split(".")[1] for name in architecture.modules() if "." in name}
    assert names - {"__main__"} == set(architecture.FLOORS)


def test_the_table_of_floors_has_numbers_only_on_and_below_the_diagonal():
    lines = architecture.table().splitlines()[1:]
    assert len(lines) == len(architecture.FLOORS)
    for line in lines:
        *cells, number = line.split()[2:]
        assert all(cell == "·" for cell in cells[int(number) + 1 :]), line


def test_modules_are_imported_by_name_only_where_it_is_said_why():
    """Elsewhere a reader, an editor and pyright can follow every import."""
    found = {
        path.relative_to(architecture.ROOT).as_posix()
        for path in architecture.modules().values()
        if re.search(r"\bimport_module\(|__import__\(", path.read_text(encoding="utf-8"))
    }
    assert found == {"lazy.py", "data/catalog.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_of_a_package_is_there(package):
    loaded = importlib.import_module(package)
    assert (loaded.__doc__ or "").strip() or not architecture.modules()[package].read_text().strip()
    for name in getattr(loaded, "__all__", ()):
        assert getattr(loaded, name) is not None
        assert name in dir(loaded)


@pytest.mark.parametrize("row", [row for row in ROWS if row.functions], ids=lambda row: row.id)
def test_every_name_that_list_prints_works_as_it_is_printed(row):
    for name in row.functions:
        found = dlnotes
        for part in name.split(".")[1:]:
            found = getattr(found, part)
        assert callable(found), name


def test_lazy_packages_load_no_jax():
    """An error in a config, a list of rows or of data sets must not pay for jax."""
    import subprocess
    import sys

    code = (
        "import sys, dlnotes, dlnotes.config, dlnotes.data, dlnotes.devices, dlnotes.experiment, "
        "dlnotes.claims.rows, dlnotes.cli.main; print([m for m in ('jax', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def contract_text() -> str:
    rows = sorted((REPOSITORY / "tests/models").glob("rows_*.py"))
    return "\n".join(path.read_text(encoding="utf-8") for path in rows)


def configs_of(section: str, kind: str) -> list[Path]:
    pattern = re.compile(rf'^\[{section}\]\n(?:(?!\[).*\n)*?kind = "{kind}"', re.MULTILINE)
    paths = sorted((REPOSITORY / "configs").rglob("*.toml"))
    return [path for path in paths if pattern.search(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind != "given"])
def test_a_family_has_all_its_parts(kind):
    """Adding a family is four edits: its module, the facade, its config section, its builder.

    This says which one is missing; and it wants a row of the contract and a config in README's table.
    """
    missing = []
    if not callable(getattr(models, kind, None)):
        missing.append(f"dlnotes/models/__init__.py: a factory called {kind}")
    if kind not in models.__all__:
        missing.append(f"dlnotes/models/__init__.py: {kind!r} in __all__")
    if not FAMILIES[kind].accepts.inputs or not FAMILIES[kind].accepts.tasks:
        missing.append("dlnotes/config/models.py: what it accepts")
    if not (FAMILIES[kind].__doc__ or "").strip():
        missing.append("dlnotes/config/models.py: a docstring")
    if kind not in BUILDERS:
        missing.append("dlnotes/experiment/network.py: an entry in BUILDERS")
    if not re.search(rf"models\.{kind}\b", contract_text()):
        missing.append("tests/models/rows_*.py: a row of the contract")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    if not any(path.stem in readme for path in configs_of("model", kind)):
        missing.append("README.md: a config of it in the table of families")
    assert not missing


def test_builders_are_of_families_that_exist():
    assert set(BUILDERS) | {"given"} == set(FAMILIES)


SECTIONS = {get_args(s.model_fields["kind"].annotation)[0]: s for s in get_args(get_args(Data)[0])}


@pytest.mark.parametrize("kind", sorted({*data.SOURCES, *SECTIONS}))
def test_a_data_source_has_all_its_parts(kind):
    """Adding a source is three edits: its module, the table and imports of `dlnotes.data`, its section."""
    from inspect import signature

    missing = []
    if kind not in data.SOURCES:
        missing.append(f"dlnotes/data/__init__.py: {kind!r} in SOURCES")
    elif not callable(getattr(data, kind)):
        missing.append(f"{data.SOURCES[kind].module}: a function called {kind}")
    if kind not in data.__all__:
        missing.append(f"dlnotes/data/__init__.py: {kind!r} in __all__")
    if kind not in typed_names("data/__init__.py"):
        missing.append(f"dlnotes/data/__init__.py: the import of {kind} under TYPE_CHECKING")
    if kind not in SECTIONS:
        missing.append("dlnotes/config: a section, in one of the unions that data.py puts together")
    assert not missing
    options = set(SECTIONS[kind].model_fields) - {"kind"}
    if issubclass(SECTIONS[kind], OwnSplit):
        options -= {"test_path"}  # see `dlnotes.data.test_file`, for all of them
    assert options <= set(signature(getattr(data, kind)).parameters)


def typed_names(file: str) -> set[str]:
    tree = ast.parse((architecture.ROOT / file).read_text(encoding="utf-8"))
    return {alias.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for alias in n.names}


@pytest.mark.parametrize("package", [layers, models, outputs], ids=lambda p: p.__name__)
def test_public_functions_say_what_they_are(package):
    for name in package.__all__:
        found = getattr(package, name)
        if callable(found) and getattr(found, "__module__", "").startswith("dlnotes"):
            assert (found.__doc__ or "").strip(), name


# They compile for more than about two seconds, or are those of other modules behind a door.
LONG = {
    "dlnotes.autodiff.bptt_by_hand",
    "dlnotes.jax_internals",
    "dlnotes.layers",
    "dlnotes.layers.convolutional.clustered_pooling",
    "dlnotes.layers.feedforward.rbf",
    "dlnotes.layers.recurrent.grid",
    "dlnotes.layers.recursive.chart",
    "dlnotes.layers.recursive.gumbel",
    "dlnotes.layers.recursive.states",
    "dlnotes.models",
    "dlnotes.models.convolutional.conv_net",
    "dlnotes.models.convolutional.mirrored",
    "dlnotes.models.convolutional.refinement",
    "dlnotes.models.convolutional.segmentation",
    "dlnotes.models.door",
    "dlnotes.models.feedforward.rbf_network",
    "dlnotes.models.recurrent.deep_output",
    "dlnotes.models.recurrent.generation",
    "dlnotes.models.recurrent.grid",
    "dlnotes.models.recurrent.stopping",
    "dlnotes.models.recursive.latent_trees",
    "dlnotes.models.recursive.tree_net",
    "dlnotes.outputs",
    "dlnotes.training",
    "dlnotes.training.tuning",
}


@pytest.mark.parametrize(
    "module", [pytest.param(m, marks=pytest.mark.slow if m in LONG else ()) for m in MODULES]
)
def test_docstring_examples(module):
    loaded = importlib.import_module(module)
    usual = {"jax": jax, "jnp": jnp, "np": np, "flax": flax}  # what a reader has imported already
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(loaded, extraglobs=usual, optionflags=flags)
    assert result.failed == 0


EXPERIMENTS = sorted((REPOSITORY / "experiments").glob("*/*.py"))


@pytest.mark.parametrize(
    "path",
    [p for p in EXPERIMENTS if p.parent.name != "notebooks"],
    ids=lambda p: f"{p.parent.name}/{p.stem}",
)
def test_helpers_of_claims_are_told_by_their_names(path):
    """A module that measures a claim has a plain name; one that helps claims begins with "_"."""
    is_claim = re.search(r"^CLAIM\b", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
    assert is_claim == (not path.name.startswith("_"))
