"""The road of a claim: config, experiment module, measurement, verdict; again without measuring."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from claim_project import make, times_measured

from dlnotes.claims import reproduce as reproducing
from dlnotes.claims.fingerprint import fingerprint
from dlnotes.claims.measure import judge, last_measured, open_claim, run_claim, save_measurements
from dlnotes.claims.reproduce import choose, claim_configs, newest_records, open_all, reproduce
from dlnotes.config import ConfigError, load
from dlnotes.experiment.kept_files import read_json


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return make(tmp_path)


def test_a_claim_of_ones_own_is_measured_judged_and_drawn(config, tmp_path):
    folder, record = run_claim(open_claim(config))
    assert record["id"] == "mine.coin"
    assert record["verdict"] == "holds"
    assert [p["verdict"] for p in record["parts"]] == ["holds", "holds"]
    assert record["options"] == {"seeds": 10, "throws": 200}
    assert record["config"] == "configs/claims/mine.coin_thrown.toml"
    assert record["module"] == "experiments/coins/coin.py"
    assert (folder / record["figure"]).read_bytes()[:4] == b"\x89PNG"
    assert (folder / record["numbers"]).read_text().splitlines()[0] == "seed,heads"
    assert read_json(folder / "summary.json") == json.loads(json.dumps(record))
    assert folder.is_relative_to(tmp_path) or not folder.is_absolute()


def test_judging_does_not_measure(config, tmp_path):
    folder, record = run_claim(open_claim(config))
    module = tmp_path / "experiments/coins/coin.py"
    assert judge(folder) == record
    assert times_measured(tmp_path) == 1
    text = module.read_text().replace("Above(0.5)", "Above(0.8)")
    other = make(tmp_path / "stricter")
    (tmp_path / "stricter/experiments/coins/coin.py").write_text(text)
    assert judge(folder, open_claim(other))["verdict"] == "fails"
    assert times_measured(tmp_path) == 1


@pytest.mark.parametrize("name", ["figure", "numbers"])
def test_a_folder_in_a_file_s_place_is_named(name, config):
    folder, record = run_claim(open_claim(config))
    path = folder / record[name]
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=f"{path.name}.*\n.*is a folder, where a file is to be written"):
        judge(folder)


def test_what_is_not_there_is_named(config):
    folder, _ = run_claim(open_claim(config))
    (folder / "measurement.json").unlink()
    with pytest.raises(ConfigError, match=r"holds no measurement\.json"):
        judge(folder)


def test_a_run_folders_config_measures_the_same(config):
    opened = open_claim(config, ["options.throws=7"])
    folder, record = run_claim(opened)
    again, other = run_claim(open_claim(folder / "config.toml"))
    assert again != folder
    assert other["parts"] == record["parts"]
    assert other["fingerprint"] == record["fingerprint"]


def test_budgets(config):
    assert open_claim(config, budget="quick").config.options["throws"] == 40
    assert open_claim(config, budget="full").config.options["throws"] == 200
    assert open_claim(config, budget="large").config.options["throws"] == 2000
    with pytest.raises(ConfigError, match="budget: got 'slow'"):
        open_claim(config, budget="slow")


@pytest.mark.parametrize("table", ["quick", "large"])
def test_a_mistake_in_a_budgets_table_does_not_wait_for_its_use(config, table):
    text = config.read_text().replace(f"[{table}]", f"[{table}]\nthrow = 3")
    config.write_text(text)
    with pytest.raises(ConfigError, match=rf"{table}.throw: got 3, unknown option; did you mean 'throws'"):
        open_claim(config)


def test_options_of_ones_own_are_a_trial_and_get_no_reading(config):
    """Overrides are not the claim's full budget, even back from the folder; the same values are."""
    folder, record = run_claim(open_claim(config, ["options.throws=50", "options.seeds=12"]))
    assert (record["budget"], record["reading"]) == ("own", "")
    assert judge(folder)["budget"] == "own"
    _, record = run_claim(open_claim(config, ["options.throws=200"]))
    assert record["budget"] == "full"
    assert record["reading"] == "Heads are more frequent: 0.704 [0.684, 0.724] with a bias of 0.7."
    assert record["method"] == "10 coins were thrown 200 times."
    _, record = run_claim(open_claim(config, budget="quick"))
    assert (record["budget"], record["reading"]) == ("quick", "")
    assert record["method"] == "10 coins were thrown 40 times."


def test_a_larger_budget_is_shown_before_a_smaller(config, tmp_path):
    for budget in ("full", "large", "quick"):
        run_claim(open_claim(config, budget=budget))
    run_claim(open_claim(config, ["options.throws=9"]))
    ((record, _),) = newest_records(tmp_path / "runs").values()
    assert record["budget"] == "large"


def test_reproducing_skips_what_is_measured(config, tmp_path):
    def all_states(**options):
        opened = open_all(claim_configs(tmp_path / "configs"), budget="quick")
        return [d.state for d in reproduce(opened, starting=lambda i, o: None, **options)]

    assert all_states() == ["measured"]
    assert all_states() == ["kept"]
    assert times_measured(tmp_path) == 1
    assert all_states(again=True) == ["measured"]
    config.write_text(config.read_text().replace("40", "41"))
    assert all_states() == ["measured"]
    assert times_measured(tmp_path) == 3


def test_several_take_long_ones_first_chapter_by_chapter(monkeypatch):
    opened = [
        SimpleNamespace(name=name, module=Path("experiments/a/b.py"))
        for name in ("F1.2_a", "F1.3_b", "F2.1_c", "C6.4_d", "C6.6_e")
    ]
    seconds = {"F1.2_a": 3.0, "F1.3_b": 7.0, "C6.6_e": 1.0, "R1.1_f": 9.0}
    records = [{"kind": "claim", "name": name, "seconds": s} for name, s in seconds.items()]
    monkeypatch.setattr(reproducing, "committed", lambda folder: records)
    got = [one.name for one in reproducing._longest_first(opened)]
    assert got == ["F1.3_b", "F1.2_a", "F2.1_c", "C6.6_e", "C6.4_d"]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="a system that binds no process")
def test_processes_share_the_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 5, 7, 9})
    assert reproducing._shares(2) == [{1, 5, 9}, {3, 7}]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4})
    assert reproducing._shares(2) == [{4}, {4}]


def test_several_processes_measure_the_same(config, tmp_path):
    other = config.with_name("mine.coin_again.toml")
    other.write_text(config.read_text().replace("throws = 200", "throws = 100"))
    paths = claim_configs(tmp_path / "configs")
    done = list(reproduce(open_all(paths, budget=None), jobs=2))
    assert {d.opened.name: d.state for d in done} == {
        "mine.coin_thrown": "measured",
        "mine.coin_again": "measured",
    }
    alone = list(reproduce(open_all(paths, budget=None), again=True))
    for one in alone:
        (same,) = (d for d in done if d.opened.name == one.opened.name)
        assert same.record["parts"] == one.record["parts"]
    assert [d.state for d in reproduce(open_all(paths, budget=None))] == ["kept", "kept"]


def test_an_interrupted_measurement_is_done_again(config, tmp_path):
    opened = open_claim(config)
    folder, _ = run_claim(opened)
    assert last_measured(opened) == folder
    os.remove(folder / "measurements.npz")
    assert last_measured(opened) is None
    (folder / "measurement.json").write_text("{")
    assert last_measured(opened) is None


def test_one_failing_claim_does_not_stop_the_others(config, tmp_path):
    broken = tmp_path / "experiments/coins/broken.py"
    text = (tmp_path / "experiments/coins/coin.py").read_text()
    broken.write_text(text.replace("rng = ", "raise OSError('no coin'); rng = "))
    lost = text.replace(
        "rng = ", "from dlnotes.data import DataNotFound; raise DataNotFound('buy one'); rng = "
    )
    (tmp_path / "experiments/coins/lost.py").write_text(lost)
    for name in ("broken", "lost"):
        copy = config.with_name(f"F1.4_{name}.toml")
        copy.write_text(config.read_text().replace("coins/coin", f"coins/{name}"))
    done = list(
        reproduce(open_all(claim_configs(tmp_path / "configs"), budget=None), starting=lambda i, o: None)
    )
    assert [(d.opened.name, d.state) for d in done] == [
        ("F1.4_broken", "failed"),
        ("F1.4_lost", "no data"),
        ("mine.coin_thrown", "measured"),
    ]
    assert "no coin" in done[0].message
    assert done[1].message == "buy one"


def test_a_full_measurement_is_shown_before_a_quick_one(config, tmp_path):
    run_claim(open_claim(config, budget="full"))
    run_claim(open_claim(config, budget="quick"))
    ((record, _),) = newest_records(tmp_path / "runs").values()
    assert record["budget"] == "full"


def test_claims_are_chosen_by_row_chapter_and_name(tmp_path):
    names = ["F1.10_b", "F1.4_a", "F2.1_c", "C6.1_d", "mine"]
    for name in names:
        (tmp_path / f"{name}.toml").write_text('experiment = "a/b"\n')
    (tmp_path / "training.toml").write_text('[data]\nkind = "xor"\n')
    paths = claim_configs(tmp_path)
    assert [p.stem for p in paths] == ["F1.4_a", "F1.10_b", "F2.1_c", "C6.1_d", "mine"]

    def chosen(*wanted):
        return [p.stem for p in choose(paths, wanted)]

    assert chosen() == [p.stem for p in paths]
    assert chosen("F1") == ["F1.4_a", "F1.10_b"]
    assert chosen("C", "F1.4") == ["F1.4_a", "C6.1_d"]
    assert chosen("mine", str(paths[2])) == ["F2.1_c", "mine"]
    with pytest.raises(ConfigError, match=r"F1.5: no claim is called so; did you mean 'F1.4'"):
        choose(paths, ["F1.5"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('experiment = "coins/con"', "did you mean 'coins/coin'"),
        ('experiment = "../coins/coin"', "experiment: got '../coins/coin'"),
        (
            'experiment = "coins/coin"\n[options]\nthrow = 3',
            "options.throw: got 3, unknown option; did you mean",
        ),
        ('experiment = "coins/coin"\n[quick]\nthrows = 0', "quick.throws: got 0"),
        ('experiment = "coins/bias"', "must set CLAIM"),
        ('experiment = "coins/coin"\nbudgets = 1', "unknown option; did you mean 'budget'"),
    ],
)
def test_mistakes_in_a_config_are_said_before_anything_is_written(config, tmp_path, text, words):
    config.write_text(text)
    with pytest.raises(ConfigError) as error:
        open_claim(config)
    assert words in str(error.value)
    assert not (tmp_path / "runs").exists()


def test_configs_of_claims_and_of_trainings_are_told_apart(config, tmp_path):
    with pytest.raises(ConfigError, match="config of a claim"):
        load(config)
    training = config.with_name("training.toml")
    training.write_text('[data]\nkind = "xor"\n[model]\nkind = "mlp"\n')
    with pytest.raises(ConfigError, match="experiment: missing"):
        open_claim(training)
    outside = tmp_path / "elsewhere.toml"
    outside.write_text(config.read_text())
    with pytest.raises(ConfigError, match="a folder called configs"):
        open_claim(outside)


def test_the_fingerprint_follows_what_decides_the_numbers(config, tmp_path):
    module = tmp_path / "experiments/coins/coin.py"
    text, options = module.read_text(), {"seeds": 10}

    def after(old, new, file=module):
        before = file.read_text()
        assert old in before
        file.write_text(before.replace(old, new))
        try:
            return fingerprint(module, options)
        finally:
            file.write_text(before)

    first = fingerprint(module, options)
    assert after("Above(0.5)", "Above(0.6)") == first  # judging
    assert after("figure = new_figure(4, 3)", "figure = new_figure(5, 3)") == first  # drawing
    assert after('"""A coin."""', '"""Another coin."""') == first
    assert after("default_rng(1)", "default_rng(2)") != first
    assert after("0.7", "0.6", tmp_path / "experiments/coins/bias.py") != first
    assert fingerprint(module, {"seeds": 11}) != first
    module.write_text("from dlnotes import data\n" + text.replace("rng = ", "data.load('xor'); rng = "))
    assert fingerprint(module, options) != first


def test_only_plain_arrays_are_kept(tmp_path):
    with pytest.raises(TypeError, match=r"measured\['a'\]"):
        save_measurements(tmp_path / "m.npz", {"a": np.array([None])})


ABANDONED = """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from dlnotes.claims.reproduce import _take_share

if __name__ == "__main__":
    spawned = get_context("spawn")
    shares = spawned.SimpleQueue()
    shares.put(set())
    pool = ProcessPoolExecutor(1, spawned, initializer=_take_share, initargs=(shares,))
    print(pool.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_a_process_that_measures_ends_with_the_one_that_started_it(tmp_path):
    script = tmp_path / "abandoned.py"
    script.write_text(ABANDONED)
    started = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=False, timeout=60)
    child, until = Path("/proc") / started.stdout.decode().strip() / "stat", time.monotonic() + 20

    def runs() -> bool:
        try:
            return child.read_text().rsplit(")", 1)[1].split()[0] != "Z"  # nobody may be there to bury it
        except OSError:
            return False

    while runs() and time.monotonic() < until:
        time.sleep(0.05)
    assert started.stdout
    assert not runs()
