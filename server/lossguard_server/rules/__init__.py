"""The rules: pure judgement over a run's window, one file each; docs/rules.md tells them all."""

from . import contract, contribution_dominates, grad_norm_high, loss_jump, nonfinite
from .base import Rule


def default_rules() -> tuple[Rule, ...]:
    """What judges a run unless somebody says otherwise, in order; nonfinite first, as nothing else trusts NaN."""
    return (nonfinite.rule(), contribution_dominates.rule(), loss_jump.rule(), grad_norm_high.rule(), contract.rule())
