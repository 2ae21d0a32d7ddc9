"""The four failures of the reports, injected into real healthy curves at three severities.

Rules of this file:
- Numbers are those of the reports: a precursor of raw value 700 at weight 0.01, a gradient norm that grows by 0.0074 a
  step, matrices of norm 2.85e-4 where 30 to 60 are declared, a mask probability of 1e-5 where 0.15 is meant.
- Severity multiplies the raw value, the growth, the factor of the matrix. Of the mask it divides the probability,
  beginning at 1e-3: at 1e-5 nothing is left to make worse.
- What a run would log is logged: raw losses and weights, shadow values of a component whose weight is 0, gradient
  shares every ten rows, and NaN from the step at which the run is lost.
"""

from collections.abc import Callable

import numpy as np

from lossguard.protocol.messages import ContractSpec, ControlsSpec, Declaration, StageSpec

from .corpus import Floats
from .material import Material
from .story import Cause, Story, blocks, summed

SEVERITIES = (1, 10, 100)
CONTROLS = ControlsSpec(["pause", "resume", "stop", "set_weight", "revert", "instrument", "rollback"])
HALF_MAX = 65_504.0  # float16: where gradients overflow


def declared(stages: list[StageSpec], *contracts: ContractSpec) -> Declaration:
    names = list(dict.fromkeys(name for stage in stages for name in stage.weights))
    return Declaration(seq=1, components=names, stages=stages, controls=CONTROLS, contracts=list(contracts))


def switched(n: int, at: int, before: float, after: float) -> Floats:
    return np.where(np.arange(n) < at, before, after)


def mis_scaled_component(material: Material, rng: np.random.Generator, severity: int) -> Story:
    """At step 10,000 a component comes in whose raw value is 700 times what its weight is made for; NaN 1,600 later."""
    n, switch, end, stride = 1_180, 1_000, 1_160, 10
    steps = stride * np.arange(n, dtype=np.int64)
    main, contact, own = (material.draw(rng, n) for _ in range(3))
    losses = {"spectrum": 2.0 * main.loss, "contact": 2.0 * contact.loss, "precursor": 700.0 * severity * own.loss}
    weights = {
        "spectrum": np.ones(n),
        "contact": np.full(n, 0.1),
        "precursor": switched(n, switch, 0.0, 0.01),
    }
    growth = np.exp(np.log(HALF_MAX) / (end - switch) * np.maximum(np.arange(n) - switch, 0))
    columns = summed(weights, losses)
    with np.errstate(over="ignore"):
        columns["grad_norm/total"] = main.grad * growth * np.where(np.arange(n) < switch, 1.0, 2.0)
    lose(columns, end)
    shadow = (np.arange(n) >= switch) | (np.arange(n) % 5 == 0)
    stages = [
        StageSpec("spectrum", 0, {"spectrum": 1.0, "contact": 0.1, "precursor": 0.0}),
        StageSpec("precursor", stride * switch, {"spectrum": 1.0, "contact": 0.1, "precursor": 0.01}),
    ]
    seen = {"loss/precursor": shadow}
    cause = (Cause("component", "precursor"),)
    return Story("mis-scaled component", declared(stages), blocks(steps, columns, seen), cause, 0, stride * end)


def exploding_gradient(material: Material, rng: np.random.Generator, severity: int) -> Story:
    """A harmless looking component comes in at step 1,000; its gradient grows log-linearly until float16 overflows."""
    rate, switch = 0.0074 * severity, 1_000
    end = switch + int(np.log(HALF_MAX / 0.05) / rate)
    n = end + 20
    at = np.arange(n)
    main, contact, head = (material.draw(rng, n) for _ in range(3))
    grown = 0.05 * np.exp(rate * np.clip(at - switch, 0, end - switch + 5)) * head.grad
    grown = np.where(at < switch, 0.0, grown)
    losses = {
        "spectrum": 2.0 * main.loss,
        "contact": 2.0 * contact.loss,
        "head": 1.0 * head.loss * (1 + grown / 1e4),
    }
    weights = {"spectrum": np.ones(n), "contact": np.full(n, 0.1), "head": switched(n, switch, 0.0, 0.1)}
    columns = summed(weights, losses)
    columns["grad_norm/total"] = np.hypot(main.grad, grown)
    columns["grad_norm/backbone"] = 0.9 * np.hypot(main.grad, 0.3 * grown)
    columns["grad_norm/head"] = np.hypot(0.4 * contact.grad, grown)
    parts = {"spectrum": 0.8 * main.grad, "contact": 0.2 * contact.grad, "head": grown}
    whole = sum(parts.values(), np.zeros(n))
    columns |= {f"grad_share/{name}": part / whole for name, part in parts.items()}
    lose(columns, end)
    probed = at % 10 == 0
    seen = {f"grad_share/{name}": probed for name in parts}
    stages = [
        StageSpec("spectrum", 0, {"spectrum": 1.0, "contact": 0.1, "head": 0.0}),
        StageSpec("head", switch, {"spectrum": 1.0, "contact": 0.1, "head": 0.1}),
    ]
    cause = (Cause("component", "head"),)
    made = blocks(at.astype(np.int64), columns, seen)
    return Story("exploding gradient", declared(stages), made, cause, switch, end)


def missing_normalisation(material: Material, rng: np.random.Generator, severity: int) -> Story:
    """From the first step the sampled matrix lacks its trace normalisation; the blend is divided by nearly nothing."""
    n, size, factor = 60, 64.0, severity * 45.0 / 2.85e-4
    curve, other, sampled = (material.draw(rng, n) for _ in range(3))
    columns = summed(
        {"spectrum": np.ones(n), "contact": np.full(n, 0.1)},
        {"spectrum": 1.7e25 * severity * curve.loss, "contact": 2.0 * other.loss},
    )
    columns["grad_norm/total"] = 1e12 * severity * curve.grad
    norms = {
        "R_samp": (45.0 / factor * sampled.loss, size / factor * sampled.loss),
        "R_pred": (45.0 * other.loss / other.loss.max(), np.full(n, size)),
        "R_blend": (3.46e12 * severity * sampled.loss, 5e12 * severity * sampled.loss),
    }
    for name, (fro, trace) in norms.items():
        columns |= {f"matrix/{name}/fro": fro, f"matrix/{name}/trace": trace}
        columns |= {f"matrix/{name}/spec": 0.5 * fro, f"matrix/{name}/diag_min": trace / size / 10}
        columns[f"matrix/{name}/defect"] = np.full(n, 1e-7)
    contracts = [
        ContractSpec("matrix/R_samp/fro", 30.0, 60.0, "range"),
        ContractSpec("matrix/R_blend/fro", 50.0, 100.0, "range"),
        ContractSpec("matrix/R_samp", kind="psd", expected=size),
        ContractSpec("matrix/R_blend", kind="blend", of=["matrix/R_samp", "matrix/R_pred"]),
        ContractSpec("loss/spectrum", 0.0, 2.0, "bound"),
    ]
    stages = [StageSpec("all", 0, {"spectrum": 1.0, "contact": 0.1})]
    causes = (Cause("matrix", "R_samp"), Cause("matrix", "R_blend"))
    made = blocks(np.arange(n, dtype=np.int64), columns)
    return Story("missing trace normalisation", declared(stages, *contracts), made, causes, 0, 0)


def wrong_mask(material: Material, rng: np.random.Generator, severity: int) -> Story:
    """Of 8,192 positions a step nearly none is masked, from the first step on: the masked loss is that of nothing."""
    n, positions, probability = 200, 8_192, 1e-3 / severity
    masked = rng.binomial(positions, probability, n).astype(np.float64)
    main, own = material.draw(rng, n), material.draw(rng, n)
    losses = {"mlm": np.where(masked > 0, 3.0 * own.loss, 0.0), "contact": 2.0 * main.loss}
    columns = summed({"mlm": np.ones(n), "contact": np.full(n, 0.5)}, losses)
    columns |= {"grad_norm/total": main.grad, "count/masked": masked}
    contract = ContractSpec("count/masked", 32.0, None, "count", expected=0.15 * positions)
    stages = [StageSpec("all", 0, {"mlm": 1.0, "contact": 0.5})]
    causes = (Cause("count", "masked"),)
    return Story("wrong mask", declared(stages, contract), blocks(np.arange(n, dtype=np.int64), columns), causes, 0)


def lose(columns: dict[str, Floats], at: int) -> None:
    """From row `at` on the run is lost: losses and gradients are NaN, the gradient overflows one row before."""
    for name, values in columns.items():
        if name.startswith(("loss/", "grad_")):
            values[at:] = np.nan
        if name.startswith("grad_norm/"):
            values[at - 1] = np.inf


FAILURES: tuple[Callable[[Material, np.random.Generator, int], Story], ...] = (
    mis_scaled_component,
    exploding_gradient,
    missing_normalisation,
    wrong_mask,
)
