"""What a model is: two pure functions."""

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


class Model(NamedTuple):
    """A network as a pair of pure functions.

    ``params = init(key)`` draws the parameters; ``output = apply(params, x, key=..., mask=...)``
    runs the network on a batch. Without a key nothing is random (dropout is off). A key may be a
    single one or one per example, shape ``(batch,)``: then what is drawn for an example does not
    depend on how the batch is divided over devices.

    Attributes:
      init: ``init(key) -> params``.
      apply: ``apply(params, x, *, key=None, mask=None) -> output``; ``x`` is a batch (images are
        NHWC, sequences (batch, time, feature)), ``mask`` is ``(batch, positions)``.
    """

    init: Init
    apply: Apply
