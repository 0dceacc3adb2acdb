"""What a model is: two pure functions, and a third where it keeps a state."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from dlnotes.typing import Array, Params, PRNGKey


class Init(Protocol):
    """``init(key) -> params``."""

    def __call__(self, key: PRNGKey, /) -> Params: ...


class Apply(Protocol):
    """``apply(params, x, *, key=None, mask=None) -> output``; the mask is (batch, positions) or None."""

    def __call__(
        self, params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None
    ) -> Array: ...


class WithState(NamedTuple):
    """The parameters of a network that also keeps numbers which no gradient moves.

    The optimizer, weight decay, max-norm projection and the gradient's norm know ``learned`` only. Running
    averages for evaluation are the usual ``state``; its floats are computed in float32 whatever the
    precision of the rest.

    Attributes:
      learned: a pytree of arrays, moved by the optimizer.
      state: a pytree of arrays, floating or whole numbers, replaced by what ``update`` returns.
    """

    learned: Params
    state: Any


class Update(Protocol):
    """``update(params, x, *, key=None, mask=None) -> (output, state)``, the forward pass of training.

    ``params`` is a `WithState`; ``state`` has the structure, shapes and dtypes of ``params.state``. It may
    depend on the batch as a whole (batch statistics), all rows of which count alike.
    """

    def __call__(
        self, params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Any = None
    ) -> tuple[Array, Any]: ...


def learned_of(params: Params) -> Params:
    """What the optimizer moves: ``params.learned`` of a `WithState`, else all of ``params``.

    Example:
      >>> learned_of(WithState({"W": 1.0}, {"mean": 0.0})), learned_of({"W": 1.0})
      ({'W': 1.0}, {'W': 1.0})
    """
    return params.learned if isinstance(params, WithState) else params


def with_learned(params: Params, learned: Params) -> Params:
    """``params`` with other learned parameters and the same state, if it has one.

    Example:
      >>> with_learned(WithState({"W": 1.0}, {"mean": 0.0}), {"W": 2.0})
      WithState(learned={'W': 2.0}, state={'mean': 0.0})
    """
    return params._replace(learned=learned) if isinstance(params, WithState) else learned


class Model(NamedTuple):
    """A network as a pair of pure functions.

    ``params = init(key)`` draws the parameters; ``output = apply(params, x, key=..., mask=...)``
    runs the network on a batch. Without a key nothing is random (dropout is off). A key may be a
    single one or one per example, shape ``(batch,)``: then what is drawn for an example does not
    depend on how the batch is divided over devices.

    A network that keeps a state beside its parameters, such as running averages of batch statistics, has
    a third function: ``init`` then gives a `WithState`, ``output, state = update(params, x, ...)`` is the
    forward pass of training, and ``apply`` without a key evaluates with the state as it is. The training
    step normalizes each part of a batch (of an accumulated one, or one device's) by the statistics
    that ``update`` finds in this part, and keeps the mean of the parts' new states: their running means
    and running variances are averaged, so the variance *between* parts is left out, and the trajectory
    does depend on the division.

    Attributes:
      init: ``init(key) -> params``.
      apply: ``apply(params, x, *, key=None, mask=None) -> output``; ``x`` is a batch (images are
        NHWC, sequences (batch, time, feature)), ``mask`` is ``(batch, positions)``.
      update: see `Update`; ``None`` for a network without a state.
    """

    init: Init
    apply: Apply
    update: Update | None = None
