"""A transformer that completes sensor rows.

Rules of this file: plain torch; nothing of lossguard.
"""

import torch
from torch import Tensor, nn

from ..shape import Shape
from .data import LARGE_ROWS, MODES, ROWS, SENSORS, TIME_FEATURES
from .masking import Masked

SMALL = Shape(ROWS, width=64, heads=4, layers=2)
LARGE = Shape(LARGE_ROWS, width=1_024, heads=16, layers=13)  # 111 million parameters
SHAPES = {"small": SMALL, "large": LARGE}


class Encoder(nn.Module):
    """What is seen of rows [B, T] to states [B, T, width]; every row sees every other, and none sees the padding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * SENSORS + TIME_FEATURES, shape.width)
        self.embed_mode = nn.Embedding(MODES + 1, shape.width)
        self.place = nn.Parameter(0.02 * torch.randn(shape.rows, shape.width))
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, 2 * shape.width, dropout=0.0, batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(shape.width)
        self.layers = nn.TransformerEncoder(layer, shape.layers, norm=norm, enable_nested_tensor=False)

    def forward(self, seen: Masked) -> Tensor:
        readings = torch.cat([seen.numeric, seen.flagged.to(seen.numeric.dtype), seen.time], dim=-1)
        inputs = self.embed(readings) + self.embed_mode(seen.mode) + self.place
        states: Tensor = self.layers(inputs, src_key_padding_mask=~seen.rows)
        return states


class RowCompleter(nn.Module):
    """The whole model: guesses of the readings [B, T, F] and of the mode [B, T, MODES]; none in the padding."""

    def __init__(self, shape: Shape = SMALL) -> None:
        super().__init__()
        self.encoder = Encoder(shape)
        self.numeric_head = nn.Linear(shape.width, SENSORS)
        self.mode_head = nn.Linear(shape.width, MODES)

    def forward(self, seen: Masked) -> tuple[Tensor, Tensor]:
        states = self.encoder(seen)
        return self.numeric_head(states), self.mode_head(states)
