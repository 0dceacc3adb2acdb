"""Anyone's flax module, linen or nnx, as a `Model`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from dlnotes.models.model import Model, WithState
from dlnotes.typing import Array, Params, PRNGKey

_TRAIN_ARGUMENTS = ("train", "deterministic", "use_running_average")


class _Module(NamedTuple):
    """What linen and nnx have in common.

    Attributes:
      name: of the module's class, for messages.
      init: ``init(key, sample) -> (learned, state)``; both pytrees of arrays, the state possibly empty.
      call: ``call(learned, state, x, key, options, training) -> (output, state)``.
      parameters: names of the call's arguments.
    """

    name: str
    init: Callable[[PRNGKey, Any], tuple[Params, Any]]
    call: Callable[[Params, Any, Any, PRNGKey | None, dict[str, Any], bool], tuple[Array, Any]]
    parameters: frozenset[str]


def from_flax(
    module: Any,
    sample: Any,
    *,
    rngs: Sequence[str] = ("dropout",),
    train_argument: str | Sequence[str] | None = None,
    mask_argument: str | None = None,
) -> Model:
    """A flax module, linen or nnx, as a `Model`.

    Parameters are the "params" collection of a linen module and the ``nnx.Param`` variables of an nnx one.
    What else it keeps (batch statistics, running averages) is its state: ``init`` then gives
    ``WithState(learned, state)`` and the model has an ``update``, by which it is trained; see
    `dlnotes.models.Model` for what that means where a batch is divided. Evaluation, ``apply``
    without a key, uses the state and leaves it alone; ``apply`` with a key gives what ``update`` gives.

    An nnx module holds parameters from the beginning, so it is its *factory* that is given: then each
    seed draws its own. To begin every seed with the parameters that an instance holds (trained before,
    say), give a factory of that instance: ``lambda rngs: instance``.

    The key given to ``apply`` is routed to every stream in ``rngs``, or to all streams of an nnx module. A
    flax module draws for a batch as a whole, so one key per example, shape ``(batch,)``, is reduced to its
    first: then what an example draws does depend on how the batch is divided over devices.

    Rows of weight 0 that fill up a batch are further training examples in this library's loops (the first
    of the epoch), and count in batch statistics like the rest. Positions that a mask calls padding do too,
    unless the module hands its mask on (``BatchNorm(...)(x, mask=...)``). In a computation in bfloat16
    statistics stay float32, and nnx's BatchNorm gives float32 unless made with ``dtype=jnp.bfloat16``.

    Args:
      module: a ``flax.linen.Module``, or a function ``rngs -> flax.nnx.Module`` (a class or a
        ``functools.partial`` whose ``rngs`` argument is left open); called as ``module(x)``.
      sample: a batch of inputs of the right shapes and dtypes, batch axis first; only its shapes matter.
      rngs: names of the random streams a linen module draws from.
      train_argument: name of the call's argument that says whether it is training, or several of them:
        "train" (True with a key and in ``update``), "deterministic" (True without a key),
        "use_running_average" (False in ``update``); ``None`` when it takes none. An nnx module is told by
        its ``train()`` and ``eval()`` and needs none.
      mask_argument: name of the call's argument that takes ``mask``, or ``None`` when it takes none.

    Returns:
      A `Model`; ``params`` is a dict of arrays, or a `dlnotes.models.WithState` of two.

    Raises:
      ValueError: when ``module`` is neither, an nnx instance, or changes its state in evaluation; when
        ``train_argument`` is not one of those named, or missing where the module would never update its
        state; when the state's shape depends on the batch (as a cache's does) or is neither floating nor
        whole numbers; at call time, when a mask is given to a module without ``mask_argument``, or
        an nnx module draws without a key.

    Example:
      >>> model = from_flax(flax.linen.Dense(3), jnp.zeros((1, 4)))
      >>> jax.tree.map(jnp.shape, model.init(jax.random.key(0)))
      {'bias': (3,), 'kernel': (4, 3)}
      >>> from functools import partial
      >>> model = from_flax(partial(flax.nnx.BatchNorm, 4), jnp.zeros((1, 4)))
      >>> params = model.init(jax.random.key(0))
      >>> jax.tree.map(jnp.shape, params.state)
      {'mean': (4,), 'var': (4,)}
      >>> output, state = model.update(params, jnp.ones((2, 4)))
      >>> [round(float(m), 2) for m in state["mean"]]
      [0.01, 0.01, 0.01, 0.01]
    """
    names = () if train_argument is None else train_argument
    names = (names,) if isinstance(names, str) else tuple(names)
    if wrong := [name for name in names if name not in _TRAIN_ARGUMENTS]:
        allowed = ", ".join(map(repr, _TRAIN_ARGUMENTS))
        raise ValueError(f"train_argument: got {wrong[0]!r}, allowed are None, {allowed}")

    def options(key: PRNGKey | None, mask: Array | None, training: bool) -> dict[str, Any]:
        told = {
            "train": training or key is not None,
            "deterministic": key is None,
            "use_running_average": not training,
        }
        how: dict[str, Any] = {name: told[name] for name in names}
        if mask is not None:
            if mask_argument is None:
                raise ValueError("mask: got one, but from_flax was not told the module's mask_argument")
            how[mask_argument] = mask
        return how

    given = _module(module, rngs, options(None, None, False))

    def init(key: PRNGKey, /) -> Params:
        learned, state = given.init(key, sample)
        return WithState(learned, state) if keeps_state else learned

    def apply(params: Params, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None) -> Array:
        if keeps_state and key is not None:
            return update(params, x, key=key, mask=mask)[0]
        learned, state = params if keeps_state else (params, {})
        return given.call(learned, state, x, _one(key), options(key, mask, False), key is not None)[0]

    def update(
        params: WithState, x: Any, /, *, key: PRNGKey | None = None, mask: Array | None = None
    ) -> tuple[Array, Any]:
        return given.call(*params, x, _one(key), options(key, mask, True), True)

    keeps_state = bool(jax.tree.leaves(jax.eval_shape(given.init, jax.random.key(0), sample)[1]))
    if keeps_state:
        _check_state(given, sample, options, bool(names))
    return Model(init, apply, update if keeps_state else None)


def _one(key: PRNGKey | None) -> PRNGKey | None:
    """The first of one key per example: flax draws for a batch as a whole."""
    return key if key is None or key.ndim == 0 else key[0]


def _module(module: Any, rngs: Sequence[str], evaluating: dict[str, Any]) -> _Module:
    from flax import nnx

    if isinstance(module, nnx.Module):
        name = type(module).__name__
        raise ValueError(
            f"module: got an instance of the nnx module {name}, whose parameters are drawn already; allowed "
            f"is a function that makes one, such as lambda rngs: {name}(..., rngs=rngs), so that every seed "
            "draws its own (lambda rngs: instance begins each with those of the instance)"
        )
    is_linen = hasattr(module, "init") and hasattr(module, "apply")
    if is_linen and not isinstance(module, type):
        return _linen(module, rngs, evaluating)
    if callable(module) and not is_linen:
        return _nnx(module)
    got = f"the class {module.__name__}" if is_linen else type(module).__name__
    raise ValueError(
        f"module: got {got}, allowed are an instance of flax.linen.Module and a function "
        "rngs -> flax.nnx.Module"
    )


def _linen(module: Any, rngs: Sequence[str], evaluating: dict[str, Any]) -> _Module:
    def init(key: PRNGKey, sample: Any) -> tuple[Params, Any]:
        variables = dict(module.init(key, sample, **evaluating))
        return variables.pop("params", {}), variables

    def call(learned, state, x, key, options, training):
        streams = None
        if key is not None:
            streams = {name: jax.random.fold_in(key, i) for i, name in enumerate(rngs)}
        if not state:
            return module.apply({"params": learned}, x, rngs=streams, **options), state
        # Statistics are float32 in a computation in bfloat16, which flax mixes: strict promotion, if chosen,
        # is not for its code.
        with jax.numpy_dtype_promotion("standard"):
            output, after = module.apply(
                {"params": learned, **state}, x, rngs=streams, mutable=list(state), **options
            )
        return output, {name: after[name] for name in state}

    return _Module(type(module).__name__, init, call, _parameters(type(module).__call__))


def _nnx(factory: Callable[..., Any]) -> _Module:
    from flax import nnx

    by_name = "rngs" in _parameters(factory)

    def make(key: PRNGKey) -> Any:
        streams = nnx.Rngs(key)
        made = factory(rngs=streams) if by_name else factory(streams)
        if not isinstance(made, nnx.Module):
            got = type(made).__name__
            raise ValueError(f"module: got a function that gives {got}, allowed is a flax.nnx.Module")
        return made

    made = nnx.eval_shape(lambda: make(jax.random.key(0)))
    graph, params, streams, state = nnx.split(made, nnx.Param, nnx.RngState, ...)

    def init(key: PRNGKey, sample: Any) -> tuple[Params, Any]:
        learned, _, kept = nnx.state(make(key), nnx.Param, nnx.RngState, ...)
        return nnx.to_pure_dict(learned), nnx.to_pure_dict(kept)

    def filled(like: Any, values: Any) -> Any:
        structure = jax.tree.structure(like)
        return jax.tree.unflatten(structure, jax.tree.leaves(values))

    def call(learned, kept, x, key, options, training):
        seed = jax.random.key(0) if key is None else key
        fresh = [_fresh(jax.random.fold_in(seed, i), leaf) for i, leaf in enumerate(jax.tree.leaves(streams))]
        module = nnx.merge(graph, filled(params, learned), filled(streams, fresh), filled(state, kept))
        if training:
            module.train()
        else:
            module.eval()
        if key is None:
            module.set_attributes(deterministic=True, raise_if_not_found=False)
        with jax.numpy_dtype_promotion("standard"):  # as for linen modules
            output = module(x, **options)
        used = jax.tree.leaves(nnx.state(module, nnx.RngState))
        if key is None and any(a is not b for a, b in zip(used, fresh)):
            raise ValueError(
                f"key: got none, but {type(made).__name__} draws random numbers; a recipe with random=True "
                "gives it one in training"
            )
        # What the call added, such as sown intermediates, is no part of the state.
        after = dict(nnx.to_flat_state(nnx.state(module)))
        old = {path: after[path] for path, _ in nnx.to_flat_state(state)}
        return output, nnx.to_pure_dict(nnx.from_flat_state(old))

    return _Module(type(made).__name__, init, call, _parameters(type(made).__call__))


def _fresh(key: PRNGKey, leaf: Any) -> Array:
    """A stream's key, or its count of draws so far: none."""
    if not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jnp.zeros(leaf.shape, leaf.dtype)
    return jax.random.split(key, leaf.shape) if leaf.shape else key


def _parameters(function: Any) -> frozenset[str]:
    """Names of the arguments of a function or class; none where Python cannot say."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, type):  # flax's metaclasses hide what __init__ takes
        function = function.__init__
    try:
        return frozenset(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return frozenset()


def _check_state(given: _Module, sample: Any, options: Callable[..., dict[str, Any]], told: bool) -> None:
    """Refuse states that cannot be what an update promises; nothing is run.

    Args:
      given: a module with a state.
      sample: of its inputs.
      options: of its call.
      told: whether its call is told that it is training.
    """
    key = jax.random.key(0)
    learned, state = jax.eval_shape(given.init, key, sample)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        if not any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.floating, jnp.integer)):
            raise ValueError(
                f"module: {given.name} keeps {leaf.dtype} in its state{jax.tree_util.keystr(path)}, allowed "
                "are floating and whole numbers"
            )
    twice = jax.eval_shape(lambda: jax.tree.map(lambda a: jnp.concatenate([a, a]), sample))
    if jax.eval_shape(given.init, key, twice)[1] != state:
        raise ValueError(
            f"module: {given.name} keeps a state whose shape depends on the batch's, as a cache's does; "
            "allowed is one of the network as a whole, such as batch statistics"
        )

    def changes(training: bool) -> bool:
        """Whether a call gives another state than it takes, by the traced program."""

        def after(state: Any, learned: Params, key: PRNGKey, x: Any) -> Any:
            drawn = key if training else None
            return given.call(learned, state, x, drawn, options(drawn, None, training), training)[1]

        program = jax.make_jaxpr(after)(state, learned, key, sample).jaxpr
        return any(a is not b for a, b in zip(program.invars, program.outvars))

    allowed = ", ".join(map(repr, _TRAIN_ARGUMENTS))
    if changes(False):
        raise ValueError(
            f"module: {given.name} changes its state in evaluation too; it must be told when it is training: "
            f"by an argument that train_argument names (allowed are {allowed}), or nnx by train() and eval()"
        )
    if not told and (flags := sorted(given.parameters & set(_TRAIN_ARGUMENTS))) and not changes(True):
        raise ValueError(
            f"train_argument: got None, but {given.name} takes {', '.join(map(repr, flags))} and without it "
            "never updates its state; name it"
        )
