"""The whole config, and what must agree between its sections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from dlnotes.config.claim import ClaimConfig
from dlnotes.config.data import Data
from dlnotes.config.decision import Decision
from dlnotes.config.fields import Provided, Section
from dlnotes.config.models import Model, that_fit
from dlnotes.config.older_names import with_present_names
from dlnotes.config.output import Output
from dlnotes.config.places import Name
from dlnotes.config.pretraining import FineTuning, Pretraining
from dlnotes.config.scaling import OF_NUMBERS, Scaling
from dlnotes.config.start import Start
from dlnotes.config.tasks import TRUNKS, Representation, Task, TaskName
from dlnotes.config.teacher import Teacher
from dlnotes.config.training import (
    ASYNCHRONOUS,
    Augment,
    Checkpoint,
    Decoding,
    Devices,
    Optimizer,
    Sweep,
    Training,
)


class Config(Section):
    """Everything that decides the numbers of a run."""

    name: Name = Field(default="run", description="names the folder of its runs")
    seed: int = Field(default=0, ge=0, lt=2**31, description="the first training seed; seed + i is the i-th")
    data: Data
    model: Model
    optimizer: Optimizer = Optimizer()
    training: Training = Training()
    scaling: Scaling | None = None
    augment: Augment | None = None
    pretraining: Pretraining | None = None
    fine_tuning: FineTuning | None = None
    start: Start | None = None
    representation: Representation | None = None
    tasks: dict[TaskName, Task] | None = Field(
        default=None, min_length=1, description="learned at once, on the features that [model] gives"
    )
    teacher: Teacher | None = None
    decoding: Decoding | None = None
    decision: Decision | None = None
    devices: Devices = Devices()
    checkpoint: Checkpoint = Checkpoint()
    sweep: Sweep | None = None
    output: Output = Output()

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, raw: Any) -> Any:
        """Configs and run folders that bear names of before are read as they are meant."""
        return with_present_names(raw) if isinstance(raw, Mapping) else raw

    @model_validator(mode="after")
    def _sections_agree(self) -> Config:
        fed = self.data.provides
        if fed is not None and self.model.kind not in (fits := that_fit(*fed)):
            raise ValueError(
                f"model.kind: {self.model.kind!r} cannot be trained on data.kind {self.data.kind!r}"
                f" ({fed[0]} inputs); allowed: {', '.join(fits)}"
            )
        if self.augment is not None and fed is not None and fed[0] != "image":
            raise ValueError(f"augment: is for images, data.kind {self.data.kind!r} has {fed[0]} inputs")
        for name in ("augment", "teacher") if self.model.reconstructs else ():
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name}: got it with model.kind {self.model.kind!r}, whose targets are the inputs as "
                    "they are; leave it out"
                )
        self._scaling_agrees(fed)
        if self.training.asynchronous is not None:
            self._asynchronous_agrees()
        self._pretraining_agrees()
        if getattr(self.data, "steps", 0) and self.training.loss == "quantiles":
            raise ValueError(
                "data.steps: got it with training.loss 'quantiles', whose intervals are of a window that is "
                "known, not of forecasts: horizon = [1, 2, 3] gives those of several rows ahead"
            )
        self._start_agrees()
        if self.decoding is not None and self.model.kind != "seq2seq":
            raise ValueError(f"decoding: is for model.kind 'seq2seq', got {self.model.kind!r}")
        self._tasks_agree()
        self._weights_agree()
        if self.teacher is not None and self.training.loss not in ("auto", "cross_entropy", "squared_error"):
            raise ValueError(
                f"training.loss: got {self.training.loss!r} with [teacher]; allowed are auto, cross_entropy, "
                "squared_error"
            )
        if (self.needs_validation and getattr(self.data, "validation", 1) == 0) or (
            self.needs_validation and self.data.kind == "xor"
        ):
            raise ValueError("data.validation: early stopping and select = 'best' need a validation part")
        return self

    def _scaling_agrees(self, fed: Provided | None) -> None:
        """Refuse what inputs that are scaled in steps cannot be used for.

        Raises:
          ValueError: naming the option.
        """
        scaling = self.scaling
        if scaling is None:
            return
        if fed is not None and fed[0] not in OF_NUMBERS:
            raise ValueError(
                f"scaling: is for inputs of numbers, data.kind {self.data.kind!r} has {fed[0]} inputs"
            )
        if scaling.affine:
            return
        given = ", ".join(["log"] * scaling.log + ["each"] * (scaling.each != "no"))
        if self.model.reconstructs or any(task.reconstructs for task in (self.tasks or {}).values()):
            raise ValueError(f"scaling: got {given} where inputs are targets too, allowed is by alone")
        if self.teacher is not None:
            raise ValueError(
                f"scaling: got {given} with [teacher], whose inputs have another scale; allowed is by alone"
            )
        if scaling.each != "no" and self.augment is not None and self.augment.fill == "black":
            raise ValueError(
                "augment.fill: got 'black' with scaling.each, where black is another number in every image; "
                "allowed is 'mean'"
            )

    def _pretraining_agrees(self) -> None:
        """Refuse what does not fit to [pretraining], or is frozen by [fine_tuning].

        Raises:
          ValueError: naming every option.
        """
        learned, tuned, found = self.pretraining, self.fine_tuning, []
        pretrained = learned is not None and bool(learned.learners)
        if learned is not None:
            found += learned.problems(self.model)
        if pretrained and self.training.asynchronous is not None:
            found.append("training.asynchronous: got workers, with [pretraining] there are none")
        if tuned is not None and tuned.layers == "top":
            if not pretrained:
                found.append("fine_tuning.layers: got 'top' without [pretraining], which learns the others")
            if self.training.ema is not None:
                found.append(
                    f"training.ema: got {self.training.ema}, with fine_tuning.layers = 'top' there is none: "
                    "averages of layers that stay would be rounded"
                )
        if found:
            raise ValueError("; ".join(found))

    def _start_agrees(self) -> None:
        """Refuse what a training that starts from another run cannot have.

        Raises:
          ValueError: naming every option.
        """
        if self.start is None:
            return
        found = self.start.problems(self.training.seeds)
        if self.pretraining is not None and self.pretraining.learners:
            found.append("start: got it with [pretraining], of which only one can give the first parameters")
        if self.start.frozen and self.training.ema is not None:
            found.append(
                f"training.ema: got {self.training.ema}, with start.frozen there is none: averages of layers "
                "that stay would be rounded"
            )
        if self.start.frozen and self.training.asynchronous is not None:
            found.append("training.asynchronous: got workers, with start.frozen there are none")
        if found:
            raise ValueError("; ".join(found))

    def _weights_agree(self) -> None:
        """Refuse weights of examples where targets already have something beside them.

        Raises:
          ValueError: naming the option.
        """
        weights = [("training.class_weight", self.training.class_weight)]
        weights.append(("data.weight", getattr(self.data, "weight", None)))
        others = {
            "tasks": self.tasks is not None,
            "teacher": self.teacher is not None,
            "fine_tuning.labels": self.fine_tuning is not None and self.fine_tuning.labels is not None,
            "training.asynchronous": self.training.asynchronous is not None,
            f"model.kind {self.model.kind!r}": self.model.reconstructs,
        }
        for option, value in weights:
            for other, there in others.items():
                if value is not None and there:
                    raise ValueError(f"{option}: got {value!r}, cannot be combined with {other}")

    def _tasks_agree(self) -> None:
        """Refuse what several tasks cannot be trained with.

        Raises:
          ValueError: naming the option.
        """
        if self.tasks is None:
            if self.representation is not None:
                raise ValueError("representation: is shared by the [tasks.NAME] of a config, there are none")
            return
        if all(task.weight == 0 for task in self.tasks.values()):
            raise ValueError("tasks: got a weight of 0 for every task, one above 0 is needed")
        if self.model.kind not in TRUNKS:
            raise ValueError(
                f"model.kind: got {self.model.kind!r} with [tasks], allowed, as they give features: "
                f"{', '.join(TRUNKS)}"
            )
        if self.training.loss != "auto":
            raise ValueError(
                f"training.loss: got {self.training.loss!r} with [tasks], each has a loss of its own"
            )
        if self.training.label_smoothing:
            raise ValueError(
                f"training.label_smoothing: got {self.training.label_smoothing} with [tasks], allowed is 0"
            )
        for name in ("teacher", "decoding", "decision", "pretraining", "fine_tuning", "start"):
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: cannot be combined with [tasks]")
        if self.training.asynchronous is not None:
            raise ValueError("training.asynchronous: cannot be combined with [tasks]")
        if self.data.kind not in ("csv", "image_table"):
            for name, task in self.tasks.items():
                if task.target is not None and not task.reconstructs and self.data.kind != "tabular":
                    raise ValueError(
                        f"tasks.{name}.target: got {task.target!r}, columns are for data.kind 'csv', "
                        f"'image_table' and 'tabular'; of {self.data.kind!r} allowed are 'inputs' and none, "
                        "its own target"
                    )

    def _asynchronous_agrees(self) -> None:
        """Refuse what workers that share no lock cannot do.

        Raises:
          ValueError: naming the option.
        """
        kind, momentum = self.optimizer.kind, self.optimizer.momentum
        if kind not in ASYNCHRONOUS or momentum is not None:
            got = repr(kind) if momentum is None else f"{kind!r} with momentum {momentum}"
            raise ValueError(
                f"optimizer.kind: got {got} with [training.asynchronous], allowed: "
                f"{', '.join(ASYNCHRONOUS)}, without momentum; what an optimizer keeps from step to step "
                "cannot be shared without a lock"
            )
        if self.devices.strategy not in ("auto", "single") or self.devices.mesh is not None:
            got = "a mesh" if self.devices.mesh is not None else repr(self.devices.strategy)
            raise ValueError(
                f"devices.strategy: got {got} with [training.asynchronous], allowed: 'auto', 'single'; each "
                "worker has one processor"
            )

    @property
    def needs_validation(self) -> bool:
        """Whether some option can only work with a validation part."""
        return self.training.early_stopping is not None or self.training.select == "best"


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a config, of a training or of a claim, for editors that complete TOML."""
    training, claim = Config.model_json_schema(), ClaimConfig.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "dlnotes config",
        "$defs": training.pop("$defs") | claim.pop("$defs", {}),
        "if": {"required": ["experiment"]},
        "then": claim,
        "else": training,
    }
