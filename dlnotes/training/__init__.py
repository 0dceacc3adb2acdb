"""Training: what is trained (a recipe), one step, many steps at once, methods tuned and compared.

`fit` trains arrays of your own; `dlnotes.run` trains what a config describes.
"""

from dlnotes.door import open_package
from dlnotes.training import schedules
from dlnotes.training.delayed import Delayed, delayed_descent, largest_stable_rate, train_delayed
from dlnotes.training.fitting import Fit, fit, predict
from dlnotes.training.linear import (
    Descent,
    linear_descent,
    linear_objective,
    normal_equations,
    qr_least_squares,
    start_descent,
)
from dlnotes.training.optimizers import max_norm, optimizer
from dlnotes.training.parallel import compile_chunk
from dlnotes.training.starts import along, initial_params
from dlnotes.training.state import Hyperparams, Member, Recipe, RecipeOf, TrainState, init_state
from dlnotes.training.step import train_step
from dlnotes.training.tuning import Tuned, evaluate, tune_and_train, tune_briefly_and_train

__all__ = [
    "Delayed",
    "Descent",
    "Fit",
    "Hyperparams",
    "Member",
    "Recipe",
    "RecipeOf",
    "TrainState",
    "Tuned",
    "along",
    "compile_chunk",
    "delayed_descent",
    "evaluate",
    "fit",
    "init_state",
    "initial_params",
    "largest_stable_rate",
    "linear_descent",
    "linear_objective",
    "max_norm",
    "normal_equations",
    "optimizer",
    "predict",
    "qr_least_squares",
    "schedules",
    "start_descent",
    "train_delayed",
    "train_step",
    "tune_and_train",
    "tune_briefly_and_train",
]

open_package(globals())
