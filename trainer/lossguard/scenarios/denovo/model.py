"""A small transformer that reads a fragment spectrum and writes the peptide, residue by residue.

Rules of this file: plain torch; nothing of lossguard. Masses and m/z enter as sinusoids, as in Casanovo (Yilmaz et al.,
2022): a number of 1,300.6421 Da must keep its last digits, which a linear layer on the bare number would lose.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from .data import CLASSES, MAX_RESIDUES, START, Batch, residue_mass_table

SHORTEST_DA, LONGEST_DA = 0.2, 4_000.0  # wavelengths: some sigmas of the m/z error, and above the heaviest peptide


class MassEncoding(nn.Module):
    """Masses [...] in Da to [..., width] sines and cosines, wavelengths geometric from SHORTEST_DA to LONGEST_DA."""

    frequency: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        exponent = torch.linspace(0, 1, width // 2)
        wavelength = SHORTEST_DA * (LONGEST_DA / SHORTEST_DA) ** exponent
        self.register_buffer("frequency", 2 * math.pi / wavelength)

    def forward(self, mass: Tensor) -> Tensor:
        angle = mass[..., None] * self.frequency
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


class Encoder(nn.Module):
    """Peaks [B, P] to features [B, P, width]; each peak is seen as m/z and as its complement, precursor less m/z."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.encode_mass = MassEncoding(width)
        self.embed = nn.Linear(2 * width + 1, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, batch: Batch) -> Tensor:
        complement = batch.mass[:, None] - batch.mz
        seen = [self.encode_mass(batch.mz), self.encode_mass(complement), batch.intensity[..., None]]
        features: Tensor = self.layers(self.embed(torch.cat(seen, dim=-1)), src_key_padding_mask=~batch.peak_mask)
        return features


class Decoder(nn.Module):
    """Tokens [B, T + 1] and peak features to states [B, T + 1, width], causal.

    At each place it is told the mass that the residues so far make up, and what is left of the precursor.
    """

    residue_mass: Tensor
    future: Tensor

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("residue_mass", torch.cat([residue_mass_table(), torch.zeros(1)]).float())
        size = MAX_RESIDUES + 1
        self.register_buffer("future", torch.ones(size, size, dtype=torch.bool).triu(1))
        self.embed = nn.Embedding(START + 1, width)
        self.encode_mass = MassEncoding(width)
        self.embed_mass = nn.Linear(2 * width, width)
        layer = nn.TransformerDecoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerDecoder(layer, layers, norm=nn.LayerNorm(width))

    def forward(self, batch: Batch, features: Tensor) -> Tensor:
        prefix = self.residue_mass[batch.inputs].cumsum(1)
        left = batch.mass[:, None] - prefix
        masses = torch.cat([self.encode_mass(prefix), self.encode_mass(left)], dim=-1)
        queries = self.embed(batch.inputs) + self.embed_mass(masses)
        states: Tensor = self.layers(
            queries, features, tgt_mask=self.future, tgt_is_causal=True, memory_key_padding_mask=~batch.peak_mask
        )
        return states


class SpectrumReader(nn.Module):
    """The whole model: a batch to logits [B, T + 1, CLASSES] and to its peak features [B, P, width].

    228,500 parameters by default: measured on CPU, one wide layer learns faster in wall time than two narrower ones.
    Logits and features are float32, whatever the forward pass was computed in.
    """

    def __init__(self, width: int = 96, heads: int = 4, layers: int = 1) -> None:
        super().__init__()
        self.encoder = Encoder(width, heads, layers)
        self.decoder = Decoder(width, heads, layers)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        features = self.encoder(batch)
        return self.head(self.decoder(batch, features)).float(), features.float()


SHAPES: Mapping[str, dict[str, int]] = MappingProxyType(
    # large: 109 million parameters
    {"small": {"width": 96, "heads": 4, "layers": 1}, "large": {"width": 1_024, "heads": 16, "layers": 5}}
)


def reader_of(size: str) -> SpectrumReader:
    """The model of that size of the options."""
    return SpectrumReader(**SHAPES[size])
