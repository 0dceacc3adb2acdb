"""One variant of one case in a process of its own, answering JSON lines on its standard input.

Requests and answers: ``{"op": "check"}`` gives ``{"losses": …}``; ``{"op": "run", "seconds": s}`` gives
``{"examples": n, "seconds": t}``; ``{"op": "quit"}`` ends. The first answer, unasked, says that the variant
is set up. With ``--first-step`` the only answer is the time of the import and of the first step.
"""

import time

_STARTED = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from pathlib import Path  # noqa: E402

_VERSIONS = ("torch", "jax", "jaxlib", "flax", "optax", "keras", "numpy", "dlnotes")


def versions() -> dict[str, str]:
    """Versions of the libraries that this variant has imported."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        if name in sys.modules:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                found[name] = "unknown"
    return found


def main() -> None:
    """Set up, then serve until told to quit or the driver is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--variant", required=True)
    parser.add_argument("--case", required=True)
    parser.add_argument("--inputs", required=True, type=Path)
    parser.add_argument("--first-step", action="store_true")
    args = parser.parse_args()

    # Whatever the libraries print must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def answer(**message) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    try:
        from scripts.bench.variants import find

        setup = find(args.variant)
        imported = time.perf_counter()

        from scripts.bench.cases import CASES
        from scripts.bench.inputs import load_inputs

        case = CASES[args.case]
        weights, data = load_inputs(args.inputs)
        start = time.perf_counter()
        variant = setup(case, weights, data)
        if args.first_step:
            losses = variant.check(data.batches[:1])
            answer(
                import_s=imported - _STARTED,
                first_step_s=time.perf_counter() - start,
                losses=losses,
                versions=versions(),
            )
            return
        answer(ready=True, versions=versions())
        for line in sys.stdin:
            request = json.loads(line)
            if request["op"] == "check":
                answer(losses=variant.check(data.batches))
            elif request["op"] == "run":
                examples, seconds = variant.run(request["seconds"])
                answer(examples=examples, seconds=seconds)
            elif request["op"] == "quit":
                return
    except Exception as error:
        traceback.print_exc()
        answer(error=f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
