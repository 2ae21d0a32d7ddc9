"""A network that reads the beams of a surface and says where the sources are and what their covariance is.

Rules of this file: plain torch; nothing of lossguard. The covariance is put out as the Hermitian part of two factors,
scaled to the Frobenius norm of five equal sources, N / sqrt(5) = 64.4 (the report has 65.1). Its trace is free, which
is what the report's numbers ask for: a blend whose trace falls to 10^-4 has a prediction whose trace is about 0.
The places begin where the sources are on average, since they come in the order of their azimuth.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .array import AZIMUTH_MAX, ELEMENTS, ELEVATION_MAX, RANGE_MAX_M, SIDE, SOURCES, Batch
from .covariance import hermitian

RANK = 8
WIDTH = {"small": 128, "large": 6_144}  # of the features; 0.6 and 105 million parameters
PREDICTED_NORM = ELEMENTS / math.sqrt(SOURCES)


@dataclass(frozen=True)
class Prediction:
    """covariance: [B, N, N]; angles: [B, K, 2], radians; ranges: [B, K], m."""

    covariance: Tensor
    angles: Tensor
    ranges: Tensor


def beams(batch: Batch) -> Tensor:
    """[B, N] float32: the log power in each of the surface's own beams, relative to their mean."""
    heard = torch.fft.fft2(batch.amplitudes.unflatten(-1, (SIDE, SIDE))).flatten(-2)
    power = (heard.real.square() + heard.imag.square()).mean(1)
    return torch.log1p(power / power.mean(-1, keepdim=True))


class Backbone(nn.Module):
    """[B, N] to [B, width]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(ELEMENTS, 2 * width), nn.GELU(), nn.Linear(2 * width, width), nn.GELU(), nn.LayerNorm(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features


class Head(nn.Module):
    """[B, width] to factors [B, 2 N RANK 2] and places [B, K 3]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factors = nn.Linear(width, 4 * ELEMENTS * RANK)
        self.places = nn.Linear(width, 3 * SOURCES)
        nn.init.zeros_(self.places.weight)
        nn.init.zeros_(self.places.bias)
        with torch.no_grad():
            self.places.bias[::3] = torch.linspace(-1, 1, SOURCES + 2)[1:-1]  # means of five in order

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.factors(features), self.places(features)


class SourceFinder(nn.Module):
    """The whole model. Its linear layers run in the 16 bits of `precision`; the matrices never do."""

    def __init__(self, width: int = WIDTH["small"], precision: torch.dtype = torch.float16) -> None:
        super().__init__()
        self.precision = precision
        self.backbone = Backbone(width)
        self.head = Head(width)

    def forward(self, batch: Batch) -> Prediction:
        x = beams(batch)
        with torch.autocast(x.device.type, dtype=self.precision):
            factors, places = self.head(self.backbone(x))
        azimuth, elevation, distance = places.float().unflatten(-1, (SOURCES, 3)).unbind(-1)
        angles = torch.stack([azimuth * AZIMUTH_MAX, elevation * ELEVATION_MAX], dim=-1)
        return Prediction(_covariance(factors.float()), angles, (distance + 0.5) * RANGE_MAX_M)


def _covariance(factors: Tensor) -> Tensor:
    left, right = torch.view_as_complex(factors.view(len(factors), 2, ELEMENTS, RANK, 2)).unbind(1)
    matrix = hermitian(left @ right.mH)
    norm = torch.linalg.vector_norm(torch.view_as_real(matrix), dim=(-3, -2, -1), keepdim=True).squeeze(-1)
    scaled: Tensor = matrix * (PREDICTED_NORM / norm)
    return scaled
