"""Planets around a star: a causal decoder foretells the next row, and nothing goes wrong. The healthy control.

Rules of this file: the catalogue's entry, no torch. It is the control of report 4. What it claims and what comes:
- "No data scaling", "natural distribution", lengths that vary, batch 32: so here; positions and velocities in
  astronomical units and years / 2 pi, -2.5 to 2.5. The energy drifts by less than 1e-3.
- "Causal masking prevents information leakage": no output depends on a later row, bit for bit.
- "Trains successfully": the loss of systems never seen falls with that of the training, from 0.7 to 2.3e-4 in 1,000
  steps, and the gradient norm from 2.1 to 0.02; no rule about losses, gradients or counts says a word.
- "Model dimension 512": 64 here, and 1,024 where the size is large.
"""

from types import MappingProxyType

from ..catalogue import ROW_RULES, Scenario, Truth

PLANETS = Scenario(
    name="planets",
    about="A causal transformer decoder foretells the next row of an integrated system of a star and three planets.",
    module="lossguard.scenarios.planets.train",
    variants=MappingProxyType(
        {"autoregressive": Truth(about="The control: next-row prediction, as it should be.", must_not_fire=ROW_RULES)}
    ),
    curricula=("original",),
    steps=1_000,
    stage_steps=1_000,
    batch_size=32,
    lr=1e-3,
)
