"""Runs whose layers are learned first: where they start, what stays, exact resume, refusals by name."""

# pyright: reportOptionalMemberAccess=false, reportArgumentType=false
import io
import json
import shutil
from contextlib import contextmanager

import chex
import jax
import numpy as np
import pytest
from test_checkpoint_recovery import close_end, finish, only_run, start, start_together, wait_for
from tiny_run import tiny

from dlnotes.cli.progress import Plain
from dlnotes.config import ConfigError, parse, to_toml
from dlnotes.devices.placement import place
from dlnotes.experiment import run as running
from dlnotes.experiment.progress import Progress
from dlnotes.experiment.run import Interrupted, open_run, resume, run
from dlnotes.experiment.run_folder import RunFolder
from dlnotes.pretraining import dense_layers, train
from dlnotes.pretraining.autoencoder import autoencoder
from dlnotes.pretraining.rbm_learner import rbm

DIGITS = {"kind": "digits", "validation": 60, "test": 1600, "standardize": False}
LEARNERS = [
    {"kind": "rbm", "epochs": 3, "learning_rate": 0.1},
    {"kind": "autoencoder", "epochs": 2, "corruption": "mask"},
]
MLP = {"kind": "mlp", "widths": [7, 5], "activation": "sigmoid", "dropout": 0.0}


def digits_config(directory, **sections):
    raw = tiny(directory, **{"data": DIGITS} | sections)
    raw["data"] = sections.get("data", DIGITS)
    raw["model"] = MLP | sections.get("model", {})
    short = {"duration": "12 steps", "seeds": 2, "batch_size": 16, "ema": None, "log_every": 4}
    raw["training"] = short | sections.get("training", {})
    raw["pretraining"] = {"learners": LEARNERS, "batch_size": 20} | sections.get("pretraining", {})
    return parse(raw)


STILL = {"optimizer": {"kind": "sgd", "learning_rate": 1e-30}, "training": {"duration": "1 steps"}}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(digits_config(tmp_path_factory.mktemp("whole") / "runs"))


def same_end(folder, reference):
    for name in ("pretraining.jsonl", "metrics.jsonl"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), name
    chex.assert_trees_all_equal(open_run(folder).state, open_run(reference).state)


def test_it_starts_at_the_greedy_stack_and_the_read_out_at_its_own_start(whole, tmp_path):
    result = run(digits_config(tmp_path / "still", **STILL))
    x = result.dataset.train.x.reshape(-1, 64)
    learners = [rbm(7, learning_rate=0.1), autoencoder(5, corruption="mask")]
    encoders, below = [], x
    for k, (learner, epochs) in enumerate(zip(learners, (3, 2))):
        layer = train(
            learner, below, seeds=[0, 1], epochs=epochs, batch_size=20, layer=k, data_per_member=k > 0,
            placement=place("single", members=2),
        )  # fmt: skip
        encoders.append(layer.encoder)
        below = jax.vmap(learner.encode, (0, None if k == 0 else 0))(layer.encoder.params, below)
    params = result.states[0].members.params
    plain = run(digits_config(tmp_path / "plain", **STILL, pretraining={"learners": []}))
    drawn = plain.states[0].members.params.output
    np.testing.assert_array_equal(params.output.W, drawn.W)
    np.testing.assert_allclose(params.output.b, drawn.b, atol=1e-20)
    for layer, dense in zip(params.hidden, dense_layers(encoders), strict=True):
        chex.assert_trees_all_close(layer, dense, rtol=1e-4, atol=1e-5)
    for layer, dense in zip(params.hidden, dense_layers(whole.pretrained[0]), strict=True):
        chex.assert_trees_all_equal(layer, dense)


def test_what_was_measured_is_kept(whole):
    """Epochs' means in pretraining.jsonl, the last of them in summary.json."""
    lines = [json.loads(line) for line in (whole.folder / "pretraining.jsonl").read_text().splitlines()]
    assert [(r["split"], r["epoch"]) for r in lines] == [
        ("layer 1", 1.0), ("layer 1", 2.0), ("layer 1", 3.0), ("layer 2", 1.0), ("layer 2", 2.0),
    ]  # fmt: skip
    (kept,) = json.loads((whole.folder / "summary.json").read_text())["pretraining"]
    assert [(r["kind"], r["inputs"], r["units"], r["steps"]) for r in kept["layers"]] == [
        ("rbm", 64, 7, 21), ("autoencoder", 7, 5, 14),
    ]  # fmt: skip
    assert kept["examples"] == whole.dataset.train.size
    for record, line in zip(kept["layers"], (lines[2], lines[4])):
        np.testing.assert_allclose(
            record["metrics"]["reconstruction"]["values"], line["reconstruction"], rtol=1e-5
        )


@pytest.mark.slow
def test_no_learners_are_a_plain_network(tmp_path):
    empty = run(digits_config(tmp_path / "empty", pretraining={"learners": []}))
    plain = digits_config(tmp_path / "plain", pretraining={"learners": []})
    plain = run(plain.model_copy(update={"pretraining": None}))
    chex.assert_trees_all_equal(empty.states, plain.states)
    assert not (empty.folder / "pretraining").exists()
    assert "pretraining" not in empty.summary


@pytest.mark.parametrize("kind", ["adamw", pytest.param("sgd", marks=pytest.mark.slow)])
def test_at_the_top_only_the_rest_stays_bit_for_bit(kind, tmp_path):
    """With decay, clipping, momentum and a largest norm, which all would move the lower layers."""
    momentum = {"momentum": 0.9} if kind == "sgd" else {}
    result = run(
        digits_config(
            tmp_path,
            fine_tuning={"layers": "top"},
            optimizer={"kind": kind, "learning_rate": 0.05, "weight_decay": 0.1, "clip_norm": 0.5} | momentum,
            training={"max_norm": 0.5, "duration": "40 steps", "seeds": 1 if kind == "sgd" else 2},
        )
    )
    params = result.states[0].members.params
    for layer, dense in zip(params.hidden, dense_layers(result.pretrained[0]), strict=True):
        chex.assert_trees_all_equal(layer, dense)
    assert np.linalg.norm(params.hidden[1].W, axis=1).max() > 0.5
    assert np.linalg.norm(params.output.W, axis=1).max() <= 0.5 * 1.001
    assert np.abs(params.output.b).max() > 0.01


@pytest.mark.slow
def test_layers_that_were_not_pretrained_are_trained_with_the_top(tmp_path):
    result = run(
        digits_config(tmp_path, pretraining={"learners": LEARNERS[:1]}, fine_tuning={"layers": "top"})
    )
    params = result.states[0].members.params
    chex.assert_trees_all_equal(params.hidden[0], dense_layers(result.pretrained[0])[0])
    assert len(result.pretrained[0]) == 1


def interrupted_at(monkeypatch, config, stage, step):
    """Stopped at a step of a stage, as by Ctrl-C, when a chunk has ended there or later."""
    seen = [("", -1)]

    @contextmanager
    def stoppable():
        yield lambda: seen[0][0].startswith(stage) and seen[0][1] >= step and bool(seen[0][0]) == bool(stage)

    def watch(progress):
        seen[0] = (progress.stage, progress.step)

    monkeypatch.setattr(running, "_stoppable", stoppable)
    with pytest.raises(Interrupted) as stopped:
        run(config, watch=watch)
    monkeypatch.undo()
    return stopped.value.folder


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        pytest.param("layer 1", 1, marks=pytest.mark.slow),
        pytest.param("layer 2", 0, marks=pytest.mark.slow),
        ("layer 2", 3),
        pytest.param("", 5, marks=pytest.mark.slow),
    ],
)
def test_interrupted_and_resumed_is_undisturbed(stage, step, whole, tmp_path, monkeypatch):
    folder = interrupted_at(monkeypatch, digits_config(tmp_path / "runs"), stage, step)
    assert (not stage) == (folder / "checkpoints").is_dir()
    stages = []
    again = resume(folder, watch=lambda progress: stages.append(progress.stage[:7]))
    same_end(folder, whole.folder)
    chex.assert_trees_all_equal(again.states, whole.states)
    assert list(dict.fromkeys(stages)) == {
        "layer 1": ["layer 1", "layer 2", ""],
        "layer 2": ["layer 2", ""],
    }.get(stage, [""])
    a, b = (r.summary["pretraining"][0]["layers"] for r in (again, whole))
    assert a == b


@pytest.mark.slow
def test_a_damaged_checkpoint_of_a_layer_is_passed_over(whole, tmp_path, monkeypatch):
    config = digits_config(tmp_path / "runs", checkpoint={"every_seconds": 0})
    folder = interrupted_at(monkeypatch, config, "layer 2", 5)
    newest = max((folder / "pretraining").iterdir(), key=lambda p: int(p.name))
    file = next(p for p in sorted(newest.rglob("*")) if p.is_file() and p.parent.name == "d")
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)
    resume(folder)
    same_end(folder, whole.folder)
    assert newest.with_name(newest.name + ".damaged").exists()


@pytest.mark.slow
def test_a_run_that_is_trained_needs_its_pretraining_no_more(whole, tmp_path, monkeypatch):
    folder = interrupted_at(monkeypatch, digits_config(tmp_path / "runs"), "", 5)
    shutil.rmtree(folder / "pretraining")
    again = resume(folder)
    chex.assert_trees_all_equal(again.states, whole.states)
    assert again.pretrained == ()


@pytest.mark.slow
def test_what_was_pretrained_can_be_trained_for_longer(whole, tmp_path):
    folder = shutil.copytree(whole.folder, tmp_path / "longer")
    longer = resume(folder, ["training.duration=20"])
    fresh = run(digits_config(tmp_path / "fresh", training={"duration": "20 steps"}))
    chex.assert_trees_all_equal(longer.states, fresh.states)
    with pytest.raises(ConfigError, match="a run cannot be resumed with another"):
        resume(folder, ["pretraining.batch_size=10"])


def killed(directory, moment):
    """A real process, killed when ``moment(run folder)`` holds, and resumed by another."""
    path = directory / "tiny.toml"
    config = digits_config(directory / "runs", checkpoint={"every_seconds": 0})
    path.write_text(to_toml(config))
    process = start("run", path, "-q")
    runs = directory / "runs" / "tiny"
    try:
        wait_for(
            lambda: process.poll() is not None or (runs.is_dir() and any(map(moment, runs.iterdir()))),
            seconds=180,
        )
        alive = process.poll() is None
    finally:
        process.kill()
        process.communicate()
    folder = only_run(runs)
    assert not (folder / "summary.json").exists()
    finish(start("resume", folder, "-q"))
    assert alive
    return folder


def saved(folder):
    return sorted(
        int(p.parent.name) for p in folder.glob("pretraining/*/manifest.json") if p.parent.name.isdigit()
    )


@pytest.mark.slow
def test_killed_within_a_layer_and_resumed_is_undisturbed(whole, tmp_path):
    same_end(killed(tmp_path, lambda folder: saved(folder)[-1:] > [2]), whole.folder)


@pytest.mark.slow
def test_killed_between_layers_and_resumed_is_undisturbed(whole, tmp_path):
    same_end(killed(tmp_path, lambda folder: 22 in saved(folder)), whole.folder)


@pytest.mark.slow
def test_the_settings_of_a_sweep_share_their_seeds_encoders(whole, tmp_path):
    stages = []
    result = run(
        digits_config(
            tmp_path,
            sweep={"kind": "grid", "parameters": {"optimizer.learning_rate": [1e-30, 0.02]}},
            optimizer={"kind": "sgd", "learning_rate": 0.02},
        ),
        watch=lambda progress: stages.append((progress.stage, progress.members)),
    )
    assert {members for stage, members in stages if stage} == {2}
    assert {members for stage, members in stages if not stage} == {4}
    params = result.states[0].members.params
    for layer, dense in zip(params.hidden, dense_layers(whole.pretrained[0]), strict=True):
        chex.assert_trees_all_equal(jax.tree.map(lambda a: a[:2], layer), dense)
        assert not np.array_equal(layer.W[2:], dense.W)


@pytest.mark.slow
def test_a_member_that_diverges_is_said_and_the_run_goes_on(tmp_path):
    said = []
    result = run(
        digits_config(tmp_path, pretraining={"learners": [LEARNERS[0] | {"learning_rate": 1e30}]}),
        watch=lambda progress: said.append(progress.message),
    )
    assert any("pretraining, layer 1: seed 1 stopped at step" in line for line in said)
    (layer,) = result.summary["pretraining"][0]["layers"]
    assert {s["seed"] for s in layer["stopped"]} == {0, 1}
    assert all(s["reason"] == "diverged" for s in layer["stopped"])
    assert all(np.isfinite(a).all() for a in jax.tree.leaves(result.states[0].members.params))


def test_learned_from_are_rows_of_the_training_part_and_their_labels_never(tmp_path, monkeypatch):
    seen = []

    def keep(learner, x, **options):
        seen.append(np.array(x))
        raise RuntimeError("seen")

    from dlnotes.experiment import pretraining

    monkeypatch.setattr(pretraining, "LayerTraining", keep)
    config = digits_config(tmp_path, pretraining={"examples": 50}, fine_tuning={"labels": 80})
    with pytest.raises(RuntimeError, match="seen"):
        run(config)
    monkeypatch.undo()
    from dlnotes.experiment.kept_data import load_data

    np.testing.assert_array_equal(seen[0], load_data(config).train.x[:50].reshape(50, 64))


@pytest.mark.slow
def test_a_few_labels_are_the_first_of_the_training_part(tmp_path):
    result = run(digits_config(tmp_path, fine_tuning={"labels": 60}, **STILL))
    assert result.summary["pretraining"][0]["examples"] == 137
    lines = result.history()
    assert [r["epoch"] for r in lines if r["split"] == "train"] == [0.25]  # 1 step of 60 in batches of 16
    opened = open_run(result.folder)
    assert opened.evaluator.setup.dataset.train.size == 60


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        (
            {"pretraining": {"learners": [{"kind": "rbn"}]}},
            r"pretraining.learners\[0\].kind: got 'rbn'; did you mean 'rbm'\? \(allowed: rbm, autoencoder",
        ),
        (
            {"pretraining": {"learners": [{"kind": "rbm", "rate": 1}]}},
            r"pretraining.learners\[0\].rate: got 1, unknown option",
        ),
        (
            {"pretraining": {"learners": [{"kind": "rbm", "units": 8}]}},
            r"pretraining.learners\[0\].units: got 8, model.widths\[0\] is 7",
        ),
        (
            {"pretraining": {"learners": LEARNERS * 2}},
            "pretraining.learners: got 4 learners for the 2 layers of model.widths",
        ),
        ({"model": {"activation": "relu"}}, "model.activation: got 'relu' for layer 1, allowed is 'sigmoid'"),
        ({"model": {"rank": 2}}, "model.rank: got 2, with .pretraining. it is left out"),
        ({"data": DIGITS | {"standardize": True}}, r"learners\[0\] \(rbm\): inputs of digits, which are"),
        ({"data": DIGITS | {"standardize": True}}, r"allowed .* is 0 to 1"),
        ({"pretraining": {"examples": 5000}}, "pretraining.examples: got 5000, the training part of digits"),
        ({"fine_tuning": {"labels": 5000}}, "fine_tuning.labels: got 5000, digits has 137"),
        ({"fine_tuning": {"labels": 9}}, "fine_tuning.labels: the first 9 training examples of digits"),
        (
            {"fine_tuning": {"layers": "top"}, "training": {"ema": 0.9}},
            "training.ema: got 0.9, with fine_tuning.layers = 'top' there is none",
        ),
        (
            {"fine_tuning": {"layers": "top"}, "pretraining": {"learners": []}},
            "fine_tuning.layers: got 'top' without .pretraining.",
        ),
        (
            {"training": {"asynchronous": {}, "seeds": 1}, "optimizer": {"kind": "sgd"}},
            "training.asynchronous: got workers",
        ),
        (
            {
                "model": {"activation": ["relu", "sigmoid"]},
                "pretraining": {"learners": [{"kind": "sparse_coding"}, {"kind": "rbm"}]},
            },
            r"learners\[1\] \(rbm\): relu units below it",
        ),
        (
            {
                "model": {"widths": [70], "activation": "identity"},
                "pretraining": {"learners": [{"kind": "pca"}]},
            },
            r"learners\[0\] \(pca\): .*at most 64",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(sections, told, tmp_path, monkeypatch):
    from dlnotes.pretraining.train import LayerTraining

    monkeypatch.setattr(LayerTraining, "initial", lambda self: pytest.fail("begun"))
    with pytest.raises(ConfigError, match=told):
        run(digits_config(tmp_path / "runs", **sections))
    assert not (tmp_path / "runs").exists()


def test_other_families_are_refused(tmp_path):
    raw = tiny(tmp_path, pretraining={"learners": LEARNERS}) | {"model": {"kind": "linear"}}
    with pytest.raises(ConfigError, match="pretraining: is for model.kind 'mlp'.*got 'linear'"):
        parse(raw)


@pytest.mark.slow
def test_the_config_of_a_run_that_is_still_pretrained_is_found(tmp_path, monkeypatch):
    folder = interrupted_at(monkeypatch, digits_config(tmp_path / "runs"), "layer 1", 1)
    before = RunFolder(folder).config()
    (folder / "config.toml").unlink()
    assert RunFolder.open(folder).config() == before
    with pytest.raises(ConfigError, match="has no whole checkpoint"):
        open_run(folder)


@pytest.mark.slow
def test_all_kinds_of_learners_can_be_named(tmp_path):
    """Each trains, and the network above is started at what it has learned."""
    for kind, activation in (("sparse_coding", "relu"), ("pca", "identity")):
        config = digits_config(
            tmp_path / kind,
            **STILL,
            model={"widths": [6], "activation": activation},
            pretraining={"learners": [{"kind": kind, "epochs": 1}]},
        )
        result = run(config)
        (dense,) = dense_layers(result.pretrained[0])
        chex.assert_trees_all_equal(result.states[0].members.params.hidden[0], dense)


def test_its_figures_are_drawn_and_hold_the_numbers(whole, tmp_path):
    """A run of which only the figures are drawn anew; the last error is that of the layers' own codes."""
    from dlnotes.experiment.figures.pretraining import fitting

    folder = RunFolder(shutil.copytree(whole.folder, tmp_path / "drawn"))
    folder.figures.mkdir(exist_ok=True)
    drawn = fitting(whole)
    assert [name for name, _ in drawn] == ["pretraining_error", "filters", "reconstructions"]
    for name, function in drawn:
        assert {p.name for p in function(folder, whole, [])} == {f"{name}.png", f"{name}.csv"}
    table = np.genfromtxt(folder.figures / "filters.csv", delimiter=",", skip_header=1)
    W = whole.pretrained[0][0].params.W[0]
    np.testing.assert_allclose(table[:, 1:], W.T[table[:, 0].astype(int)], rtol=1e-5)
    rows = (folder.figures / "reconstructions.csv").read_text().splitlines()[1:]
    pixels = np.array([[float(v) for v in row.split(",")[3:]] for row in rows]).reshape(3, 10, 64)
    x = whole.dataset.test.x[:10].reshape(10, 64)
    np.testing.assert_allclose(pixels[0], x, atol=1e-6)
    c, b = whole.pretrained[0][0].params.c[0], whole.pretrained[0][0].params.b[0]
    h = 1 / (1 + np.exp(-(x @ W + c)))
    np.testing.assert_allclose(pixels[1], 1 / (1 + np.exp(-(h @ W.T + b))), rtol=1e-3, atol=1e-5)


def test_what_is_not_planned_is_said_and_what_is_learned_is_shown(tmp_path):
    from dlnotes.config import load
    from dlnotes.devices.chips import topology
    from dlnotes.experiment import plan as planning

    config = digits_config(tmp_path)
    (setup,) = planning.setups(config)
    made = planning.plan(setup, topology("cpu:1"))
    assert any(
        "the pretraining of 2 layers before the training is not counted" in line for line in made.advice
    )
    (tmp_path / "written.toml").write_text(to_toml(config))
    assert "[[pretraining.learners]]" in to_toml(config) or "learners = [" in to_toml(config)
    assert load(tmp_path / "written.toml", ["name=tiny"]) == config


@pytest.mark.slow
def test_groups_of_a_sweep_share_a_pretraining_that_is_the_same(whole, tmp_path):
    """What is learned from labels is swept: the layers are learned once, and lie in each group's folder."""
    said = []
    config = digits_config(
        tmp_path / "runs", sweep={"kind": "grid", "parameters": {"fine_tuning.labels": [60, 137]}}
    )
    result = run(config, watch=lambda progress: said.append((progress.stage, progress.step)))
    assert [s for s in said if s[0].startswith("layer 2")][-1][1] == 14
    assert sum(step == 14 for stage, step in said if stage.startswith("layer 2")) == 1
    chex.assert_trees_all_equal(
        [e.params for e in result.pretrained[0]], [e.params for e in result.pretrained[1]]
    )
    files = [(result.folder / f"group-00{g}" / "pretraining.jsonl").read_bytes() for g in (0, 1)]
    assert files[0] == files[1] == (whole.folder / "pretraining.jsonl").read_bytes()
    chex.assert_trees_all_equal(result.states[1].members.params, whole.states[0].members.params)
    kept_nothing = run(config, keep=False)
    chex.assert_trees_all_equal(kept_nothing.states, result.states)


def test_a_stage_is_told_as_its_own():
    """Layers before the trainings of two groups, in plain lines."""
    out = io.StringIO()
    plain = Plain(out, groups=2, clock=iter(range(0, 1000, 20)).__next__)
    for _ in range(2):
        for stage in ("layer 1 of 2 (rbm)", "layer 2 of 2 (rbm)", ""):
            for step in (0, 5):
                plain(
                    Progress(
                        step,
                        5,
                        step / 5,
                        {"reconstruction": 3.25, "loss": 1.5},
                        10.0 * step,
                        1,
                        1,
                        stage=stage,
                    )
                )
    lines = out.getvalue().splitlines()
    assert lines[0] == "group 1/2  layer 1 of 2 (rbm)  step 0/5  epoch 0.0  compiling"
    assert "group 1/2  layer 2 of 2 (rbm)  step 5/5  epoch 1.0  reconstruction 3.25" in lines[3]
    assert "group 1/2  step 5/5  epoch 1.0  loss 1.5" in lines[5]
    assert lines[6].startswith("group 2/2  layer 1 of 2")
    assert lines[10].startswith("group 2/2  step 0/5")


@pytest.mark.slow
def test_two_processes_pretrain_as_one(whole, tmp_path):
    path = tmp_path / "tiny.toml"
    config = digits_config(tmp_path / "runs", training={"batch_size": 13}, devices={"strategy": "mesh"})
    path.write_text(to_toml(config))
    one = run(digits_config(tmp_path / "one", training={"batch_size": 13}))
    for process in start_together("run", path, 2):
        finish(process)
    folder = only_run(tmp_path / "runs" / "tiny")
    close_end(folder, one.folder, tolerance=1e-4)
    assert (folder / "pretraining.jsonl").read_bytes() == (one.folder / "pretraining.jsonl").read_bytes()


@pytest.mark.slow
def test_a_state_that_is_divided_starts_there_too(whole, tmp_path):
    """Parameters over two devices of a mesh, each of which gets its part of what was pretrained."""
    sections = {"model": {"widths": [32, 40]}, "fine_tuning": {"layers": "top"}}
    one = run(digits_config(tmp_path / "one", **sections))
    two = run(digits_config(tmp_path / "two", **sections, devices={"strategy": "auto", "mesh": {"fsdp": 2}}))
    chex.assert_trees_all_close(two.states, one.states, rtol=1e-3, atol=1e-4)
    for layer, dense in zip(two.states[0].members.params.hidden, dense_layers(two.pretrained[0])):
        chex.assert_trees_all_equal(layer, dense)
