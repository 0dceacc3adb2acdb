"""What dlnotes takes for granted inside jax; a release that changes it fails here first."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import primitives

from dlnotes import jax_internals as internals

SCANS = [  # a scan over w (3, 3), h (3,), x (5, 3), and its constants, carried, stacked inputs and outputs
    (lambda w, h, x: jax.lax.scan(lambda h, x: (h @ w + x, h.sum()), h, x), (1, 1, 1, 1)),
    (lambda w, h, x: jax.lax.scan(lambda h, _: (h @ w, None), h, None, length=5), (1, 1, 0, 0)),
    (lambda w, h, x: jax.lax.scan(lambda c, x: (c, {"a": 2 * x, "b": x @ w}), (), x), (1, 0, 1, 2)),
    (lambda w, h, x: jax.lax.scan(lambda c, x: ((c[0] * x, c[1] * x[0]), None), (h, w), x), (0, 2, 1, 0)),
    (
        lambda w, h, x: jax.lax.scan(lambda h, x: (h * x[0] + x[1], h), h, (x, 2 * x), reverse=True),
        (0, 1, 2, 1),
    ),
]


@pytest.mark.parametrize(("function", "want"), SCANS)
def test_the_parts_of_a_scan(function, want):
    constants, carried, stacked, given = want
    program = internals.program_of(function, jnp.ones((3, 3)), jnp.ones(3), jnp.ones((5, 3)))
    (equation,) = (e for e in program.equations if e.name == "scan")
    scan = internals.scan_parts(equation)
    assert scan[1:] == (5, constants, carried)
    for outside, inside, same, over in (
        (equation.inputs, scan.body.inputs, constants + carried, stacked),
        (equation.outputs, scan.body.outputs, carried, given),
    ):
        assert len(outside) == len(inside) == same + over
        assert [v.shape for v in outside] == [
            v.shape if i < same else (5, *v.shape) for i, v in enumerate(inside)
        ]


def test_constants_keep_their_values_and_numbers_have_no_variable():
    held = np.arange(3.0, dtype=np.float32)
    program = internals.program_of(lambda x: x * held + 2.0, jnp.ones(3))
    ((value, content),) = program.constants
    np.testing.assert_array_equal(content, held)
    product, total = program.equations
    assert value in product.inputs
    assert product.outputs[0] in total.inputs
    assert [v.variable for v in total.inputs if v.shape == ()] == [None]
    assert program.outputs == total.outputs


def test_inner_programs_are_found_wherever_they_stand():
    def function(x):
        x = jax.lax.cond(x[0] > 0, lambda x: jax.lax.fori_loop(0, 3, lambda i, x: 2 * x, x), jnp.sin, x)
        x = jax.lax.while_loop(lambda x: x[0] < 9, jax.checkpoint(lambda x: x + jax.nn.relu(x)), x)
        return jax.jit(lambda x: jax.lax.map(jnp.tanh, x))(x)

    program = internals.program_of(function, jnp.ones(3))
    names = {e.name for e in internals.every_equation(program)}
    assert {"cond", "scan", "while", "sin", "tanh", "max", "mul"} <= names
    assert internals.count_loops(program) == 3
    assert internals.count_loops(internals.program_of(jnp.sin, 1.0)) == 0
    (choice,) = (e for e in program.equations if e.name == "cond")
    branches, choosing = internals.cond_parts(choice)
    assert choosing == 1
    assert [v.shape for v in branches[0].inputs] == [v.shape for v in choice.inputs[1:]]
    (loop,) = (e for e in program.equations if e.name == "while")
    condition, body = loop.programs
    assert [v.shape for v in condition.outputs] == [()]
    assert [v.shape for v in body.outputs] == [(3,)]


def squared(x):
    return x * x


derived = jax.custom_jvp(squared)
derived.defjvp(lambda x, t: (squared(x[0]), 2 * x[0] * t[0]))
pulled = jax.custom_vjp(squared)
pulled.defvjp(lambda x: (squared(x), x), lambda x, t: (2 * x * t,))


@pytest.mark.parametrize("function", [jax.jit(squared), jax.checkpoint(squared), derived, pulled])
def test_calls_are_recognized(function):
    (equation,) = internals.program_of(function, jnp.ones(3)).equations
    assert internals.is_call(equation)
    assert [e.name for e in equation.programs[0].equations] == ["mul"]


def test_loops_and_operations_are_no_calls():
    program = internals.program_of(lambda x: jax.lax.map(lambda y: jnp.sin(y), x), jnp.ones((3, 2)))
    assert [internals.is_call(e) for e in internals.every_equation(program)] == [False, False]


def only(function, *arguments):
    (equation,) = internals.program_of(function, *arguments).equations
    return equation


def test_options_of_operations():
    x, K = jnp.zeros((2, 9, 8, 4)), jnp.zeros((3, 2, 4, 6))

    def convolve(x, K):
        names = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, K, (2, 1), ((1, 2), (0, 3)), (1, 2), (3, 1), names)

    assert internals.convolution_parts(only(convolve, x, K)) == internals.Convolution(
        strides=(2, 1),
        padding=((1, 2), (0, 3)),
        input_dilation=(1, 2),
        kernel_dilation=(3, 1),
        input_axes=(0, 3, 1, 2),
        kernel_axes=(3, 2, 0, 1),
        output_axes=(0, 3, 1, 2),
    )
    pads = ((0, 0), (1, 1))
    for operation, start in ((jax.lax.max, -jnp.inf), (jax.lax.add, 0.0), (jax.lax.min, jnp.inf)):
        pooled = only(
            lambda x, f=operation, s=start: jax.lax.reduce_window(x, s, f, (1, 3), (1, 2), pads), x[0, 0]
        )
        assert pooled.name.startswith("reduce_window")
        assert internals.window_parts(pooled) == ((1, 3), (1, 2), pads, (1, 1), (1, 1))
    assert internals.slice_steps(only(lambda x: jax.lax.slice(x, (1, 0), (7, 4)), x[0, :, 0])) == (
        (1, 0),
        (1, 1),
    )
    assert internals.padded_by(only(lambda x: jax.lax.pad(x, 0.0, ((1, 2, 3),)), jnp.zeros(4))) == (
        (1, 2, 3),
    )
    assert internals.permutation(only(lambda x: x.transpose(3, 0, 2, 1), x)) == (3, 0, 2, 1)
    spread = only(lambda x: jax.lax.broadcast_in_dim(x, (3, 4, 5), (0, 2)), jnp.zeros((3, 5)))
    assert internals.broadcast_axes(spread) == (0, 2)
    assert internals.removed_axes(only(lambda x: x.sum((0, 2)), x)) == (0, 2)
    assert internals.removed_axes(only(lambda x: x.squeeze(1), jnp.zeros((3, 1)))) == (1,)
    batched = only(
        lambda a, b: jax.lax.dot_general(a, b, (((2,), (1,)), ((0,), (0,)))), x[0], x[0].swapaxes(1, 2)
    )
    assert internals.product_axes(batched) == (((2,), (1,)), ((0,), (0,)))


def test_operations_by_element_still_have_these_names():
    known = {p.name for p in vars(primitives).values() if hasattr(p, "name")}
    assert internals.BY_ELEMENT - {"stop_gradient"} <= known


def test_a_value_is_traced_inside_of_what_jax_transforms():
    seen = []
    jax.jit(lambda x: seen.append(internals.is_traced(x)))(1.0)
    jax.vmap(lambda x: seen.append(internals.is_traced(x)))(jnp.ones(2))
    jax.grad(lambda x: (seen.append(internals.is_traced(x)), x)[1])(1.0)
    assert seen == [True] * 3
    assert not any(map(internals.is_traced, (1.0, np.ones(2), jnp.ones(2))))


def test_what_the_compiler_reports():
    def function(x):
        return (x @ x) @ x

    lowered = jax.jit(function).lower(jnp.ones((8, 8)))
    assert internals.operations(lowered) == internals.operations(lowered.compile()) == 2 * 2 * 8**3
    assert internals.temporary_bytes(lowered.compile()) == 4 * 8**2


def test_neither_importing_nor_asking_for_an_accelerator_loads_jax_and_its_start_is_noticed():
    code = """
import sys
from dlnotes import jax_internals
jax_internals.accelerator_installed()
print("jax" in sys.modules)
import jax
print(jax_internals.backend_started())
jax.devices()
print(jax_internals.backend_started())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "True"], done.stderr


@pytest.mark.parametrize("wrap", [jax.jit, jax.checkpoint, lambda f: f])
def test_operations_are_carried_out_by_another(wrap):
    """Inside calls too; what a branch for other platforms holds is reached, and numbers stay numbers."""

    def function(params, x):
        @wrap
        def inside(y):
            return jnp.sin(y) * 2.0 + params["b"]

        return {"y": jax.lax.platform_dependent(inside(x), cpu=jnp.exp, default=jnp.cos)}

    seen = []

    def each(equation, inputs, run):
        seen.append(equation.name)
        branch = internals.default_branch(equation)
        if branch is not None:
            return run.inside(branch, inputs[1:])
        if internals.is_call(equation):
            return run.inside(0, inputs)
        return [inputs[0] + 1.0] if equation.name == "sin" else run(*inputs)

    x = jnp.arange(3.0)
    got = internals.carry_out(function, ({"b": jnp.ones(3)}, x), each)
    np.testing.assert_allclose(got["y"], np.cos((np.arange(3) + 1) * 2.0 + 1), rtol=1e-6)
    assert {"sin", "mul", "add", "cond", "cos"} <= set(seen)
    assert "exp" not in seen
    other = internals.for_other_platforms(lambda x: function({"b": jnp.ones(3)}, x)["y"])
    want = np.cos(np.sin(np.arange(3.0)) * 2 + 1)
    np.testing.assert_allclose(jax.jit(other)(x), want, rtol=1e-5)
    names = {e.name for e in internals.every_equation(internals.program_of(other, x))}
    assert not names & {"cond", "platform_index", "jit", "pjit", "exp"}


def test_rules_are_left_out_for_other_platforms():
    @jax.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (double(x), None), lambda saved, g: (2 * g,))
    found = internals.program_of(internals.for_other_platforms(double), jnp.ones(3))
    assert [equation.name for equation in found.equations] == ["mul"]
    assert internals.default_branch(found.equations[0]) is None
    chosen = internals.program_of(lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x), 0.0)
    assert internals.default_branch(chosen.equations[-1]) is None
