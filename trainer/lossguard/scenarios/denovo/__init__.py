"""De novo peptide sequencing: a precursor loss that is a thousand times too large enters at a stage of the curriculum.

Rules of this file: the catalogue's entry, no torch. The incident is that of three reports of one training: report 1
the fix of the precursor loss, reports 2 and 3 the change to other losses. The truth is that of the first curriculum and
of the knobs as they are; the third report's losses and weights, which it calls more stable, are not: see rendering.py.
"""

from types import MappingProxyType

from ..catalogue import Knob, Scenario, Truth

RULES = ("nonfinite", "look_ahead", "contribution_dominates", "stage_mismatch", "loss_jump", "grad_norm_high")

DENOVO = Scenario(
    name="denovo",
    about="A small transformer reads peptide fragment spectra; cross-entropy, spectrum and precursor mass losses.",
    module="lossguard.scenarios.denovo.train",
    variants=MappingProxyType(
        {
            "log1p_x100": Truth(
                about="The bug: 100 log1p(ppm / 100) is about 600, so weight 0.01 lifts the total from 2.1 to 8.",
                onset_stage=1,
                # no loss_jump: the total goes where look_ahead said that it would go
                must_fire=("look_ahead", "contribution_dominates", "grad_norm_high"),
                # the report has NaN 1,600 steps later. Here none came in 2,500 steps (three seeds), nor in 6,000 with
                # longer stages, nor without clipping: the loss stays in its saturated range, AdamW normalises its
                # gradient, and what is lost is the accuracy (0.34 before the stage, 0.18 at the end, with
                # the noise of training)
                must_not_fire=("nonfinite",),
                first_bad="weight/precursor",  # the stage sets it; what it adds is off in the same step, behind it
                remedy="set_weight",
                mend="log1p",
            ),
            "log1p": Truth(about="The first mend: log1p(ppm / 100,000) is about 0.4.", must_not_fire=RULES),
            "l1": Truth(about="The second mend: 0.004 a Da is about 0.25.", must_not_fire=RULES),
        }
    ),
    curricula=("original", "reduced", "gaussian"),
    steps=2_500,
    stage_steps=250,
    knobs=(
        Knob("spectrum", "huber", "the spectrum loss: nearest peak, or drawn Gaussians", ("huber", "gaussian")),
        Knob("sigma", 0.05, "Da, of the drawn Gaussians", of=("spectrum", "gaussian")),
        Knob("bin_size", 0.1, "Da, of the grid that they are drawn on", of=("spectrum", "gaussian")),
        Knob("scale_factor", 0.004, "what l1 costs a Da", of=("variant", "l1")),
        Knob("weight_factor", 1.0, "on the weights of spectrum and precursor at every stage"),
    ),
)
