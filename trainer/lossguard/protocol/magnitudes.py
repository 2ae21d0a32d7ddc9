"""How large a loss component may be in a total: the limits, and the weight or the ramp that keeps it there.

To hold component k at the share X of the whole: w_k' = X / (1 - X) * sum over j != k of |w_j L_j| / |L_k|.
To bring a jump J in without a shock: N = ceil(log J / log 1.02) steps, 2 % a step on average; a linear ramp adds more
in its first steps.

Rules of this file: one place for what the server's rules say of a run and what the preflight says before there is one;
numbers and sentences only. Where no weight or ramp would do, the answer is None.
"""

from math import ceil, isfinite, log

TARGET_SHARE = 0.005  # a healthy auxiliary loss of the report adds 0.005 to 0.01 to a total of about 2
GROWTH_PER_STEP = 1.02  # of the total along a ramp
RAMP_STEPS_MAX = 1_000_000

# what a stage may do to the total
JUMP, JUMP_SHOWN = 2.0, 1.5  # times as large: critical, and worth a word; the report has 4.2
SHARE = 0.5  # of an auxiliary component
SHARE_DEAD = 1e-4  # a new component below it does nothing
ALONE = 1e-6  # of the total: less than float32 resolves in a sum of two
INTRODUCED = 10.0  # a weight that grows more than so many times is that of a new component
AUXILIARY = 1 - 1e-9  # below this part of the largest weight; equal weights, though computed differently, are equal
NOT_EVALUATED = 1e-29  # a raw value of exactly 0: scripts write 0.0 for a component that they skip
LEADER_GRADIENT = 0.99  # of the gradients of equally weighted components: the others have no say in the direction
HALF_MAX = 65_504.0  # of float16; a GradScaler can only skip what lies beyond it
GRADIENT_MAX = 1.8e19  # its square overflows float32, and with it the sum of squares of which a norm is the root


def weight_for_share(others: float, loss: float, share: float) -> float | None:
    """The weight at which |weight * loss| is `share` of the whole, `others` being the rest of it; two digits."""
    weight = exact_weight_for_share(others, loss, share)
    return None if weight is None else two_digits(weight)


def exact_weight_for_share(others: float, loss: float, share: float) -> float | None:
    """The same, not rounded; None where no weight would do."""
    if not (isfinite(others) and isfinite(loss)) or others <= 0 or loss == 0 or not 0 < share < 1:
        return None
    weight = share / (1 - share) * others / abs(loss)
    return weight if isfinite(weight) and weight > 0 else None


def weight_for_contribution(loss: float, contribution: float) -> float | None:
    """The weight at which |weight * loss| is `contribution`; two digits."""
    if not (isfinite(loss) and isfinite(contribution)) or loss == 0 or contribution <= 0:
        return None
    weight = contribution / abs(loss)
    return two_digits(weight) if isfinite(weight) and weight > 0 else None


def ramp_steps(jump: float, growth: float = GROWTH_PER_STEP) -> int | None:
    """Over so many steps a total that will be `jump` times as large grows by at most `growth` a step; None without."""
    if not isfinite(jump) or jump <= 1:
        return None
    return min(ceil(log(jump) / log(growth)), RAMP_STEPS_MAX)


def two_digits(value: float) -> float:
    """Rounded to two significant digits: a weight that a person can read out."""
    return float(f"{value:.1e}")


# -- words ------------------------------------------------------------------------------------------------------------


def stage_text(
    stage: str, start: int, total: float, predicted: float, component: str, share: float, raw: float, weight: float
) -> str:
    """What the total will do when the stage begins, and whose doing that is; `share` of 1."""
    percent = "100" if share >= 0.995 else f"{100 * share:.2g}"  # two digits of it would be 1e+02
    return (
        f"Stage {stage!r} begins at step {start}. The total is then "
        f"predicted to go from {total:.3g} to {predicted:.3g} ({predicted / total:.2g} times), "
        f"{percent} % of it {component}: raw value {raw:.4g} at weight {weight:.3g}."
    )


def weight_text(component: str, weight: float, value: float, loss: float, note: str = "") -> str:
    """The weight that a component is to have instead; `note` says why it is another than the one aimed at."""
    return (
        f"Set the weight of {component} from {weight:.3g} to {value:.2g}{note}: it would add {abs(value * loss):.2g}."
    )


def ramp_text(component: str, start: float, value: float, jump: float) -> str:
    """A ramp from `start`, the weight before, by which a total that becomes `jump` times as large grows by 2 %
    a step, as words to write into the curriculum; empty where the total does not grow."""
    steps = ramp_steps(jump)
    if steps is None:
        return ""
    return (
        f"A ramp of {component} from {start:.3g} to {value:.3g} over {steps} steps "
        f"(lossguard.ramp({float(f'{start:.3g}')}, {value:.3g}, {steps})) lets the total grow by 2 % a step on average."
    )
