"""Benchmarks against the peers: ``python scripts/bench/run.py --torch-python PATH``.

Writes ``results.md`` and ``results.json`` into ``--out``; cases of an earlier ``results.json`` there that are
not measured again are kept. torch and keras are no dependencies of dlnotes:
install them anywhere, for example in a second virtual environment, and name its interpreter.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from scripts.bench import driver, report
from scripts.bench.bars import BARS, FIRST_STEP, FIRST_STEP_CASES, FIRST_STEP_VARIANTS
from scripts.bench.cases import CASES, REFERENCE, VARIANTS
from scripts.bench.spec import CHECK_STEPS, TOLERANCE
from scripts.bench.variants import OTHER_PYTHON

INSTALL = "python -m pip install torch keras flax optax"


def chosen(option: str, text: str, allowed: list[str]) -> list[str]:
    """The comma-separated names or patterns of an option, in the order of ``allowed``."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if not fnmatch.filter(allowed, name):
            raise SystemExit(f"{option}: got {name!r}, allowed are {', '.join(allowed)}")
    return [one for one in allowed if any(fnmatch.fnmatchcase(one, name) for name in names)]


def variants_of(name: str) -> tuple[str, ...]:
    """Who takes part in a case, or in the measure of first steps."""
    return FIRST_STEP_VARIANTS if name == FIRST_STEP else CASES[name].variants


def require(python: str, variants: list[str]) -> None:
    """Stop early, with the remedy, when an interpreter lacks a peer."""
    wanted = {name: any(v.startswith(name) for v in variants) for name in OTHER_PYTHON}
    if not any(wanted.values()):
        return
    probe = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
    command = [python, "-c", probe, *[m for m, needed in wanted.items() if needed]]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(f"--torch-python: got {python!r}, which cannot be run: {error}") from None
    missing = done.stdout.split()
    if missing:
        raise SystemExit(
            f"--torch-python: {python} has no {' and no '.join(missing)}. Install with\n  {INSTALL}\n"
            "in that or another environment and pass its interpreter, or leave the peers out with "
            "--peers flax_loop,ours"
        )


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    everything = [*CASES, FIRST_STEP]
    parser.add_argument(
        "--cases", default=",".join(everything), help=f"of {', '.join(everything)}; * as in cnn*"
    )
    parser.add_argument("--peers", default=",".join(VARIANTS), help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="a round lasts at least this long")
    parser.add_argument("--first-repeats", type=int, default=3, help="fresh processes per first-step time")
    parser.add_argument("--timeout", type=float, default=300, help="seconds a worker may be silent")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument("--torch-python", default=sys.executable, help="interpreter with torch and keras")
    args = parser.parse_args()

    names = chosen("--cases", args.cases, everything)
    selected = chosen("--peers", args.peers, list(VARIANTS))
    taking_part = {variant for name in names for variant in variants_of(name)}
    require(args.torch_python, [v for v in selected if v in taking_part])

    def python(variant: str) -> str:
        return args.torch_python if variant.startswith(OTHER_PYTHON) else sys.executable

    def say(text: str) -> None:
        print(text, flush=True)

    document = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": driver.machine(),
        "versions": {},
        "settings": {
            "rounds": args.rounds,
            "seconds": args.seconds,
            "first_repeats": args.first_repeats,
            "check_steps": CHECK_STEPS,
            "tolerance": TOLERANCE,
            "reference": REFERENCE,
        },
        "titles": {case.name: case.title for case in CASES.values()},
        "units": {case.name: case.unit for case in CASES.values()},
        "notes": {case.name: case.note for case in CASES.values() if case.note},
        "sweeps": {case.name: case.sweep for case in CASES.values() if case.sweep},
        "cases": {},
        "first_step": {},
        "measured": {},
        "bars": [],
    }
    here = {
        "date": document["date"],
        "load": document["machine"]["load"],
        "cpu": document["machine"]["cpu"],
    } | {k: document["settings"][k] for k in ("rounds", "seconds")}
    if (args.out / "results.json").is_file():
        report.keep(document, json.loads((args.out / "results.json").read_text()))
    args.out.mkdir(parents=True, exist_ok=True)
    logs = args.out / "logs"

    def write(results: dict) -> None:
        for result in results.values():
            for library, version in result.pop("versions", {}).items():
                # Two environments may hold two versions of one library: the page names both.
                known = document["versions"].get(library)
                if known and version not in known.split(" and "):
                    version = f"{known} and {version}"
                document["versions"][library] = version if not known or " and " in version else known
        document["bars"] = report.judge(
            [b for b in BARS if b.case in document["cases" if b.kind == "ratio" else "first_step"]],
            document["cases"],
            document["first_step"],
        )
        (args.out / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        (args.out / "results.md").write_text(report.markdown(document))

    for name in names:
        variants = [v for v in variants_of(name) if v in selected]
        if name == FIRST_STEP:
            for case in FIRST_STEP_CASES:
                take_part = [v for v in variants if v in CASES[case].variants]
                results = driver.measure_first_step(
                    CASES[case], take_part, python, args.first_repeats, args.timeout, logs, say
                )
                document["first_step"][case] = results
                document["measured"][name] = here
                write(results)
        else:
            case = CASES[name]
            results = driver.measure(
                case, variants, python, args.rounds, args.seconds, args.timeout, logs, say
            )
            document["cases"][name] = report.summarize(results, REFERENCE)
            document["measured"][name] = here
            document["cases"] = {k: document["cases"][k] for k in CASES if k in document["cases"]}
            write(results)
    say(f"written: {args.out / 'results.md'}, {args.out / 'results.json'}")


if __name__ == "__main__":
    main()
