"""What a scenario is: a reference training that shows one known incident, and the truth about that incident.

Rules of this file:
- No torch: the catalogue is read by tests, benchmarks, docs and the command line, which need no training to do so.
- The truth is declared here and nowhere else. It is what was measured, not what a report claims.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import ConfigError

SIZES = ("small", "large")
# the server's rules that a healthy training on rows of numbers must not wake
ROW_RULES = ("nonfinite", "contribution_dominates", "contract", "count", "train_eval", "loss_jump", "grad_norm_high")


class UnknownChoice(ConfigError):
    """There is no scenario, variant or curriculum of that name; the text lists those that exist."""

    def __init__(self, kind: str, name: str, known: tuple[str, ...]) -> None:
        super().__init__(name)
        self.kind, self.name, self.known = kind, name, known

    def __str__(self) -> str:
        return f"There is no {self.kind} {self.name!r}; choose from {', '.join(self.known)}."


@dataclass(frozen=True)
class Knob:
    """An option that only some scenarios have. `choices`: the words it may be; without them it is a number above 0.

    `of`: another option, or knob, and the value of it that this one is for; with another it is not in use.
    """

    name: str
    default: str | float
    about: str
    choices: tuple[str, ...] = ()
    of: tuple[str, str] | None = None

    @property
    def option(self) -> str:
        """As it is written on a command line."""
        return _option(self.name)

    def read(self, scenario: str, value: str | float) -> str | float:
        """The value as the training takes it; raises UnknownChoice and ConfigError."""
        if self.choices:
            if value not in self.choices:
                raise UnknownChoice(f"{self.name} of {scenario}", str(value), self.choices)
            return value
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            raise ConfigError(f"{self.name} is {value}; it must be a finite number above 0.")
        return number


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


@dataclass(frozen=True)
class Truth:
    """What one variant must show under the scenario's first curriculum; rules go by their names in the server.

    `onset_stage`: index of the stage whose first step is the incident's onset, None for a healthy run. `first_bad`: the
    series that an honest blame must put first. `remedy`: the kind of the command by which its alert mends the run while
    it goes on, None where only the code can be mended. `mend`: the variant whose code is mended.
    """

    about: str
    onset_stage: int | None = None
    must_fire: tuple[str, ...] = ()
    must_not_fire: tuple[str, ...] = ()
    first_bad: str | None = None
    remedy: str | None = None
    mend: str | None = None

    def onset_step(self, stage_steps: int) -> int | None:
        """The step at which it begins, for stages of `stage_steps` steps; None when nothing goes wrong."""
        return None if self.onset_stage is None else self.onset_stage * stage_steps


@dataclass(frozen=True)
class Scenario:
    """One entry of the catalogue. `module` has `train(options, recorder) -> summary`; importing it brings torch.

    The numbers are what `Options` have where nothing else is asked for.
    """

    name: str
    about: str
    module: str
    variants: Mapping[str, Truth]
    curricula: tuple[str, ...]
    steps: int
    stage_steps: int
    batch_size: int = 32
    lr: float = 2e-3
    knobs: tuple[Knob, ...] = ()

    def truth(self, variant: str) -> Truth:
        """What `variant` must show; raises UnknownChoice."""
        if variant not in self.variants:
            raise UnknownChoice(f"variant of {self.name}", variant, tuple(self.variants))
        return self.variants[variant]

    def options(self, **chosen: Any) -> "Options":
        """The scenario's own options, save for what is chosen; raises UnknownChoice and ConfigError."""
        own = {
            "variant": next(iter(self.variants)),
            "curriculum": self.curricula[0],
            "steps": self.steps,
            "stage_steps": self.stage_steps,
            "batch_size": self.batch_size,
            "lr": self.lr,
            "project": self.name,
        }
        return self.completed(Options(**{**own, **chosen}))

    def completed(self, options: "Options") -> "Options":
        """The same with every knob that is in use, set or by default; raises UnknownChoice and ConfigError.

        A knob that is set and not in use is refused: whoever turns it must not think that it did something. As those
        that nobody set are left out, what is completed can be completed again.
        """
        self.check(options)
        known = {knob.name: knob for knob in self.knobs}
        for name in options.knobs:
            if name not in known:
                own = f"; its own are {', '.join(knob.option for knob in self.knobs)}" if known else ""
                raise ConfigError(f"{self.name} has no option {_option(name)}{own}.")
        values = {name: knob.read(self.name, options.knobs.get(name, knob.default)) for name, knob in known.items()}
        idle = {knob.name: _why_idle(knob, values, options) for knob in self.knobs}
        for name in options.knobs:
            if idle[name]:
                raise ConfigError(idle[name])
        return replace(options, knobs={name: value for name, value in values.items() if not idle[name]})

    def check(self, options: "Options") -> None:
        """Raise UnknownChoice when `options` name a variant or curriculum that this scenario has not."""
        self.truth(options.variant)
        if options.curriculum not in self.curricula:
            raise UnknownChoice(f"curriculum of {self.name}", options.curriculum, self.curricula)


@dataclass(frozen=True)
class Options:
    """How to train a scenario; raises ConfigError for numbers that cannot be meant so.

    device: "cpu", "cuda", or None for CUDA where there is one. threads: of torch on the CPU. lr: the learning rate
    after warm-up. eval_every: steps between two validations. guard: as of lossguard.init. size: "large" is for a GPU,
    100 million parameters and more, in bfloat16. compile: by torch.compile. knobs: the scenario's own options, by name.
    """

    variant: str
    curriculum: str = "original"
    steps: int = 2_500
    stage_steps: int = 250
    seed: int = 0
    batch_size: int = 32
    lr: float = 2e-3
    device: str | None = None
    # measured on 2 cores: alone, a second thread gives up to 1.4 times the speed; beside a busy core, a third of it
    threads: int = 1
    eval_every: int = 50
    project: str = "denovo"
    name: str = field(default="")
    guard: str = "auto"
    size: str = "small"
    compile: bool = False
    knobs: Mapping[str, str | float] = field(default_factory=dict)

    def word(self, knob: str) -> str:
        """What the knob of words is set to."""
        return str(self.knobs[knob])

    def number(self, knob: str) -> float:
        """What the knob of numbers is set to."""
        return float(self.knobs[knob])

    def __post_init__(self) -> None:
        for least, names in ((0, ("seed",)), (1, ("steps", "stage_steps", "batch_size", "threads", "eval_every"))):
            for name in names:
                if getattr(self, name) < least:
                    raise ConfigError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        if self.size not in SIZES:
            raise UnknownChoice("size", self.size, SIZES)
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ConfigError(f"lr is {self.lr}; it must be a finite number above 0.")


def _why_idle(knob: Knob, values: Mapping[str, str | float], options: Options) -> str:
    """The sentence for a knob that is not in use under these options; empty for one that is."""
    if knob.of is None:
        return ""
    name, wanted = knob.of
    present = values[name] if name in values else getattr(options, name)
    if present == wanted:
        return ""
    return f"{knob.option} is for {_option(name)} {wanted}; with {_option(name)} {present} it does nothing."
