"""The masked pretraining: real, the same with and without lossguard, and showing its incident by itself."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import events, points, spooled
from lossguard.curriculum import Curriculum
from lossguard.protocol.messages import ContractSpec, Operation
from lossguard.scenarios import Options, UnknownChoice, find
from lossguard.scenarios.tabular import curricula, data, masking
from lossguard.scenarios.tabular import train as tabular
from lossguard.scenarios.tabular.model import LARGE, RowCompleter
from lossguard.scenarios.tabular.plain import train_plain
from lossguard.scenarios.tabular.setup import build, losses
from recorded import recorded_totals


def options(variant: str, **chosen: object) -> Options:
    return find("tabular").options(variant=variant, device="cpu", **chosen)


def values(found: dict[str, list[tuple[int, float]]], name: str) -> Sequence[float]:
    return [value for _, value in found[name]]


def hidden_at(batch: data.Batch, probability: float, step: int = 0) -> masking.Masked:
    return masking.hide(batch, masking.draw(batch, 0, step), probability)


# -- the training ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["offline", "off"])
@pytest.mark.parametrize(
    ("variant", "chosen"),
    [
        ("unmasked", {}),
        ("bert", {"knobs": {"loss": "huber"}}),
        ("progressive", {}),
        ("unmasked", {"curriculum": "staged", "stage_steps": 5}),
    ],
)
def test_lossguard_changes_no_bit_of_the_training(
    variant: str, chosen: dict[str, object], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", mode)
    own = options(variant, steps=12, batch_size=2, eval_every=5, **chosen)
    assert recorded_totals(tabular.train, own, tmp_path / "record.jsonl") == train_plain(own)


def test_a_mean_over_nothing_is_nan_and_the_guard_keeps_it_out_of_the_weights(tmp_path: Path) -> None:
    own = options("empty_mask", steps=30)
    assert all(total == "nan" for total in train_plain(own)), "nothing keeps it out there"
    summary = tabular.train(own)
    assert (summary.steps, math.isfinite(summary.hidden_error)) == (30, True)
    messages = spooled(tmp_path / "spool")
    origin = events(messages, "origin")[0].data
    assert origin["op"] == "aten.div"
    assert "in losses" in origin["where"]
    masked = dict(points(messages)["count/masked"])
    totals = dict(points(messages)["loss/total"])
    assert all(math.isnan(totals[step]) for step, count in masked.items() if count == 0)
    assert 0 in masked.values()


def test_without_masking_the_model_learns_to_copy_and_not_to_guess(tmp_path: Path) -> None:
    tabular.train(options("unmasked", steps=110, eval_every=10))
    found = points(spooled(tmp_path / "spool"))
    assert sum(count == 0 for count in values(found, "count/masked")) >= 90
    assert values(found, "loss/numeric")[-1] < 0.1
    assert values(found, "eval/loss/numeric")[-1] > 5 * values(found, "loss/numeric")[-1]
    assert all(math.isfinite(norm) for norm in values(found, "grad_norm/total"))


@pytest.mark.parametrize("variant", ["bert", "progressive"])
def test_the_mends_hide_what_they_should_and_learn_to_guess(variant: str, tmp_path: Path) -> None:
    tabular.train(options(variant, steps=60, eval_every=20))
    found = points(spooled(tmp_path / "spool"))
    counts, first, last = values(found, "count/masked"), *((292, 1460) if variant == "progressive" else (876, 876))
    assert counts[0] == pytest.approx(first, rel=0.3), "windows are not of one length"
    assert counts[-1] == pytest.approx(last, rel=0.3)
    assert values(found, "eval/loss/numeric")[-1] < 0.5 * values(found, "eval/loss/numeric")[0]


# -- the curriculum that mends the mask ------------------------------------------------------------------------------


def test_to_go_to_the_second_stage_gives_the_mask_its_part_at_that_very_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stages = curricula.curriculum("staged", 1_000).stages
    moved = Operation(step=7, id="a", kind="go_to_stage", args={"stage": "p 0.15"})
    monkeypatch.setattr(tabular, "curriculum", lambda *asked: Curriculum(*stages, operations=[moved]))
    tabular.train(options("unmasked", curriculum="staged", stage_steps=1_000, steps=12))
    counts = values(points(spooled(tmp_path / "spool")), "count/masked")
    assert max(counts[:7]) <= 2
    assert min(counts[7:]) > 400


def test_a_stage_that_is_run_once_more_after_a_nan_is_masked_as_it_was(tmp_path: Path) -> None:
    tabular.train(options("empty_mask", curriculum="staged", stage_steps=4, steps=8))
    messages = spooled(tmp_path / "spool")
    assert events(messages, "origin")[0].data["op"] == "aten.div", "found in the replay, which has the same empty mask"
    totals = dict(points(messages)["loss/total"])  # a replay is a step without one
    assert all(math.isnan(total) == (step < 4) for step, total in totals.items()), "the second stage mends it"
    assert 4 in totals


def test_the_stages_have_the_same_weights_and_tell_of_the_probability() -> None:
    stages = curricula.curriculum("staged", 300).stages
    assert [(stage.name, stage.start) for stage in stages] == [("p 1e-05", 0), ("p 0.15", 300)]
    assert stages[0].weights == stages[1].weights == {"numeric": 1.0, "mode": 1.0}
    assert [curricula.stage_at("staged", step, 300) for step in (299, 300, 9_999)] == ["p 1e-05", "p 0.15", "p 0.15"]
    assert curricula.stage_at("original", 9_999, 300) == curricula.curriculum("original", 300).stages[0].name


# -- the data --------------------------------------------------------------------------------------------------------


def test_the_plant_writes_units_and_nan_and_windows_of_different_lengths() -> None:
    written = data.records(0, 0, 64)
    lengths = written.rows.sum(1)
    assert torch.equal(written.rows, torch.arange(data.ROWS) < lengths[:, None]), "padding stands at the end"
    assert (lengths.min().item() >= 64, lengths.max().item() <= 128, len(lengths.unique()) > 20) == (True, True, True)
    readings = written.readings[written.rows]
    level, spread = torch.tensor(data.UNITS).T
    assert ((readings.nanmean(0) - level).abs() < 0.3 * spread).all()
    missing = readings.isnan()
    assert missing.float().mean().item() == pytest.approx(1 - data.MEASURED_PART, abs=0.01)
    silent = written.readings.isnan().unfold(1, 16, 1).all(-1).any(1)
    assert silent.float().mean().item() == pytest.approx(data.OUTAGE_PART, abs=0.06), "sensors that say nothing a while"
    assert not written.readings[~written.rows].any()


def test_the_readings_are_standardised_with_a_few_extremes_and_tell_of_the_mode() -> None:
    batch = data.make_batch(0, 0, 64)
    assert batch.numeric.shape == (64, data.ROWS, data.SENSORS)
    there = batch.numeric[batch.measured]
    assert abs(there.mean().item()) < 0.05
    assert there.std().item() == pytest.approx(1.0, abs=0.05)
    assert there.abs().max().item() > 7
    assert set(batch.mode[batch.rows].unique().tolist()) == set(range(data.MODES))
    assert torch.equal(batch.measured, data.records(0, 0, 64).readings.isfinite() & batch.rows[..., None])
    assert not batch.numeric[~batch.measured].any()
    assert torch.equal(batch.numeric, data.make_batch(0, 0, 64).numeric)
    with pytest.raises(ValueError, match="0 or more"):
        data.make_batch(0, 0, 0)


def test_the_scaler_is_fit_on_the_training_without_what_is_missing() -> None:
    by, again = data.scaler(3), data.scaler.__wrapped__(3)
    assert torch.equal(by.mean, again.mean)
    assert torch.equal(by.deviation, again.deviation)
    assert not torch.equal(by.mean, data.scaler(4).mean), "each training has a part of its own"
    part = data.records(3, data.FIT_STEP, data.FIT_WINDOWS)
    column = part.readings[part.rows][:, 4]
    column = column[column.isfinite()]
    assert by.mean[4].item() == pytest.approx(column.mean().item(), rel=1e-5)
    assert by.deviation[4].item() == pytest.approx(column.std(correction=0).item(), rel=1e-4)


def test_the_time_is_told_by_the_hour_and_by_the_day_of_the_week() -> None:
    monday = data.EPOCH_S
    at = torch.tensor([monday, monday + 6 * 3_600, monday + 12 * 3_600 + 3 * data.DAY_S])
    told = data.time_features(at)
    assert told[0].tolist() == pytest.approx([0, 1, 0, 1], abs=1e-6)
    assert told[1, :2].tolist() == pytest.approx([1, 0], abs=1e-6), "six o'clock"
    assert told[2].tolist() == pytest.approx([0, -1, 0, -1], abs=1e-6), "noon, in the middle of the week"
    assert torch.allclose(told, data.time_features(at + 52 * data.WEEK_S), atol=1e-5)
    batch = data.make_batch(0, 0, 2)
    assert not batch.time[~batch.rows].any()


# -- what is hidden --------------------------------------------------------------------------------------------------


def test_what_is_hidden_is_replaced_as_berts_is() -> None:
    batch = data.make_batch(0, 0, 32)
    seen = hidden_at(batch, 0.15)
    hidden, there = seen.hidden[..., :-1], batch.measured
    assert hidden[there].float().mean().item() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(seen.numeric[~hidden], batch.numeric[~hidden])
    assert torch.equal(seen.flagged[~hidden], ~there[~hidden])
    assert not seen.numeric[seen.flagged].any()
    told, same = seen.flagged[hidden].float().mean(), (seen.numeric == batch.numeric)[hidden].float().mean()
    assert told.item() == pytest.approx(0.8, abs=0.02)
    assert same.item() == pytest.approx(0.1, abs=0.02)
    assert (seen.mode == masking.HIDDEN_MODE)[batch.rows].float().mean().item() == pytest.approx(0.12, abs=0.02)
    again = hidden_at(batch, 0.15)
    assert all(torch.equal(a, b) for a, b in zip(vars(seen).values(), vars(again).values(), strict=True))


def test_what_is_missing_enters_as_a_mask_token_and_is_never_to_be_guessed() -> None:
    batch = data.make_batch(0, 0, 8)
    seen = hidden_at(batch, 1.0)
    assert torch.equal(seen.hidden[..., :-1], batch.measured)
    assert torch.equal(seen.hidden[..., -1], batch.rows)
    assert seen.flagged[~batch.measured].all()


@pytest.mark.parametrize("variant", ["unmasked", "bert"])
def test_no_missing_reading_and_no_padding_reaches_a_loss(variant: str) -> None:
    setup = build(options(variant, steps=1, batch_size=2))
    batch, planned = next(iter(setup.batches))
    other = replace(
        batch,
        numeric=batch.numeric.where(batch.measured, 7.0),
        mode=batch.mode.where(batch.rows, 5),
        time=batch.time.where(batch.rows[..., None], 3.0),
    )
    one, same = (setup.losses(each, setup.shown(each, planned, "all")) for each in (batch, other))
    assert all(torch.equal(one[name], same[name]) for name in one)


def test_what_stands_in_the_padding_changes_no_output() -> None:
    setup = build(options("bert", steps=1, batch_size=4))
    batch, planned = next(iter(setup.batches))
    seen = setup.shown(batch, planned, "all")
    rows, cells = seen.rows, seen.rows[..., None]
    noise = torch.randn(seen.numeric.shape, generator=torch.Generator().manual_seed(1))
    other = replace(
        seen,
        numeric=seen.numeric.where(cells, 9 * noise),
        mode=seen.mode.where(rows, 3),
        flagged=seen.flagged.where(cells, noise > 0),
        time=seen.time.where(cells, noise[..., : data.TIME_FEATURES]),
    )
    assert not rows.all()
    for of_one, of_other in zip(setup.model(seen), setup.model(other), strict=True):
        assert torch.equal(of_one[rows], of_other[rows])
    moved = replace(seen, numeric=seen.numeric.index_fill(1, torch.tensor([0]), 9.0))
    assert not torch.equal(setup.model(seen)[0][:, 1:], setup.model(moved)[0][:, 1:]), "every other row is looked at"


def test_only_what_is_paid_for_counts() -> None:
    batch = data.make_batch(0, 0, 2)
    paid = torch.zeros(2, data.ROWS, data.SENSORS + 1, dtype=torch.bool)
    paid[0, 3, 1] = paid[1, 5, -1] = True
    numeric = batch.numeric.clone()
    numeric[0, 3, 1] += 2.0
    numeric[0, 4] += 100.0
    modes = torch.zeros(2, data.ROWS, data.MODES)
    found = losses(numeric, modes, batch, paid)
    assert found["numeric"].item() == pytest.approx(4.0)
    assert found["mode"].item() == pytest.approx(math.log(data.MODES))
    assert losses(numeric, modes, batch, paid, "huber")["numeric"].item() == pytest.approx(1.5), "2 - 1/2"
    nothing = losses(numeric, modes, batch, torch.zeros_like(paid))
    assert all(math.isnan(loss) for loss in nothing.values())


def test_a_batch_that_comes_again_has_its_mask_again() -> None:
    setup = build(options("bert", steps=2, batch_size=2))
    one, again = ([setup.shown(*pair, "all") for pair in setup.batches] for _ in range(2))
    assert len(setup.batches) == 2
    assert all(torch.equal(a.hidden, b.hidden) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0].hidden, one[1].hidden)


# -- what is declared ------------------------------------------------------------------------------------------------


def test_what_is_declared_is_what_the_training_is_meant_to_do() -> None:
    assert tabular.contract(options("unmasked")) == ContractSpec("count/masked", 1, None, "count", [], 876.0)
    assert tabular.contract(options("progressive")).low == pytest.approx(146.0, abs=0.1)
    assert tabular.contract(options("progressive", curriculum="staged")).expected == 876.0
    seen = sum(hidden_at(data.make_batch(0, step, 8), 0.15, step).hidden[..., :-1].sum().item() for step in range(40))
    assert seen / 40 == pytest.approx(876, rel=0.05)


def test_a_loss_that_is_not_there_is_refused() -> None:
    with pytest.raises(UnknownChoice, match="choose from mse, huber"):
        options("bert", knobs={"loss": "l1"})


def test_the_large_one_is_large_and_trains_in_bfloat16() -> None:
    with torch.device("meta"):
        model = RowCompleter(LARGE)
    assert sum(p.numel() for p in model.parameters()) >= 100e6
    batch = data.make_batch(0, 0, 1, LARGE.rows)
    seen = hidden_at(batch, 0.15)
    numeric, mode = model(masking.Masked(**{name: part.to("meta") for name, part in vars(seen).items()}))
    assert (numeric.shape, mode.shape) == ((1, 1_024, data.SENSORS), (1, 1_024, data.MODES)), "the report's length"
    own = options("bert", steps=1, batch_size=2)
    small = build(own)
    bfloat = replace(small, options=replace(own, size="large"))
    batch, planned = next(iter(small.batches))
    seen = small.shown(batch, planned, "all")
    exact, rounded = small.losses(batch, seen)["numeric"], bfloat.losses(batch, seen)["numeric"]
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
