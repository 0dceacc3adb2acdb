"""A bar in Jupyter for a training that nobody else watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from dlnotes.experiment.bars import bar_watch, columns
from dlnotes.experiment.progress import Progress, Watch

WIDTH = 110
"""Signs in a line of a notebook."""

SECONDS = 0.2
"""A bar is drawn anew no more often than this."""

MOST_MESSAGES = 20
"""Notable events that stay above the bar, the latest."""


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")  # in a kernel it is there already
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def watch_here(groups: int) -> Watch:
    """A bar where a notebook can show it, else nothing.

    Args:
      groups: compiled programs that are trained one after another.
    """
    return notebook_bar(groups) if in_notebook() else lambda progress: None


def notebook_bar(
    groups: int = 1,
    *,
    show: Callable[[Any], Callable[[Any], None]] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Watch:
    """A `Watch` that shows one bar below a cell, with the messages above it; the last state stays.

    Args:
      groups: compiled programs that are trained one after another.
      show: shows an object and returns what shows another in its place; by default IPython's display.
      clock: seconds, for tests.
    """
    from rich.progress import Progress as Bars

    bars, messages = Bars(*columns(), auto_refresh=False), []
    follow = bar_watch(bars, groups, messages.append, width=lambda: WIDTH)
    updates: list[Callable[[Any], None]] = []  # what shows another in place of the first, once there is one
    drawn, broken = 0.0, False

    def watch(progress: Progress) -> None:
        nonlocal drawn, broken
        if broken:
            return
        follow(progress)
        del messages[:-MOST_MESSAGES]
        now = clock()
        if updates and now - drawn < SECONDS and not (progress.message or progress.step >= progress.total):
            return
        drawn = now
        shown = _Shown(bars, messages)
        try:
            if updates:
                updates[0](shown)
            else:
                updates.append((show or _displayed)(shown))
        except Exception:  # a page that shows nothing is no reason to stop a training
            broken = True

    return watch


def _displayed(shown: Any) -> Callable[[Any], None]:
    from IPython.display import DisplayHandle  # pyright: ignore[reportMissingImports]

    handle = DisplayHandle()
    handle.display(shown)
    return handle.update


class _Shown:
    """A bar and its messages, as a notebook asks for them."""

    def __init__(self, bars: Any, messages: list[str]):
        self.bars, self.messages = bars, messages

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Mapping[str, str]:
        import io

        from rich.console import Console
        from rich.text import Text

        console = Console(file=io.StringIO(), record=True, width=WIDTH, force_jupyter=False)
        for message in self.messages:
            console.print(Text(message, style="yellow"))
        console.print(self.bars.get_renderable())
        style = "white-space:pre;overflow-x:auto;line-height:normal;margin:0"
        page = f'<pre style="{style}"><code style="background:none">{{code}}</code></pre>'
        html = console.export_html(inline_styles=True, code_format=page, clear=False)
        return {"text/plain": console.export_text().rstrip(), "text/html": html}
