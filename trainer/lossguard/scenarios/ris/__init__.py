"""Sources before a reconfigurable surface: a covariance that nobody normalised takes the loss to 10^25 at step 0.

Rules of this file: the catalogue's entry, no torch. The incident is that of report 3. What it claims and what comes:
- R_samp 2.85e-4 where 30 to 60 is due: 2.7e-4 to 3e-4 here; the evaluation's 46.6: 48. R_blend 3.5e12: 7.4e12, for
  each scene whose predicted trace is negative, so that the trace of the blend falls on its clamp.
- Loss 1.7e25, and 1 to 100 after the mend, 1 to 1000 in the checklist: no one formula has both. 1.7e25 is 1.4 times the
  square of 3.46e12, so nothing is divided by; two matrices of norm 65 that know nothing of each other are then 6,500
  apart, and with the report's clamp of 1e-9 no mean over rows could pass 6e23. Here the raw loss of the covariance is
  the squared norm: 0.7e25 to 5.5e25, after the mend 6,500, and 5,000 to 5,700 150 steps later. In the total it weighs
  1 / N, as a mean over rows: 1e23 to 4e23, after the mend 160 to 620, so that the checklist holds (five seeds).
- Gradients of backbone and head NaN, and the scheduler's warning that the report takes for a false positive: both, and
  the warning is true. The GradScaler skips the update, because 10^23 is beyond half precision.
- A crash: none. The GradScaler halves its scale at every step, and after 20 to 64 of them updates pass. Of five seeds
  three then turn the predicted traces positive within 40 steps and train on at a total of 300, with a sample covariance
  that counts for nothing; two stay at 4e23. No weight ever is NaN.
- At size "large" in bfloat16, which holds 10^38, nothing is NaN and nothing is skipped: with seeds 1, 2 and 4 the total
  is 5e22 to 4e23 with gradients of 10^18, and stays there. With seeds 0 and 3 no scene of the first batch has a
  negative trace; the loss looks well from step 1 on, and only the norm of R_samp tells.
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
                remedy="gate",  # of the covariance: angles and ranges train on until the code is mended
                mend="fixed",
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
