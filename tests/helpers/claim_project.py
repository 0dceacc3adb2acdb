"""A person's own folder of configs and experiments, for the tests of claims."""

from pathlib import Path

MODULE = '''
"""A coin."""

import numpy as np
from pydantic import Field

from dlnotes.claims import Above, Below, Claim, Options, Part, Plot, mean, share
from dlnotes.plotting import new_figure

from .bias import BIAS


class Coin(Options):
    throws: int = Field(200, ge=1)


def measure(options):
    with (COUNTER).open("a") as count:
        count.write("x")
    rng = np.random.default_rng(1)
    return {"heads": rng.random((options.seeds, options.throws)) < BIAS}


def draw(options, measured):
    figure = new_figure(4, 3)
    heads = measured["heads"].mean(1)
    figure.subplots().plot(heads)
    return Plot(figure, {"seed": np.arange(len(heads)), "heads": heads})


CLAIM = Claim(
    id="mine.coin",
    statement="The coin is not fair.",
    source="a friend",
    options=Coin,
    measure=measure,
    draw=draw,
    parts=(
        Part("heads", "Heads are more frequent.", "share of heads", lambda m: share(m["heads"]), Above(0.5)),
        Part("not always", "Tails come too.", "heads", lambda m: mean(m["heads"].mean(1)), Below(0.99)),
    ),
    method="{options.seeds} coins were thrown {options.throws} times.",
    reading="Heads are more frequent: {parts[heads]} with a bias of {facts[bias]}.",
    facts=lambda m: {"bias": BIAS},
)
'''

CONFIG = """# A coin of my own.
experiment = "coins/coin"

[options]
throws = 200

[quick]
throws = 40

[large]
throws = 2000
"""


def make(folder: Path, *, name: str = "mine.coin_thrown") -> Path:
    """Write configs/NAME.toml and experiments/coins/coin.py, which counts its measurements in "count"."""
    experiments = folder / "experiments" / "coins"
    experiments.mkdir(parents=True)
    (experiments / "bias.py").write_text("BIAS = 0.7\n")
    counter = f"__import__('pathlib').Path({str(folder / 'count')!r})"
    (experiments / "coin.py").write_text(MODULE.replace("COUNTER", counter))
    config = folder / "configs" / "claims" / f"{name}.toml"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    return config


def times_measured(folder: Path) -> int:
    """How often the claim was measured."""
    count = folder / "count"
    return len(count.read_text()) if count.exists() else 0
