"""The bar of a notebook: drawn in place, with its messages, and in a real kernel."""

import sys
from types import SimpleNamespace

import nbclient
import nbformat
import pytest

from dlnotes.experiment import notebook
from dlnotes.experiment.progress import Progress

CELL = """
import dlnotes
from dlnotes.experiment.run import resume
result = dlnotes.run({
    "name": "tiny", "data": {"kind": "two_moons", "n": 60}, "model": {"kind": "mlp", "widths": [5]},
    "training": {"duration": "30 steps", "seeds": 2}, "output": {"figures": False, "directory": "runs"},
    "optimizer": {"kind": "adam", "learning_rate": 0.02},
    "sweep": {"kind": "grid", "parameters": {"model.widths": [[3], [4]]}},
})
"""


def progress(step, total=100, message="", loss=0.25):
    return Progress(step, total, step / 10, {"loss": loss}, 1000.0, 2, 2, message)


def shown(groups=1):
    """A bar with the pictures that it has drawn, in a list for each display."""
    displays, times = [], [0.0]

    def show(first):
        displays.append([first._repr_mimebundle_()])
        return lambda again: displays[-1].append(again._repr_mimebundle_())

    watch = notebook.notebook_bar(groups, show=show, clock=lambda: times[0])
    return watch, displays, times


def test_one_display_is_drawn_again_and_its_last_state_stays():
    watch, displays, times = shown(groups=2)
    for step in (0, 1, 50, 100, 0, 100):
        times[0] += 1.0
        watch(progress(step))
    (drawn,) = displays
    texts = [one["text/plain"] for one in drawn]
    assert texts[0].startswith("compiling 1/2")
    assert "0/100" in texts[0]
    assert texts[2].startswith("training 1/2")
    assert "50/100" in texts[2]
    assert "loss 0.25" in texts[2]
    assert texts[-1].startswith("compiling 2/2") or texts[-1].startswith("training 2/2")
    assert "100/100" in texts[-1]
    assert all("\n" not in text and "\x1b" not in text for text in texts)
    assert drawn[-1]["text/html"].startswith("<pre")
    assert "<span" in drawn[-1]["text/html"]


def test_messages_stay_above_the_bar_and_markup_is_text():
    watch, displays, _ = shown()
    watch(progress(0))
    watch(progress(3, message="member 1 stopped: [red]<b>x</b>"))
    for step in range(4, 40):
        watch(progress(step, message=f"note {step}"))
    first = displays[0][1]
    assert first["text/plain"].splitlines()[0] == "member 1 stopped: [red]<b>x</b>"
    assert "&lt;b&gt;" in first["text/html"]
    last = displays[0][-1]["text/plain"].splitlines()
    assert last[0] == "note 20"
    assert len(last) == 21


def test_it_is_drawn_no_more_often_than_it_can_be_read():
    watch, displays, times = shown()
    for step in range(100):
        times[0] = step / 100
        watch(progress(step))
    assert len(displays[0]) <= 1 + 1 / notebook.SECONDS
    watch(progress(100))
    assert "100/100" in displays[0][-1]["text/plain"]


def test_a_page_that_shows_nothing_does_not_end_a_training():
    def broken(shown):
        raise RuntimeError("no page")

    watch = notebook.notebook_bar(show=broken)
    watch(progress(0))
    watch(progress(100))


@pytest.mark.parametrize(
    ("ipython", "found"),
    [
        (None, False),
        (SimpleNamespace(get_ipython=lambda: None), False),
        (SimpleNamespace(get_ipython=lambda: SimpleNamespace()), False),  # IPython on a terminal
        (SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object())), True),
    ],
)
def test_only_a_kernel_is_a_notebook(ipython, found, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert notebook.in_notebook() is found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_run_in_a_real_notebook_shows_a_bar(tmp_path):
    cells = [CELL, "resume(result.folder)", "dlnotes.run(result.config, watch=lambda progress: None)"]
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(f"{cell.strip()};") for cell in cells])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()
    first, again, silent = (cell.outputs for cell in book.cells)
    (bar,) = first
    assert bar.output_type == "display_data"
    assert bar.data["text/plain"].startswith("training 2/2")
    assert "30/30" in bar.data["text/plain"]
    assert "30/30" in again[0].data["text/plain"]
    assert silent == []
