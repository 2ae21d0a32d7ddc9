"""The weights in force: what the curriculum plans, and what an operator put in its place.

Rules of this file: pure; one place decides a weight. An override holds across stages until it is reverted, because the
slip that made it necessary does not end with a stage.
"""

from .curriculum import Curriculum


class Schedule:
    """The curriculum with overrides on top."""

    def __init__(self, curriculum: Curriculum) -> None:
        self.curriculum = curriculum
        self._overrides: dict[str, float] = {}

    def weights_at(self, step: int) -> dict[str, float]:
        """The weight in force of every component at `step`."""
        return {**self.curriculum.weights_at(step), **self._overrides}

    def weight(self, component: str, step: int) -> float:
        """The weight in force of one component at `step`."""
        return self.weights_at(step)[component]

    def override_of(self, component: str) -> float | None:
        """What an operator set, or None when the curriculum rules."""
        return self._overrides.get(component)

    def override(self, component: str, value: float | None) -> None:
        """Set the weight, or with None give it back to the curriculum."""
        if value is None:
            self._overrides.pop(component, None)
        else:
            self._overrides[component] = value
