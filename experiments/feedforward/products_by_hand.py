"""Products with Jacobians, written out by hand.

The notes: back-propagation is a product of a Jacobian and a gradient for each operation of the graph,
and tensors are only another way to arrange the entries of a vector.

Measured on random arguments: both products of matrix multiplication, bias, element-wise functions,
softmax and convolution against jax.jvp and jax.vjp, and whether one is the transpose of the other; and,
for softmax and a product with a matrix, against the whole Jacobian of the flattened tensors. Whole
Jacobians of perceptrons are built by one product for each output, or for each input, and what that costs is
counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from pydantic import Field

from dlnotes.autodiff import jacobian_products as hand
from dlnotes.autodiff.derivatives import ELEMENTWISE
from dlnotes.claims import Below, Claim, Measured, Options, Part, Plot, exact, notes, ours
from dlnotes.plotting import BLUE, GRAY, GREEN, ORANGE, new_figure, set_title

from ._whole_jacobians import PARTS, whole_jacobians

STRIDED = {"stride": 2, "padding": 1, "dilation": 2}


class ProductsByHand(Options):
    """Sizes of the experiment."""

    seeds: int = Field(100, ge=2, description="a seed draws the arguments, the tangent and the gradient")


class Case(NamedTuple):
    """An operation with its two products by hand, and shapes of its arguments."""

    f: Callable
    jvp: Callable
    vjp: Callable
    shapes: tuple[tuple[int, ...], ...]


def elementwise(name: str) -> Case:
    """An element-wise function by name."""
    return Case(
        ELEMENTWISE[name],
        lambda z, dz: hand.elementwise_jvp(name, z, dz),
        lambda z, g: (hand.elementwise_vjp(name, z, g),),
        ((4, 5),),
    )


def strided(x, K):
    """Convolution with stride, padding and dilation, by the compiler."""
    return lax.conv_general_dilated(
        x, K, (2, 2), ((1, 1), (1, 1)), rhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


CASES = {
    "matrix product": Case(jnp.matmul, hand.matmul_jvp, hand.matmul_vjp, ((4, 5), (5, 3))),
    "bias": Case(
        lambda z, b: z + b[None, :],
        lambda z, b, dz, db: hand.bias_jvp(dz, db),
        lambda z, b, g: hand.bias_vjp(g),
        ((4, 5), (5,)),
    ),
    **{name: elementwise(name) for name in ("relu", "tanh", "sigmoid", "gelu")},
    "softmax": Case(jax.nn.softmax, hand.softmax_jvp, lambda z, g: (hand.softmax_vjp(z, g),), ((4, 5),)),
    "convolution": Case(
        strided,
        lambda *a: hand.convolution_jvp(*a, **STRIDED),
        lambda *a: hand.convolution_vjp(*a, **STRIDED),
        ((2, 9, 8, 3), (3, 2, 3, 4)),
    ),
}
WHOLE = ("matrix product", "softmax")
"""Cases that are compared with the whole Jacobian too."""


def apart(got, want) -> jax.Array:
    """The largest deviation, relative to the largest entry."""
    pairs = list(zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True))
    deviation = jnp.stack([jnp.max(jnp.abs(a - b)) for a, b in pairs])
    return jnp.max(deviation) / jnp.max(jnp.stack([jnp.max(jnp.abs(b)) for _, b in pairs]))


def one(name: str, primals, tangents, g) -> dict[str, jax.Array]:
    """All that is measured of a case with these arguments."""
    case = CASES[name]
    y, want_change = jax.jvp(case.f, primals, tangents)
    change, gradients = case.jvp(*primals, *tangents), case.vjp(*primals, g)
    # ⟨g, J v⟩ and ⟨Jᵀ g, v⟩, relative to the sum of the magnitudes of their terms
    left = jnp.vdot(g, change)
    right = sum((jnp.vdot(a, v) for a, v in zip(gradients, tangents)), jnp.zeros(()))
    found = {
        "forward": apart(change, want_change),
        "backward": apart(gradients, jax.vjp(case.f, *primals)[1](g)),
        "transposed": jnp.abs(left - right) / jnp.vdot(jnp.abs(g), jnp.abs(change)),
    }
    if name in WHOLE:
        J = jax.jacfwd(case.f, argnums=tuple(range(len(primals))))(*primals)
        J = [j.reshape(y.size, -1) for j in J]
        want = [(j.T @ g.ravel()).reshape(p.shape) for j, p in zip(J, primals)]
        found["whole"] = apart(gradients, tuple(want))
    return found


def measure(options: ProductsByHand) -> dict[str, np.ndarray]:
    """Each deviation as (cases, seeds)."""
    found: dict[str, list] = {"forward": [], "backward": [], "transposed": [], "whole": []}
    rng = np.random.default_rng(0)

    def draws(shapes):
        return tuple(jnp.asarray(rng.normal(size=(options.seeds, *s)), jnp.float32) for s in shapes)

    for name, case in CASES.items():
        primals, tangents = draws(case.shapes), draws(case.shapes)
        y = jax.eval_shape(case.f, *(p[0] for p in primals))
        (g,) = draws([y.shape])
        cells = jax.jit(jax.vmap(lambda p, t, g, name=name: one(name, p, t, g)))(primals, tangents, g)
        for key, value in cells.items():
            found[key].append(np.asarray(value))
    whole = whole_jacobians(options.seeds)
    return {key: np.stack(value) for key, value in found.items()} | whole


def draw(options: ProductsByHand, m: Measured) -> Plot:
    """The deviations of every operation."""
    figure = new_figure(8.5, 4)
    axes = figure.subplots()
    places = np.arange(len(CASES))
    shown = (
        ("forward", BLUE, "o", "J v against jax.jvp"),
        ("backward", ORANGE, "s", "Jᵀ g against jax.vjp"),
        ("transposed", GREEN, "^", "⟨g, J v⟩ against ⟨Jᵀ g, v⟩"),
    )
    # An exact agreement has no place on a logarithmic axis: it is drawn on the lower edge.
    floor = 1e-9
    for i, (key, color, marker, label) in enumerate(shown):
        x = np.repeat(places[:, None] + 0.2 * (i - 1), m[key].shape[1], axis=1)
        axes.plot(x.ravel(), np.maximum(m[key], floor).ravel(), marker, color=color, ms=4, mfc="none")
        axes.plot([], [], marker, color=color, mfc="none", label=label)
    axes.axhline(float(np.finfo(np.float32).eps), color=GRAY, ls="--", lw=1, label="spacing of float32 at 1")
    axes.set(yscale="log", ylim=(floor / 1.5, 1e-3), ylabel="relative deviation (lower edge: none)")
    axes.set_xticks(places, [name.replace(" ", "\n") for name in CASES])
    axes.legend(ncols=2, loc="upper left")
    set_title(
        figure, f"Jacobian products by hand are those of automatic differentiation ({options.seeds} draws)"
    )
    table = {key: m[key].max(axis=1) for key in ("forward", "backward", "transposed")}
    return Plot(figure, {"operation": list(CASES), **table})


def worst(key: str):
    """Effect: the largest deviation over all operations and draws."""
    return lambda m: exact(m[key].max(), m[key].size)


WHERE = "back-propagation"

CLAIM = Claim(
    id="F5.4",
    statement="Back-propagation is the product of a Jacobian and a gradient for every operation; on "
    "tensors it is the same as on the vectors that they flatten to.",
    source="notes, «back-propagation»; Goodfellow et al. 2016, 6.5.2",
    options=ProductsByHand,
    measure=measure,
    draw=draw,
    parts=(
        Part(
            "forward product",
            "J v by hand is what jax.jvp gives.",
            what="largest deviation of a product, relative to its largest entry, over all operations",
            effect=worst("forward"),
            rule=Below(1e-5),
            source=ours("back-propagation takes the other product; together they check the same Jacobian"),
        ),
        Part(
            "backward product",
            "Jᵀ g by hand is what jax.vjp gives.",
            what="largest deviation of a product, relative to its largest entry, over all operations",
            effect=worst("backward"),
            rule=Below(1e-5),
            source=notes(
                WHERE,
                "back-propagation takes the product of the Jacobian and the gradient for each operation",
            ),
        ),
        Part(
            "transposed product",
            "The two are products with one matrix and its transpose: ⟨g, J v⟩ = ⟨Jᵀ g, v⟩.",
            what="largest difference of the two, relative to the sum of the terms' magnitudes",
            effect=worst("transposed"),
            rule=Below(1e-5),
            source=ours("checks both products by hand against each other"),
        ),
        Part(
            "flattened tensors",
            "On tensors Jᵀ g is the product with the whole Jacobian of the flattened vectors.",
            what="largest deviation of Jᵀ g for matrix product and softmax, relative to its largest entry",
            effect=worst("whole"),
            rule=Below(1e-5),
            source=notes(
                WHERE,
                "one can flatten each tensor into a vector: back-propagation multiplies Jacobians by "
                "gradients",
            ),
        ),
        *PARTS,
    ),
    method="Data: {options.seeds} random draws of arguments, tangents and gradients for matrix "
    "multiplication, bias, four element-wise functions, softmax and a convolution with stride, padding and "
    "dilation. The products by hand are compared with jax.jvp and jax.vjp in single precision, and for "
    "matrix product and softmax with the whole Jacobian. Whole Jacobians of three perceptrons are built by "
    "rows and by columns, and their multiply-adds counted. Nothing is trained.",
    revised="The two parts on whole Jacobians were added later.",
)
