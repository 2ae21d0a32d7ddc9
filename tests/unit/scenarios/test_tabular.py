"""The masked pretraining: real, the same with and without lossguard, and showing its incident by itself."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from helpers import events, points, spooled
from lossguard.protocol.messages import ContractSpec
from lossguard.scenarios import Options, find
from lossguard.scenarios.tabular import data, masking
from lossguard.scenarios.tabular import train as tabular
from lossguard.scenarios.tabular.plain import train_plain
from lossguard.scenarios.tabular.setup import build, losses
from recorded import recorded_totals


def options(variant: str, **chosen: object) -> Options:
    return find("tabular").options(variant=variant, device="cpu", **chosen)


def values(found: dict[str, list[tuple[int, float]]], name: str) -> Sequence[float]:
    return [value for _, value in found[name]]


@pytest.mark.parametrize("mode", ["offline", "off"])
@pytest.mark.parametrize("variant", ["unmasked", "bert", "progressive"])
def test_lossguard_changes_no_bit_of_the_training(
    variant: str, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", mode)
    own = options(variant, steps=12, batch_size=2, eval_every=5)
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
    tabular.train(options("unmasked", steps=120, eval_every=10))
    found = points(spooled(tmp_path / "spool"))
    assert sum(count == 0 for count in values(found, "count/masked")) >= 100
    assert values(found, "loss/numeric")[-1] < 0.1
    assert values(found, "eval/loss/numeric")[-1] > 5 * values(found, "loss/numeric")[-1]
    assert all(math.isfinite(norm) for norm in values(found, "grad_norm/total"))


@pytest.mark.parametrize("variant", ["bert", "progressive"])
def test_the_mends_hide_what_they_should_and_learn_to_guess(variant: str, tmp_path: Path) -> None:
    tabular.train(options(variant, steps=60, eval_every=20))
    found = points(spooled(tmp_path / "spool"))
    counts, first, last = values(found, "count/masked"), *((410, 2048) if variant == "progressive" else (1229, 1229))
    assert counts[0] == pytest.approx(first, rel=0.15)
    assert counts[-1] == pytest.approx(last, rel=0.15)
    assert values(found, "eval/loss/numeric")[-1] < 0.5 * values(found, "eval/loss/numeric")[0]


def test_what_is_hidden_is_replaced_as_berts_is() -> None:
    batch = data.make_batch(0, 0, 32)
    seen = masking.hide(batch, 0.15, 0, 0)
    hidden = seen.hidden[..., :-1]
    share = hidden.float().mean().item()
    assert share == pytest.approx(0.15, abs=0.01)
    assert torch.equal(seen.numeric[~hidden], batch.numeric[~hidden])
    assert not seen.flagged[~hidden].any()
    assert not seen.numeric[seen.flagged].any()
    told, same = seen.flagged[hidden].float().mean(), (seen.numeric == batch.numeric)[hidden].float().mean()
    assert told.item() == pytest.approx(0.8, abs=0.02)
    assert same.item() == pytest.approx(0.1, abs=0.02)
    assert (seen.mode == masking.HIDDEN_MODE).float().mean().item() == pytest.approx(0.12, abs=0.02)
    again = masking.hide(batch, 0.15, 0, 0)
    assert all(torch.equal(a, b) for a, b in zip(vars(seen).values(), vars(again).values(), strict=True))


def test_the_readings_are_standardised_with_a_few_extremes_and_tell_of_the_mode() -> None:
    batch = data.make_batch(0, 0, 64)
    assert batch.numeric.shape == (64, data.ROWS, data.SENSORS)
    assert abs(batch.numeric.mean().item()) < 0.05
    assert batch.numeric.std().item() == pytest.approx(1.0, abs=0.1)
    assert batch.numeric.abs().max().item() > 8
    assert set(batch.mode.unique().tolist()) == set(range(data.MODES))
    assert torch.equal(batch.numeric, data.make_batch(0, 0, 64).numeric)
    with pytest.raises(ValueError, match="0 or more"):
        data.make_batch(0, 0, 0)


def test_only_what_is_paid_for_counts() -> None:
    batch = data.make_batch(0, 0, 2)
    paid = torch.zeros(2, data.ROWS, data.SENSORS + 1, dtype=torch.bool)
    paid[0, 3, 1] = paid[1, 5, -1] = True
    numeric = batch.numeric.clone()
    numeric[0, 3, 1] += 2.0
    numeric[0, 4] += 100.0
    found = losses(numeric, torch.zeros(2, data.ROWS, data.MODES), batch, paid)
    assert found["numeric"].item() == pytest.approx(4.0)
    assert found["mode"].item() == pytest.approx(math.log(data.MODES))
    nothing = losses(numeric, torch.zeros(2, data.ROWS, data.MODES), batch, torch.zeros_like(paid))
    assert all(math.isnan(loss) for loss in nothing.values())


def test_a_batch_that_comes_again_has_its_mask_again() -> None:
    setup = build(options("bert", steps=2, batch_size=2))
    one, again = list(setup.batches), list(setup.batches)
    assert len(setup.batches) == 2
    assert all(torch.equal(a[1].hidden, b[1].hidden) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0][1].hidden, one[1][1].hidden)


def test_what_is_declared_is_what_the_training_is_meant_to_do() -> None:
    assert tabular.contract(options("unmasked")) == ContractSpec("count/masked", 1, None, "count", [], 1228.8)
    assert tabular.contract(options("progressive")).low == pytest.approx(204.8)
