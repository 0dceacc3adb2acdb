"""Which variants of a test are slow tests: all that take long, but the fastest of each.

    pytest --durations=0 --durations-min=0.2 | tee LOG
    python scripts/long_variants.py LOG

A function of the tests that runs with several parameters keeps its fastest variant in the default suite, and
all that are short. What a fixture takes is not counted, for the next test would pay it. A test that holds
each of several functions against its equation keeps every variant. What is in the list stays.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import typer

LIST = Path(__file__).parents[1] / "tests/long_variants.txt"
WHOLE = (
    "tests/devices/test_placement.py",
    "tests/layers/recurrent/test_cells.py::test_equals_the_equation",
    "tests/layers/recursive/test_states.py::test_equals_recursion",
    "tests/models/recurrent/test_encoder_decoder.py::test_network_follows_its_equations",
    "tests/models/recursive/test_tree_net.py::test_equals_recursion",
    "tests/models/test_contract.py",
    "tests/test_architecture.py",
)
"""Where each variant is another function, held against what it should be."""
LINE = re.compile(r"([\d.]+)s call\s+(tests/\S+?::.+)")


def chosen(lines: list[str], least: float) -> list[str]:
    """Names of the variants to mark, from the lines that pytest prints of durations."""
    seconds: dict[str, float] = defaultdict(float)
    for line in lines:
        if found := LINE.match(line.strip()):
            seconds[found[2]] += float(found[1])
    variants: dict[str, list[str]] = defaultdict(list)
    for name in seconds:
        if "[" in name and not name.startswith(WHOLE):
            variants[name.split("[")[0]].append(name)
    long = []
    for names in variants.values():
        fastest = min(names, key=lambda name: seconds[name])
        long += [name for name in names if name != fastest and seconds[name] >= least]
    return sorted(long)


def main(log: Path, least: float = 1.0) -> None:
    """Write tests/long_variants.txt from the output of a run of the tests."""
    before = LIST.read_text(encoding="utf-8").splitlines()
    names = sorted({*before, *chosen(log.read_text(encoding="utf-8").splitlines(), least)})
    LIST.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    typer.echo(f"{len(names)} variants in {LIST}")


if __name__ == "__main__":
    typer.run(main)
