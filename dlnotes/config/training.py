"""[optimizer], [training], [augment], [devices], [checkpoint], [sweep]."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dlnotes.config.fields import Duration, Section, dynamic


class Constant(Section):
    """The learning rate stays, after an optional linear warm-up."""

    kind: Literal["constant"] = "constant"
    warmup: Duration | None = None


class Cosine(Section):
    """Falls along half a cosine to `final` times the learning rate at the end of the run."""

    kind: Literal["cosine"]
    warmup: Duration | None = None
    final: float = Field(default=0.0, ge=0, le=1)


class LinearDecay(Section):
    """Falls in a straight line to `final` times the learning rate at the end of the run."""

    kind: Literal["linear"]
    warmup: Duration | None = None
    final: float = Field(default=0.0, ge=0, le=1)


class Step(Section):
    """Is multiplied by `factor` at each of the boundaries."""

    kind: Literal["step"]
    boundaries: tuple[Duration, ...] = Field(min_length=1)
    factor: float = Field(default=0.1, gt=0, lt=1)
    warmup: Duration | None = None


class Exponential(Section):
    """Is multiplied by `factor` over each `every`, smoothly."""

    kind: Literal["exponential"]
    factor: float = Field(default=0.95, gt=0, lt=1)
    every: Duration = "1 epochs"
    warmup: Duration | None = None


class OneCycle(Section):
    """Rises to the learning rate over the first `rise` of the run, then anneals to almost zero."""

    kind: Literal["one_cycle"]
    rise: float = Field(default=0.3, gt=0, lt=1)


Schedule = Annotated[
    Constant | Cosine | LinearDecay | Step | Exponential | OneCycle, Field(discriminator="kind")
]


class MomentumRamp(Section):
    """Momentum goes in a straight line from the optimizer's `momentum` to `final`."""

    final: float = Field(ge=0, lt=1)
    over: Duration


OPTIONS: dict[str, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov", "momentum_ramp"),
    "adam": ("b1", "b2", "eps", "nesterov"),
    "adamw": ("b1", "b2", "eps", "nesterov"),
    "nadam": ("b1", "b2", "eps"),
    "radam": ("b1", "b2", "eps"),
    "adamax": ("b1", "b2", "eps"),
    "amsgrad": ("b1", "b2", "eps"),
    "adabelief": ("b1", "b2", "eps"),
    "adan": ("b1", "b2", "eps"),
    "yogi": ("b1", "b2", "eps"),
    "lion": ("b1", "b2"),
    "lamb": ("b1", "b2", "eps"),
    "novograd": ("b1", "b2", "eps"),
    "rmsprop": ("decay", "eps", "momentum", "nesterov"),
    "adagrad": ("eps",),
    "adadelta": ("decay", "eps"),
    "adafactor": (),
    "lars": ("momentum", "nesterov"),
    "muon": ("momentum",),
    "sign_sgd": (),
}
"""The options each optimizer takes beside learning rate, weight decay and clipping."""

OptimizerName = Literal[
    "sgd",
    "adam",
    "adamw",
    "nadam",
    "radam",
    "adamax",
    "amsgrad",
    "adabelief",
    "adan",
    "yogi",
    "lion",
    "lamb",
    "novograd",
    "rmsprop",
    "adagrad",
    "adadelta",
    "adafactor",
    "lars",
    "muon",
    "sign_sgd",
]


class Optimizer(Section):
    """How gradients become updates."""

    kind: OptimizerName = "adam"
    learning_rate: float = dynamic(1e-3, gt=0, description="the peak of the schedule")
    schedule: Schedule = Constant()
    weight_decay: float = dynamic(0.0, ge=0, description="decoupled decay, times the learning rate")
    decay_biases: bool = Field(default=False, description="let weight decay act on biases and scales too")
    clip_norm: float | None = dynamic(None, gt=0, description="largest global norm of the gradient")
    clip_value: float | None = dynamic(None, gt=0, description="largest absolute value of a gradient element")
    momentum: float | None = dynamic(None, ge=0, lt=1)
    momentum_ramp: MomentumRamp | None = None
    nesterov: bool = False
    b1: float | None = dynamic(None, ge=0, lt=1)
    b2: float | None = dynamic(None, ge=0, lt=1)
    eps: float | None = dynamic(None, gt=0)
    decay: float | None = dynamic(None, ge=0, lt=1)

    @model_validator(mode="after")
    def _options_apply(self) -> Optimizer:
        extras = ("momentum", "momentum_ramp", "nesterov", "b1", "b2", "eps", "decay")
        given = [e for e in extras if getattr(self, e) not in (None, False)]
        wrong = [e for e in given if e not in OPTIONS[self.kind]]
        if wrong:
            allowed = ", ".join(OPTIONS[self.kind]) or "no further options"
            raise ValueError(f"{', '.join(wrong)} does not apply to {self.kind}, which takes: {allowed}")
        if self.momentum_ramp is not None and self.momentum is None:
            raise ValueError("momentum_ramp needs momentum, the value it starts from")
        if self.nesterov and "momentum" in OPTIONS[self.kind] and self.momentum is None:
            raise ValueError(f"nesterov needs momentum with {self.kind}")
        return self


class EarlyStopping(Section):
    """Stop a seed whose validation loss has not improved for `patience` evaluations."""

    patience: int = Field(default=5, ge=1)
    min_delta: float = Field(default=0.0, ge=0)


class LinearShare(Section):
    """The share of own symbols rises in a straight line to `final`."""

    kind: Literal["linear"]
    final: float = Field(default=0.5, ge=0, le=1)
    over: Duration


class InverseSigmoidShare(Section):
    """The share of own symbols rises to `final` slowly, then fast, then slowly: 1 − k/(k + exp(t/k))."""

    kind: Literal["inverse_sigmoid"]
    final: float = Field(default=1.0, ge=0, le=1)
    half: Duration = Field(description="when half of `final` is reached")


ScheduledSampling = Annotated[LinearShare | InverseSigmoidShare, Field(discriminator="kind")]


LEARNED_SPREAD = ("heteroscedastic_nll", "full_covariance_nll", "mixture_nll")
"""Losses whose distribution has a spread that the network gives."""


class Asynchronous(Section):
    """One network trained by several workers that do not wait for one another."""

    workers: int = Field(default=2, ge=1, le=1024, description="processes, each with one thread of the CPU")
    kind: Literal["shared", "server", "ray"] = Field(
        default="shared",
        description="where the parameters are: in memory that the workers share, without a lock; in a "
        "process that serves them; or in an actor of Ray, on a cluster (needs the extra 'ray')",
    )


ASYNCHRONOUS = ("sgd", "sign_sgd")
"""The optimizers that keep nothing from step to step, which workers would have to share under a lock."""


class Training(Section):
    """How long, on how many examples at a time, how many times over."""

    duration: Duration = "10 epochs"
    batch_size: int = Field(default=64, ge=1)
    buckets: int = Field(
        default=1,
        ge=1,
        le=64,
        description="padded shapes, at most, for examples of many sizes; 1 pads all to the largest",
    )
    seeds: int = Field(default=1, ge=1, le=4096, description="independent trainings, run at once")
    loss: Literal[
        "auto",
        "cross_entropy",
        "squared_error",
        "absolute_error",
        "gaussian_nll",
        "pinball",
        "quantiles",
        "hinge",
        "brier",
        "bernoulli_nll",
        "laplace_nll",
        "heteroscedastic_nll",
        "full_covariance_nll",
        "mixture_nll",
        "poisson_nll",
        "negative_binomial_nll",
    ] = "auto"
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(ge=0)]] | None = Field(
        default=None,
        description='what an example of a class counts in training, by name (others 1); "balanced": all '
        "classes alike",
    )
    components: int | None = Field(default=None, ge=1, description="of a mixture; 5 unless it is said")
    spread_floor: float = Field(default=0.0, ge=0, description="least standard deviation of a learned one")
    quantile: float | None = dynamic(None, gt=0, lt=1, description="that the pinball loss learns")
    quantiles: tuple[float, ...] = Field(
        default=(), description="that loss 'quantiles' learns, such as [0.1, 0.5, 0.9]: 0.5 is the prediction"
    )
    label_smoothing: float = dynamic(0.0, ge=0, lt=1)
    scheduled_sampling: ScheduledSampling | None = Field(
        default=None, description="feed a decoder a growing share of symbols that it drew itself"
    )
    accumulate: int = Field(default=1, ge=1, description="parts a batch is computed in, one after another")
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="decay of the parameter average used to evaluate"
    )
    max_norm: float | None = dynamic(None, gt=0, description="largest norm of a unit's incoming weights")
    evaluate_every: Duration = "1 epochs"
    log_every: int | None = Field(
        default=None, ge=1, description="steps per line of metrics.jsonl; by default 50 lines, or every 50"
    )
    early_stopping: EarlyStopping | None = None
    asynchronous: Asynchronous | None = Field(
        default=None, description="workers that update the same parameters, each on batches of its own"
    )
    select: Literal["auto", "best", "last"] = Field(
        default="auto",
        description="parameters kept: best on validation, or last; auto is best with early stopping",
    )

    @model_validator(mode="after")
    def _parts(self) -> Training:
        if self.batch_size % self.accumulate:
            raise ValueError(f"accumulate: got {self.accumulate}, must divide batch_size {self.batch_size}")
        if self.components is not None and self.loss != "mixture_nll":
            raise ValueError(
                f"components: got {self.components} with loss {self.loss!r}, is for 'mixture_nll'"
            )
        if self.spread_floor and self.loss not in LEARNED_SPREAD:
            allowed = ", ".join(LEARNED_SPREAD)
            raise ValueError(
                f"spread_floor: got {self.spread_floor} with loss {self.loss!r}, is for {allowed}"
            )
        if (self.quantile is None) == (self.loss == "pinball"):
            raise ValueError(f"quantile: got {self.quantile} with loss {self.loss!r}, it goes with 'pinball'")
        _check_quantiles(self.quantiles, self.loss)
        if self.asynchronous is not None:
            for name in ("ema", "max_norm"):
                if (got := getattr(self, name)) is not None:
                    raise ValueError(f"{name}: got {got} with asynchronous workers, allowed is none")
            for name in ("seeds", "buckets"):
                if (got := getattr(self, name)) != 1:
                    raise ValueError(f"{name}: got {got} with asynchronous workers, allowed is 1")
        return self


def _check_quantiles(levels: tuple[float, ...], loss: str) -> None:
    """Refuse quantiles without their loss, out of order, or without the median."""
    if (loss == "quantiles") != bool(levels):
        raise ValueError(f"quantiles: got {list(levels)} with loss {loss!r}, they go with 'quantiles'")
    grow = all(a < b for a, b in pairwise(levels))
    if levels and not (grow and 0.5 in levels and all(0 < level < 1 for level in levels)):
        raise ValueError(
            f"quantiles: got {list(levels)}, allowed are numbers between 0 and 1 in growing order with 0.5, "
            "which is the prediction, among them, such as [0.1, 0.5, 0.9]"
        )


class Augment(Section):
    """Random changes of training images, drawn anew every step."""

    shift: int = Field(default=0, ge=0, description="largest shift in pixels, vacated pixels filled")
    flip: bool = Field(default=False, description="mirror left-right half of the time")
    crop: int = Field(default=0, ge=0, description="pad by this many pixels, then crop at random")
    erase: float = Field(
        default=0.0, ge=0, lt=1, description="share of the area covered by a random rectangle"
    )
    fill: Literal["mean", "black"] = Field(
        default="mean", description="of vacated and covered pixels: the training mean, or raw 0"
    )


class MeshSizes(Section):
    """How many devices along each axis of a mesh; all of them multiplied are the devices used."""

    members: int = Field(default=1, ge=1, description="trainings (seeds, settings) divided over devices")
    data: int = Field(default=1, ge=1, description="rows of each batch divided over devices")
    fsdp: int = Field(
        default=1, ge=1, description="rows, and parameters and optimizer state, divided over devices"
    )
    model: int = Field(default=1, ge=1, description="parameters and optimizer state divided over devices")


class Devices(Section):
    """Where the step runs."""

    strategy: Literal["auto", "single", "pmap", "mesh"] = "auto"
    count: int | None = Field(
        default=None, ge=1, description="devices used; by default chosen by the strategy"
    )
    mesh: MeshSizes | None = Field(
        default=None, description="several axes of devices, such as { data = 4, model = 2 }"
    )
    sharding: dict[str, tuple[Literal["", "fsdp", "model"], ...]] = Field(
        default_factory=dict,
        description="where an array of the state lies that the rule shall not decide: a pattern of its name, "
        'such as "embedding", and for each axis of the array "fsdp", "model" or ""',
    )
    resident: Literal["auto", "yes", "no"] = Field(
        default="auto", description="keep the training data on the device, or stream batches from the host"
    )
    workers: int = Field(
        default=0,
        ge=0,
        le=256,
        description="processes that read and decode examples which stay in their files; by default threads "
        "of this one do (needs the extra 'grain')",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Devices:
        if self.mesh is not None and self.strategy not in ("auto", "mesh"):
            raise ValueError(f"strategy: got {self.strategy!r}, with [devices.mesh] it is 'mesh' (or 'auto')")
        if self.mesh is not None and self.count is not None:
            raise ValueError(f"count: got {self.count}, [devices.mesh] says how many devices are used")
        if self.sharding and self.mesh is None:
            raise ValueError("sharding: got patterns, they need [devices.mesh] with fsdp or model above 1")
        for pattern, axes in self.sharding.items():
            named = [axis for axis in axes if axis]
            if len(named) != len(set(named)):
                raise ValueError(f"sharding.{pattern}: got {list(axes)}, an axis can be named once")
        return self


class Checkpoint(Section):
    """How often the whole state is saved."""

    every_seconds: float = Field(
        default=30.0, ge=0, description="longest time lost by a crash; 0 saves at every chance"
    )
    every: Duration | None = Field(
        default=None, description="also save at these points, once the one before has been written"
    )
    keep: int = Field(default=2, ge=2, le=100, description="newest checkpoints kept")


class Grid(Section):
    """Every combination of the listed values."""

    kind: Literal["grid"]
    max_points: int = Field(default=10_000, ge=1, description="combinations that are allowed")
    parameters: dict[str, tuple[Any, ...]] = Field(min_length=1)

    @model_validator(mode="after")
    def _few(self) -> Grid:
        lengths = [len(values) for values in self.parameters.values()]
        if (points := math.prod(lengths)) > self.max_points:
            raise ValueError(
                f"parameters: {' × '.join(map(str, lengths))} values are {points} points, allowed are "
                f"{self.max_points} (max_points)"
            )
        return self


class Range(Section):
    """Where a random search draws a number from."""

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.low >= self.high:
            raise ValueError(f"low: got {self.low}, must be below high {self.high}")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"low: got {self.low}, must be positive on a log scale")
        return self


class Random(Section):
    """Points drawn at random, from ranges or lists of values."""

    kind: Literal["random"]
    samples: int = Field(default=16, ge=1, le=4096)
    seed: int = Field(default=0, ge=0)
    parameters: dict[str, Range | tuple[Any, ...]] = Field(min_length=1)


Sweep = Annotated[Grid | Random, Field(discriminator="kind")]


class Decoding(Section):
    """Beam search, for the error rates of a run and for `dlnotes predict`."""

    beam: int = Field(
        default=1, ge=1, le=1000, description="beginnings kept at each step; 1 decodes greedily"
    )
    length_penalty: float = Field(
        default=0.0, ge=0, description="hypotheses of n symbols are ordered by log p / n^length_penalty"
    )
