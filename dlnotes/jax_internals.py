"""What dlnotes knows of jax that jax does not promise: its programs, its tracers, its start, its reports.

Everything else in dlnotes keeps to what jax documents. Tested with jax 0.10.2, 0.11.2 and 0.12.0.1;
when another release changes something inside, here is the place to mend, and
``tests/test_jax_internals.py`` says what. Importing this module does not import jax: one of its users
must speak before jax starts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from threading import get_ident
from typing import Any, NamedTuple, TypeAlias

# fmt: off
BY_ELEMENT = frozenset([
    "abs", "add", "add_any", "and", "ceil", "clamp", "convert_element_type", "copy", "cos", "div", "eq",
    "erf", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "log",
    "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sqrt", "square",
    "stop_gradient", "sub", "tanh", "xor",
])
# fmt: on
"""Names of equations whose output depends, at each place, on their inputs at that place only."""


class Value(NamedTuple):
    """What an equation takes or gives.

    Attributes:
      shape: of the array.
      variable: the same object wherever the same value is meant; ``None`` for a number written into the
        program.
    """

    shape: tuple[int, ...]
    variable: Hashable


class Equation(NamedTuple):
    """One operation of a program.

    Attributes:
      name: of the operation, such as "mul" or "scan".
      inputs: what it takes.
      outputs: what it gives.
      programs: those inside: of a scan its body, of a while its condition and its body, of a cond its
        branches, of a call what is called.
      options: as jax names them; the functions of this module read them.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    programs: tuple[Program, ...]
    options: Mapping[str, Any]


class Program(NamedTuple):
    """What a function does with arrays, as jax wrote it down (a jaxpr).

    Attributes:
      inputs: the function's arguments, flat.
      constants: arrays that the function brought along, each with its value, or ``None`` where that is
        not known.
      equations: in their order.
      outputs: the function's results, flat.
    """

    inputs: tuple[Value, ...]
    constants: tuple[tuple[Value, Any], ...]
    equations: tuple[Equation, ...]
    outputs: tuple[Value, ...]


def program_of(function: Callable[..., Any], *arguments: Any) -> Program:
    """The program of a function for arguments of these shapes; nothing is run.

    Args:
      function: pure, of trees of arrays.
      arguments: arrays or ``jax.ShapeDtypeStruct``; their values do not matter.

    Example:
      >>> program = program_of(lambda x: jnp.tanh(2 * x), jnp.zeros(3))
      >>> [equation.name for equation in program.equations]
      ['mul', 'tanh']
      >>> program.inputs[0].shape
      (3,)
    """
    import jax

    return _program(jax.make_jaxpr(function)(*arguments))


def _program(found: Any) -> Program:
    # A program with its constants is a thing of its own up to jax 0.11, and the program itself from 0.12 on.
    inner = getattr(found, "jaxpr", found)
    known = list(getattr(found, "consts", ()))
    constants = known or [None] * len(inner.constvars)
    return Program(
        tuple(map(_value, inner.invars)),
        tuple(zip(map(_value, inner.constvars), constants)),
        tuple(map(_equation, inner.eqns)),
        tuple(map(_value, inner.outvars)),
    )


def _equation(found: Any) -> Equation:
    from jax.extend.core import Jaxpr

    parts = []
    for option in found.params.values():
        parts += option if isinstance(option, (tuple, list)) else [option]
    programs = (_program(part) for part in parts if isinstance(getattr(part, "jaxpr", part), Jaxpr))
    inputs, outputs = tuple(map(_value, found.invars)), tuple(map(_value, found.outvars))
    return Equation(found.primitive.name, inputs, outputs, tuple(programs), found.params)


def _value(found: Any) -> Value:
    from jax.extend.core import Literal

    return Value(tuple(found.aval.shape), None if isinstance(found, Literal) else found)


def every_equation(program: Program) -> Iterator[Equation]:
    """All equations of a program, those of the programs inside it included, each before what it holds."""
    for equation in program.equations:
        yield equation
        for inner in equation.programs:
            yield from every_equation(inner)


def count_loops(program: Program) -> int:
    """How many loops a program has, those inside loops, branches and calls included.

    Example:
      >>> count_loops(program_of(lambda x: jax.lax.map(jnp.tanh, x), jnp.zeros(3)))
      1
    """
    return sum(equation.name in ("scan", "while") for equation in every_equation(program))


def is_call(equation: Equation) -> bool:
    """Whether an equation only runs the one program inside it: the same values go in and come out.

    Example:
      >>> [equation] = program_of(jax.jit(jnp.tanh), jnp.zeros(3)).equations
      >>> is_call(equation)
      True
    """
    if equation.name == "scan" or len(equation.programs) != 1:
        return False
    (inside,) = equation.programs
    pairs = (equation.inputs, inside.inputs), (equation.outputs, inside.outputs)
    return all([v.shape for v in without] == [v.shape for v in within] for without, within in pairs)


class Scan(NamedTuple):
    """A program repeated over the first axis of arrays.

    Attributes:
      body: one step, ``constants, carried, slices -> carried, slices``.
      length: how many steps.
      constants: how many of the first inputs are the same at all steps.
      carried: how many of the inputs after them, and of the first outputs, go from step to step; what is
        left of both is stacked along a first axis.
    """

    body: Program
    length: int
    constants: int
    carried: int


def scan_parts(equation: Equation) -> Scan:
    """The parts of a "scan" equation.

    They are told by the shapes, not by the options, which jax 0.12 changed: what is stacked has one axis
    more outside than inside.

    Example:
      >>> step = lambda h, x: (h + x, h)
      >>> [equation] = program_of(lambda h, xs: jax.lax.scan(step, h, xs), 0.0, jnp.zeros(5)).equations
      >>> scan_parts(equation)[1:]
      (5, 0, 1)
    """
    (body,) = equation.programs
    stacked = sum(len(v.shape) > len(w.shape) for v, w in zip(equation.inputs, body.inputs))
    carried = sum(len(v.shape) == len(w.shape) for v, w in zip(equation.outputs, body.outputs))
    constants = len(equation.inputs) - stacked - carried
    return Scan(body, equation.options["length"], constants, carried)


class Cond(NamedTuple):
    """One of several programs, chosen by a number.

    Attributes:
      branches: of the same shapes.
      choosing: how many of the equation's first inputs choose; the others go into the branch.
    """

    branches: tuple[Program, ...]
    choosing: int


def cond_parts(equation: Equation) -> Cond:
    """The parts of a "cond" equation.

    Example:
      >>> function = lambda x: jax.lax.cond(x > 0, jnp.sin, jnp.cos, x)
      >>> equation = program_of(function, 0.0).equations[-1]
      >>> [branch.equations[0].name for branch in cond_parts(equation).branches]
      ['cos', 'sin']
    """
    branches = equation.programs
    return Cond(branches, len(equation.inputs) - len(branches[0].inputs))


def default_branch(equation: Equation) -> int | None:
    """Of a "cond" equation that chooses by platform, which branch is for those that are not named.

    ``None`` of any other equation, and where there is no such branch.

    Example:
      >>> function = lambda x: jax.lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos)
      >>> default_branch(program_of(function, 0.0).equations[-1])
      1
    """
    platforms = equation.options.get("branches_platforms") if equation.name == "cond" else None
    return platforms.index(None) if platforms is not None and None in platforms else None


class Product(NamedTuple):
    """Which axes a product of two arrays goes over.

    Attributes:
      contracted: of each factor, the axes that are added up.
      batch: of each factor, the axes that both have.
    """

    contracted: tuple[tuple[int, ...], tuple[int, ...]]
    batch: tuple[tuple[int, ...], tuple[int, ...]]


def product_axes(equation: Equation) -> Product:
    """The axes of a "dot_general" equation.

    Example:
      >>> [equation] = program_of(jnp.matmul, jnp.zeros((2, 3)), jnp.zeros((3, 5))).equations
      >>> product_axes(equation)
      Product(contracted=((1,), (0,)), batch=((), ()))
    """
    (left, right), (left_batch, right_batch) = equation.options["dimension_numbers"]
    return Product((tuple(left), tuple(right)), (tuple(left_batch), tuple(right_batch)))


class Convolution(NamedTuple):
    """How a kernel is moved over an input.

    Attributes:
      strides: of each size.
      padding: (before, after) of each size.
      input_dilation: of each size, 1 where no zeros are put between its positions.
      kernel_dilation: of each size.
      input_axes: batch, channels, then the sizes.
      kernel_axes: channels out, channels in, then the sizes.
      output_axes: as of the input.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    input_axes: tuple[int, ...]
    kernel_axes: tuple[int, ...]
    output_axes: tuple[int, ...]


def convolution_parts(equation: Equation) -> Convolution:
    """The options of a "conv_general_dilated" equation, whose inputs are the input and the kernel."""
    found = equation.options
    axes = found["dimension_numbers"]
    return Convolution(
        tuple(found["window_strides"]),
        tuple(map(tuple, found["padding"])),
        tuple(found["lhs_dilation"]),
        tuple(found["rhs_dilation"]),
        tuple(axes.lhs_spec),
        tuple(axes.rhs_spec),
        tuple(axes.out_spec),
    )


class Windows(NamedTuple):
    """How a window is moved over an array, one number (of padding, two) for each of its axes.

    Attributes:
      sizes: of the window.
      strides: of its steps.
      padding: (before, after).
      input_dilation: 1 where no positions are put between those of the array.
      dilation: of the window.
    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    input_dilation: tuple[int, ...]
    dilation: tuple[int, ...]


def window_parts(equation: Equation) -> Windows:
    """The options of an equation of the "reduce_window" kind."""
    found = equation.options
    sizes = tuple(found["window_dimensions"])
    ones = (1,) * len(sizes)
    return Windows(
        sizes,
        tuple(found["window_strides"]),
        tuple(map(tuple, found["padding"])),
        tuple(found.get("base_dilation") or ones),
        tuple(found.get("window_dilation") or ones),
    )


def slice_steps(equation: Equation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Where a "slice" equation begins on each axis, and by what steps it goes on.

    Example:
      >>> [equation] = program_of(lambda x: jax.lax.slice(x, (1,), (7,), (2,)), jnp.zeros(9)).equations
      >>> slice_steps(equation)
      ((1,), (2,))
    """
    starts = tuple(equation.options["start_indices"])
    return starts, tuple(equation.options["strides"] or (1,) * len(starts))


def padded_by(equation: Equation) -> tuple[tuple[int, int, int], ...]:
    """What a "pad" equation adds to each axis: before, after, and between its positions."""
    return tuple(equation.options["padding_config"])


def permutation(equation: Equation) -> tuple[int, ...]:
    """Of a "transpose" equation: which axis of the input each axis of the output is."""
    return tuple(equation.options["permutation"])


def broadcast_axes(equation: Equation) -> tuple[int, ...]:
    """Of a "broadcast_in_dim" equation: which axis of the output each axis of the input becomes."""
    return tuple(equation.options["broadcast_dimensions"])


def removed_axes(equation: Equation) -> tuple[int, ...]:
    """The axes that an equation of the "reduce_sum" kind, or "squeeze", removes.

    Example:
      >>> [equation] = program_of(lambda x: x.max(1), jnp.zeros((2, 3))).equations
      >>> removed_axes(equation)
      (1,)
    """
    options = equation.options
    return tuple(options["axes"] if "axes" in options else options["dimensions"])


def is_traced(value: Any) -> bool:
    """Whether a value stands for one that is not known yet, as inside ``jax.jit``.

    Example:
      >>> is_traced(jnp.ones(3)), bool(jax.jit(lambda x: is_traced(x))(1.0))
      (False, True)
    """
    from jax.core import Tracer

    return isinstance(value, Tracer)


def backend_started() -> bool:
    """Whether jax has already chosen its devices, after which they cannot be changed."""
    from jax._src import xla_bridge

    return xla_bridge.backends_are_initialized()


def accelerator_installed() -> bool:
    """Whether a package is installed through which jax uses an accelerator; jax is not loaded."""
    plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin", "libtpu")
    return any(find_spec(name) for name in plugins)


def coordination_client() -> Any:
    """What the processes of ``jax.distributed`` tell one another by: keys and values at the coordinator."""
    from jax._src import distributed

    return distributed.global_state.client


def wrap_compilation_cache(wrapper: Callable[[Any], Any]) -> None:
    """Let jax reach its cache of compiled programs on disk through ``wrapper(cache)``, from now on.

    Args:
      wrapper: gives an object with ``get(key)`` and ``put(key, value)``.
    """
    from jax._src import compilation_cache

    made = compilation_cache.get_file_cache
    if hasattr(made, "wrapper"):
        return

    def get_file_cache(path: str) -> Any:
        found = made(path)
        return None if found is None else (wrapper(found[0]), found[1])

    get_file_cache.wrapper = wrapper  # type: ignore[attr-defined]
    compilation_cache.get_file_cache = get_file_cache


class _Overheard:
    """jax's cache of compiled programs, and what one thread asks of it and gives to it meanwhile."""

    def __init__(self, base: Any):
        self.base, self.thread, self.values = base, get_ident(), []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.base, name)

    def get(self, key: str) -> bytes | None:
        value = self.base.get(key)
        if value is not None and get_ident() == self.thread:
            self.values.append(value)
        return value

    def put(self, key: str, value: bytes) -> None:
        if get_ident() == self.thread:
            self.values.append(value)
        self.base.put(key, value)


def compile_and_write(lowered: Any) -> tuple[Any, bytes]:
    """Compile a program, or take it from jax's cache of compiled programs, and write it for `read_program`.

    What comes from the cache cannot be serialized again, but the cache holds it as it was serialized.

    Args:
      lowered: of ``jax.jit(...).lower(...)``.

    Raises:
      Exception: of any kind, when it cannot be written: constants in it, a backend that cannot. Compiling
        it again, from the cache, costs little.
    """
    import io
    import pickle

    import jax
    from jax._src import compilation_cache
    from jax._src.lib import _jax  # pyright: ignore[reportPrivateImportUsage]
    from jax.experimental import serialize_executable

    if compilation_cache._cache is None:
        compilation_cache._initialize_cache()
    base = compilation_cache._cache
    heard = _Overheard(base)
    try:
        compilation_cache._cache = None if base is None else heard  # type: ignore[assignment]
        compiled = lowered.compile()
    finally:
        compilation_cache._cache = base
    held = [compilation_cache.decompress_executable(value) for value in heard.values]
    programs = [compilation_cache.extract_executable_and_time(value)[0] for value in held]

    class Pickler(serialize_executable._JaxPjrtPickler):
        def persistent_id(self, obj: Any) -> Any:
            if programs and isinstance(obj, (_jax.LoadedExecutable, _jax.Executable)):
                return "exec", programs[-1]
            return super().persistent_id(obj)

    if compiled._params.const_args:
        raise NotImplementedError("a program with constants as arguments")
    info, inputs = jax.tree.flatten(compiled.args_info)
    file = io.BytesIO()
    Pickler(file).dump((compiled._executable._unloaded_executable, info, compiled._no_kwargs))
    devices = [device.id for device in compiled.runtime_executable().local_devices()]
    return compiled, pickle.dumps((file.getvalue(), inputs, compiled.out_tree, devices))


def read_program(written: bytes) -> Any:
    """The compiled program that `compile_and_write` wrote: it is called like the function it was made of.

    Args:
      written: by this version of jax, on a machine of this kind; code in it may be run.

    Raises:
      Exception: of any kind, when it cannot be loaded here.
    """
    import pickle

    import jax
    from jax.experimental import serialize_executable

    program, inputs, outputs, devices = pickle.loads(written)
    there = {device.id: device for device in jax.local_devices()}
    return serialize_executable.deserialize_and_load(
        program, inputs, outputs, execution_devices=[there[i] for i in devices]
    )


def compiler_knows(options: Mapping[str, Any]) -> bool:
    """Whether this version of the compiler has these options: tried on a trivial program.

    Args:
      options: for ``jax.jit(..., compiler_options=...)``.

    Example:
      >>> compiler_knows({}), compiler_knows({"xla_make_it_fast": True})
      (True, False)
    """
    import jax

    try:
        jax.jit(lambda x: x + 1, compiler_options=dict(options)).lower(1.0).compile()
    except Exception:  # an unknown option raises an error of the backend's own
        return False
    return True


def device_memory(device: Any) -> int | None:
    """Bytes that jax may use on a device, ``None`` where it does not say."""
    return None if device.platform == "cpu" else (device.memory_stats() or {}).get("bytes_limit")


def temporary_bytes(compiled: Any) -> int | None:
    """Bytes that a compiled program needs besides its arguments and results, as the compiler reports.

    Args:
      compiled: what ``jax.jit(function).lower(...).compile()`` gives.

    Returns:
      ``None`` where the backend does not report it.
    """
    found = compiled.memory_analysis()
    return None if found is None else int(found.temp_size_in_bytes)


def operations(stage: Any) -> float:
    """Floating-point operations of a program, as the compiler reports; what a loop repeats counts once.

    Args:
      stage: what ``jax.jit(function).lower(...)`` gives, or its ``compile()``.

    Returns:
      NaN where the backend does not report it.

    Example:
      >>> operations(jax.jit(jnp.matmul).lower(jnp.zeros((2, 3)), jnp.zeros((3, 5))).compile())
      60.0
    """
    return float((stage.cost_analysis() or {}).get("flops", float("nan")))


def bytes_accessed(stage: Any) -> float:
    """Bytes that a program reads and writes, as the compiler reports; what a loop repeats counts once.

    Args:
      stage: what ``jax.jit(function).lower(...)`` gives, or its ``compile()``.

    Returns:
      NaN where the backend does not report it.

    Example:
      >>> bytes_accessed(jax.jit(jnp.matmul).lower(jnp.zeros((2, 3)), jnp.zeros((3, 5))))
      124.0
    """
    return float((stage.cost_analysis() or {}).get("bytes accessed", float("nan")))


def without_rules(function: Callable[..., Any], files: Collection[str]) -> Callable[..., Any]:
    """A function without the rules that some of its parts bring along for their gradients and for vmap.

    It computes the same; jax then derives everything itself, in forward mode too. The function is written
    down as a program at each call and its operations are carried out, so arguments that are no arrays
    must be plain Python values.

    Args:
      function: of arrays.
      files: where the functions stand whose rules are left out, each the derivative of the function's value.

    Raises:
      TypeError: by the function, for the gradient of a function that stands elsewhere: it may be another
        than the derivative of the value, such as that of a straight-through choice.

    Example:
      >>> @jax.custom_vjp
      ... def double(x):
      ...     return 2 * x
      >>> double.defvjp(lambda x: (double(x), None), lambda saved, g: (2 * g,))
      >>> here = {double.__wrapped__.__code__.co_filename}
      >>> jax.jvp(without_rules(double, here), (3.0,), (1.0,))
      (Array(6., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """
    from functools import wraps

    import jax
    import numpy as np

    @wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, kwargs))
        kinds = (jax.Array, np.ndarray, np.generic, float, complex)
        given = [leaf for leaf in leaves if isinstance(leaf, kinds)]
        shape: Any = None

        def flat(*arrays: Any) -> list[Any]:
            nonlocal shape
            filled = iter(arrays)
            parts, options = structure.unflatten(
                [next(filled) if isinstance(leaf, kinds) else leaf for leaf in leaves]
            )
            results, shape = jax.tree.flatten(function(*parts, **options))
            return results

        found = jax.make_jaxpr(flat)(*given)
        return shape.unflatten(_carried_out(found, given, files))

    return plain


_RULES = {"custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr", "custom_vmap_call": "call"}
"""Equations that bring rules along, with the option that holds what they compute."""


def _carried_out(found: Any, arguments: Any, files: Collection[str]) -> list[Any]:
    """The results of a program with its constants, without the rules of the functions of some files."""
    from jax.extend.core import Literal

    inner = getattr(found, "jaxpr", found)
    values = dict(zip(inner.constvars, getattr(found, "consts", ())))
    values.update(zip(inner.invars, arguments))

    def of(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in inner.eqns:
        inputs = [of(variable) for variable in equation.invars]
        name = equation.primitive.name
        called: Any = equation.params[_RULES[name]] if name in _RULES else None
        where = None if called is None else getattr(called, "jaxpr", called).debug_info
        if where is not None and where.func_filename in files:
            results = _carried_out(called, inputs, files)
        elif where is not None and name != "custom_vmap_call":
            raise TypeError(
                f"{where.func_src_info}: its own gradient may be another than the derivative of its value, so"
                " that it has no forward mode"
            )
        else:
            options = equation.params
            if any(
                part.name in _RULES
                for inside in _equation(equation).programs
                for part in every_equation(inside)
            ):
                options = {name: _rewritten(option, files) for name, option in options.items()}
            results = equation.primitive.bind(*inputs, **equation.primitive.get_bind_params(options))
            results = results if equation.primitive.multiple_results else [results]
        values.update(zip(equation.outvars, results))
    return [of(variable) for variable in inner.outvars]


def _rewritten(option: Any, files: Collection[str]) -> Any:
    """An option of an equation, with the rules left out of the programs in it."""
    import jax
    from jax.extend.core import Jaxpr

    if isinstance(option, (tuple, list)):
        return (
            type(option)(_rewritten(part, files) for part in option)
            if not hasattr(option, "_fields")
            else option
        )
    inner = getattr(option, "jaxpr", option)
    if not isinstance(inner, Jaxpr):
        return option
    found: list[Any] = [v.aval for v in inner.invars]
    places = [jax.ShapeDtypeStruct(a.shape, a.dtype, weak_type=a.weak_type) for a in found]
    new = jax.make_jaxpr(lambda *arguments: _carried_out(option, arguments, files))(*places)
    if type(option) is type(new):
        return new
    if getattr(new, "consts", ()):
        raise ValueError("a program without constants was expected here")
    return new.jaxpr


def carry_out(function: Callable[..., Any], arguments: Any, each: Each) -> Any:
    """The results of a function whose operations are carried out one by one by another.

    The function is written down as a program for the shapes of its arguments. ``each`` is then told of every
    operation, with what goes in, and gives a list of what comes out. What goes in are the leaves of the
    arguments, what ``each`` gave before, and numbers written into the program.

    Args:
      function: of trees of arrays.
      arguments: a tuple of trees; leaves are arrays or anything with a shape and a dtype.
      each: ``each(equation, inputs, run) -> outputs``. ``run(*inputs)`` carries the operation out with
        arrays; ``run.inside(k, inputs)`` gives the results of the k-th program inside it, its operations told
        to ``each`` in their turn.

    Returns:
      The function's results, of what ``each`` gave.

    Example:
      >>> def each(equation, inputs, run):
      ...     return [jnp.cos(*inputs)] if equation.name == "sin" else run(*inputs)
      >>> float(carry_out(lambda x: 1 + jnp.sin(x), (jnp.zeros(()),), each))
      2.0
    """
    import jax

    leaves, structure = jax.tree.flatten(arguments)
    shape: Any = None

    def flat(*given: Any) -> list[Any]:
        nonlocal shape
        results, shape = jax.tree.flatten(function(*structure.unflatten(given)))
        return results

    found = jax.make_jaxpr(flat)(*(jax.ShapeDtypeStruct(a.shape, a.dtype) for a in leaves))
    return shape.unflatten(_told(found, leaves, each))


class Run(NamedTuple):
    """An operation as it is written in a program.

    Attributes:
      found: jax's own equation.
      programs: those inside, as jax has them, in the order of `Equation.programs`.
      each: who is told of the operations inside.
    """

    found: Any
    programs: tuple[Any, ...]
    each: Each

    def __call__(self, *inputs: Any) -> list[Any]:
        """What comes out for arrays."""
        primitive = self.found.primitive
        results = primitive.bind(*inputs, **primitive.get_bind_params(self.found.params))
        return list(results) if primitive.multiple_results else [results]

    def inside(self, k: int, inputs: Sequence[Any]) -> list[Any]:
        """The results of a program inside."""
        return _told(self.programs[k], inputs, self.each)


Each: TypeAlias = "Callable[[Equation, list[Any], Run], list[Any]]"
"""Who carries out an operation, from what goes in."""


def _told(found: Any, arguments: Sequence[Any], each: Each) -> list[Any]:
    from jax.extend.core import Jaxpr, Literal

    inner = getattr(found, "jaxpr", found)
    values = dict(zip(inner.constvars, getattr(found, "consts", ())))
    values.update(zip(inner.invars, arguments))

    def of(variable: Any) -> Any:
        return variable.val if isinstance(variable, Literal) else values[variable]

    for equation in inner.eqns:
        parts = []
        for option in equation.params.values():
            parts += option if isinstance(option, (tuple, list)) else [option]
        programs = tuple(part for part in parts if isinstance(getattr(part, "jaxpr", part), Jaxpr))
        inputs = [of(variable) for variable in equation.invars]
        results = each(_equation(equation), inputs, Run(equation, programs, each))
        values.update(zip(equation.outvars, results))
    return [of(variable) for variable in inner.outvars]


def for_other_platforms(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as it is on platforms that none of its choices names, without calls and rules in between.

    For converters that know operations but neither choices by platform nor rules for gradients and vmap.

    Args:
      function: of arrays.

    Example:
      >>> function = lambda x: jax.lax.platform_dependent(x, cpu=jnp.sin, default=jnp.cos)
      >>> [equation.name for equation in program_of(for_other_platforms(function), 0.0).equations]
      ['cos']
    """

    def each(equation: Equation, inputs: list[Any], run: Run) -> list[Any]:
        branch = default_branch(equation)
        if branch is not None:
            return run.inside(branch, inputs[1:])
        if equation.name == "platform_index":
            return [None]
        return run.inside(0, inputs) if is_call(equation) else run(*inputs)

    return lambda *arguments: carry_out(function, arguments, each)


def forward_traced(values: Any) -> str | None:
    """How values are being differentiated in forward mode: "forward", "over reverse", or not at all.

    Example:
      >>> found = []
      >>> f = lambda x: (found.append(forward_traced(x)), x * x)[1]
      >>> _ = jax.jvp(f, (2.0,), (1.0,)), jax.grad(f)(2.0), jax.hessian(f)(2.0)
      >>> found
      ['forward', None, 'over reverse']
    """
    import jax
    from jax._src.interpreters.ad import JVPTracer
    from jax.core import Tracer

    found = None
    for leaf in jax.tree.leaves(values):
        outer, reverse = leaf, False
        while isinstance(outer, Tracer):
            if isinstance(outer, JVPTracer):
                found = "over reverse" if reverse or found == "over reverse" else "forward"
                break
            reverse = reverse or hasattr(outer, "primal")
            outer = getattr(outer, "primal", getattr(outer, "val", None))
    return found


def has_forward_mode(function: Callable[[Any], Any], argument: Any, how: str) -> bool:
    """Whether a function can be differentiated as `forward_traced` says; nothing is run.

    Args:
      function: of one tree of arrays.
      argument: arrays or tracers; their values do not matter.
      how: "forward" or "over reverse".
    """
    import jax
    import jax.numpy as jnp

    leaves, structure = jax.tree.flatten(argument)
    real = [hasattr(a, "dtype") and jnp.issubdtype(a.dtype, jnp.floating) for a in leaves]
    places = [jax.ShapeDtypeStruct(jnp.shape(a), a.dtype) for a, r in zip(leaves, real) if r]

    def one(moving: Any) -> Any:
        rest = iter(moving)
        found = function(structure.unflatten([next(rest) if r else a for a, r in zip(leaves, real)]))
        found = [a for a in jax.tree.leaves(found) if hasattr(a, "dtype")]
        return [a for a in found if jnp.issubdtype(a.dtype, jnp.floating)]

    def reverse(moving: Any) -> Any:
        results, pull = jax.vjp(one, moving)
        return results, pull(results)

    looked = reverse if how == "over reverse" else one
    try:
        program = program_of(lambda p, t: jax.jvp(looked, (p,), (t,)), places, places)
    except Exception as error:  # what cannot be looked at by itself is left to jax
        return "custom_vjp" not in str(error)
    return all(equation.name != "custom_lin" for equation in every_equation(program))
