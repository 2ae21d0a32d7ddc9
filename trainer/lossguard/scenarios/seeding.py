"""What every scenario's data is made from: random numbers that seed and step decide.

Rules of this file: nothing of lossguard's measuring; no global generator is read or moved.
"""

import hashlib

import torch

FIRST_VALIDATION_STEP = 1 << 40  # a range of steps that no training reaches


def generator_of(seed: int, step: int) -> torch.Generator:
    """A generator of its own for the batch of one step."""
    # hashed, because torch's CPU generator keeps only the low 32 bits of its seed: step 2^40 would repeat step 0
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=4).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest))
