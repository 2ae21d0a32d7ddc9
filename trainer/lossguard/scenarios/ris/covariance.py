"""The covariance matrices of the report: from snapshots, blended with the predicted one, with the bug and without.

Rules of this file: the report's formulas, lines and constants as they stand; matrices are [B, N, N], complex.
"""

import torch
from torch import Tensor

from .array import ELEMENTS

BETA = 0.2  # part of the sample covariance in the blend; the report does not give it
LOADING = 1e-3  # C_EPS of the report
LEAST_TRACE = 1e-9


def sample_covariance(amplitudes: Tensor) -> Tensor:
    """Of amplitudes [B, L, N], as large as they make it: training's own in the report."""
    centred = amplitudes - amplitudes.mean(dim=1, keepdim=True)
    return centred.conj().transpose(-1, -2) @ centred / max(amplitudes.shape[1] - 1, 1)


def with_trace(matrix: Tensor) -> Tensor:
    """Hermitian, and scaled so that its trace is N."""
    matrix = hermitian(matrix)
    trace = torch.diagonal(matrix, dim1=-2, dim2=-1).real.sum(-1).clamp_min(LEAST_TRACE)
    return matrix * (ELEMENTS / trace).view(-1, 1, 1)


def hermitian(matrix: Tensor) -> Tensor:
    """The nearest Hermitian matrix."""
    return 0.5 * (matrix + matrix.conj().transpose(-1, -2))


def blend(predicted: Tensor, sampled: Tensor, normalised: bool) -> Tensor:
    """The convex blend with its diagonal loading; `normalised`: scaled to the trace N, which the mend took out."""
    blended = hermitian((1 - BETA) * predicted + BETA * sampled.detach())
    if normalised:
        blended = with_trace(blended)
    return blended + LOADING * torch.eye(ELEMENTS, device=blended.device)
