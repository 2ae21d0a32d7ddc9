"""Sources before a reconfigurable surface: a covariance that nobody normalised takes the loss to 10^25 at step 0.

Rules of this file: the catalogue's entry, no torch. The incident is that of report 3. What it claims and what comes:
- R_samp 2.85e-4 where 30 to 60 is due: 3e-4 here; the evaluation's 46.6: 48. R_blend 3.5e12: 7.4e12, for each scene
  whose predicted trace is negative, so that the trace of the blend falls on its clamp. Loss 1.7e25: 1.4e25.
- Gradients of backbone and head NaN, and the scheduler's warning that the report takes for a false positive: both, and
  the warning is true. The GradScaler skips the update, because 10^25 is beyond half precision.
- A crash: none. The GradScaler halves its scale at every step, and after 27 to 64 of them updates pass. Of five seeds
  three then turn the predicted traces positive and train on at a loss of 6,000, with a sample covariance that counts
  for nothing; two stay at 5e25 for the 400 steps looked at. No weight ever is NaN.
- After the mend a loss of 1 to 100: 7,000 at first, because it is a squared Frobenius norm, and 4,500 after
  300 steps.
"""

from types import MappingProxyType

from ..catalogue import Scenario, Truth

RULES = (
    "nonfinite", "contribution_dominates", "contract", "train_eval", "loss_jump", "grad_norm_high", "loss_scale",
)  # fmt: skip

RIS = Scenario(
    name="ris",
    about="A network finds five sources from what 144 elements of a surface hear, by a blend of two covariances.",
    module="lossguard.scenarios.ris.train",
    variants=MappingProxyType(
        {
            "unnormalised": Truth(
                about="The bug: the sample covariance is not scaled to the trace N, so its norm is 3e-4 for 48.",
                onset_stage=0,
                must_fire=("contract", "train_eval"),
                first_bad="matrix/R_samp/fro",
            ),
            "fixed": Truth(about="The mend: trace N for R_samp, and none for the blend.", must_not_fire=RULES),
        }
    ),
    curricula=("original",),
    steps=1_000,
    stage_steps=1_000,
    batch_size=8,
    lr=1e-3,
)
