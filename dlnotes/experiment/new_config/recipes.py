"""Which network is trained, and how, on data of a kind and size: the first thing to try."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from dlnotes.data.dataset import Dataset
from dlnotes.experiment.new_config.guess import Guess, Option


class Recipe(NamedTuple):
    """The sections beside [data], and why."""

    sections: dict[str, tuple[Option, ...]]
    why: str


ONE_CYCLE = {"kind": "one_cycle"}


def recipe(guess: Guess, dataset: Dataset) -> Recipe:
    """What is tried first.

    Args:
      guess: of the kind of data.
      dataset: as it was read.
    """
    of_kind = {
        "vector": _of_rows,
        "image": _of_images,
        "volume": _of_volumes,
        "sequence": _of_sequences,
        "tokens": _of_tokens,
        "pair": _of_pairs,
        "tree": _of_trees,
    }
    return of_kind[dataset.input](guess, dataset)


def _made(
    model: dict[str, Any],
    dataset: Dataset,
    *,
    why: str,
    steps: int,
    epochs: tuple[int, int],
    rate: float,
    seeds: int,
    batch: int = 32,
    decay: float = 1e-2,
    clip: bool = False,
    training: tuple[Option, ...] = (),
    more: dict[str, tuple[Option, ...]] | None = None,
) -> Recipe:
    """A recipe whose duration is so many steps, in whole epochs between two bounds."""
    n = dataset.train.size
    batch = _batch(n, batch)
    low, high = epochs
    whole = min(max(round(steps * batch / n), low), high)
    optimizer = [
        Option("kind", "adamw"),
        Option("learning_rate", rate, "the first number to vary, by a factor of 3"),
        Option("weight_decay", decay),
    ]
    optimizer += [Option("clip_norm", 1.0)] if clip else []
    optimizer.append(Option("schedule", ONE_CYCLE))
    told = f"about {math.ceil(n / batch) * whole:,} steps"
    trained = [
        Option("duration", f"{whole} epochs", told),
        Option("batch_size", batch),
        Option("seeds", seeds, "trainings at once; results are told with their interval"),
        *training,
    ]
    if whole > 10:
        trained.append(Option("evaluate_every", f"{max(1, whole // 10)} epochs"))
    sections = {
        "model": tuple(Option(name, value) for name, value in model.items()),
        "optimizer": tuple(optimizer),
        "training": tuple(trained),
    } | (more or {})
    return Recipe(sections, why)


def _batch(n: int, most: int) -> int:
    """A batch of so many examples, fewer where an epoch would have less than four steps."""
    return max(min(most, 2 ** max(int(math.log2(max(n / 4, 1))), 0)), 4) if n >= 4 else 1


def _of_rows(guess: Guess, dataset: Dataset) -> Recipe:
    n = dataset.train.size
    width = 32 if n < 400 else 64 if n < 5000 else 128
    model = {
        "kind": "mlp",
        "widths": [width, width] if n >= 400 else [width],
        "dropout": 0.1,
    }
    options: tuple[Option, ...] = ()
    if dataset.task == "classification":
        counts = sorted(int((dataset.train.y == i).sum()) for i in range(dataset.outputs))
        if counts[0] * 10 < counts[-1]:
            options = (
                Option(
                    "class_weight",
                    "balanced",
                    "the rarest class is less than a tenth of the commonest",
                    off=True,
                ),
            )
    return _made(
        model,
        dataset,
        why="a small fully connected network; try linear where rows are few",
        steps=1500 if n < 5000 else 4000,
        epochs=(10, 60),
        rate=5e-3 if n < 5000 else 3e-3,
        seeds=10 if n < 2000 else 5,
        batch=32 if n < 5000 else 128,
        training=options,
    )


def _stages(shortest: int, widths: tuple[int, ...]) -> list[dict[str, Any]]:
    """Stages of convolutions that each halve the grid, as long as it is 4 or more wide."""
    stages: list[dict[str, Any]] = []
    for width in widths:
        stage: dict[str, Any] = {"channels": width}
        if shortest >= 4:
            stage["pool"] = 2
            shortest //= 2
        stages.append(stage)
    return stages


def _of_images(guess: Guess, dataset: Dataset) -> Recipe:
    sizes = dataset.inputs[:-1]
    shortest = min(sizes) if sizes and min(sizes) > 0 else 16
    small = dataset.train.size < 5000
    if dataset.task == "pixels":
        depth = 3 if min(sizes) >= 16 else 2
        return _made(
            {"kind": "pixel_labeler", "channels": [12, 24, 48][:depth]},
            dataset,
            why="an encoder and decoder of convolutions with skips",
            steps=900,
            epochs=(5, 40),
            rate=5e-3,
            seeds=2,
        )
    sound, sized = guess.kind == "sound_folder", dataset.train.mask is not None
    widths = (16, 32, 64) if shortest >= 12 else (16, 32)
    model: dict[str, Any]
    if sound or sized:
        model = {
            "kind": "conv_net",
            "stages": _stages(shortest, widths),
            "head": "average" if sound else "grid",
        }
        model |= {"normalization": "group" if sized else "layer", "dropout": 0.2}
    else:
        model = {"kind": "cnn", "channels": list(widths), "dense": [64], "dropout": 0.2}
    more: dict[str, tuple[Option, ...]] = {}
    if not sound:
        more["augment"] = (
            Option("shift", 1 if shortest <= 16 else 2, "pixels, at random in training"),
            Option("flip", True, "mirrors pictures, where left and right do not matter", off=True),
        )
    return _made(
        model,
        dataset,
        why="convolutions and pooling in stages",
        steps=1500 if small else 4000,
        epochs=(4, 60),
        rate=3e-3,
        seeds=3,
        training=(Option("buckets", 4, "shapes that sizes are padded to"),) if sized else (),
        more=more,
    )


def _of_volumes(guess: Guess, dataset: Dataset) -> Recipe:
    sizes = dataset.inputs[:-1]
    shortest = min(sizes) if sizes and min(sizes) > 0 else 8
    model = {
        "kind": "conv_net",
        "stages": _stages(shortest, (8, 16, 32)),
        "head": "average",
        "normalization": "group" if dataset.train.mask is not None else "layer",
    }
    return _made(
        model,
        dataset,
        why="stages of convolutions over time, height and width",
        steps=500,
        epochs=(4, 30),
        rate=3e-3,
        seeds=2,
        batch=16,
    )


def _of_sequences(guess: Guess, dataset: Dataset) -> Recipe:
    length = dataset.inputs[0] if len(dataset.inputs) > 1 else dataset.train.x.shape[1]
    masked = dataset.train.mask is not None
    if guess.kind == "csv_series":
        n = dataset.train.size
        if n < 400 and guess.option("calendar") == ["month"]:
            return _made(
                {"kind": "conv_net", "stages": [{"channels": 16, "kernel": 3}], "head": "flatten"},
                dataset,
                why="few months: convolutions, then all rows of the window at once, those a year ago too",
                steps=1500,
                epochs=(5, 60),
                rate=5e-3,
                seeds=3,
            )
        return _made(
            {"kind": "sequence_classifier", "cell": "gru", "hidden": 16 if n < 1000 else 32},
            dataset,
            why="a gated recurrent network that reads the window",
            steps=1500,
            epochs=(5, 60),
            rate=5e-3,
            seeds=3,
            clip=True,
        )
    if length > 200:
        stages = [{"channels": 16, "kernel": 9, "stride": 2}, {"channels": 32, "kernel": 9, "stride": 4}]
        stages += [{"channels": 64, "kernel": 9, "stride": 2 if length > 400 else 1}]
        model = {
            "kind": "conv_net",
            "stages": stages,
            "head": "average",
            "normalization": "group" if masked else "layer",
        }
        return _made(
            model,
            dataset,
            why="convolutions over time, for the series are long",
            steps=800,
            epochs=(5, 60),
            rate=3e-3,
            seeds=2,
        )
    model = {
        "kind": "sequence_classifier",
        "cell": "gru",
        "hidden": 48,
        "bidirectional": True,
        "dropout": 0.2,
    }
    if dataset.task == "tokens":
        model["kind"] = "sequence_labeler"
    return _made(
        model,
        dataset,
        why="a gated recurrent network that reads in both directions",
        steps=600,
        epochs=(5, 60),
        rate=5e-3,
        seeds=3,
        clip=True,
    )


def _of_tokens(guess: Guess, dataset: Dataset) -> Recipe:
    buckets = (
        (Option("buckets", 4, "shapes that lengths are padded to"),) if dataset.train.mask is not None else ()
    )
    if guess.kind == "text":
        return _made(
            {"kind": "character_model", "cell": "lstm", "hidden": 128, "dropout": 0.1},
            dataset,
            why="a recurrent network that predicts each next character",
            steps=900,
            epochs=(1, 20),
            rate=5e-3,
            seeds=1,
            clip=True,
        )
    if dataset.task == "tokens":
        return _made(
            {
                "kind": "sequence_labeler",
                "cell": "lstm",
                "hidden": 48,
                "embedding": 48,
                "bidirectional": True,
                "dropout": 0.3,
            },
            dataset,
            why="a recurrent network that reads each sentence in both directions",
            steps=700,
            epochs=(2, 30),
            rate=5e-3,
            seeds=2,
            clip=True,
            training=buckets,
        )
    characters = guess.option("tokens") == "characters"
    model = {
        "kind": "conv_net",
        "stages": [{"channels": 128, "kernel": 5 if characters else 3}],
        "head": "largest",
        "embedding": 32 if characters else 64,
        "dropout": 0.3,
    }
    return _made(
        model,
        dataset,
        why="convolutions over neighboring words, of each the largest answer",
        steps=700,
        epochs=(2, 20),
        rate=3e-3,
        seeds=3,
        training=buckets,
    )


def _of_pairs(guess: Guess, dataset: Dataset) -> Recipe:
    return _made(
        {"kind": "seq2seq", "cell": "gru", "hidden": 96, "attention": "additive", "dropout": 0.1},
        dataset,
        why="a recurrent encoder and decoder with attention",
        steps=1500,
        epochs=(3, 30),
        rate=4e-3,
        seeds=1,
        clip=True,
        training=(Option("buckets", 4, "shapes that lengths are padded to"),),
    )


def _of_trees(guess: Guess, dataset: Dataset) -> Recipe:
    cell = "child_sum" if guess.option("form") in ("smiles", "python") else "tree_lstm"
    return _made(
        {"kind": "tree_net", "cell": cell, "hidden": 48, "dropout": 0.1},
        dataset,
        why="a recursive network that goes from the leaves to the root",
        steps=800,
        epochs=(4, 40),
        rate=5e-3,
        seeds=2,
        clip=True,
        training=(Option("buckets", 3, "shapes that sizes are padded to"),),
    )
