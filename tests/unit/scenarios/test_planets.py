"""The healthy control: planets that are really integrated, and a decoder that sees no later row."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from helpers import points, spooled
from lossguard.protocol.messages import ContractSpec
from lossguard.scenarios import Options, find
from lossguard.scenarios.planets import data, gravity
from lossguard.scenarios.planets import train as planets
from lossguard.scenarios.planets.model import LARGE, TabularDecoder
from lossguard.scenarios.planets.plain import train_plain
from lossguard.scenarios.planets.setup import build, next_row_error
from recorded import recorded_totals


def options(**chosen: object) -> Options:
    return find("planets").options(device="cpu", **chosen)


def some_systems(count: int = 16) -> gravity.Bodies:
    return data.systems(torch.Generator().manual_seed(1), count)


@pytest.mark.parametrize("mode", ["offline", "off"])
def test_lossguard_changes_no_bit_of_the_training(mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", mode)
    own = options(steps=8, batch_size=2, eval_every=3)
    assert recorded_totals(planets.train, own, tmp_path / "record.jsonl") == train_plain(own)


def test_it_learns_systems_that_it_has_never_seen(tmp_path: Path) -> None:
    summary = planets.train(options(steps=50, batch_size=8, eval_every=10))
    found = points(spooled(tmp_path / "spool"))
    unseen = [value for _, value in found["eval/loss/next"]]
    assert summary.unseen_error == pytest.approx(unseen[-1], rel=1e-5)
    assert unseen[-1] < 0.1 * unseen[0]
    assert {"grad_norm/embedding", "grad_norm/decoder", "grad_norm/head"} <= set(found)


# -- the system ------------------------------------------------------------------------------------------------------


def test_energy_and_momentum_stay_and_the_drift_falls_with_the_square_of_the_step() -> None:
    start = some_systems()

    def drift(substeps: int) -> float:
        states = gravity.trajectory(start, data.ROWS, data.INTERVAL, substeps)
        energy = gravity.energy(start.mass, states)
        return ((energy - energy[:, :1]) / energy[:, :1]).abs().max().item()

    coarse, fine = drift(data.SUBSTEPS), drift(2 * data.SUBSTEPS)
    assert coarse < 1e-3
    assert coarse / fine == pytest.approx(4.0, rel=0.2), "a method of second order"
    states = gravity.trajectory(start, data.LARGE_ROWS, data.INTERVAL, data.SUBSTEPS)
    energy = gravity.energy(start.mass, states)
    assert ((energy - energy[:, :1]) / energy[:, :1]).abs().max().item() < 1e-3, "it does not grow with time"
    centre = (start.mass[:, None, :, None] * states).sum(2)
    assert centre.abs().max().item() < 1e-12


def test_it_runs_backwards_to_where_it_began() -> None:
    start = some_systems(4)
    end = gravity.trajectory(start, 30, 0.1, 4)[:, -1]
    back = gravity.Bodies(start.mass, end[..., :3], -end[..., 3:])
    again = gravity.trajectory(back, 30, 0.1, 4)[:, -1, :, :3]
    assert torch.allclose(again, start.position, atol=1e-10, rtol=0)


def test_a_planet_alone_returns_after_its_year() -> None:
    mass = torch.tensor([[1.0, 1e-9]], dtype=torch.float64)
    position = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0]]], dtype=torch.float64)
    speed = (1 + gravity.SOFTENING**2) ** -0.75
    velocity = torch.tensor([[[0.0, 0, 0], [0, speed, 0]]], dtype=torch.float64)
    year = 2 * math.pi / speed
    states = gravity.trajectory(gravity.Bodies(mass, position, velocity), 101, year / 100, 4)
    assert torch.allclose(states[0, -1, 1, :3], position[0, 1], atol=2e-3)
    assert states[0, 50, 1, 0].item() == pytest.approx(-1.0, abs=1e-3)


def test_a_batch_is_a_function_of_seed_and_step_and_is_not_scaled() -> None:
    batch, again = data.make_batch(0, 1, 32), data.make_batch(0, 1, 32)
    assert torch.equal(batch.rows, again.rows)
    assert not torch.equal(batch.rows, data.make_batch(0, 2, 32).rows)
    assert not torch.equal(batch.rows, data.make_batch(1, 1, 32).rows)
    assert (batch.rows.shape, batch.rows.dtype) == ((32, data.ROWS, data.COLUMNS), torch.float32)
    assert torch.isfinite(batch.rows).all()
    spread = batch.rows[batch.present].std(0)
    assert spread[18].item() == pytest.approx(1.4, abs=0.3), "the outermost planet's x, in astronomical units"
    lengths = batch.present.sum(1)
    assert lengths.min().item() >= data.ROWS // 2
    assert len(lengths.unique()) > 10
    assert not batch.rows[~batch.present].any()
    with pytest.raises(ValueError, match="0 or more"):
        data.make_batch(-1, 0, 1)


# -- the decoder -----------------------------------------------------------------------------------------------------


def test_a_later_row_changes_no_earlier_output() -> None:
    setup = build(options(steps=1, batch_size=2))
    rows = setup.validation.rows
    for at in (1, 30, data.ROWS - 1):
        other = rows.clone()
        other[:, at:] += torch.randn(other[:, at:].shape, generator=torch.Generator().manual_seed(at))
        one, changed = setup.model(rows), setup.model(other)
        assert torch.equal(one[:, :at], changed[:, :at])
        assert (one[:, at:] != changed[:, at:]).any(-1).all(), "and each later one hears of it"


def test_the_next_row_is_paid_for_and_no_padding() -> None:
    batch = data.make_batch(0, 0, 4)
    guesses = torch.roll(batch.rows, -1, dims=1)
    assert next_row_error(guesses, batch).item() == 0.0
    length = int(batch.present[0].sum())
    guesses[0, length - 1 :] = 50.0
    guesses[1:, -1] = 50.0
    assert next_row_error(guesses, batch).item() == 0.0
    guesses[0, 3] += 2.0
    assert next_row_error(guesses, batch).item() == pytest.approx(4 / (batch.present.sum().item() - 4))


def test_what_is_declared_is_what_is_foretold() -> None:
    assert planets.contract(options()) == ContractSpec("count/foretold", 1, None, "count", [], 32 * 47.0)
    counted = [data.make_batch(0, step, 32).present[:, 1:].sum().item() for step in range(10)]
    assert sum(counted) / 10 == pytest.approx(32 * 47, rel=0.05)


def test_the_large_one_is_large_and_trains_in_bfloat16() -> None:
    with torch.device("meta"):
        model = TabularDecoder(LARGE)
    assert sum(p.numel() for p in model.parameters()) >= 100e6
    assert LARGE.width >= 512, "as in the report"
    rows = data.make_batch(0, 0, 1, LARGE.rows).rows
    assert model(rows.to("meta")).shape == rows.shape
    own = options(steps=1, batch_size=2)
    small = build(own)
    exact, rounded = (
        replace(small, options=replace(own, size=size)).loss(small.validation) for size in ("small", "large")
    )
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.02)
