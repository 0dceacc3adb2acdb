"""A run that starts from another: what is taken over, bit for bit; resumed alone; refusals by name."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false, reportOptionalSubscript=false
import shutil
from contextlib import contextmanager
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_run import tiny

from dlnotes.config import ConfigError, parse
from dlnotes.experiment import run as running
from dlnotes.experiment.evaluate import evaluate_run
from dlnotes.experiment.fine_tuning import at_rest, moving_only
from dlnotes.experiment.kept_data import load_data
from dlnotes.experiment.opening import open_run
from dlnotes.experiment.param_paths import leaves_of, marked
from dlnotes.experiment.run import Interrupted, resume, run
from dlnotes.experiment.start import in_scales_of, starts, with_start_found
from dlnotes.models.model import Model, WithState
from dlnotes.training.sharded import gather

SHORT = {"duration": "12 steps", "batch_size": 16}


def started(directory, source, *, start=None, **sections):
    raw = tiny(directory, **{k: v for k, v in sections.items() if "kind" not in v})
    raw |= {k: v for k, v in sections.items() if "kind" in v}
    raw["training"] = {k: v for k, v in (SHORT | sections.get("training", {})).items() if v is not None}
    raw["start"] = {"run": str(source)} | (start or {})
    return parse(raw)


def first_params(config, **options):
    """The parameters of every member before the first step, and what was said."""
    config = with_start_found(config)
    plan, dataset = running.groups(config), load_data(config)
    begun = starts(plan, dataset)
    (trainer,) = running._trainers(config, plan, in_scales_of(begun, config, dataset), None, None, begun)
    return gather(trainer.initial().members), begun[0]


def array_of(params, path):
    return np.asarray(leaves_of(params)[path][1])


def quick(directory, **sections):
    training = {"duration": "2 steps", "seeds": 1, "batch_size": 8} | sections.pop("training", {})
    raw = tiny(directory, **{k: v for k, v in sections.items() if k == "data"})
    raw |= {"training": training} | sections
    return run(parse(raw)).folder


@pytest.fixture
def copied(finished, tmp_path):
    """A source that a test may spoil."""
    return shutil.copytree(finished.folder, tmp_path / "sources" / "one")


@pytest.mark.parametrize(
    ("chosen", "count", "rows"),
    [
        ("in_turn", 3, [0, 1, 2]),
        ("in_turn", 5, [0, 1, 2, 0, 1]),
        ("first", 2, [0, 0]),
        (2, 2, [2, 2]),
        ([2, 0], 2, [2, 0]),
    ],
)
def test_each_seed_starts_from_the_one_that_is_named(chosen, count, rows, finished, tmp_path):
    config = started(tmp_path, finished.folder, start={"seeds": chosen}, training={"seeds": count})
    members, begun = first_params(config)
    source = jax.tree.map(lambda a: a[np.array(rows)], finished.states[0].members.average)
    chex.assert_trees_all_equal(members.params, source)
    assert begun.seeds == tuple(rows)


def test_the_newest_run_that_ended_and_settings_of_a_sweep(copied, finished, tmp_path):
    sweep = {"sweep": {"kind": "grid", "parameters": {"optimizer.learning_rate": [0.1, 0.01]}}}
    members, begun = first_params(started(tmp_path, copied.parent, training={"seeds": 2}, **sweep))
    source = jax.tree.map(lambda a: a[np.array([0, 1, 0, 1])], finished.states[0].members.average)
    chex.assert_trees_all_equal(members.params, source)
    assert begun.run == str(copied)


@pytest.mark.parametrize(
    "devices", [{"strategy": "pmap"}, {"strategy": "mesh"}, {"strategy": "mesh", "mesh": {"fsdp": 4}}]
)
def test_divided_over_devices_it_is_the_same_start(devices, finished, tmp_path):
    config = started(tmp_path, finished.folder, devices=devices, training={"seeds": 1})
    members, _ = first_params(config)
    source = jax.tree.map(lambda a: a[:1], finished.states[0].members.average)
    chex.assert_trees_all_equal(members.params, source)


def test_layers_that_are_named_and_a_head_of_other_classes(finished, tmp_path):
    xor = {"data": {"kind": "xor"}, "training": {"seeds": 3}}
    own, _ = first_params(started(tmp_path, finished.folder, start={"layers": []}, **xor))
    some, begun = first_params(started(tmp_path, finished.folder, start={"layers": ["*/W"]}, **xor))
    every, told = first_params(started(tmp_path, finished.folder, **xor))
    named, _ = first_params(started(tmp_path, finished.folder, start={"layers": ["hidden", "output"]}, **xor))
    there = finished.states[0].members.average
    for path, found in [
        ("hidden/0/W", (some, every, named)),
        ("hidden/0/b", (every, named)),
        ("output/W", (named,)),
    ]:
        for one in found:
            np.testing.assert_array_equal(array_of(one.params, path), array_of(there, path))
    for path, found in [("hidden/0/b", (some,)), ("output/W", (some, every)), ("output/b", (some, every))]:
        for one in found:
            np.testing.assert_array_equal(array_of(one.params, path), array_of(own.params, path))
    assert "output/W, output/b are fresh: 2 classes (upper, lower) there, 2 classes (0, 1) here" in str(
        told.told
    )
    assert not begun.places


def test_what_is_frozen_stays_and_the_rest_moves(finished, tmp_path):
    config = started(
        tmp_path, finished.folder, start={"frozen": ["hidden"]}, training={"seeds": 2, "max_norm": 0.5}
    )
    result = run(config)
    last, there = result.states[0].members, finished.states[0].members.average
    for path in ("hidden/0/W", "hidden/0/b"):
        np.testing.assert_array_equal(array_of(last.params, path), array_of(there, path)[:2])
        assert (array_of(last.params, path) != 0).any()
    assert (array_of(last.params, "output/W") != array_of(there, "output/W")[:2]).all()
    assert "2 arrays stay as they are: hidden/0/W, hidden/0/b" in str(result.summary["start"][0]["told"])
    assert not any("hidden" in path for path in leaves_of(last.opt_state))


def test_frozen_parts_of_a_network_with_a_state():
    """Neither gradient nor running average moves what is frozen."""

    def init(key):
        w = {"a": jnp.ones(2), "b": jnp.ones(2)}
        return WithState(w, {"a": jnp.zeros(2), "b": jnp.zeros(2)})

    def update(params, x, *, key=None, mask=None):
        y = x * params.learned["a"] + params.learned["b"]
        return y, jax.tree.map(lambda s: s + x, params.state)

    def apply(params, x, *, key=None, mask=None):
        return update(params, x)[0]

    stays = marked(["a", "state/a"])
    model = at_rest(Model(init, apply, update), stays)
    params, x = init(None), jnp.array([2.0, 3.0])
    _, state = model.update(params, x)
    np.testing.assert_array_equal(state["a"], 0)
    np.testing.assert_array_equal(state["b"], x)
    grads = jax.grad(lambda w: model.update(params._replace(learned=w), x)[0].sum())(params.learned)
    np.testing.assert_array_equal(grads["a"], 0)
    np.testing.assert_array_equal(grads["b"], 1)
    sgd = moving_only(optax.sgd(0.5), stays)
    moves, _ = sgd.update(grads, sgd.init(params.learned), params.learned)
    np.testing.assert_array_equal(moves["a"], 0)
    assert (moves["b"] != 0).all()


@pytest.mark.parametrize(
    ("kept", "asked"), [("best", "best"), ("best", "auto"), ("best", "last"), ("last", "auto")]
)
def test_the_best_or_the_last_parameters(kept, asked, tmp_path):
    training = {"select": kept, "duration": "9 steps", "evaluate_every": 3, "seeds": 2}
    source = quick(tmp_path, optimizer={"kind": "sgd", "learning_rate": 3.0}, training=training)
    config = started(tmp_path, source, start={"checkpoint": asked}, training={"seeds": 2})
    members, begun = first_params(config)
    there = open_run(source).state.members
    want = there.best.params if (kept, asked) in [("best", "best"), ("best", "auto")] else there.params
    chex.assert_trees_all_equal(members.params, want)
    assert ("at the best evaluation" if want is not there.params else "at step 9") in begun.told[0]


def tables(folder, *, shift, scale, name, n=90):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(n, 3))
    y = (x.sum(1) > 0).astype(int)
    np.savez(folder / name, x=(x * scale + shift).astype(np.float32), y=y)
    return {"kind": "npz", "path": str(folder / name)}


@pytest.mark.parametrize("how", ["source", pytest.param("own", marks=pytest.mark.slow)])
def test_inputs_are_scaled_as_the_source_scaled_them(how, tmp_path):
    there = tables(tmp_path, shift=5.0, scale=2.0, name="a.npz")
    here = tables(tmp_path, shift=50.0, scale=1.0, name="b.npz")
    source = quick(tmp_path, data=there)
    result = run(started(tmp_path, source, start={"standardize": how}, data=here, training={"seeds": 1}))
    wanted = open_run(source).dataset.standardize if how == "source" else load_data(result.config).standardize
    opened = open_run(result.folder)
    for dataset in (result.dataset, opened.dataset):
        chex.assert_trees_all_equal(dataset.standardize, wanted)
    raw = load_data(result.config)
    x = (raw.standardize.inverse(raw.train.x.astype(np.float64)) - wanted.mean) / wanted.scale
    np.testing.assert_allclose(opened.dataset.train.x, x, rtol=2e-5, atol=2e-5)
    assert evaluate_run(result.folder)["accuracy"] == result.metrics["test"]["accuracy"]
    assert any("scaled" in line for line in result.summary["start"][0]["told"])
    shutil.rmtree(source)
    # The copy of what was taken over says the scales too.
    (result.folder / "data" / "facts.json").write_text("{")
    assert evaluate_run(result.folder)["accuracy"] == result.metrics["test"]["accuracy"]


def texts(folder, name, content):
    (folder / name).write_text(content * 40)
    return {"kind": "text", "path": str(folder / name), "window": 8}


def test_a_text_of_another_alphabet_takes_over_the_symbols_that_it_knows(tmp_path):
    model = {"kind": "character_model", "hidden": 4, "embedding": 3}
    source = quick(tmp_path, data=texts(tmp_path, "a.txt", "the cat sat on a mat. "), model=model)
    there = texts(tmp_path, "b.txt", "a zebra eats oats. ")
    config = started(tmp_path, source, data=there, model=model, training={"seeds": 1})
    own, _ = first_params(started(tmp_path, source, data=there, model=model, start={"layers": []}))
    members, begun = first_params(config)
    known, new = open_run(source).dataset.symbols, load_data(config).symbols
    assert set(new) - set(known)
    old = leaves_of(open_run(source).state.members.params)
    checked = 0
    for path, (key, leaf) in leaves_of(members.params).items():
        for axis, at in begun.places.get(key, {}).items():
            assert [new[i] for i in at] == [s for s in new if s in known]
            rows = [known.index(new[i]) for i in at]
            found, want = np.take(leaf, at, axis + 1), np.take(old[path][1], rows, axis + 1)
            np.testing.assert_array_equal(found, want)
            rest = [i for i in range(len(new)) if i not in at]
            drawn = np.take(array_of(own.params, path), rest, axis + 1)[:1]
            np.testing.assert_array_equal(np.take(leaf, rest, axis + 1), drawn)
            checked += 1
        if key not in begun.places:
            np.testing.assert_array_equal(leaf, old[path][1])
    assert checked >= 2  # what reads symbols and what writes them
    assert f"{len(set(new) & set(known))} of {len(new)} symbols are known there" in str(begun.told)


@pytest.mark.slow
def test_a_reader_of_trees_is_tuned(tmp_path):
    data = {
        "kind": "list_ops",
        "n_train": 24,
        "n_validation": 8,
        "n_test": 8,
        "max_depth": 2,
        "max_length": 12,
    }
    model = {"kind": "tree_net", "cell": "tree_lstm", "hidden": 4}
    source = quick(tmp_path, data=data, model=model)
    longer = data | {"max_length": 16}
    sections = {"data": longer, "model": model, "training": {"seeds": 1, "duration": "3 steps"}}
    result = run(started(tmp_path, source, start={"frozen": ["cell"]}, **sections))
    there, here = (leaves_of(open_run(f).state.members.params) for f in (source, result.folder))
    moved = {path for path in there if (there[path][1] != here[path][1]).any()}
    assert moved
    assert not any(path.startswith("cell") for path in moved)


def interrupted_at(monkeypatch, config, at):
    steps = [0]

    @contextmanager
    def stoppable():
        yield lambda: steps[0] >= at

    monkeypatch.setattr(running, "_stoppable", stoppable)
    with pytest.raises(Interrupted) as stopped:
        run(config, watch=lambda progress: steps.__setitem__(0, progress.step))
    monkeypatch.undo()
    return stopped.value.folder


def spoil(folder):
    for file in (folder / "data").glob("start-*/extra.json"):
        file.write_text("{}")


def test_resumed_without_its_source_it_is_undisturbed(copied, tmp_path, monkeypatch, caplog):
    config = started(tmp_path, copied, start={"frozen": ["*/b"]}, training={"seeds": 2})
    whole = run(config)
    folder = interrupted_at(monkeypatch, config, 5)
    early = shutil.copytree(folder, tmp_path / "early")
    shutil.rmtree(early / "checkpoints")  # killed before the first
    lost = shutil.copytree(early, tmp_path / "lost")
    spoiled = shutil.copytree(folder, tmp_path / "spoiled")
    spoil(lost)
    again = shutil.copytree(lost, tmp_path / "again")
    chex.assert_trees_all_equal(resume(again).states, whole.states)  # taken over anew
    shutil.rmtree(copied)
    spoil(spoiled)
    for one in (folder, early, spoiled):
        chex.assert_trees_all_equal(resume(one).states, whole.states)
    assert (folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()
    assert "the newest checkpoint is enough" in caplog.text
    with pytest.raises(ConfigError, match="start.run: got .* there is no such folder"):
        resume(lost)
    assert evaluate_run(whole.folder)["accuracy"] == whole.metrics["test"]["accuracy"]


@pytest.mark.slow
def test_another_source_in_its_place_is_refused(copied, tmp_path, monkeypatch):
    folder = interrupted_at(monkeypatch, started(tmp_path, copied, training={"seeds": 1}), 5)
    other = quick(tmp_path, training={"seeds": 3})
    config = started(tmp_path / "b", other, training={"seeds": 1}, model={"dropout": 0.0})
    foreign = next((interrupted_at(monkeypatch, config, 5) / "data").glob("start-*"))
    (own,) = (folder / "data").glob("start-*")
    shutil.rmtree(own)
    shutil.copytree(foreign, own)
    with pytest.raises(ConfigError, match="is not what the run was begun with"):
        resume(folder)


@pytest.mark.slow
def test_a_sweep_over_what_is_taken_over(finished, tmp_path):
    sweep = {"sweep": {"kind": "grid", "parameters": {"start.layers": [[], ["*"]]}}}
    result = run(started(tmp_path, finished.folder, training={"seeds": 1, "duration": "2 steps"}, **sweep))
    assert [s["told"][0].split()[1] for s in result.summary["start"]] == ["0", "4"]
    assert len(list((result.folder / "data").glob("start-*"))) == 2
    for point in (0, 1):
        assert evaluate_run(result.folder, point=point)["loss"]["mean"] > 0


FAULTS = {
    "gone": ({"run": "nowhere"}, {}, "start.run: got 'nowhere', there is no such folder"),
    "no runs": ({"run": "{tmp}"}, {}, "it is no run folder and has no runs in it"),
    "widths": (
        {},
        {"model": {"widths": [7]}},
        "3 of 4 arrays of .* have another shape: hidden/0/W is 2 × 5 there",
    ),
    "depth": ({}, {"model": {"widths": [5, 5]}}, "has no hidden/1/W"),
    "shallow": (
        {},
        {"data": {"kind": "xor"}, "model": {"kind": "linear"}},
        "of kind 'mlp', model.kind is 'linear'",
    ),
    "path": (
        {"frozen": ["hiden"]},
        {},
        "start.frozen: got 'hiden', .* did you mean 'hidden'.* there are hidden/0/W",
    ),
    "layer": ({"layers": ["conv"]}, {}, "start.layers: got 'conv', which is no path"),
    "fresh": ({"fresh": ["out"]}, {}, "start.fresh: got 'out', which is no path"),
    "frozen and fresh": ({"fresh": ["output"], "frozen": ["output"]}, {}, "would stay as drawn at random"),
    "all frozen": ({"frozen": ["*"]}, {}, "start.frozen: got \\*, which leaves nothing to be trained"),
    "no best": ({"checkpoint": "best"}, {}, "start.checkpoint: got 'best', .* kept none"),
    "seed": ({"seeds": 7}, {}, "start.seeds: got 7, which is none of its seeds in .*; allowed are 0, 1, 2"),
    "seeds": ({"seeds": [0, 1]}, {}, "start.seeds: got a list of 2, training.seeds is 1"),
    "point": ({"point": 3}, {}, "point: got 3, the run has no sweep"),
    "ema": ({"frozen": ["hidden"]}, {"training": {"ema": 0.5}}, "training.ema: got 0.5, with start.frozen"),
    "inputs": (
        {},
        {"data": {"kind": "digits"}},
        "1 of 4 arrays of .* hidden/0/W is 2 × 5 there and 64 × 5 here",
    ),
    "only a head": (
        {"layers": ["output"]},
        {"data": {"kind": "tabular", "name": "wine"}, "model": {"widths": [5]}},
        "start.layers: got 'output', of which nothing can be taken over",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_named_before_anything_is_written(fault, finished, tmp_path):
    start, sections, message = FAULTS[fault]
    start = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in start.items()}
    with pytest.raises(ConfigError, match=message) as refused:
        run(started(tmp_path / "runs", finished.folder, start=start, **sections))
    assert len(refused.value.problems) == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {
                "pretraining": {"learners": [{"kind": "pca"}]},
                "model": {"kind": "mlp", "activation": "identity"},
            },
            "one can",
        ),
        ({"tasks": {"a": {}}}, "start: cannot be combined with .tasks."),
    ],
)
def test_sections_that_exclude_one_another(section, message, finished, tmp_path):
    with pytest.raises(ConfigError, match=message):
        parse(tiny(tmp_path, start={"run": "x"}) | section)


def test_a_source_without_a_checkpoint_or_with_failed_seeds(copied, tmp_path):
    shutil.rmtree(copied / "checkpoints")
    with pytest.raises(ConfigError, match="start.run: .* has no whole checkpoint"):
        run(started(tmp_path, copied))
    failing = partial(quick, tmp_path, optimizer={"kind": "sgd", "learning_rate": 1e30})
    with pytest.raises(running.RunFailed):
        failing(training={"duration": "9 steps"})
    (folder,) = (tmp_path / "tiny").glob("*")
    with pytest.raises(ConfigError, match="has no seed that did not fail"):
        run(started(tmp_path, folder))


def test_the_columns_of_a_table_are_compared(tmp_path):
    rng = np.random.default_rng(0)
    for name, header in (("a", "u,v,kind"), ("b", "v,u,kind")):
        rows = "\n".join(f"{a:.3f},{b:.3f},{'xy'[int(a > b)]}" for a, b in rng.normal(size=(40, 2)))
        (tmp_path / f"{name}.csv").write_text(f"{header}\n{rows}\n")
    table = {"kind": "csv", "target": "kind"}
    source = quick(tmp_path, data=table | {"path": str(tmp_path / "a.csv")})
    other = {"data": table | {"path": str(tmp_path / "b.csv")}, "training": {"seeds": 1}}
    with pytest.raises(ConfigError, match="takes the columns u, v, the data here have v, u"):
        first_params(started(tmp_path, source, **other))
    _, begun = first_params(started(tmp_path, source, start={"fresh": ["hidden/0"]}, **other))
    assert "the columns are v, u here and u, v there" in str(begun.told)


def test_a_network_that_is_given_takes_over_by_path(tmp_path):
    """Its output layer is known by no rule: other classes are another shape, until it is left out."""

    def network(outputs):
        def init(key):
            w = jax.random.normal(key, (2, 4))
            return {"below": w, "above": jax.random.normal(key, (4, outputs))}

        return Model(init, lambda p, x, *, key=None, mask=None: jnp.tanh(x @ p["below"]) @ p["above"])

    raw = tiny(tmp_path, training={"duration": "2 steps", "seeds": 1}) | {"model": {"kind": "given"}}
    source = run(parse(raw), model=network(2))
    there = source.states[0].members.average
    config = parse(raw | {"start": {"run": str(source.folder), "fresh": ["above"]}})
    (begun,) = starts(running.groups(config), source.dataset, network(2))
    np.testing.assert_array_equal(begun.arrays["['below']"], there["below"])
    assert list(begun.arrays) == ["['below']"]
    whole = parse(raw | {"start": {"run": str(source.folder)}})
    with pytest.raises(ConfigError, match="above is 4 × 2 there and 4 × 3 here"):
        starts(running.groups(whole), source.dataset, network(3))
