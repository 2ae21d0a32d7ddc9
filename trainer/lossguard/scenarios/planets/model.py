"""A decoder of rows of numbers: what the next row will be, told from those so far.

Rules of this file: plain torch; nothing of lossguard.
"""

import torch
from torch import Tensor, nn

from ..shape import Shape
from .data import COLUMNS, LARGE_ROWS, ROWS

SMALL = Shape(ROWS, width=64, heads=4, layers=2)
LARGE = Shape(LARGE_ROWS, width=1_024, heads=16, layers=9)  # 114 million parameters
SHAPES = {"small": SMALL, "large": LARGE}


class TabularDecoder(nn.Module):
    """Rows [B, T, COLUMNS] to guesses of the row after each, [B, T, COLUMNS]; a row sees itself and earlier ones.

    The padding stands at the end, where no other row sees it.
    """

    causal: Tensor

    def __init__(self, shape: Shape = SMALL) -> None:
        super().__init__()
        self.embed = nn.Linear(COLUMNS, shape.width)
        self.place = nn.Parameter(0.02 * torch.randn(shape.rows, shape.width))
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.heads, 4 * shape.width, dropout=0.0, batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(shape.width)
        # without cross-attention a decoder's layer is that of an encoder with a causal mask
        self.decoder = nn.TransformerEncoder(layer, shape.layers, norm=norm, enable_nested_tensor=False)
        self.head = nn.Linear(shape.width, COLUMNS)
        later = torch.ones(shape.rows, shape.rows, dtype=torch.bool).triu(1)
        self.register_buffer("causal", later, persistent=False)

    def forward(self, rows: Tensor) -> Tensor:
        states = self.decoder(self.embed(rows) + self.place, mask=self.causal, is_causal=True)
        guesses: Tensor = self.head(states)
        return guesses
