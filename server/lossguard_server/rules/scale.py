"""By how much a value is off, and which slip of the hand makes it so.

Formula   factor q = value / (the middle of the declared range: arithmetic within a decade, geometric beyond, the bound
          itself where the other side is open); decades = log10(value / the bound that it broke).
Likely    q near a size that is known, up or down: n of a matrix (or its root), the elements of a batch: a sum where a
          mean is due, or a division too many. log10 q within 0.15 of a whole number: units, percent, ppm.
Source    the reports: a matrix 1.6e5 times too small because its trace was not normalised; ppm taken 100 times.

Rules of this file: words and arithmetic; it fires nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, floor, inf, isfinite, isnan, log, log10, sqrt

from .moment import Moment

WHOLE_DECADE = 0.15  # of log10: 10^n times 0.71 to 1.41
NEAR = 0.1  # of ln: a declared middle is no measurement
EXP_MAX = 700.0  # e to the power of 709.8 is the largest float
SIZE_MIN = 4.0  # a factor of 2 or 3 is near too many things
SIZE_WORDS = ("batch", "size", "length", "tokens", "positions", "elements", "pixels", "points", "atoms")
UNITS = {1: "a factor of 10", 2: "percent", 3: "milli or kilo", 4: "per ten thousand", 6: "ppm or micro", 9: "nano"}


@dataclass(frozen=True)
class Slip:
    """`factor`: value / what was expected; `decades`: beyond the bound that it broke, negative below; `likely`: words.

    `way`: "large" or "small".
    """

    factor: float
    decades: float
    likely: tuple[str, ...]
    way: str

    @property
    def times(self) -> str:
        """ "1.6e5 times too small"."""
        return f"{short(max(self.factor, 1 / self.factor))} times too {self.way}"

    @property
    def text(self) -> str:
        """Sentences for the evidence."""
        decades = f"{abs(self.decades):.1f} decades too {self.way}" if abs(self.decades) >= 1 else ""
        said = f"That is {self.times}" + (f", {decades}" if decades else "") + "."
        return f"{said} Likely: {'; '.join(self.likely)}." if self.likely else said


def slip(
    value: float,
    low: float,
    high: float,
    counts: Mapping[str, float] | None = None,
    sizes: Mapping[str, float] | None = None,
) -> Slip | None:
    """What may have happened to a value outside [low, high] (NaN or infinite: open). `counts`: of elements, by name;
    `sizes`: of matrices, by name. None inside the range, and where a factor means nothing (zero, another sign)."""
    middle, broken = _middle(low, high), _broken(value, low, high)
    if broken is None or not isfinite(value) or not (_same_sign(value, middle) and _same_sign(value, broken)):
        return None
    factor = value / middle
    if factor <= 0 or not isfinite(factor):
        return None
    likely = [*_known(factor, counts or {}, roots=False), *_known(factor, sizes or {}, roots=True), *_power(factor)]
    is_large = abs(value) > abs(broken)
    # no quotient: of two floats that are there it may be 0 or infinite
    return Slip(factor, log10(abs(value)) - log10(abs(broken)), tuple(likely), "large" if is_large else "small")


def counts_of(moment: Moment) -> dict[str, float]:
    """The sizes of things that are known of the run: its counts at this row, and whole numbers of its configuration
    that are named like a size."""
    found = {}
    for name, number in moment.index.items():
        if name.startswith("count/") and moment.live[number]:
            found[name] = float(moment.values[number])
    for name, value in moment.schedule.declaration.config.items():
        if isinstance(value, int) and not isinstance(value, bool) and any(word in name for word in SIZE_WORDS):
            found[name] = float(value)
    return found


def short(value: float) -> str:
    """Two digits: "1.6e5", "930", "42"."""
    text = f"{value:.1e}"
    if 0.001 <= abs(float(text)) < 10_000 or value == 0 or not isfinite(value):
        return f"{float(text):g}"
    mantissa, _, exponent = text.partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def short_exp(power: float) -> str:
    """`short` of e to that power, which may be larger than any float."""
    if power < EXP_MAX:
        return short(exp(power))
    decades = power / log(10)
    return f"{10 ** (decades - floor(decades)):.1f}e{floor(decades)}"


def _middle(low: float, high: float) -> float:
    low, high = (-inf if isnan(low) else low), (inf if isnan(high) else high)
    if not (isfinite(low) and isfinite(high)):
        return low if isfinite(low) else high if isfinite(high) else 0.0
    if _same_sign(low, high) and max(low / high, high / low) > 10:
        return sqrt(abs(low)) * sqrt(abs(high)) * (1 if low > 0 else -1)
    return low / 2 + high / 2


def _same_sign(a: float, b: float) -> bool:
    """Neither is 0. Their product would tell it, were it not 0 for two small ones."""
    return (a > 0 and b > 0) or (a < 0 and b < 0)


def _broken(value: float, low: float, high: float) -> float | None:
    """The bound that the value is beyond."""
    if value < low:
        return low
    return high if value > high else None


def _known(factor: float, sizes: Mapping[str, float], roots: bool) -> list[str]:
    found = []
    for name, size in sizes.items():
        if not isfinite(size) or size < SIZE_MIN:
            continue
        if _is_near(factor, size):
            found.append(f"a sum instead of a mean, or times {name} ({size:g})")
        elif _is_near(1 / factor, size):
            found.append(f"divided by {name} ({size:g}) once too often")
        elif roots and sqrt(size) >= SIZE_MIN and (_is_near(factor, sqrt(size)) or _is_near(1 / factor, sqrt(size))):
            found.append(f"a factor sqrt(n) of {name} ({size:g})")
    return found


def _power(factor: float) -> list[str]:
    decades = log10(factor)
    n = round(decades)
    if n == 0 or abs(decades - n) > WHOLE_DECADE:
        return []
    hint = f" ({UNITS[abs(n)]})" if abs(n) in UNITS and abs(n) > 1 else ""
    return [f"factor 10^{n}{hint}: check units, percent, ppm"]


def _is_near(a: float, b: float) -> bool:
    return abs(log(a) - log(b)) <= NEAR
