"""Choosing the variants of a test that are slow."""

import importlib.util
from pathlib import Path

_PATH = Path(__file__).parents[2] / "scripts" / "long_variants.py"
_spec = importlib.util.spec_from_file_location("long_variants", _PATH)
assert _spec is not None
assert _spec.loader is not None
long_variants = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(long_variants)

LOG = """
3.12s call     tests/a/test_a.py::test_b[1]
0.50s setup    tests/a/test_a.py::test_b[2]
2.00s call     tests/a/test_a.py::test_b[2]
1.20s call     tests/a/test_a.py::test_b[3-a, b]
0.90s call     tests/a/test_a.py::test_b[4]
9.00s call     tests/a/test_a.py::test_c
5.00s call     tests/a/test_a.py::test_d[1]
4.00s call     tests/models/test_contract.py::test_x[a]
4.10s call     tests/models/test_contract.py::test_x[b]
12 passed in 30.00s
"""


def test_the_fastest_and_the_short_stay():
    assert long_variants.chosen(LOG.splitlines(), 1.0) == [
        "tests/a/test_a.py::test_b[1]",
        "tests/a/test_a.py::test_b[2]",
        "tests/a/test_a.py::test_b[3-a, b]",
    ]


def test_what_is_listed_stays(tmp_path, monkeypatch):
    listed, log = tmp_path / "list.txt", tmp_path / "log"
    listed.write_text("tests/b.py::test_e[2]\n")
    log.write_text(LOG)
    monkeypatch.setattr(long_variants, "LIST", listed)
    long_variants.main(log, 2.0)
    assert listed.read_text().splitlines() == [
        "tests/a/test_a.py::test_b[1]",
        "tests/a/test_a.py::test_b[2]",
        "tests/b.py::test_e[2]",
    ]
