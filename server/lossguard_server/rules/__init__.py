"""The rules: pure judgement over windows of a run, one file each; docs/rules.md tells them all."""

from . import (
    bound,
    component_gradients,
    contract,
    contribution_dominates,
    count,
    drift,
    grad_burst,
    grad_cluster,
    grad_growth,
    grad_norm_high,
    look_ahead,
    loss_jump,
    loss_scale,
    memory_headroom,
    nonfinite,
    plateau,
    saturation,
    stage_mismatch,
    throughput,
    train_eval,
    update_ratio,
)
from .base import Rule

# nonfinite first, as nothing else trusts NaN; then what is closest to a root, so that an alert's remedy is the root's
_MODULES = (
    nonfinite,
    count,
    contract,
    bound,
    train_eval,
    look_ahead,
    contribution_dominates,
    stage_mismatch,
    component_gradients,
    saturation,
    loss_scale,
    grad_cluster,
    grad_burst,
    grad_growth,
    grad_norm_high,
    loss_jump,
    drift,
    plateau,
    throughput,
    memory_headroom,
    update_ratio,
)


def default_rules() -> tuple[Rule, ...]:
    """What judges a run unless somebody says otherwise, in order."""
    return tuple(module.rule() for module in _MODULES)
