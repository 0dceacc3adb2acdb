"""The training program of a config compiled for chips that are not here, in a process of its own.

A process of its own, for the compiler of an absent chip must be set up before jax starts, and cannot be
interrupted in any other way.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from dlnotes.config import Config, parse, to_toml
from dlnotes.devices.chips import Topology, topology


class NotCompiled(Exception):
    """A program could not be compiled; the message says why."""


def compiled_elsewhere(config: Config, on: Topology, group: int, limit: float) -> dict[str, Any]:
    """What the program of a group says of itself on a topology: memory, collectives, seconds to compile.

    Args:
      config: of the run.
      on: the chips.
      group: which of the config's groups.
      limit: seconds after which the compiler is stopped.

    Raises:
      NotCompiled: when the compiler fails, or takes longer.
    """
    asked = json.dumps({"config": to_toml(config), "on": on.name, "group": group})
    command = [sys.executable, "-c", f"from {__name__} import main; main()"]
    try:
        done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise NotCompiled(f"the compiler was stopped after {limit:.0f} s (--limit)") from None
    if done.returncode:
        last = (done.stderr.strip() or "it ended without a word").splitlines()[-1]
        raise NotCompiled(f"the compiler for {on.chip.title} failed: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Read what is asked from standard input, compile, and print what was found as one line of JSON."""
    import tomllib

    asked = json.load(sys.stdin)
    found = compile_here(parse(tomllib.loads(asked["config"])), topology(asked["on"]), asked["group"])
    print(json.dumps(found))


def compile_here(config: Config, on: Topology, group: int) -> dict[str, Any]:
    """Compile a group's training chunk for a topology, as `run` would there. Starts jax for it."""
    from dlnotes.devices.absent import compilable

    devices = compilable(on)
    import jax
    import jax.numpy as jnp
    import numpy as np

    from dlnotes.devices.compiled import collectives_in_loops, memory_of
    from dlnotes.devices.platform import written_for
    from dlnotes.experiment.placing import placement_of
    from dlnotes.experiment.plan import setups
    from dlnotes.experiment.setup import state_shapes
    from dlnotes.experiment.trainer import Trainer
    from dlnotes.training.loader import shapes_on, state_on

    setup = setups(config)[group]
    placement = placement_of(setup, devices)
    with written_for(on.chip.platform):
        loader, chunk = Trainer(setup, placement).compiled(
            np.zeros((setup.group.members, 2), np.uint32), on.chip.memory
        )
        state = state_on(placement, state_shapes(setup))
        steps = shapes_on(placement, jax.ShapeDtypeStruct((), jnp.int32))
        started = time.perf_counter()
        jitted: Any = chunk
        lowered = jitted.lower(state, loader.shapes(), steps)
        seconds = [time.perf_counter() - started]
        compiled = lowered.compile()
        seconds.append(time.perf_counter() - started - seconds[0])
    sent = collectives_in_loops(compiled.as_text())
    kinds = sorted({c.kind for c in sent})
    return {
        "memory": memory_of(compiled)._asdict(),
        "collectives": {
            kind: {
                "count": sum(c.kind == kind for c in sent),
                "bytes": sum(c.bytes for c in sent if c.kind == kind),
            }
            for kind in kinds
        },
        "lower_seconds": seconds[0],
        "compile_seconds": seconds[1],
    }
