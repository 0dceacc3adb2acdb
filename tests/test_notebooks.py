"""Every notebook runs from start to end, at a small size."""

from pathlib import Path

import jupytext
import nbclient
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "experiments" / "notebooks").glob("*.py"))
SLOW = (
    "feedforward", "convolutional", "recurrent", "recursive", "large_scale", "flax_module",
    "representation",
)  # fmt: skip
SHORTER = {
    '"12 epochs"': '"1 epoch"',
    "STEPS = 700": "STEPS = 20",
    "STEPS = 2500": "STEPS = 20",
    "EPOCHS, STEPS = 30, 2500": "EPOCHS, STEPS = 1, 20",
}


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=pytest.mark.slow if p.stem in SLOW else (), id=p.stem) for p in NOTEBOOKS],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_notebook_runs(path, tmp_path):
    notebook = jupytext.read(path)
    for cell in notebook.cells:
        for long, short in SHORTER.items():
            cell.source = cell.source.replace(long, short)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    assert not list(tmp_path.iterdir()), "the notebook left files behind"
