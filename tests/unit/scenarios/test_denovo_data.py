"""The synthetic spectra: determined by seed and step, true to the chemistry, well formed."""

import pytest
import torch

from lossguard.scenarios.denovo import chemistry, data

TEXTBOOK = data.Noise(dropout=0.0, mz_sigma=0.0, foreign_peaks=0)


def same(one: data.Batch, other: data.Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


def peptide_of(batch: data.Batch, row: int) -> str:
    return "".join(chemistry.RESIDUES[i] for i in batch.targets[row, : batch.lengths[row]].tolist())


def test_a_batch_is_determined_by_seed_and_step() -> None:
    assert same(data.make_batch(3, 7, 4), data.make_batch(3, 7, 4))
    assert not same(data.make_batch(3, 7, 4), data.make_batch(3, 8, 4))
    assert not same(data.make_batch(3, 7, 4), data.make_batch(4, 7, 4))


def test_a_batch_neither_reads_nor_moves_the_global_generator() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    one = data.make_batch(3, 7, 4)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert same(one, data.make_batch(3, 7, 4))


def test_without_noise_a_spectrum_is_the_ions_of_its_peptide() -> None:
    batch = data.make_batch(0, 0, 8, TEXTBOOK)
    for row in range(8):
        masses = chemistry.residue_masses(peptide_of(batch, row))
        ions = sorted(chemistry.b_ions(masses) + chemistry.y_ions(masses))
        assert batch.mz[row][batch.peak_mask[row]].tolist() == pytest.approx(ions, abs=1e-3)
        assert float(batch.mass[row]) == pytest.approx(chemistry.peptide_mass(masses), abs=1e-3)


def test_the_decoder_is_given_what_came_before_and_must_say_what_comes_next() -> None:
    batch = data.make_batch(0, 0, 8)
    for row in range(8):
        length = int(batch.lengths[row])
        targets, inputs = batch.targets[row].tolist(), batch.inputs[row].tolist()
        assert inputs[0] == data.START
        assert inputs[1 : length + 1] == targets[:length]
        assert targets[length] == data.STOP
        assert set(targets[length + 1 :]) <= {data.IGNORED}
        assert set(inputs[length + 1 :]) <= {data.STOP}


def test_noise_drops_ions_and_adds_foreign_peaks() -> None:
    textbook = data.make_batch(0, 0, 256, TEXTBOOK)
    noisy = data.make_batch(0, 0, 256, data.Noise(dropout=0.5, foreign_peaks=3))
    ions = textbook.peak_mask.sum().item()
    kept = noisy.peak_mask.sum().item() - 3 * 256
    assert kept == pytest.approx(0.5 * ions, rel=0.1)


def test_peaks_are_sorted_and_padding_is_zero() -> None:
    batch = data.make_batch(1, 0, 16)
    for mz, intensity, mask in zip(batch.mz, batch.intensity, batch.peak_mask, strict=True):
        assert (mz[mask].diff() >= 0).all()
        assert float(intensity.max()) == 1.0
        assert not mz[~mask].any()
        assert not intensity[~mask].any()


def test_validation_spectra_are_not_trained_on() -> None:
    validation = data.validation_batch(0, 8, torch.device("cpu"))
    assert not any(same(validation, data.make_batch(0, step, 8)) for step in range(20))


@pytest.mark.parametrize(("seed", "step", "size"), [(-1, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_what_cannot_be_meant_is_refused(seed: int, step: int, size: int) -> None:
    with pytest.raises(ValueError, match="0 or more"):
        data.make_batch(seed, step, size)
