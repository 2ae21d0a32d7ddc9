"""The surface's training: real, the same with and without lossguard, and showing the report's numbers by itself."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers import points, spooled
from lossguard.protocol.messages import Declaration
from lossguard.scenarios import Options, find
from lossguard.scenarios.ris import array, covariance
from lossguard.scenarios.ris import train as ris
from lossguard.scenarios.ris.model import PREDICTED_NORM, WIDTH, SourceFinder
from lossguard.scenarios.ris.plain import train_plain
from lossguard.scenarios.ris.setup import build
from recorded import recorded_totals

pytestmark = pytest.mark.filterwarnings("ignore:Detected call of .lr_scheduler.step:UserWarning")
N = array.ELEMENTS


def options(variant: str, **chosen: object) -> Options:
    return find("ris").options(variant=variant, device="cpu", **chosen)


@pytest.mark.parametrize("mode", ["offline", "off"])
@pytest.mark.parametrize("variant", ["unnormalised", "fixed"])
def test_lossguard_changes_no_bit_of_the_training(
    variant: str, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", mode)
    own = options(variant, steps=16, batch_size=2, eval_every=5)  # some of which the GradScaler does not skip
    assert recorded_totals(ris.train, own, tmp_path / "record.jsonl") == train_plain(own)


def test_the_numbers_of_the_report_come_by_themselves(tmp_path: Path) -> None:
    ris.train(options("unnormalised", steps=2, eval_every=1))
    messages = spooled(tmp_path / "spool")
    found = {name: dict(column) for name, column in points(messages).items()}
    assert found["matrix/R_samp/fro"][0] == pytest.approx(2.85e-4, rel=0.2)
    assert found["eval/matrix/R_samp/fro"][0] == pytest.approx(46.62, rel=0.1)
    assert found["matrix/R_pred/fro"][0] == pytest.approx(65.10, rel=0.02)
    assert 3.46e12 < found["matrix/R_blend/fro"][0] < 1e13
    assert 1e25 < found["loss/covariance"][0] < 1e26
    assert all(math.isnan(found[f"grad_norm/{group}"][0]) for group in ("backbone", "head"))
    assert found["skipped"][0] == 1.0
    contracts = next(m for m in messages if isinstance(m, Declaration)).contracts
    assert [(c.kind, c.series) for c in contracts] == [
        ("range", "matrix/R_samp/fro"), ("range", "matrix/R_blend/fro"), ("range", "loss/total"),
        ("psd", "matrix/R_samp"), ("blend", "matrix/R_blend"),
    ]  # fmt: skip


def test_the_mend_keeps_the_reports_checklist_and_learns(tmp_path: Path) -> None:
    ris.train(options("fixed", steps=60, eval_every=20))
    found = points(spooled(tmp_path / "spool"))
    assert all(30 <= value <= 60 for _, value in found["matrix/R_samp/fro"])
    assert all(50 <= value <= 100 for _, value in found["matrix/R_blend/fro"])
    assert [value for _, value in found["matrix/R_samp/trace"]] == pytest.approx([N] * 60, rel=1e-4)
    assert all(1 <= value <= 1_000 for name in ("loss/total", "eval/loss/total") for _, value in found[name])
    validation = [value for _, value in found["eval/loss/total"]]
    assert validation[-1] < 0.8 * validation[0], "and the training's decreases beside it:"
    assert np.mean([value for _, value in found["loss/total"][-20:]]) < 0.8 * np.mean(
        [value for _, value in found["loss/total"][:20]]
    )
    groups = [value for group in ("backbone", "head") for _, value in found[f"grad_norm/{group}"][-20:]]
    assert all(math.isfinite(value) for value in groups)
    assert [value for _, value in found["skipped"]][-20:] == [0.0] * 20


def test_least_squares_finds_the_amplitudes_of_a_world_without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array, "NOISE", 0.0)
    batch = array.make_batch(0, 0, 4)
    sampled = covariance.with_trace(covariance.sample_covariance(batch.amplitudes))
    # five sources: what is found has five directions, and they are those of the truth
    values, vectors = torch.linalg.eigh(sampled.to(torch.complex128))
    assert (values[:, :-5].abs() < 1e-3).all()
    true = torch.linalg.eigh(batch.covariance.to(torch.complex128)).eigenvectors[..., -5:]
    overlap = torch.linalg.svdvals(true.mH @ vectors[..., -5:])
    assert (overlap > 1 - 1e-3).all()


def test_a_batch_is_determined_by_seed_and_step_and_its_truth_is_a_covariance() -> None:
    one, same, other = (array.make_batch(3, step, 4) for step in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values(), strict=True))
    assert not torch.equal(one.amplitudes, other.amplitudes)
    assert torch.allclose(one.covariance, one.covariance.mH, atol=1e-6)
    assert one.covariance.diagonal(dim1=-2, dim2=-1).real.sum(-1).tolist() == pytest.approx([N] * 4)
    assert (one.angles[..., 0].diff() >= 0).all()
    with pytest.raises(ValueError, match="0 or more"):
        array.make_batch(0, -1, 4)


def test_the_blend_of_the_mend_is_within_its_parts_and_that_of_the_bug_falls_on_its_clamp() -> None:
    predicted = torch.diag_embed(torch.linspace(-2.0, 1.0, N)).to(torch.complex64)[None]
    sampled = torch.eye(N, dtype=torch.complex64)[None]
    parts = max(torch.linalg.matrix_norm(each).item() for each in (predicted, sampled))
    assert torch.linalg.matrix_norm(covariance.blend(predicted, sampled, normalised=False)).item() < parts
    blended = covariance.blend(predicted, sampled * 1e-6, normalised=True)
    assert torch.linalg.matrix_norm(blended).item() > 1e12


def test_the_model_predicts_hermitian_matrices_of_one_norm_and_of_any_trace() -> None:
    torch.manual_seed(0)
    said = SourceFinder()(array.make_batch(0, 0, 16)).covariance.detach()
    assert torch.allclose(said, said.mH, atol=1e-5)
    assert torch.linalg.matrix_norm(said).tolist() == pytest.approx([PREDICTED_NORM] * 16, rel=1e-4)
    traces = said.diagonal(dim1=-2, dim2=-1).real.sum(-1)
    assert traces.abs().max() < N / 2
    assert [name for name, _ in SourceFinder().named_children()] == ["backbone", "head"]


def test_the_model_begins_where_the_sources_are_on_average() -> None:
    batch = array.make_batch(0, 0, 500)
    said = SourceFinder()(array.make_batch(0, 0, 1))
    assert torch.allclose(said.angles[0], batch.angles.mean(0), atol=0.1)
    assert said.ranges[0].tolist() == pytest.approx([5.0] * array.SOURCES)


def test_the_large_size_is_large_and_in_bfloat16() -> None:
    with torch.device("meta"):
        parameters = list(SourceFinder(WIDTH["large"]).parameters())
    assert sum(each.numel() for each in parameters) > 100_000_000
    setup = build(options("fixed", size="large", steps=1, batch_size=1))
    assert (setup.model.precision, setup.scaler.is_enabled()) == (torch.bfloat16, False)
    losses, _ = setup.losses(next(iter(setup.batches)))
    losses["angle"].backward()  # of the head alone: all of it takes the time of a test
    assert all(math.isfinite(loss.item()) for loss in losses.values())


def test_the_evaluation_never_had_the_bug() -> None:
    bug, mend = (build(options(variant, steps=1)) for variant in ("unnormalised", "fixed"))
    batch = bug.validation
    assert all(
        torch.equal(a, b) for a, b in zip(*(vars(s.evaluated(batch)[1]).values() for s in (bug, mend)), strict=True)
    )
    assert not torch.equal(bug.losses(batch)[1].sampled, mend.losses(batch)[1].sampled)
