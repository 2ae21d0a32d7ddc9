"""The numbers of reports 000, 001 and 002 that are arithmetic: those that hold, and those that do not.

Rules of this file: what a report rounds or adds up wrongly is asserted as it truly is, with its own number beside it.
"""

import math

import pytest
import torch

from lossguard.scenarios.denovo import curricula, losses

PEPTIDE_DA = 1_200.0  # the third report's 200 Da are 167,000 ppm


def paid(variant: str, error_da: float, mass_da: float = PEPTIDE_DA) -> tuple[float, float]:
    """The loss of one peptide and its gradient by Da."""
    error = torch.tensor([error_da], dtype=torch.float64, requires_grad=True)
    loss = losses.PRECURSOR_LOSSES[variant](error, torch.tensor([mass_da], dtype=torch.float64))
    return float(loss.detach()), float(torch.autograd.grad(loss, error)[0])


def of_ppm(variant: str, ppm: float) -> float:
    return paid(variant, PEPTIDE_DA * ppm / 1e6)[0]


# -- 000: the precursor loss that was a thousand times too large -----------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "ppm", "loss", "places"),
    [
        ("log1p_x100", 170_000, 744, 0),
        ("log1p", 170_000, 1.0, 1),
        ("log1p", 10_000, 0.095, 3),
        ("log1p", 1_000, 0.01, 2),
    ],
)
def test_the_losses_of_the_first_report(variant: str, ppm: float, loss: float, places: int) -> None:
    assert round(of_ppm(variant, ppm), places) == loss


def test_the_diagnostics_700_is_a_mean_over_a_batch_not_the_loss_of_its_mean_error() -> None:
    # "Raw loss value: 700.66, PPM error: 170932.9": one error of that size costs more
    assert of_ppm("log1p_x100", 170_932.9) == pytest.approx(744.44, abs=0.01)
    # the mean of a logarithm is below the logarithm of the mean; errors spread as a normal distribution give 704
    quantiles = (torch.arange(4_000, dtype=torch.float64) + 0.5) / 4_000
    spread = math.sqrt(2) * torch.erfinv(quantiles)
    ppm = 170_932.9 * spread / spread.mean()
    mass = torch.full_like(ppm, PEPTIDE_DA)
    assert float(losses.log1p_x100(ppm * PEPTIDE_DA / 1e6, mass)) == pytest.approx(703.8, abs=0.1)
    assert float(losses.log1p(ppm * PEPTIDE_DA / 1e6, mass)) == pytest.approx(0.888, abs=0.005), 'its "~1.0"'


def test_what_it_contributes_and_what_the_total_would_be() -> None:
    assert round(0.01 * 700.66, 3) == 7.007
    # "2.2 -> 7.1" leaves 4.9 for a contribution of 7.0; with it the total is 9.2, and here it was 8
    assert pytest.approx(9.207, abs=1e-3) == 2.2 + 0.01 * 700.66
    assert pytest.approx(490) == (7.1 - 2.2) / 0.01
    # after the mend the addition holds: 2.0 + 0.01
    assert 2.0 + 0.01 * of_ppm("log1p", 170_932.9) == pytest.approx(2.01, abs=1e-3)


def test_the_expected_contributions_of_its_table_fall_below_its_own_target() -> None:
    expected = (1.0, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
    said = (0.01, 0.01, 0.01, 0.008, 0.006, 0.004, 0.0025, 0.0012, 0.0008)
    weights = [precursor for _, _, precursor in curricula.STAGES["reduced"][1:]]
    contributions = [weight * loss for weight, loss in zip(weights, expected, strict=True)]
    assert contributions == pytest.approx(said, abs=6e-4)
    # "target: 0.005-0.01": met at stages 2 to 6 alone
    assert [0.005 <= round(each, 2) <= 0.01 or 0.005 <= each <= 0.01 for each in contributions] == [True] * 5 + [
        False
    ] * 4


def test_its_theory_of_log1p() -> None:
    assert paid("log1p", PEPTIDE_DA)[1] > 0, "1,000,000 ppm: the gradient is not zero"
    # "normalizes loss to ~0-2 range" holds up to 640,000 ppm; the mean peptide's own mass as error is 2.4
    assert of_ppm("log1p", 1e6) == pytest.approx(2.398, abs=1e-3)
    # "acts like MSE when close": it acts like L1, the slope does not fall with the error
    assert paid("log1p", 1e-3)[1] == pytest.approx(paid("log1p", 1e-6)[1], rel=1e-4)


# -- 002: the gradient table, and which of the two losses pulls harder -----------------------------------------------


@pytest.mark.parametrize(
    ("error_da", "thousand_ppm", "loss", "slope", "exact"),
    [
        (200, 167, 0.98, 0.003, 0.003125),
        (100, 83, 0.61, 0.005, 0.004545),
        (50, 42, 0.35, 0.006, 0.005882),
        (10, 8, 0.08, 0.008, 0.007692),
    ],
)
def test_the_gradient_table_of_log1p(
    error_da: float, thousand_ppm: int, loss: float, slope: float, exact: float
) -> None:
    assert round(error_da / PEPTIDE_DA * 1e3) == thousand_ppm
    value, gradient = paid("log1p", error_da)
    assert round(value, 2) == loss
    assert round(gradient, 3) == slope
    assert gradient == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(("error_da", "loss"), [(200, 0.80), (100, 0.40), (50, 0.20), (10, 0.04)])
def test_the_gradient_table_of_l1(error_da: float, loss: float) -> None:
    assert paid("l1", error_da) == pytest.approx((loss, 0.004))


def test_l1_is_a_quarter_stronger_at_200_da_and_weaker_than_log1p_below_130() -> None:
    # "barely learns" against "strong signal"
    assert paid("l1", 200)[1] / paid("log1p", 200)[1] == pytest.approx(1.28)
    assert paid("log1p", 129)[1] > paid("l1", 129)[1]
    assert paid("log1p", 131)[1] < paid("l1", 131)[1]


def test_the_scale_factor_is_what_a_da_costs() -> None:
    error, mass = torch.tensor([200.0]), torch.tensor([PEPTIDE_DA])
    assert float(losses.precursor_loss("l1", 0.002)(error, mass)) == pytest.approx(0.4)
    assert losses.precursor_loss("log1p", 0.002)(error, mass) == losses.log1p(error, mass), "it has none"


def test_the_magnitudes_of_the_third_report() -> None:
    # at stage 3, of the second report: spectrum 0.08, precursor 0.01
    assert (round(0.15 * 0.08, 3), round(0.6 * 0.01, 3)) == (0.012, 0.006)
    assert (round(0.3 * 0.08, 3), round(0.4 * 0.01, 3)) == (0.024, 0.004)
    assert (round(2.2 + 0.018, 2), round(2.2 + 0.028, 2)) == (2.22, 2.23)
    assert (round(paid("log1p", 100)[0], 1), round(paid("l1", 100)[0], 1)) == (0.6, 0.4)
    # but its own curriculum has 0.15 there: 0.045, not 0.024
    assert curricula.STAGES["gaussian"][2] == (1.0, 0.15, 0.01)


# -- 001: its logs do not add up ------------------------------------------------------------------------------------


def test_the_healthy_log_of_the_second_report_is_no_weighted_sum_and_the_bad_one_is_unweighted() -> None:
    # "Step 20000 | Total: 2.0 | CE: 1.8 | Spectrum: 0.3 | Precursor: 0.4", weights 0.08 and 0.01
    assert pytest.approx(1.828) == 1.8 + 0.08 * 0.3 + 0.01 * 0.4
    # "Step 20000 | Total: 8.5 | CE: 1.8 | Spectrum: 0.3 | Precursor: 6.4 <- Too large!"
    assert pytest.approx(8.5) == 1.8 + 0.3 + 6.4
