"""A trained run as one file that needs only jax."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlnotes.config import ConfigError
from dlnotes.data.dataset import Dataset, Standardize
from dlnotes.data.levels import known_levels
from dlnotes.data.own_files import reading_of
from dlnotes.experiment.decoding import decoded_length
from dlnotes.experiment.export_check import check_export
from dlnotes.experiment.export_int8 import Cost, in_int8
from dlnotes.experiment.export_onnx import require_onnx, to_int8, to_onnx
from dlnotes.experiment.members import PointName, member_in_words
from dlnotes.experiment.objective import unit_of
from dlnotes.experiment.one_task import one_task, require_one_task
from dlnotes.experiment.predict import _member, _opened, _params, predicts_next
from dlnotes.experiment.result import Trained
from dlnotes.experiment.scaling import stepped
from dlnotes.models import Model, greedy_decode
from dlnotes.typing import Params

PLATFORMS = ("cpu", "cuda", "tpu")

_README = """# {name}: an exported model

`{file}` holds a trained {kind}{which} as one program{platforms}, parameters included. It needs only
{needs} (not dlnotes):

```python
{code}
```

Arguments (the batch size, and every size that is a letter, is free):
{arguments}
{inputs}
Result: {result}
{classes}"""

_JAX = """import jax, numpy as np
{before}
model = jax.export.deserialize(bytearray(open("{file}", "rb").read()))
output = model.call({call})"""

_ONNX = """import numpy as np, onnxruntime

model = onnxruntime.InferenceSession("{file}")
(output,) = model.run(None, {{"{call}": {call}}})"""

_WIDE = """
jax.config.update("jax_enable_x64", True)  # {columns}: more digits than float32 has
"""

_LOST = 1e-5
"""Standard deviations by which float32 may round an input or a target."""


def export_run(
    run: str | Path | Trained,
    *,
    output: str | Path | None = None,
    point: PointName = None,
    member: int | None = None,
    int8: bool = False,
    onnx: bool = False,
    task: str | None = None,
    tell: Callable[[str], Any] | None = None,
) -> Path:
    """Write one member as a single file of ``jax.export``, for cpu, cuda and tpu, or of ONNX.

    The batch size is free. Inputs are raw (what the data held before they were standardized), outputs are
    probabilities, values in the target's own units, or decoded symbols. Where float32 would round a column
    away (the seconds of a date) both are float64. Before the file is written, the program answers some
    training examples and is compared with what `predict_run` says of them. A README beside it shows how to
    load it.

    In whole numbers the file is about a quarter as large. Scales of the activations come from some training
    examples; those of vectors are each example's own. Beside it, files whose names end in .md and
    .json say how to load it and what it costs on validation.

    Args:
      run: its folder, or what `open_run` returned.
      output: the file; by default export/model.jax in the run folder, or export/model_int8.jax,
        export/model.onnx, export/model_int8.onnx.
      point: of a sweep, by its number from 0 or by its values; by default the best one on validation.
      member: which of the trained members, counted over all seeds of all points from 0, or with ``point``
        over its seeds; by default the first that did not fail.
      int8: products with parameters in whole numbers of 8 bits, see `dlnotes.models.quantized`; of
        ONNX, by the quantizer of onnxruntime.
      onnx: for the many runtimes that read it; needs the extra "onnx", and inputs that are vectors, images or
        volumes of one size.
      task: of a run of several tasks, which of them answers.
      tell: is told what the whole numbers cost, in a line.

    Returns:
      The path written.

    Raises:
      ConfigError: when the program does not answer as `predict_run` does, or the network has loops and is
        asked for in whole numbers; then nothing is written.
    """
    trained = _opened(run, point, member)
    trained = trained if task is None else one_task(trained, task)
    require_one_task(trained, "an exported file")
    one = _member(trained)
    params, which = _params(one), member_in_words(trained.chosen, trained.state.members)
    if onnx:
        require_onnx(trained)
    name = f"model{'_int8' if int8 else ''}.{'onnx' if onnx else 'jax'}"
    path = Path(output) if output is not None else trained.folder.path / "export" / name
    hyper = {name: jnp.asarray(v[0]) for name, v in one.hyper.items()}
    model, cost = trained.evaluator.setup.recipe_of(hyper).model, None
    if int8 and not onnx:
        whole = in_int8(trained, one, model, params)
        model, params, cost = whole
    columns = rounded_columns(trained.dataset)
    if onnx and columns:
        told = f"onnx: {', '.join(columns)}: has more digits than float32, allowed is what float32 holds"
        raise ConfigError(str(trained.folder.path), [told])
    function, arguments, result = _exportable(trained, model, params, wide=bool(columns), rowwise=not onnx)
    with jax.enable_x64(bool(columns)):
        if onnx:
            content, call = to_onnx(function, arguments, trained)
            if int8:
                content, call, cost = to_int8(content, trained, one)
        else:
            exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments.values())
            content = exported.serialize()
            call = jax.export.deserialize(bytearray(content)).call
        check_export(call, trained, one, list(arguments.values()), int8=int8)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    dataset = trained.dataset
    shapes = {name: f"{a.dtype} ({', '.join(map(str, a.shape))})" for name, a in arguments.items()}
    before = _WIDE.format(columns=", ".join(columns)) if columns else ""
    text = _README.format(
        name=trained.config.name,
        file=path.name,
        kind=trained.config.model.kind,
        which=(f" ({which})" if which else "") + (" in whole numbers of 8 bits" if int8 else ""),
        platforms="" if onnx else " for cpu, cuda and tpu",
        needs="`onnxruntime`, or another runtime of ONNX" if onnx else "`jax` and `flatbuffers`",
        code=(_ONNX if onnx else _JAX).format(file=path.name, before=before, call=", ".join(arguments)),
        arguments="\n".join(f"- `{name}`: {shape}" for name, shape in shapes.items()),
        inputs=_inputs_in_words(dataset),
        result=result,
        classes=f"\nClasses, in order: {', '.join(map(repr, dataset.classes))}\n" if dataset.classes else "",
    )
    if cost is not None:
        text += _told_of_int8(cost, path)
        if tell is not None:
            tell(cost.in_words())
    beside = path.with_name(f"{path.name}.md") if int8 or onnx else path.parent / "README.md"
    beside.write_text(text, encoding="utf-8")
    return path


def _told_of_int8(cost: Cost, path: Path) -> str:
    """What whole numbers cost, in words; the numbers go into a file beside the exported one."""
    told = cost.as_json() | {"file_bytes": path.stat().st_size}
    path.with_name(f"{path.name}.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return f"\n{cost.in_words()}.\n"


def rounded_columns(dataset: Dataset) -> list[str]:
    """The inputs and targets whose spread is so small beside their size that float32 would round it away."""
    found = []
    for scale, names, word in (
        (dataset.standardize, dataset.features, "input"),
        (dataset.standardize_y, dataset.forecast.targets if dataset.forecast else (), "target"),
    ):
        if scale is None:
            continue
        mean, deviation = (np.atleast_1d(np.asarray(part, np.float64)) for part in scale)
        lost = np.abs(mean) / deviation * 2.0**-24 > _LOST
        places = np.flatnonzero(lost)
        named = len(names) == len(lost)
        found += [f"{word} {names[i]}" if named else f"{word} {i}" for i in places]
    return found


def _inputs_in_words(dataset: Dataset) -> str:
    """What the numbers of the inputs are."""
    if dataset.features:
        columns = f"\nColumns of `x`, in order: {', '.join(map(repr, dataset.features))}\n"
        fills = reading_of(dataset).get("encoding", {}).get("fills", {})
        lost = [name for name in fills if name in dataset.features]
        told = f"NaN in {', '.join(map(repr, lost))} is a missing number: it is filled as in training."
        return f"{columns}{told}\n" if lost else columns
    if reading_of(dataset).get("form") in ("texts", "labeled_words"):
        return (
            "\n`x` holds the numbers of symbols: the lines of data/vocabulary.txt in the run's folder, from "
            "0 on.\n"
        )
    levels = known_levels(dataset)
    if levels is not None and levels["bytes"]:
        return "\n`x` holds gray levels from 0 to 1, bytes divided by 255.\n"
    if levels is not None:
        return f"\n`x` of the training data is from {levels['low']:g} to {levels['high']:g}.\n"
    return ""


def _aligned(a: np.ndarray, x: jax.Array) -> jax.Array:
    """Host numbers of the last axes of ``x``, of its type, with axes of length one before."""
    a = np.asarray(a, x.dtype)
    return jnp.asarray(a.reshape((1,) * (x.ndim - a.ndim) + a.shape))


def _standardized(x: jax.Array, scale: Standardize | None) -> jax.Array:
    x = x if scale is None else (x - _aligned(scale.mean, x)) / _aligned(scale.scale, x)
    return x if jnp.issubdtype(x.dtype, jnp.integer) else x.astype(jnp.float32)


def _in_float32(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The function as a program of its own, in which no number becomes float64 where jax would let it."""

    def call(*arguments: Any) -> jax.Array:
        shapes = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), arguments)
        with jax.enable_x64(False):
            program = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
        return program.call(*arguments)

    return call


def _filled(x: jax.Array, dataset: Dataset) -> jax.Array:
    """Inputs of a table with NaN, a missing number, filled and marked as the training data were."""
    encoding = reading_of(dataset).get("encoding", {})
    for column, fill in encoding.get("fills", {}).items():
        if column in dataset.features:
            j = dataset.features.index(column)
            lost = jnp.isnan(x[:, j])
            if f"{column}=" in dataset.features:
                mark = dataset.features.index(f"{column}=")
                x = x.at[:, mark].set(jnp.where(lost, jnp.ones((), x.dtype), x[:, mark]))
            x = x.at[:, j].set(jnp.where(lost, jnp.asarray(fill, x.dtype), x[:, j]))
    return x


def _length(name: str, trained: Trained) -> str:
    """The length of exported inputs: open; nets that find trees are programs for one length."""
    mask, finds = trained.dataset.train.mask, trained.config.model.latent_trees
    return name if not finds or mask is None else str(mask.shape[1])


def _exportable(trained: Trained, model: Model, params: Params, *, wide: bool, rowwise: bool):
    """The function of raw arrays, its arguments' shapes by name, and what it returns.

    Args:
      trained: the run.
      model: of the member.
      params: of it.
      wide: take and give float64; the network between computes in float32 as ever.
      rowwise: write the program for one image, and that over the batch. Where the size of the batch is open,
        jax gathers strided parts of an array, which takes ten times as long; those of one image are slices.
    """
    dataset, train = trained.dataset, trained.dataset.train
    scope = jax.export.SymbolicScope()
    number = jnp.float64 if wide else jnp.float32

    def apply(x: Any, **options: Any) -> jax.Array:
        if not wide:
            return model.apply(params, x, **options)
        return _in_float32(lambda x, options: model.apply(params, x, **options))(x, options)

    def shape(text: str, dtype: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(jax.export.symbolic_shape(text, scope=scope), dtype)

    spread = unit_of(trained.config, dataset)

    def answer(logits):
        if dataset.task == "regression":
            logits = logits if spread is None else spread.distribution(logits).mean
            logits = logits.astype(number)
            scale = dataset.standardize_y
            if scale is None:
                return logits
            return logits * _aligned(scale.scale, logits) + _aligned(scale.mean, logits)
        return jax.nn.softmax(logits)

    result = {
        "regression": "values `(batch, outputs)`",
        "pixels": "probabilities `(batch, height, width, classes)`",
    }.get(dataset.task, "probabilities `(batch, classes)`")
    if dataset.input in ("image", "volume") and train.mask is not None:
        scale = dataset.standardize
        sizes = ", ".join("dhw"[-(len(dataset.inputs) - 1) :])

        def sized(x, mask):
            return answer(apply(_standardized(stepped(x, dataset, mask), scale), mask=mask))

        x = shape(f"b, {sizes}, {dataset.inputs[-1]}", number)
        return sized, {"x": x, "mask": shape(f"b, {sizes}", jnp.bool_)}, result
    if dataset.input in ("vector", "image", "volume"):
        scale = dataset.standardize

        each = rowwise and len(dataset.inputs) > 1
        every = jax.vmap(lambda row: apply(row[None])[0]) if each else apply

        def plain(x):
            x = _standardized(stepped(_filled(x, dataset), dataset, None), scale)
            return answer(every(x))

        return plain, {"x": shape(", ".join(["b", *map(str, dataset.inputs)]), number)}, result
    if dataset.input in ("tokens", "sequence"):
        features = f", {dataset.inputs[-1]}" if dataset.input == "sequence" else ""
        kind = number if dataset.input == "sequence" else jnp.int32
        scale = dataset.standardize

        def sequence(x, mask):
            x = _standardized(stepped(x, dataset, mask), scale)
            return answer(apply(x, mask=mask))

        t = _length("t", trained)
        arguments = {"x": shape(f"b, {t}{features}", kind), "mask": shape(f"b, {t}", jnp.bool_)}
        if dataset.task == "tokens":
            of = "the next symbol" if predicts_next(dataset) else "the class of each position"
            result = f"probabilities of {of} `(batch, time, {len(dataset.classes)})`"
        return sequence, arguments, result
    if dataset.input == "pair":
        length = decoded_length(dataset)
        arguments = {"source": shape("b, s", jnp.int32), "mask": shape("b, s", jnp.bool_)}
        result = f"symbol numbers `(batch, {length})`, 0 at the end, -1 after it"
        return (lambda source, mask: greedy_decode(params, source, mask, length=length)), arguments, result
    tree, n = type(train.x), _length("n", trained)
    if dataset.task == "tokens":
        result = f"probabilities of the class of each node `(batch, nodes, {len(dataset.classes)})`"
    arguments = {
        "label": shape(f"b, {n}", jnp.int32),
        "mask": shape(f"b, {n}", jnp.bool_),
        "children": shape(f"b, {n}, {train.x.children.shape[-1]}", jnp.int32),
        "order": shape(f"b, {n}", jnp.int32),
    }

    def recursive(label, mask, children, order):
        return answer(apply(tree(label, children, order), mask=mask))

    return recursive, arguments, result
