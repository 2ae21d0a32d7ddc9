"""Windows: weights in force, the total's expected level, the last healthy point."""

import numpy as np
import pytest

from lossguard.protocol.messages import Declaration, RampSpec, StageSpec
from lossguard_server.rules.memory import Memory, order_of
from lossguard_server.rules.moment import Moment
from lossguard_server.rules.page import Page
from lossguard_server.services.engine.state import from_bytes, to_bytes
from unit.rules.rule_world import moment_at, noisy, report, report_declaration, summed, windows


def test_a_moment_knows_its_stage() -> None:
    moment = moment_at(report(), 310, report_declaration())
    assert moment.stage is not None
    assert (moment.stage.index, moment.stage.name, moment.steps_in_stage) == (1, "precursor", 10)


def test_contributions_are_weight_times_raw_and_shares_add_up() -> None:
    known = moment_at(report(), 310, report_declaration()).components
    assert known.names == ("ce", "precursor")
    assert known.contributions == pytest.approx(known.weights * known.losses)
    assert known.shares.sum() == pytest.approx(1.0)
    assert known.rest == pytest.approx(0.0, abs=1e-12)


def test_a_weight_that_is_not_reported_is_as_declared() -> None:
    n = 50
    trace = {"loss/total": noisy(2.0, n), "loss/ce": noisy(2.0, n), "loss/aux": noisy(1.0, n)}
    stages = [StageSpec("a", 0, {"ce": 1.0, "aux": RampSpec(0.0, 0.4, 100)})]
    moment = moment_at(trace, 25, Declaration(seq=1, components=["ce", "aux"], stages=stages))
    assert moment.components.weights == pytest.approx([1.0, 0.1])


def test_a_weight_that_is_reported_is_the_truth_though_declared_otherwise() -> None:
    trace = report()
    trace["weight/precursor"] = np.full(400, 0.003)
    assert moment_at(trace, 310, report_declaration()).components.weights == pytest.approx([1.0, 0.003])


def test_components_that_nobody_declared_are_found_by_their_weights() -> None:
    assert moment_at(report(), 5).components.names == ("ce", "precursor")


@pytest.mark.parametrize("step", [300, 305, 390])
@pytest.mark.parametrize("cut", [1, 400])
def test_the_reference_stands_before_the_jump_while_the_jump_lasts(step: int, cut: int) -> None:
    made = windows(report(), report_declaration(), cut)
    moment = Moment(made[0], step) if cut == 400 else Moment(made[step], 0)
    # the jump is as predicted, so after 20 samples it is the new level
    assert moment.reference is not None
    assert moment.reference.step == (299 if step < 321 else step - 1)
    assert moment.reference.of("precursor") == (0.0 if step < 321 else 0.01, pytest.approx(700.0, rel=0.02))


def test_the_reference_follows_a_calm_run() -> None:
    moment = moment_at(summed({"ce": 1.0}, {"ce": noisy(2.0, 200)}), 150)
    assert moment.reference is not None
    assert moment.reference.step >= 145


@pytest.mark.parametrize("factor", [1.9, 5.0, 0.1])
def test_weights_that_move_re_base_the_total(factor: float) -> None:
    n = 200
    weight = np.where(np.arange(n) < 100, 1.0, factor)
    window = windows(summed({"ce": weight}, {"ce": noisy(2.0, n, 0.01)}), cut=n)[0]
    assert np.flatnonzero(window.moved).tolist() == [100]
    assert window.predicted[100] == pytest.approx(2.0 * factor, rel=0.02)
    assert np.isnan(window.predicted[99])
    assert window.natural_level(100, 0) == pytest.approx(2.0 * factor, rel=0.02)


def test_a_total_that_the_components_do_not_explain_is_not_re_based() -> None:
    n = 200
    trace = summed({"ce": np.where(np.arange(n) < 100, 1.0, 1.5)}, {"ce": noisy(2.0, n, 0.01)})
    trace["loss/total"] = trace["loss/total"] + 3.0
    window = windows(trace, cut=n)[0]
    assert np.isnan(window.predicted).all()
    assert window.natural_level(100, 0) == pytest.approx(5.0, rel=0.02)


def test_a_component_that_was_never_evaluated_cannot_be_predicted() -> None:
    n = 200
    late = np.where(np.arange(n) < 100, np.nan, 50.0)
    memory = Memory()
    names = ["loss/total", "loss/ce", "loss/late", "weight/ce", "weight/late"]
    ids = memory.numbers_of(names)
    ce, weight = noisy(2.0, n, 0.01), np.where(np.arange(n) < 100, 0.0, 1.0)
    values = np.stack([ce + weight * np.nan_to_num(late), ce, late, np.ones(n), weight], axis=1)[:, np.argsort(ids)]
    window = memory.follow(Page(np.arange(n), values, ~np.isnan(values)))
    assert window.moved[100]
    assert np.isnan(window.predicted).all()


def test_a_row_of_other_series_shows_no_losses() -> None:
    memory, trace = Memory(), report(50)
    memory.numbers_of([*trace, "val/acc"])
    values = np.full((2, memory.count), np.nan)
    values[0, : len(trace)] = [column[0] for column in trace.values()]
    values[1, len(trace)] = 0.5
    moment = Moment(memory.follow(Page(np.array([0, 0]), values, ~np.isnan(values))), 1)
    assert not moment.is_whole
    assert np.isnan(moment.components.losses).all()
    assert moment.number("loss/ce") is None
    assert moment.dominant(0.0) is None


@pytest.mark.parametrize("cut", [1, 3, 9])
def test_updates_that_were_kept_out_are_counted_over_windows(cut: int) -> None:
    skipped = np.array([0, 1, 1, 0, 1, 1, 1, 1, 0.0])
    made = windows({"loss/total": noisy(2.0, 9), "skipped": skipped}, None, cut)
    assert np.concatenate([window.skipped_rows for window in made]).tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 0]


def test_what_is_known_survives_being_stored() -> None:
    trace = report()
    memory = Memory()
    memory.declare(report_declaration())
    ids = memory.numbers_of(list(trace))
    values = np.array(list(trace.values())).T[:, np.argsort(ids)]
    fresh = np.ones(values.shape, np.bool_)
    memory.follow(Page(np.arange(250), values[:250], fresh[:250]))
    again = Memory.load(from_bytes(to_bytes(memory.dump())), report_declaration())
    rest = Page(np.arange(250, 400), values[250:], fresh[250:])
    one, two = memory.follow(rest), again.follow(rest)
    assert one.levels.deviation.tobytes() == two.levels.deviation.tobytes()
    assert repr(Moment(one, 60).reference) == repr(Moment(two, 60).reference)
    assert repr(to_bytes(memory.dump())) == repr(to_bytes(again.dump()))


def test_the_flow_of_computation() -> None:
    series = ["matrix/R/fro", "loss/ce", "contribution/ce", "loss/total", "grad_norm/head", "grad_norm/total"]
    assert sorted(reversed(series), key=order_of) == series
    assert order_of("val/acc") == order_of("lr") == np.inf
