"""Since which step each series is off, as known at a row: the earliest first, wherever windows are cut."""

from math import inf, nan
from typing import Any

import numpy as np
import pytest

from lossguard.protocol.messages import ContractSpec, Declaration
from lossguard_server.rules.first_bad import MOST, FirstBad, entry, in_order, place_of
from lossguard_server.rules.memory import Memory
from lossguard_server.rules.page import Page
from unit.rules.rule_world import UNDECLARED, Trace, declared, noisy, report, report_declaration, summed, windows


def known_at(
    trace: Trace, step: int, declaration: Declaration = UNDECLARED, cut: int = 100, symptom: int | None = None
) -> list[dict[str, Any]]:
    """What is known when the row of `step` has come."""
    first_bad, memory = FirstBad(), dict[str, Any]()
    for window in windows(trace, declaration, cut):
        signals = first_bad.observe(window, memory)
        if step <= window.steps[-1]:
            return signals.at(step - int(window.steps[0]), step if symptom is None else symptom)
    raise AssertionError(f"no row has the step {step}")


def steps_of(found: list[dict[str, Any]]) -> dict[str, int]:
    return {each["series"]: each["step"] for each in found}


def test_the_weight_of_the_report_moved_before_the_total_knew() -> None:
    found = known_at(report(), 300, report_declaration(), symptom=301)
    assert found[0] == {"series": "weight/precursor", "step": 300, "lead_steps": 1, "deviation": None}
    assert known_at(report(), 299, report_declaration()) == []
    assert steps_of(known_at(report(), 340, report_declaration()))["weight/precursor"] == 300


def test_what_rises_first_is_named_first_with_its_lead() -> None:
    n = 300
    rises = np.where(np.arange(n) < 250, 0.0, 0.08 * (np.arange(n) - 249))
    grads = noisy(1.0, n, 0.05, 5) * np.exp(3 * rises)
    losses = {"ce": noisy(2.0, n, 0.02, 1), "aux": noisy(3.0, n, 0.02, 2) * np.exp(np.maximum(rises - 1.0, 0.0))}
    found = known_at(summed({"ce": 1.0, "aux": 0.1}, losses, **{"grad_norm/total": grads}), 280)
    assert found[0]["series"] == "grad_norm/total"
    assert 250 <= found[0]["step"] <= 254
    assert found[0]["lead_steps"] == 280 - found[0]["step"]
    assert found[0]["deviation"] > 10
    assert [each["series"] for each in found[1:]] == ["loss/aux", "loss/total"]
    assert 262 <= found[1]["step"] <= 266


def test_a_slow_drift_is_off_since_its_cusum_left_zero() -> None:
    n = 400
    aux = noisy(3.0, n, 0.02, 2) * np.exp(0.045 * (np.arange(n) >= 300))  # two spreads: no sample is over a limit
    found = steps_of(known_at(summed({"ce": 1.0, "aux": 0.1}, {"ce": noisy(2.0, n, 0.02, 1), "aux": aux}), 340))
    assert list(found) == ["loss/aux"]
    assert 296 <= found["loss/aux"] <= 304


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_what_is_not_finite_counts_at_once_and_without_warm_up(bad: float) -> None:
    losses = {"ce": noisy(2.0, 20), "aux": noisy(3.0, 20)}
    losses["aux"][7] = bad
    found = known_at(summed({"ce": 1.0, "aux": 0.1}, losses), 7)
    assert [(each["series"], each["step"], each["deviation"]) for each in found] == [
        ("loss/aux", 7, None),
        ("loss/total", 7, None),
    ]
    assert steps_of(known_at(summed({"ce": 1.0, "aux": 0.1}, losses), 10))["loss/aux"] == 7, "it is not over yet"
    assert known_at(summed({"ce": 1.0, "aux": 0.1}, losses), 19) == []


@pytest.mark.parametrize(("again", "since"), [(11, 7), (12, 12)])
def test_four_samples_that_are_not_off_end_an_excursion(again: int, since: int) -> None:
    losses = {"ce": noisy(2.0, 20)}
    losses["ce"][[7, again]] = nan
    trace = summed({"ce": 1.0}, losses)
    assert steps_of(known_at(trace, again))["loss/ce"] == since
    assert steps_of(known_at(trace, again + 3))["loss/ce"] == since
    assert known_at(trace, again + 4) == []


def test_how_far_it_went_is_of_the_present_excursion_only() -> None:
    losses = {"ce": noisy(2.0, 120, 0.02, 1)}
    losses["ce"][60:64] *= 50
    losses["ce"][75:78] *= 1.3
    (found, _) = known_at(summed({"ce": 1.0}, losses), 77, cut=62)
    assert (found["series"], found["step"]) == ("loss/ce", 75)
    assert 3 < found["deviation"] < 30


def test_a_weight_logged_now_and_then_moves_between_its_samples() -> None:
    memory, first_bad, kept = Memory(), FirstBad(), dict[str, Any]()
    memory.numbers_of(["loss/total", "loss/a", "weight/a"])
    fresh = np.ones((30, 3), np.bool_)
    fresh[:, 2] = np.arange(30) % 10 == 0
    values = np.where(fresh, [[2.0, 2.0, 1.0]], nan)
    values[20, 2] = 0.5
    signals = first_bad.observe(memory.follow(Page(np.arange(30), values, fresh)), kept)
    assert (signals.at(19, 0), steps_of(signals.at(25, 0))) == ([], {"weight/a": 20})


def test_a_declared_range_counts_from_the_first_row() -> None:
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 40)}, **{"matrix/R_samp/fro": np.full(40, 2.85e-4)})
    contract = ContractSpec("matrix/R_samp/fro", 30.0, 60.0)
    assert known_at(trace, 30, declared(contract, ce=1.0)) == [
        {"series": "matrix/R_samp/fro", "step": 0, "lead_steps": 30, "deviation": None}
    ]
    assert known_at(trace, 30, declared(ce=1.0)) == []


def test_one_stray_sample_is_no_sign_once_it_is_over() -> None:
    losses = {"ce": noisy(2.0, 200, 0.02, 1), "aux": noisy(3.0, 200, 0.02, 2)}
    losses["aux"][100] *= 1.3
    trace = summed({"ce": 1.0, "aux": 0.1}, losses)
    assert steps_of(known_at(trace, 100)) == {"loss/aux": 100}
    assert known_at(trace, 101) == []


def test_a_falling_loss_is_not_off_but_a_matrix_that_falls_is() -> None:
    fall = np.where(np.arange(200) < 100, 1.0, 0.5)
    losses = {"ce": noisy(2.0, 200, 0.02, 1) * fall}
    trace = summed({"ce": 1.0}, losses, **{"matrix/R/fro": noisy(40.0, 200, 0.02, 3) * fall})
    assert list(steps_of(known_at(trace, 110))) == ["matrix/R/fro"]


def test_a_rate_that_decays_does_not_move_and_one_that_jumps_does() -> None:
    decays = 1e-3 * np.cos(np.arange(300) / 250)
    jumps = np.where(np.arange(300) < 200, decays, 10 * decays)
    of = {"lr": lambda lr: summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02)}, lr=lr)}["lr"]
    assert known_at(of(decays), 250) == []
    assert steps_of(known_at(of(jumps), 250)) == {"lr": 200}
    for step in (20, 80):
        assert known_at(of(np.where(np.arange(300) < step, 1e-3, 1e-2)), step + 200) == [], "200 samples are long"


def test_a_loss_scale_counts_where_it_falls_only() -> None:
    scale = np.where(np.arange(300) < 100, 1024.0, np.where(np.arange(300) < 200, 2048.0, 512.0))
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, 300, 0.02)}, loss_scale=scale)
    assert known_at(trace, 150) == []
    assert steps_of(known_at(trace, 210)) == {"loss_scale": 200}


def test_a_probed_loss_scale_is_no_sign_and_a_skipped_fault_is() -> None:
    n = 60
    grads, skipped = noisy(1.0, n), np.zeros(n)
    grads[50], skipped[50] = inf, 1.0
    trace = summed({"ce": 1.0}, {"ce": noisy(2.0, n)}, skipped=skipped, **{"grad_norm/total": grads})
    assert list(steps_of(known_at(trace, 50))) == ["grad_norm/total"]
    probed = trace | {"loss_scale": np.full(n, 65536.0)}
    assert known_at(probed, 50) == []


def test_of_one_step_the_order_of_computation_decides() -> None:
    names = ["time", "step_time_s", "grad_norm/total", "grad_norm/head", "loss/total", "contribution/a", "loss/a"]
    names += ["matrix/R/fro", "weight/a", "count/valid"]
    found = in_order([entry(name, 5, 5) for name in names] + [entry("loss/z", 4, 5)])
    assert [each["series"] for each in found] == ["loss/z", *reversed(names[1:]), "time"]
    assert place_of("loss/a") < place_of("eval/loss/a") < place_of("contribution/a")


def test_an_answer_is_short_and_of_the_earliest() -> None:
    losses = {f"c{i:02}": noisy(2.0, 100, 0.02, i) for i in range(50)}
    for i, loss in enumerate(losses.values()):
        loss[60 + (50 - i) // 10 :] *= 3
    found = known_at(summed(dict.fromkeys(losses, 1.0), losses), 90)
    assert len(found) == MOST
    assert [each["step"] for each in found] == sorted(each["step"] for each in found)
    assert found[0]["series"] == "loss/c41"
    at_once = summed(
        dict.fromkeys(losses, np.where(np.arange(100) < 70, 1.0, 2.0)), dict.fromkeys(losses, np.ones(100))
    )
    at_once |= {name: np.where(np.arange(100) < 70, 1.0, nan) for name in at_once if name.startswith("loss/")}
    assert {each["series"].split("/")[0] for each in known_at(at_once, 70)} == {"weight"}, "what is set comes first"


def stormy(n: int = 400, seed: int = 3) -> tuple[Trace, np.ndarray]:
    """Everything happens, and rows carry a part of the series."""
    rng = np.random.default_rng(seed)
    losses = {"ce": noisy(2.0, n, 0.3, 1), "aux": noisy(3.0, n, 0.1, 2)}
    losses["aux"][200:240] *= 1.6
    losses["ce"][rng.integers(0, n, 6)] = nan
    weights = {"ce": 1.0, "aux": np.where(np.arange(n) % 90 < 50, 0.1, 0.2)}
    more = {"grad_norm/total": noisy(1.0, n, 0.8, 4), "matrix/R/fro": noisy(40.0, n, 0.05, 5), "lr": noisy(1.0, n, 0.2)}
    trace = summed(weights, losses, **more)
    fresh = rng.random((n, len(trace))) < 0.8
    return trace, fresh


@pytest.mark.parametrize("cut", [1, 7, 256])
def test_nothing_depends_on_where_windows_are_cut(cut: int) -> None:
    trace, fresh = stormy()
    contract = ContractSpec("matrix/R/fro", 37.0, 43.0)

    def followed(cut: int) -> tuple[list[list[dict[str, Any]]], dict[str, Any]]:
        memory, first_bad, kept, told = Memory(), FirstBad(), dict[str, Any](), []
        memory.declare(declared(contract, ce=1.0, aux=0.1))
        memory.numbers_of(list(trace))
        values = np.where(fresh, np.array(list(trace.values())).T, nan)
        for at in range(0, len(values), cut):
            rows = slice(at, at + cut)
            window = memory.follow(Page(np.arange(len(values))[rows] * 3, values[rows], fresh[rows]))
            signals = first_bad.observe(window, kept)
            told += [signals.at(row, 1_000) for row in range(len(window.steps))]
            assert told[-1] == first_bad.now(kept, window.names, 1_000)
        return told, kept

    (told, kept), (expected, state) = followed(cut), followed(100)
    assert told == expected
    assert max(map(len, told)) > 4
    assert kept.keys() == state.keys()
    assert all(np.array_equal(kept[name], state[name], equal_nan=True) for name in kept if kept[name].dtype != bool)


def test_a_series_that_comes_later_is_followed_too() -> None:
    first_bad, memory, kept = FirstBad(), Memory(), dict[str, Any]()
    memory.numbers_of(["loss/total"])
    ones = np.ones((3, 1), np.bool_)
    first_bad.observe(memory.follow(Page(np.arange(3), np.full((3, 1), 2.0), ones)), kept)
    memory.numbers_of(["loss/new"])
    values = np.array([[2.0, nan]])
    signals = first_bad.observe(memory.follow(Page(np.array([3]), values, np.ones((1, 2), np.bool_))), kept)
    assert steps_of(signals.at(0, 3)) == {"loss/new": 3}


def test_what_is_blended_comes_behind_its_parts() -> None:
    entries = [entry(name, 5, 5) for name in ("matrix/B/fro", "matrix/S/trace", "matrix/S/fro", "eval/matrix/B/fro")]
    found = in_order(entries, lambda series: int("/B/" in series))
    assert [each["series"] for each in found] == ["matrix/S/fro", "matrix/S/trace", "matrix/B/fro", "eval/matrix/B/fro"]


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_learning_rate_that_moves_by_a_schedule_is_no_sign_and_a_leap_is(cut: int) -> None:
    at = np.arange(300)
    schedules = {
        "warm-up": np.minimum(1e-9 + at / 50, 1.0),
        "exponential": np.minimum(1e-6 * 1.9**at, 1.0),
        "cosine": 0.5 * (1 + np.cos(at / 100)),
        "drop": np.where(at < 200, 1.0, 0.1),
    }
    for name, lr in schedules.items():
        assert known_at({"loss/total": np.full(300, 2.0), "lr": lr}, 210, cut=cut) == [], name
        assert known_at({"loss/total": np.full(300, 2.0), "lr": lr}, 12, cut=cut) == [], name
    leap = {"loss/total": np.full(300, 2.0), "lr": np.where(at < 200, 1.0, 2.1)}
    assert steps_of(known_at(leap, 210, cut=cut)) == {"lr": 200}


def learning(ends: int = 400) -> Trace:
    """A total that falls until `ends`; from 200 on a gradient norm and what an evaluation finds grow with a matrix."""
    at = np.arange(400)
    up = np.exp(0.005 * np.maximum(at - 200, 0))
    trace = summed({"ce": 1.0}, {"ce": noisy(np.exp(-np.minimum(at, ends) / 200), 400, 0.01, 1)})
    trace |= {"grad_norm/encoder": noisy(up, 400, 0.1, 2), "matrix/R/fro": noisy(40.0 * up, 400, 0.08, 3)}
    return trace | {"eval/matrix/R/fro": noisy(up, 400, 0.02, 4), "count/masked": noisy(900.0 * up, 400, 0.02, 5)}


def test_what_the_model_makes_of_itself_may_grow_while_the_total_improves() -> None:
    grown = known_at(learning(), 300)
    assert sorted(steps_of(grown)) == ["count/masked", "eval/matrix/R/fro"], "what is fed, or evaluated, does not learn"
    assert min(steps_of(grown).values()) >= 190
    without = {name: column for name, column in learning().items() if name != "loss/total"}
    assert {"grad_norm/encoder", "matrix/R/fro"} < set(steps_of(known_at(without, 300))), "nothing says that it learns"


def test_growth_is_a_sign_since_it_began_once_the_total_improves_no_more() -> None:
    stalled = steps_of(known_at(learning(ends=300), 380))
    assert 190 <= stalled["matrix/R/fro"] <= 235
    assert 190 <= stalled["grad_norm/encoder"] <= 235
    for step, blows in ((341, 3.0), (340, 30.0), (340, nan)):
        blown = learning()
        blown["loss/total"][340:] *= blows
        assert "grad_norm/encoder" not in steps_of(known_at(blown, 339))
        assert 190 <= steps_of(known_at(blown, step))["grad_norm/encoder"] <= 235


def test_what_drifted_while_the_total_stalled_is_no_sign_once_it_improves_again() -> None:
    trace, first_bad, kept = learning(), FirstBad(), dict[str, Any]()
    trace["loss/total"][320:324] *= 3
    told = {True: 0, False: 0}
    for window in windows(trace, cut=1)[300:360]:
        is_told = "matrix/R/fro" in steps_of(first_bad.observe(window, kept).at(0, 400))
        improves = bool(window.improving(0.5)[0])
        told[improves] += is_told
        assert not (improves and is_told), window.steps
    assert told[False] > 3


def test_a_sample_that_is_far_up_while_a_series_drifts_is_part_of_the_drift() -> None:
    trace = learning()
    trace["grad_norm/encoder"][338:341] *= 1.5
    window = windows({name: column[:341] for name, column in trace.items()}, cut=341)[-1]
    assert 3 < window.levels.deviation[340, window.index["grad_norm/encoder"]] < 6
    trace["grad_norm/encoder"][341] *= 0.6
    for step in (339, 340, 341):
        assert "grad_norm/encoder" not in steps_of(known_at(trace, step))


@pytest.mark.parametrize("bad", [nan, inf, 40.0])
def test_what_leaps_or_breaks_while_the_total_improves_is_a_sign_since_it_grew(bad: float) -> None:
    trace = learning()
    trace["grad_norm/encoder"][340] *= bad
    assert 190 <= steps_of(known_at(trace, 340))["grad_norm/encoder"] <= 235


def test_a_leap_is_a_sign_also_where_what_follows_is_nearer_and_the_total_improves() -> None:
    trace = learning()
    trace["grad_norm/encoder"][338:340] *= 40.0
    trace["grad_norm/encoder"][340] *= 1.5
    assert 190 <= steps_of(known_at(trace, 340))["grad_norm/encoder"] <= 235


def test_what_leaves_its_range_while_the_total_improves_is_a_sign() -> None:
    found = steps_of(known_at(learning(), 340, declared(ContractSpec("matrix/R/fro", 10.0, 70.0), ce=1.0)))
    assert 190 <= found["matrix/R/fro"] <= 250
    assert "grad_norm/encoder" not in found


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_trip_ends_the_learning(cut: int) -> None:
    first_bad, kept, names = FirstBad(), dict[str, Any](), tuple(learning())
    for window in windows({name: column[:361] for name, column in learning().items()}, cut=cut):
        signals = first_bad.observe(window, kept)
    assert "matrix/R/fro" not in steps_of(signals.at(len(window.steps) - 1, 400))
    assert 190 <= steps_of(first_bad.now(kept, names, 400))["matrix/R/fro"] <= 235


def test_a_row_of_other_series_does_not_make_a_sign_of_what_learns() -> None:
    memory, first_bad, kept = Memory(), FirstBad(), dict[str, Any]()
    values = np.array(list(learning(ends=300).values())).T
    memory.numbers_of(list(learning()))
    fresh = np.ones_like(values, np.bool_)
    fresh[300, :-2] = False
    first_bad.observe(memory.follow(Page(np.arange(300), values[:300], fresh[:300])), kept)
    window = memory.follow(Page(np.arange(300, 301), np.where(fresh, values, nan)[300:301], fresh[300:301]))
    found = steps_of(first_bad.observe(window, kept).at(0, 300))
    assert not {"grad_norm/encoder", "matrix/R/fro"} & set(found)
