"""Masses against published ones: Unimod residues, and the ions of PEPTIDE that every fragment calculator prints."""

import pytest

from lossguard.scenarios.denovo import chemistry

# Unimod / ExPASy monoisotopic residue masses, Da
PUBLISHED = {
    "G": 57.02146,
    "A": 71.03711,
    "S": 87.03203,
    "P": 97.05276,
    "V": 99.06841,
    "T": 101.04768,
    "C": 103.00919,
    "L": 113.08406,
    "N": 114.04293,
    "D": 115.02694,
    "Q": 128.05858,
    "K": 128.09496,
    "E": 129.04259,
    "M": 131.04049,
    "H": 137.05891,
    "F": 147.06841,
    "R": 156.10111,
    "Y": 163.06333,
    "W": 186.07931,
}


def test_every_residue_weighs_what_is_published() -> None:
    assert pytest.approx(PUBLISHED, abs=1e-5) == chemistry.RESIDUE_MASS


def test_peptide_weighs_799_36() -> None:
    assert chemistry.peptide_mass(chemistry.residue_masses("PEPTIDE")) == pytest.approx(799.35996, abs=1e-4)


def test_b_and_y_ions_of_peptide() -> None:
    masses = chemistry.residue_masses("PEPTIDE")
    b = [98.0600, 227.1026, 324.1554, 425.2031, 538.2871, 653.3141]
    y = [148.0604, 263.0874, 376.1714, 477.2191, 574.2719, 703.3145]
    assert chemistry.b_ions(masses) == pytest.approx(b, abs=1e-4)
    assert chemistry.y_ions(masses) == pytest.approx(y, abs=1e-4)


def test_isoleucine_is_read_as_leucine_and_case_does_not_matter() -> None:
    assert chemistry.residue_masses("iL") == [chemistry.RESIDUE_MASS["L"]] * 2


def test_a_letter_that_is_no_residue_is_named() -> None:
    with pytest.raises(ValueError, match="no residue B, Z"):
        chemistry.residue_masses("PEBZ")
