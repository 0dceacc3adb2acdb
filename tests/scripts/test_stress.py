"""The stress scripts run, and find nothing wrong in a sample of their trials."""

import subprocess
import sys
from pathlib import Path

import pytest

STRESS = Path(__file__).parents[2] / "scripts" / "stress"
pytestmark = pytest.mark.slow


def call(name, *words):
    command = [sys.executable, str(STRESS / name), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    return done.returncode, done.stdout + done.stderr


def test_a_sample_of_damages():
    status, output = call("damage.py", "--sample", "40", "--seed", "3")
    assert status == 0, output
    assert "40 trials" in output


def test_the_smallest_loads(tmp_path):
    words = ("--only", "seeds", "classes", "steps", "--largest", "100", "--output", str(tmp_path))
    status, output = call("load.py", *words)
    assert status == 0, output
    assert (tmp_path / "load.png").stat().st_size > 10_000
    assert len((tmp_path / "load.csv").read_text().splitlines()) == 5
