"""A small transformer that completes sensor rows.

Rules of this file: plain torch; nothing of lossguard.
"""

import torch
from torch import Tensor, nn

from .data import MODES, ROWS, SENSORS
from .masking import Masked


class Encoder(nn.Module):
    """What is seen of rows [B, T] to states [B, T, width]; every row sees every other."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * SENSORS, width)
        self.embed_mode = nn.Embedding(MODES + 1, width)
        self.place = nn.Parameter(0.02 * torch.randn(ROWS, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, seen: Masked) -> Tensor:
        readings = torch.cat([seen.numeric, seen.flagged.to(seen.numeric.dtype)], dim=-1)
        states: Tensor = self.layers(self.embed(readings) + self.embed_mode(seen.mode) + self.place)
        return states


class RowCompleter(nn.Module):
    """The whole model: guesses of the readings [B, T, F] and of the mode [B, T, MODES]."""

    def __init__(self, width: int = 64, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.encoder = Encoder(width, heads, layers)
        self.numeric_head = nn.Linear(width, SENSORS)
        self.mode_head = nn.Linear(width, MODES)

    def forward(self, seen: Masked) -> tuple[Tensor, Tensor]:
        states = self.encoder(seen)
        return self.numeric_head(states), self.mode_head(states)
