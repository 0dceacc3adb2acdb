"""A restricted Boltzmann machine as a learner: contrastive divergence and persistent chains."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.checks import positive
from dlnotes.layers.feedforward.dense import Dense
from dlnotes.pretraining.draws import bits, words
from dlnotes.pretraining.learner import Learner, Metrics
from dlnotes.pretraining.rbm import GaussianRBMParams, RBMParams, hidden_means, visible_means
from dlnotes.typing import Array, PRNGKey

MOST_DRIVE = 100.0
"""Mean of |c + v W| from which on a machine has diverged: every unit's mean is 0 or 1 to the last bit."""
_STILL = 1e-3  # by how much no mean of a unit differs between rows, where the units have collapsed
_SIGMA_RATE = 0.1  # of log σ, as a share of the learning rate
_LEAST_RATE = 1e-4  # of a bit, so that a bias starts at a finite logit


class RBMState(NamedTuple):
    """What a step changes.

    Attributes:
      params: `RBMParams` or `GaussianRBMParams`.
      velocity: the last change of each of them.
      chains: ``(chains, units)`` bits of the hidden units of persistent chains; ``None`` without such.
    """

    params: Any
    velocity: Any
    chains: Array | None


class _Options(NamedTuple):
    """The numbers of `rbm`, checked."""

    gaussian: bool
    steps: int
    learning_rate: float
    decay: bool
    momentum: tuple[float, float]
    weight_decay: float
    binarize: bool
    learn_sigma: bool


def rbm(
    units: int,
    *,
    visible: str = "bernoulli",
    steps: int = 1,
    persistent: bool = False,
    chains: int = 100,
    learning_rate: float | None = None,
    rate_decay: bool | None = None,
    momentum: float = 0.5,
    final_momentum: float | None = None,
    weight_decay: float = 2e-4,
    binarize: bool = True,
    init_scale: float = 0.01,
    sigma: float = 1.0,
    learn_sigma: bool = False,
) -> Learner:
    """A restricted Boltzmann machine that learns by contrastive divergence.

    The gradient of log p(v) is ``⟨v hᵀ⟩_data − ⟨v hᵀ⟩_model``. A step draws bits v₀ of a batch (below), takes
    ``p₀ = p(h | v₀)``, draws h ~ p₀, and goes ``steps`` times ``v ~ p(v | h)``, ``h ~ p(h | v)``: CD-k. With
    ``persistent`` the chains go on from where the last step left them, with the changed machine: PCD. Then
    ``ΔW = mean(v₀ p₀ᵀ) − mean(v_k p_kᵀ) − λ W``, ``Δb = mean(v₀ − v_k)``, ``Δc = mean(p₀ − p_k)``: samples
    drive the chain, probabilities of the hidden units stand in the statistics.

    Data of bits are in [0, 1]. Values between are probabilities: each step draws bits by them anew, from its
    own key, so that an example is seen in many versions. ``encode`` and ``decode`` give means, never samples.

    Args:
      units: hidden ones.
      visible: "bernoulli", bits; or "gaussian", real numbers, for standardized data.
      steps: k, of the chain in each update.
      persistent: whether chains go on between updates.
      chains: how many of them, where they do; without, each example has its own.
      learning_rate: of the mean over the batch; by default 0.05, 0.02 if persistent, a tenth of that for real
        numbers.
      rate_decay: whether it falls to 0 linearly in the last half of the steps; by default if persistent.
      momentum: at the start; it rises linearly to ``final_momentum`` within the first fifth of the steps.
      final_momentum: from then on; by default 0.9, and 0.5 if persistent, for chains cannot follow faster
        changes.
      weight_decay: λ, of W alone.
      binarize: whether values between 0 and 1 are drawn; without, they are taken as if they were bits.
      init_scale: standard deviation of W at the start. Visible biases start at the logit of the data's means
        (real numbers: at the means), hidden ones at 0.
      sigma: σ of real visible units, or where it starts.
      learn_sigma: whether log σ is learned too, at a tenth of the rate.

    Returns:
      A `Learner`, kind "rbm". Metrics: "reconstruction", the squared error of ``E[v | h]`` for h drawn from
      the example (persistent: for its means), summed over the inputs; "drive", the mean of ``|c + v W|``;
      "diverged", 1 where that is 100 or more, where each unit is on or off, whatever it sees, or where
      parameters are not finite: the rate was too high.

    Raises:
      ValueError: naming an argument, its value and what is allowed.

    Sources: Hinton 2002 (CD); Tieleman 2008 (PCD); Hinton 2012, «A practical guide to training restricted
    Boltzmann machines»; Cho, Ilin and Raiko 2011 (learned σ, as log σ²).

    Example:
      >>> learner = rbm(3)
      >>> state = learner.init(jax.random.key(0), jnp.full(4, 0.5), 4)
      >>> x = jnp.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])
      >>> state, metrics = learner.step(state, x, jax.random.key(1), jnp.float32(0))
      >>> learner.encode(state.params, x).shape, sorted(metrics)
      ((2, 3), ['diverged', 'drive', 'reconstruction'])
    """
    positive(units=units, steps=steps, chains=chains)
    if visible not in ("bernoulli", "gaussian"):
        raise ValueError(f"visible: got {visible!r}, allowed are 'bernoulli' and 'gaussian'")
    gaussian = visible == "gaussian"
    if learning_rate is None:
        learning_rate = (0.02 if persistent else 0.05) / (10 if gaussian else 1)
    if final_momentum is None:
        final_momentum = max(momentum, 0.5 if persistent else 0.9)
    _above_zero(learning_rate=learning_rate, sigma=sigma, init_scale=init_scale)
    for name, value in (("momentum", momentum), ("final_momentum", final_momentum)):
        if not 0 <= value < 1:
            raise ValueError(f"{name}: got {value}, allowed is 0 <= {name} < 1")
    if not 0 <= weight_decay < float("inf"):
        raise ValueError(f"weight_decay: got {weight_decay}, allowed is a number of 0 or more")
    if learn_sigma and not gaussian:
        raise ValueError('learn_sigma: got True for bits, allowed with visible="gaussian"')
    options = _Options(
        gaussian=gaussian,
        steps=steps,
        learning_rate=learning_rate,
        decay=persistent if rate_decay is None else rate_decay,
        momentum=(momentum, final_momentum),
        weight_decay=weight_decay,
        binarize=binarize,
        learn_sigma=learn_sigma,
    )

    def init(key: PRNGKey, mean: Array, inputs: int) -> RBMState:
        of_w, of_chains = jax.random.split(key)
        W = init_scale * jax.random.normal(of_w, (inputs, units))
        c = jnp.zeros(units)
        if gaussian:
            params: Any = GaussianRBMParams(W, jnp.asarray(mean), c, jnp.full(inputs, sigma))
        else:
            rate = jnp.clip(mean, _LEAST_RATE, 1 - _LEAST_RATE)
            params = RBMParams(W, jnp.log(rate) - jnp.log1p(-rate), c)
        half = jnp.full((chains, units), 0.5)
        start = bits(words(of_chains, half.shape), half) if persistent else None
        return RBMState(params, jax.tree.map(jnp.zeros_like, params), start)

    def step(state: RBMState, x: Array, key: PRNGKey, progress: Array) -> tuple[RBMState, Metrics]:
        go = _persistent if persistent else _contrastive
        return go(options, state, x, key, progress)

    return Learner(
        units=units,
        init=init,
        step=step,
        encode=hidden_means,
        decode=visible_means,
        check=_check_real if gaussian else _check_bits,
        activation="sigmoid",
        dense_of=_dense_of,
        decoder_of=_decoder_of,
        kind="rbm",
    )


def _above_zero(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name}: got {value}, allowed is a number above 0")


def _dense_of(params: Any) -> Dense:
    """The encoder as a layer: ``φ(x W + c)``, with W/σ where inputs are real numbers."""
    if isinstance(params, GaussianRBMParams):
        return Dense(params.W / jnp.expand_dims(jnp.asarray(params.sigma), -1), params.c)
    return Dense(params.W, params.c)


def _decoder_of(params: Any) -> Dense:
    """From hidden units to what the visible means are made of: ``h Wᵀ + b``, with σ Wᵀ for real numbers."""
    W = jnp.swapaxes(jnp.asarray(params.W), -1, -2)
    if isinstance(params, GaussianRBMParams):
        W = W * jnp.expand_dims(jnp.asarray(params.sigma), -2)
    return Dense(W, params.b)


def _check_shape(x: np.ndarray) -> None:
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"x: got shape {x.shape}, allowed is (examples, inputs), at least one of each")
    if not np.isfinite(low := x.min()) or not np.isfinite(x.max()):
        what = "NaN" if np.isnan(low) else "an infinite number"
        raise ValueError(f"x: got {what}, allowed are finite numbers")


def _check_bits(x: np.ndarray) -> None:
    _check_shape(x)
    if x.min() < 0 or x.max() > 1:
        raise ValueError(
            f"x: got values from {x.min():.4g} to {x.max():.4g}, allowed for visible bits is 0 to 1: "
            'scale them, or take visible="gaussian" for standardized numbers'
        )


def _check_real(x: np.ndarray) -> None:
    _check_shape(x)
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    moving = scale > 1e-6
    if not moving.any():
        return
    off, low, high = np.abs(mean).max(), scale[moving].min(), scale[moving].max()
    if off > 0.5 or np.median(scale[moving]) < 0.5 or high > 2:  # a pixel that hardly moves is no fault
        warnings.warn(
            f"x: got inputs with means up to {off:.3g} from 0 and standard deviations from {low:.3g} to "
            f'{high:.3g}; visible="gaussian" is for standardized inputs (mean 0, standard deviation 1)',
            UserWarning,
            stacklevel=3,
        )


def _scaled(params: Any, v: Array) -> Array:
    return v / jnp.broadcast_to(params.sigma, v.shape) if isinstance(params, GaussianRBMParams) else v


def _hidden(params: Any, scaled: Array) -> Array:
    """c + v W of what is scaled already."""
    a = scaled @ params.W
    return a + jnp.broadcast_to(params.c, a.shape)


class _Draws(NamedTuple):
    """All random numbers of a step, drawn at once."""

    data: Array | None
    hidden: Array
    visible: Array


def _draw(options: _Options, key: PRNGKey, x: Array, chains: int, units: int) -> _Draws:
    """Of the data, of k times the hidden units, and of k times the visible ones: words, or noise."""
    k, (rows, inputs) = options.steps, x.shape
    of_data = rows * inputs if options.binarize and not options.gaussian else 0
    of_hidden, of_visible = k * chains * units, 0 if options.gaussian else k * chains * inputs
    u = words(key, (of_data + of_hidden + of_visible,))
    hidden = u[of_data : of_data + of_hidden].reshape(k, chains, units)
    if options.gaussian:
        noise = jax.random.normal(jax.random.fold_in(key, 1), (k, chains, inputs))
        return _Draws(None, hidden, noise)
    visible = u[of_data + of_hidden :].reshape(k, chains, inputs)
    return _Draws(u[:of_data].reshape(x.shape) if of_data else None, hidden, visible)


def _visible(options: _Options, params: Any, h: Array, drawn: Array) -> tuple[Array, Array]:
    """``v ~ p(v | h)`` and its means."""
    means = visible_means(params, h)
    if options.gaussian:
        return means + drawn * jnp.broadcast_to(params.sigma, means.shape), means
    return bits(drawn, means), means


def _contrastive(
    options: _Options, state: RBMState, x: Array, key: PRNGKey, progress: Array
) -> tuple[RBMState, Metrics]:
    params = state.params
    drawn = _draw(options, key, x, len(x), params.W.shape[1])
    v0 = x if drawn.data is None else bits(drawn.data, x)
    a0 = _hidden(params, _scaled(params, v0))
    p0 = p = jax.nn.sigmoid(a0)
    v, first = v0, v0
    for i in range(options.steps):
        v, means = _visible(options, params, bits(drawn.hidden[i], p), drawn.visible[i])
        first = means if i == 0 else first
        p = jax.nn.sigmoid(_hidden(params, _scaled(params, v)))
    state = _update(options, state, (v0, p0), (v, p), progress)
    return state, _metrics(x, first, a0, p0, state.params)


def _persistent(
    options: _Options, state: RBMState, x: Array, key: PRNGKey, progress: Array
) -> tuple[RBMState, Metrics]:
    params, h = state.params, state.chains
    assert h is not None
    drawn = _draw(options, key, x, len(h), params.W.shape[1])
    v0 = x if drawn.data is None else bits(drawn.data, x)
    v = v0
    for i in range(options.steps):
        v, _ = _visible(options, params, h, drawn.visible[i])
        last = i == options.steps - 1
        both = jnp.concatenate([v0, v]) if last else v  # one product for data and chains
        a = _hidden(params, _scaled(params, both))
        p = jax.nn.sigmoid(a)
        h = bits(drawn.hidden[i], p[len(x) :] if last else p)
    p0, p1 = p[: len(x)], p[len(x) :]
    first = visible_means(params, p0)
    state = _update(options, state._replace(chains=h), (v0, p0), (v, p1), progress)
    return state, _metrics(x, first, a[: len(x)], p0, state.params)


def _metrics(x: Array, means: Array, a0: Array, p0: Array, new: Any) -> Metrics:
    """Of a batch and the parameters that it was followed by."""
    drive = jnp.mean(jnp.abs(a0))
    saturated = jnp.mean(p0 * (1 - p0)) < 10 * _STILL
    still = ~jnp.any(jnp.abs(p0 - p0[:1]) > _STILL) & jnp.any(x != x[:1])  # though the rows differ
    # Statistics of bits are within ±1: W follows drive, which is infinite long before W is.
    looked = new if isinstance(new, GaussianRBMParams) else new[1:]
    finite = jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in looked]).all()
    return {
        "reconstruction": jnp.sum(jnp.square(x - means)) / len(x),
        "drive": drive,
        "diverged": (~(drive < MOST_DRIVE) | (saturated & still) | ~finite).astype(jnp.float32),
    }


def _update(
    options: _Options,
    state: RBMState,
    data: tuple[Array, Array],
    model: tuple[Array, Array],
    progress: Array,
) -> RBMState:
    """One step along ``statistics of the data − statistics of the model``, with momentum."""
    params, velocity = state.params, state.velocity
    gradient = statistics(params, data, model, of_sigma=options.learn_sigma)
    gradient = gradient._replace(W=gradient.W - options.weight_decay * params.W)
    start, end = options.momentum
    momentum = start + (end - start) * jnp.minimum(progress / 0.2, 1.0)
    rate = options.learning_rate * (jnp.minimum(2 * (1 - progress), 1.0) if options.decay else 1.0)
    velocity = jax.tree.map(lambda v, g: momentum * v + rate * g, velocity, gradient)
    moved = jax.tree.map(jnp.add, params, velocity)
    if options.gaussian:
        moved = moved._replace(sigma=params.sigma * jnp.exp(_SIGMA_RATE * velocity.sigma))
    return state._replace(params=moved, velocity=velocity)


def statistics(
    params: Any, data: tuple[Array, Array], model: tuple[Array, Array], *, of_sigma: bool = False
) -> Any:
    """The gradient of mean log p, ``⟨−∂E/∂θ⟩_data − ⟨−∂E/∂θ⟩_model``, with hidden means in the place of h.

    For σ it is that of log σ: ``Σ (v − b)²/σ² − (v/σ)·(W h)`` of each input.

    Args:
      params: `RBMParams` or `GaussianRBMParams`.
      data: v ``(n, visible)`` and hidden means ``(n, hidden)``.
      model: likewise, of as many chains as there are.
      of_sigma: whether that of log σ is computed; else it is 0.
    """
    (v0, p0), (v1, p1) = data, model
    u0, u1 = _scaled(params, v0), _scaled(params, v1)
    # One product over data and chains: W is large, and it is written once.
    of_w = jnp.concatenate([u0, u1]).T @ jnp.concatenate([p0 / len(p0), p1 / -len(p1)])
    of_b, of_c = v0.mean(0) - v1.mean(0), p0.mean(0) - p1.mean(0)
    if not isinstance(params, GaussianRBMParams):
        return RBMParams(of_w, of_b, of_c)
    sigma, b = jnp.asarray(params.sigma), jnp.asarray(params.b)

    def of_log(v: Array, u: Array, p: Array) -> Array:
        off = (v - jnp.broadcast_to(b, v.shape)) / jnp.broadcast_to(sigma, v.shape)
        return jnp.mean(jnp.square(off) - u * (p @ params.W.T), 0)

    of_s = of_log(v0, u0, p0) - of_log(v1, u1, p1) if of_sigma else jnp.zeros_like(sigma)
    return GaussianRBMParams(of_w, of_b / jnp.square(sigma), of_c, of_s)
