"""What the SDK says when it was called wrongly, as one tree.

    LossguardError
     +- ConfigError             the call of lg.init, Curriculum, Stage ... cannot be meant so
     +- UnknownComponent        run.total got a loss that no stage declares
     +- NotAScalar              a loss that is not one number
     +- NonFiniteStep           a step was not finite, and the script asked for an error (on_trip="raise")

Rules of this file: these are raised while a run is set up or at its first step; later only NonFiniteStep, and only
where it was asked for. What fails inside lossguard itself is never raised into training (see shield.py).
"""


class LossguardError(Exception):
    """Something is wrong with how lossguard was called."""


class ConfigError(LossguardError, ValueError):
    """An argument cannot be meant so; the text says which, and what is allowed."""


class UnknownComponent(LossguardError, KeyError):
    """run.total got a component that the curriculum does not declare."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name, self.known = name, known

    def __str__(self) -> str:
        return (
            f"run.total got the component {self.name!r}, which no stage declares; "
            f"declared are {', '.join(self.known)}. "
            f"Add it to a stage's weights (0 is allowed), or correct the name."
        )


class NotAScalar(LossguardError, TypeError):
    """A loss component must be one number."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        super().__init__(name)
        self.name, self.shape = name, shape

    def __str__(self) -> str:
        return f"run.total got {self.name!r} with shape {list(self.shape)}; reduce it to one number, e.g. by .mean()."


class NonFiniteStep(LossguardError, FloatingPointError):
    """A loss, a gradient or a buffer was not finite; the optimizer did not step, so weights and state are clean."""

    def __str__(self) -> str:
        return (self.__doc__ or "") + " Raised because lg.init was called with on_trip='raise'."
