"""Masked pretraining on sensor rows: a probability of 10^-5 leaves nothing to guess, or a mean over nothing.

Rules of this file: the catalogue's entry, no torch. The incident is that of report 4. What it claims and what comes:
- "Virtually no tokens are masked": no reading in 947 of 1,000 batches, 0.06 of 5,840 expected.
- "Identity reconstruction", "information leakage": yes. In 1,000 steps the training's loss of the readings falls from
  1.3 to 0.0006; that of hidden ones falls to 0.46 in 50 steps and rises back to 1.11, above what guessing the mean
  costs. Hidden modes end at 3.2, and guessing costs 1.8.
- "MSE on an identity makes unstable gradients", NaN, an explosion: not here. The gradient norm falls from 4 to 0.1 and
  stays there, with readings that are missing at the source and sensors that jump to 6 sigma.
- NaN: from the mend that the report begins with, a loss over the hidden positions only, as long as the probability is
  10^-5: the mean over none is NaN at step 0. Without the guard every weight is NaN from then on.
- "Huber loss": it changes nothing of either. Unmasked, the hidden error rises from 0.50 to 0.58 by step 150 (0.46 to
  0.82 with the squared error); over no position its mean is NaN as well.
- "Learning rate 1e-5 or 2e-5": NaN as well. Unmasked, it copies later: a training loss of 0.92 at step 150 for 0.016.
- A probability of 0.15, or 0.05 to 0.25: the mend, also of the run that goes on. Under `staged` the hidden error of
  `unmasked` is 0.79 when the second stage begins at step 150, and 0.43 at step 400; that of `bert` is 0.26 then.
- "Leverage NaN handling via mask tokens": a missing reading has the token of a hidden one, and is never paid for.
"""

from types import MappingProxyType

from ..catalogue import ROW_RULES, Knob, Scenario, Truth

TABULAR = Scenario(
    name="tabular",
    about="A small transformer completes rows of eight sensors and a mode of operation, of which some are hidden.",
    module="lossguard.scenarios.tabular.train",
    variants=MappingProxyType(
        {
            "unmasked": Truth(
                about="The bug: p = 1e-5 and a loss over all positions, so the model copies what it sees. "
                "`staged` alone has a stage to go to, in which p is 0.15.",
                onset_stage=0,
                must_fire=("count", "train_eval"),
                must_not_fire=("nonfinite",),
                first_bad="count/masked",
                remedy="go_to_stage",
                mend="bert",
            ),
            "empty_mask": Truth(
                about="A loss over hidden positions only, of which p = 1e-5 leaves none: the mean over none is NaN. "
                "`staged` alone has a stage to go to, in which p is 0.15.",
                onset_stage=0,
                must_fire=("count", "nonfinite"),
                first_bad="count/masked",
                remedy="go_to_stage",
                mend="bert",
            ),
            "bert": Truth(about="The mend: p = 0.15, of which 80 % masked, 10 % random.", must_not_fire=ROW_RULES),
            "progressive": Truth(about="The other mend: p grows from 0.05 to 0.25.", must_not_fire=ROW_RULES),
        }
    ),
    curricula=("original", "staged"),  # the stages of `staged` give p, whatever the variant
    steps=1_000,
    stage_steps=1_000,
    batch_size=8,
    lr=1e-3,
    knobs=(Knob("loss", "mse", "of the readings", ("mse", "huber")),),
)
