"""What the benches of epochs make of the seconds that they measure."""

import json

import pytest

from scripts.bench import denoising_epoch, epochs, rbm_epoch

BENCHES = [rbm_epoch.BENCH, denoising_epoch.BENCH]


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: b.module)
def test_bars_are_judged_within_rounds(bench):
    """Three rounds: the machine is half as fast in the second, which no ratio shows."""
    speed = [1.0, 2.0, 1.1]
    found = {way: [2.0 * s for s in speed] for way in bench.make}
    found["ours"] = [1.0 * s for s in speed]
    found[epochs.MANY] = [9.5 * s for s in speed]
    found["product"] = [epochs.OPERATIONS / (0.8 * s) for s in speed]
    found[bench.peers[-1]] = [1.7, 3.0, 1.87]
    verdicts = epochs.judge(bench, found)
    assert [v.met for v in verdicts] == [True, True, False]
    assert verdicts[0].value == pytest.approx((1.7, 1.5, 1.7))
    assert verdicts[1].value == pytest.approx((0.8, 0.8, 0.8))
    page = epochs.report(bench, found)
    assert page.startswith(f"# {bench.title}")
    assert "| ≥ 70% of the fastest product | 0.80 [0.80–0.80] | met |" in page


@pytest.mark.parametrize("bench", BENCHES, ids=lambda b: b.module)
def test_a_bench_names_itself_and_its_peers(bench):
    assert next(iter(bench.make)) == "ours"
    assert {*bench.peers, epochs.MANY, "product"} < set(bench.make)
    __import__(bench.module)


def test_a_way_that_does_not_start_says_so():
    bench = epochs.Bench("scripts.bench.denoising_epoch", "none", {}, ())
    with pytest.raises(RuntimeError, match="nobody: its process ended with status 2"):
        epochs.measure(bench, ("nobody",), rounds=1)


@pytest.mark.slow
def test_ours_runs_in_a_process_of_its_own(tmp_path, monkeypatch, capsys):
    out = tmp_path / "found.json"
    monkeypatch.setattr("sys.argv", ["bench", "--rounds", "1", "--ways", "ours", "--json", str(out)])
    epochs.main(denoising_epoch.BENCH, None)
    assert "| ours |" in capsys.readouterr().out
    assert len(json.loads(out.read_text())["ours"]) == 1
