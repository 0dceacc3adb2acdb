"""Finding the Pythons of a machine and telling what came of the tests; small shell scripts stand for them."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

_PATH = Path(__file__).resolve().parents[2] / "scripts" / "test_pythons.py"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are shell scripts")

# An environment's Python: it "installs", says two versions, and writes the report that pytest would.
INSIDE = """#!/bin/sh
case "$2" in
pip) {pip};;
pytest) echo "$PWD|$PYTHONPATH|$*" > {log}
  for a in "$@"; do case "$a" in --junitxml=*) out="${{a#--junitxml=}}";; esac; done
  {write}
  exit {status};;
*) echo 0.12.0 2.5.5;;
esac
"""
REPORT = '<testsuites><testsuite tests="{}" failures="{}" errors="{}" skipped="{}"/></testsuites>'


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("test_pythons_script", _PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def executable(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def stand_in(path, version, *, report=(3, 0, 0, 1), status=0, pip="exit 0"):
    """A Python that tells its version and makes environments; ``report`` counts as pytest's does."""
    write = f"echo '{REPORT.format(*report)}' > \"$out\"" if report else ""
    text = INSIDE.format(pip=pip, log=path.parent / f"log-{version}", write=write, status=status)
    inside = executable(path.parent / f"inside-{version}", text)
    make = f'mkdir -p "$3/bin" && cp {inside} "$3/bin/python"'
    return executable(path, f'#!/bin/sh\nif [ "$2" = venv ]; then {make}; else echo {version}; fi\n')


@pytest.fixture
def machine(tmp_path, monkeypatch, script):
    """A machine without Pythons, but for those that a test puts into ``bin``; it can still copy files."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{tmp_path / 'system'}")
    (tmp_path / "system").mkdir()
    for name in ("mkdir", "cp", "sh"):
        (tmp_path / "system" / name).symlink_to(
            next(p for p in (Path("/bin") / name, Path("/usr/bin") / name) if p.exists())
        )
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    monkeypatch.setattr(script.tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def test_each_minor_version_is_found_once_in_its_newest(machine, script):
    bin, versions = machine / "bin", machine / "pyenv" / "versions"
    stand_in(bin / "python3.9", "3.9.1")
    stand_in(bin / "python3.12", "3.12.1")
    stand_in(bin / "python3.13-config", "3.13.9")
    executable(bin / "python3.14", "#!/bin/sh\nexit 127\n")  # as pyenv's own do where it is not chosen
    stand_in(bin / "python3.15", "3.15.0")
    newest = stand_in(versions / "3.12.7" / "bin" / "python", "3.12.7")
    stand_in(versions / "3.12.2" / "bin" / "python", "3.12.2")
    stand_in(versions / "2.7.18" / "bin" / "python", "2.7.18")
    stand_in(versions / "3.10.0" / "bin" / "python", "3.10.0")
    found = script.newest_of_each(script.candidates(os.environ, machine))
    assert found == [((3, 12, 7), newest), ((3, 15, 0), bin / "python3.15")]


def test_pyenv_stands_in_the_users_folder_by_default_and_the_running_python_counts(script, tmp_path):
    path = stand_in(tmp_path / ".pyenv" / "versions" / "3.11.1" / "bin" / "python", "3.11.1")
    assert script.candidates({}, tmp_path) == [Path(sys.executable), path]
    assert script.version_of(Path(sys.executable)) == sys.version_info[:3]
    assert script.version_of(tmp_path / "none") is None


def test_list_and_only(machine, script, capsys):
    for version in ("3.11.2", "3.12.1", "3.13.0"):
        stand_in(machine / "bin" / f"python{version[:4]}", version)
    assert script.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "3.11.2",
        "3.12.1",
        "3.13.0",
    ]
    assert script.main(["--list", "--only", "3.13", "--only", "3.11"]) == 0
    assert capsys.readouterr().out.split() == [
        *("3.11.2", str(machine / "bin" / "python3.11")),
        *("3.13.0", str(machine / "bin" / "python3.13")),
    ]
    with pytest.raises(SystemExit) as ended:
        script.main(["--only", "3.14"])
    assert ended.value.code == 2
    assert "got 3.14, found are 3.11, 3.12, 3.13" in capsys.readouterr().err


def test_all_pass(machine, script, capfd):
    stand_in(machine / "bin" / "python3.11", "3.11.2")
    stand_in(machine / "bin" / "python3.12", "3.12.1", report=(12, 0, 0, 0))
    assert script.main(["--", "-x", "tests/models"]) == 0
    head, *rows = (line.split() for line in capfd.readouterr().out.splitlines()[-3:])
    assert head == list(script.COLUMNS)
    assert rows == [
        ["3.11.2", "0.12.0", "2.5.5", "2", "0", "1", "0"],
        ["3.12.1", "0.12.0", "2.5.5", "12", "0", "0", "0"],
    ]
    where, path, arguments = (machine / "bin" / "log-3.11.2").read_text().strip().split("|")
    assert Path(where) == _PATH.parents[1]
    assert path == ""  # what the caller's environment would put before the installed is left out
    assert arguments.split()[-2:] == ["-x", "tests/models"]
    assert not list((machine / "temporary").iterdir())


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ({"report": (9, 1, 2, 1), "status": 1}, ["5", "3", "1", "0"]),
        ({"report": (0, 0, 0, 0), "status": 5}, ["0", "0", "0", "0", "pytest", "gave", "5"]),
        ({"report": None, "status": 139}, ["0", "0", "0", "0", "pytest", "gave", "139"]),
        ({"pip": "exit 1"}, ["0", "0", "0", "0", "not", "installed"]),
    ],
    ids=["tests", "nothing", "crash", "pip"],
)
def test_one_that_fails_fails_all_but_the_others_are_tested(machine, script, capfd, options, end):
    stand_in(machine / "bin" / "python3.11", "3.11.2", **options)
    stand_in(machine / "bin" / "python3.12", "3.12.1")
    assert script.main(["--keep"]) == 1
    said = capfd.readouterr().out.splitlines()
    assert said[-2].split()[3:] == end
    assert said[-1].split()[3:] == ["2", "0", "1", "0"]
    kept = next(Path(line.split()[-1]) for line in said if line.startswith("the environments are kept"))
    assert sorted(p.name for p in kept.iterdir()) == ["3.11", "3.12"]
