import io

import pytest
from rich.console import Console

from dlnotes.cli import progress as display
from dlnotes.experiment import bars
from dlnotes.experiment.progress import Progress
from dlnotes.experiment.summary import best_point, chosen_on
from dlnotes.formatting import duration_in_words, measured_in_words


def measured(*values, half=0.01):
    mean = sum(values) / len(values)
    several = len(values) > 1
    return {
        "mean": mean,
        "low": mean - half if several else None,
        "high": mean + half if several else None,
        "values": list(values),
    }


def summary(points, **more):
    return {
        "points": points,
        "seconds": 83.2,
        "examples_per_second": [12345.6],
        "placement": ["mesh, seeds over 2 cpu devices"],
    } | more


def point(index, values, validation, test):
    return {
        "point": index,
        "values": values,
        "metrics": {
            "validation": {"accuracy": measured(*validation), "loss": measured(0.5, 0.5)},
            "test": {"accuracy": measured(*test), "loss": measured(0.4, 0.6)},
        },
        "seeds": [0, 1],
        "stopped": [],
    }


def progress(step, total=100, message="", rate=1000.0, **metrics):
    return Progress(step, total, step / 10, metrics, rate, 3, 4, message)


def test_a_metric_is_told_with_its_unit_interval_and_number_of_seeds():
    assert measured_in_words("accuracy", measured(0.98, 0.99)) == (
        "98.50% (95% interval 97.50–99.50, 2 seeds)"
    )
    assert measured_in_words("loss", measured(0.12345)) == "0.1235 (1 seed)"
    below = measured_in_words("loss", measured(-1.0, -2.0))
    assert below == "-1.5 (95% interval -1.51 to -1.49, 2 seeds)"
    assert measured_in_words("loss", {"mean": None, "low": None, "high": None, "values": [None]}) == (
        "none (0 seeds, 1 failed)"
    )


def test_failed_seeds_are_left_out_of_the_count():
    shown = measured(0.5, 0.7) | {"values": [0.5, float("nan"), None, 0.7]}
    assert "2 seeds, 2 failed" in measured_in_words("accuracy", shown)


def test_the_best_point_is_chosen_on_validation_not_on_the_test():
    points = [point(0, {"a": 1}, [0.9, 0.9], [0.8, 0.8]), point(1, {"a": 2}, [0.8, 0.8], [0.95, 0.95])]
    assert best_point(points) == 0
    for p in points:
        p["metrics"]["train"] = p["metrics"].pop("validation")
    assert (best_point(points), chosen_on(points)) == (0, "train")
    for p in points:
        del p["metrics"]["train"]
    assert (best_point(points), chosen_on(points)) == (None, None)


def test_of_points_that_are_as_good_the_one_of_the_smaller_loss_is_best():
    points = [point(i, {"a": i}, [0.9, 0.9], [0.8, 0.8]) for i in range(3)]
    for p, loss in zip(points, (0.3, 0.1, 0.2)):
        p["metrics"]["validation"]["loss"] = measured(loss)
    assert best_point(points) == 1


def test_the_best_loss_is_the_smallest():
    points = [{"metrics": {"validation": {"loss": measured(v)}}} for v in (0.5, float("nan"), 0.2, 0.3)]
    assert best_point(points) == 2
    assert best_point(points[1:2]) is None


def test_results_of_one_setting_begin_with_the_headline():
    text = display.results_text(summary([point(0, {}, [0.9, 0.9], [0.98, 0.98])]))
    assert text.splitlines()[0].startswith("test accuracy ")
    assert "98.00% (95% interval 97.00–99.00, 2 seeds)" in text
    assert text.splitlines()[-1] == "1 min 23 s; 12,346 examples/s; mesh, seeds over 2 cpu devices"


def test_results_of_a_sweep_mark_the_best_point_and_count_failures():
    points = [
        point(0, {"optimizer.learning_rate": 0.01}, [0.7, 0.7], [0.6, float("nan")]),
        point(1, {"optimizer.learning_rate": 0.1}, [0.8, 0.8], [0.9, 0.9]),
    ]
    points[0]["stopped"] = [{"member": 1, "seed": 1, "step": 7, "reason": "non-finite loss"}]
    text = display.results_text(summary(points))
    marked = [line for line in text.splitlines() if line.startswith("* 0.1")]
    assert len(marked) == 1
    assert "90.00%" in marked[0]
    assert "failed" in text.splitlines()[0]
    assert "seed 1, optimizer.learning_rate = 0.01 failed at step 7: non-finite loss" in text


def test_a_large_sweep_shows_the_best_points_only():
    points = [point(i, {"a": i}, [0.5 + i / 1000] * 2, [0.5 + i / 1000] * 2) for i in range(200)]
    text = display.results_text(summary(points))
    assert "* 199" in text
    assert "the 40 best of 200 points" in text


@pytest.mark.parametrize("values", [{}, {"a.b": [1, 2]}])
def test_the_table_for_a_terminal_holds_the_same_numbers(values):
    stream = io.StringIO()
    Console(file=stream, width=120).print(
        display.results_table(summary([point(0, values, [0.9, 0.9], [0.98, 0.98])]))
    )
    assert "98.00%" in stream.getvalue()


def test_plain_lines_come_with_evaluations_and_with_time_but_not_with_every_chunk():
    now, stream = [0.0], io.StringIO()
    watch = display.Plain(stream, clock=lambda: now[0])
    watch(progress(0, rate=0.0))
    for step in range(1, 60):
        now[0] += 0.1
        watch(progress(step, loss=1.0))
    assert len(stream.getvalue().splitlines()) == 1  # only the first
    now[0] += 10
    watch(progress(60, loss=0.5))
    watch(progress(61, loss=0.5))
    now[0] += 3
    watch(progress(62, loss=0.5, **{"validation loss": 0.4, "validation accuracy": 0.75}))
    watch(progress(100, loss=0.1))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert "step 62/100" in lines[2]
    assert "validation accuracy 75.00%" in lines[2]
    assert "3/4 running" in lines[2]
    assert "left" in lines[2]
    assert "step 100/100" in lines[3]


def test_messages_are_always_written_and_groups_are_counted():
    stream = io.StringIO()
    watch = display.Plain(stream, groups=2, clock=lambda: 0.0)
    watch(progress(0))
    watch(progress(50, message="member 1 stopped at step 50: non-finite loss"))
    watch(progress(100))
    watch(progress(0))
    lines = stream.getvalue().splitlines()
    assert lines[1] == "member 1 stopped at step 50: non-finite loss"
    assert [line[:9] for line in lines if line.startswith("group")] == ["group 1/2", "group 1/2", "group 2/2"]


def test_time_left_does_not_count_the_compilation():
    clock = bars.Clock(1)
    clock.see(progress(0, rate=0.0), 0.0)
    clock.see(progress(1), 100.0)
    assert clock.seconds_left(101) is None
    clock.see(progress(51), 105.0)
    assert clock.seconds_left(101) == pytest.approx(5.0)


def test_a_closed_stream_does_not_stop_the_run():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    watch = display.Plain(Closed())
    watch(progress(0))
    watch(progress(100))


def test_a_terminal_gets_a_bar_and_messages_above_it():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with display.terminal(stream=stream) as watch:
        for step in (0, 1, 50):
            watch(progress(step, loss=0.5, message="a member stopped" if step == 50 else ""))
    assert "a member stopped" in stream.getvalue()
    with display.terminal(quiet=True, stream=stream) as watch:
        assert isinstance(watch, display.Plain)


def test_durations_are_told_in_fitting_units():
    told = [duration_in_words(s) for s in (0.34, 9.97, 59, 61, 3599.9, 7800)]
    assert told == ["0.3 s", "10 s", "59 s", "1 min 01 s", "1 h 00 min", "2 h 10 min"]


def test_a_narrow_terminal_leaves_out_the_least_needed():
    facts = ["loss 0.5", "validation loss 0.4", "validation accuracy 90%", "99 examples/s", "9 s left"]
    assert bars.fitted(facts, 200) == "  ".join(facts)
    assert bars.fitted(facts, 45) == "loss 0.5  validation accuracy 90%  9 s left"
