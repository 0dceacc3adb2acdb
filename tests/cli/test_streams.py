"""Nothing that is printed fails for the sake of a sign that its stream cannot write."""

import io
import os
import subprocess
import sys

import pytest

from dlnotes.cli import streams
from dlnotes.formatting import number


def printed(monkeypatch, text, encoding, errors="strict"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors, newline="\n")
    monkeypatch.setattr(sys, "stdout", stream)
    streams.write_plainly()
    print(text, flush=True)
    return raw.getvalue()


INTERVAL = "98.47% (95% interval 98.16–98.77)"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp437", "cp932", "euc_jp", "koi8-r", "utf-16"])
def test_results_are_written_by_any_encoding(encoding, monkeypatch):
    got = printed(monkeypatch, INTERVAL, encoding).decode(encoding)
    assert got.strip().replace("–", "-") == INTERVAL.replace("–", "-")


def test_what_can_be_written_is_written_as_it_is(monkeypatch):
    for encoding in ("utf-8", "cp1252"):
        assert printed(monkeypatch, INTERVAL, encoding).decode(encoding).strip() == INTERVAL


def test_other_signs_have_the_nearest_plain_one(monkeypatch):
    text = f"{number(-2.5e-9)} ≤ ∞ → “año 猫” …"
    assert printed(monkeypatch, text, "ascii") == b'-2.5 x 10-9 <= inf -> "a?o ?" ...\n'


def test_a_name_of_other_bytes_than_text_is_written_back(monkeypatch):
    for encoding in ("ascii", "utf-8"):
        assert printed(monkeypatch, "runs/caf\udce9", encoding) == b"runs/caf\xe9\n"
        assert printed(monkeypatch, "–\udce9", encoding, "surrogateescape")[-2:] == b"\xe9\n"


def test_a_way_that_the_user_chose_stays(monkeypatch):
    assert printed(monkeypatch, "a–b", "ascii", "xmlcharrefreplace") == b"a&#8211;b\n"


def test_closed_streams_take_everything(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    streams.write_plainly()
    print("nobody reads this")
    assert not sys.stdout.isatty()
    sys.stdout.close()


@pytest.mark.parametrize(
    "setting",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
        pytest.param({"PYTHONIOENCODING": "cp1252"}, marks=pytest.mark.slow),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_the_command_prints_wherever_it_is_started(setting):
    done = subprocess.run(
        [sys.executable, "-m", "dlnotes", "list"], env=os.environ | setting, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert b"F1.4" in done.stdout


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b]0;title\x07b", "a\\x1b]0;title\\x07b"),
        ("12\r99", "12\\r99"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("año 猫\tx\ny", "año 猫\tx\ny"),
    ],
)
def test_a_strangers_text_moves_no_cursor(text, shown):
    assert streams.on_terminal(text, Terminal()) == shown
    assert streams.on_terminal(text, io.StringIO()) == text  # a pipe gets what there is
