"""What the command line says when something goes wrong, and the status it ends with."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from dlnotes.cli.streams import on_terminal

FAILED, WRONG, INTERRUPTED = 1, 2, 75
"""Exit statuses; 0 is done, 75 is interrupted and can be resumed."""


def fail(message: str, status: int) -> NoReturn:
    """Say what went wrong and end with a status."""
    try:
        print(on_terminal(message, sys.stderr), file=sys.stderr, flush=True)
    except (OSError, ValueError):  # the terminal is closed; the status still says it
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115, which is flushed at exit
    raise typer.Exit(status)


@contextmanager
def answers(debug: bool, *, usage: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what went wrong into a short message and an exit status.

    Args:
      debug: print tracebacks too.
      usage: exceptions that mean a wrong argument of this command.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        # Whoever read our output has enough of it: that is no failure. Nothing may be flushed at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except KeyboardInterrupt:
        fail("interrupted", 130)
    except Exception as error:
        if debug:
            traceback.print_exc()
        status = _expected_status(error, usage)
        if status is not None:
            told = f"{'' if status == INTERRUPTED else 'error: '}{error}"
            if status == WRONG and _among_others():
                from dlnotes.devices import distributed

                distributed.abandon(told, status)
            fail(told, status)
        message = _unexpected(error, debug)
        if _among_others():
            from dlnotes.devices import distributed

            # Most likely the error is that another process is gone: waiting for it at exit is useless.
            distributed.abandon(f"{message}\nif another process of this run is gone, resume the run")
        fail(message, FAILED)


def _among_others() -> bool:
    """Whether this process has joined others, for whom it would wait at its end."""
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def _expected_status(error: Exception, usage: tuple[type[Exception], ...]) -> int | None:
    from dlnotes.config import ConfigError

    if isinstance(error, (ConfigError, *usage)):
        return WRONG
    # Only a run raises these, and then the module is loaded: a config error must not load jax.
    running = sys.modules.get("dlnotes.experiment.run")
    if running is not None and isinstance(error, running.Interrupted):
        return INTERRUPTED
    if running is not None and isinstance(error, running.RunFailed):
        return FAILED
    return None


def _unexpected(error: Exception, debug: bool) -> str:
    """A short message; the traceback goes to error.txt in the run folder if there is one."""
    first_line = (str(error).strip().splitlines() or [""])[0]
    lines = [f"error: {type(error).__name__}: {first_line}"]
    folder: Path | None = getattr(error, "run_folder", None)  # set by the run that was writing there
    if folder is not None:
        try:
            (folder / "error.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            lines += [f"run folder: {folder}", f"traceback: {folder / 'error.txt'}"]
        except OSError:
            lines.append(f"run folder: {folder}")
    if not debug and len(lines) < 3:
        lines.append("(run again with --debug for the traceback)")
    return "\n".join(lines)
