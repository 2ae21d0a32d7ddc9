"""How every scenario's training begins: its device, torch's seed and threads, and the warm-up of its learning rate.

Rules of this file: nothing of lossguard's measuring.
"""

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..errors import ConfigError
from .catalogue import Options, Scenario

WARM_UP_STEPS = 50


def begin(scenario: Scenario, options: Options) -> torch.device:
    """Check the options, seed torch and set its threads; the device to train on. Raises UnknownChoice, ConfigError."""
    scenario.check(options)
    device = device_of(options.device)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    return device


def device_of(name: str | None) -> torch.device:
    """The device of that name; None takes CUDA where there is one. Raises ConfigError."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is 'cuda', but torch finds no CUDA device here; leave it out to take what there is.")
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


def precision(options: Options, device: torch.device) -> torch.autocast:
    """Around the forward pass: bfloat16 where the size is large, and as it is else."""
    return torch.autocast(device.type, torch.bfloat16, enabled=options.size == "large")


def warming_up(optimizer: Optimizer) -> LambdaLR:
    """The learning rate rises linearly over the first steps, then stays."""
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARM_UP_STEPS))
