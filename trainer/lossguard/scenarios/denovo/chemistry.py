"""The masses of peptides and of their fragments, from the atoms up.

Rules of this file:
- Masses are monoisotopic, in Da; m/z is of singly charged ions. Plain Python floats: the tensors are made elsewhere.
- Residue masses are summed from elemental formulas, so that no mass is typed in by hand; the tests hold the published
  masses of peptides and ions against them.

Sources: masses of the isotopes 12C, 1H, 14N, 16O, 32S from NIST, Atomic Weights and Isotopic Compositions (AME 2012);
the proton from CODATA 2018; the formulas are those of the amino acids less one water; b and y ions after Roepstorff and
Fohlman (1984).
"""

from collections.abc import Sequence

CARBON, HYDROGEN, NITROGEN, OXYGEN, SULFUR = 12.0, 1.00782503223, 14.00307400443, 15.99491461957, 31.9720711744
WATER = 2 * HYDROGEN + OXYGEN
PROTON = 1.007276466621

# Atoms (C, H, N, O, S) of each residue. Leucine and isoleucine weigh the same, so a spectrum cannot tell them
# apart: L stands for both.
_ATOMS = {
    "G": (2, 3, 1, 1, 0),
    "A": (3, 5, 1, 1, 0),
    "S": (3, 5, 1, 2, 0),
    "P": (5, 7, 1, 1, 0),
    "V": (5, 9, 1, 1, 0),
    "T": (4, 7, 1, 2, 0),
    "C": (3, 5, 1, 1, 1),
    "L": (6, 11, 1, 1, 0),
    "N": (4, 6, 2, 2, 0),
    "D": (4, 5, 1, 3, 0),
    "Q": (5, 8, 2, 2, 0),
    "K": (6, 12, 2, 1, 0),
    "E": (5, 7, 1, 3, 0),
    "M": (5, 9, 1, 1, 1),
    "H": (6, 7, 3, 1, 0),
    "F": (9, 9, 1, 1, 0),
    "R": (6, 12, 4, 1, 0),
    "Y": (9, 9, 1, 2, 0),
    "W": (11, 10, 2, 1, 0),
}


def _mass_of(atoms: tuple[int, int, int, int, int]) -> float:
    c, h, n, o, s = atoms
    return c * CARBON + h * HYDROGEN + n * NITROGEN + o * OXYGEN + s * SULFUR


RESIDUES = "".join(_ATOMS)
RESIDUE_MASS = {letter: _mass_of(atoms) for letter, atoms in _ATOMS.items()}


def residue_masses(peptide: str) -> list[float]:
    """The mass of each residue in Da, in order; raises ValueError for a letter that is no amino acid."""
    letters = peptide.upper().replace("I", "L")
    unknown = sorted(set(letters) - set(RESIDUE_MASS))
    if unknown:
        raise ValueError(f"no residue {', '.join(unknown)}; the residues are {RESIDUES} and I")
    return [RESIDUE_MASS[letter] for letter in letters]


def peptide_mass(masses: Sequence[float]) -> float:
    """The neutral mass [M] in Da of the peptide whose residues weigh `masses`."""
    return sum(masses) + WATER


def b_ions(masses: Sequence[float]) -> list[float]:
    """m/z of b1 .. b(n-1): the first i residues and a proton."""
    return [sum(masses[:i]) + PROTON for i in range(1, len(masses))]


def y_ions(masses: Sequence[float]) -> list[float]:
    """m/z of y1 .. y(n-1): the last i residues, the water of the end, and a proton."""
    return [sum(masses[-i:]) + WATER + PROTON for i in range(1, len(masses))]
