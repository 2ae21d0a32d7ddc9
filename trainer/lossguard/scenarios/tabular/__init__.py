"""Masked pretraining on sensor rows: a probability of 10^-5 leaves nothing to guess, or a mean over nothing.

Rules of this file: the catalogue's entry, no torch. The incident is that of report 4. What it claims and what comes:
- "Virtually no tokens are masked": 0 of 8,192 readings in nine batches of ten, 0.08 expected.
- "Identity reconstruction": yes. The training's loss falls to 0.04, that of hidden readings rises from 0.4 back to 1.1,
  above what guessing the mean costs.
- "MSE on an identity makes unstable gradients", NaN, an explosion: not here. The gradient norm falls from 4 to 0.1 and
  stays there (three seeds, 1,000 steps, with sensors that jump to 6 sigma).
- NaN: from the mend that the report begins with, a loss over the hidden positions only, as long as the probability is
  10^-5: the mean over none is NaN at step 0. Without the guard every weight is NaN from then on.
"""

from types import MappingProxyType

from ..catalogue import Scenario, Truth

RULES = ("nonfinite", "contribution_dominates", "contract", "count", "train_eval", "loss_jump", "grad_norm_high")

TABULAR = Scenario(
    name="tabular",
    about="A small transformer completes rows of eight sensors and a mode of operation, of which some are hidden.",
    module="lossguard.scenarios.tabular.train",
    variants=MappingProxyType(
        {
            "unmasked": Truth(
                about="The bug: p = 1e-5 and a loss over all positions, so the model copies what it sees.",
                onset_stage=0,
                must_fire=("count", "train_eval"),
                must_not_fire=("nonfinite",),
                first_bad="count/masked",
            ),
            "empty_mask": Truth(
                about="A loss over hidden positions only, of which p = 1e-5 leaves none: the mean over none is NaN.",
                onset_stage=0,
                must_fire=("count", "nonfinite"),
                first_bad="count/masked",
            ),
            "bert": Truth(about="The mend: p = 0.15, of which 80 % masked, 10 % random.", must_not_fire=RULES),
            "progressive": Truth(about="The other mend: p grows from 0.05 to 0.25.", must_not_fire=RULES),
        }
    ),
    curricula=("original",),
    steps=1_000,
    stage_steps=1_000,
    batch_size=8,
    lr=1e-3,
)
