"""[output]: what a run leaves beside its metrics, and which other programs are told of it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from dlnotes.config.fields import Section


class Output(Section):
    """What a run leaves beside its metrics."""

    figures: bool = True
    baselines: Literal["auto", "yes", "no"] = Field(
        default="auto",
        description="compare what was trained with simple methods, fitted on the same training part; auto "
        "does so where figures are drawn",
    )
    tensorboard: bool = Field(default=False, description="event files too (needs the tensorboard extra)")
    mlflow: bool | str = Field(
        default=False,
        description="MLflow too (needs the mlflow extra): true keeps a store in the run folder, or takes "
        'MLFLOW_TRACKING_URI; or the store, such as "sqlite:///runs/mlflow.db", "http://localhost:5000"',
    )
    wandb: bool | Literal["offline", "online"] = Field(
        default=False,
        description="Weights & Biases too (needs the wandb extra): true is offline, or WANDB_MODE; offline "
        "runs lie in the run folder's wandb/ for `wandb sync`",
    )
    project: str | None = Field(
        default=None,
        min_length=1,
        max_length=120,
        description="MLflow experiment and W&B project; else MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT, the name",
    )
    directory: str = Field(
        default="runs", description="folder of the run folders; ~ and $VARIABLE are replaced"
    )

    @field_validator("mlflow", mode="before")
    @classmethod
    def _store(cls, value: Any) -> Any:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and (value == "databricks" or re.match(r"[a-z][a-z0-9+.-]*://.", value)):
            return value
        raise ValueError(
            'must be true, false, or a tracking URI such as "sqlite:///runs/mlflow.db" or '
            '"http://localhost:5000"'
        )

    @field_validator("wandb", mode="before")
    @classmethod
    def _mode(cls, value: Any) -> Any:
        if isinstance(value, bool) or value in ("offline", "online"):
            return value
        raise ValueError('must be true, false, "offline" or "online"')

    @model_validator(mode="after")
    def _no_password(self) -> Output:  # which a message about the field would repeat
        if isinstance(self.mlflow, str) and re.match(r"[^/]*//[^/@]*:[^/@]*@", self.mlflow):
            raise ValueError(
                "mlflow holds a password, and the config is kept in the run folder; set "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
            )
        return self

    @field_validator("project")
    @classmethod
    def _project(cls, value: str | None) -> str | None:
        if value is not None and (bad := sorted(set(value) & set("/\\#?%:\"'\n"))):
            raise ValueError(f"must not hold {' '.join(map(repr, bad))}, which W&B and MLflow do not take")
        return value
