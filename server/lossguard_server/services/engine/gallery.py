"""Which series of a run are judged: all, up to a limit.

Rules of this file: a name that came is judged for ever; of those that come when there is no more room the first come
are not, and that is said. What rules look at by kind has room of its own, whatever else a script logs.
"""

from collections.abc import Sequence

from lossguard.protocol.names import kind_of

MAIN_MAX = 2_000  # losses, weights, gradients by group, matrices, counts
SIDE_MAX = 500  # whatever else: free scalars, parameters in full detail, activations, the system
_SIDE = frozenset({"scalar", "param_grad_norm", "activation", "system"})


class Gallery:
    """The series of one run that are judged."""

    def __init__(self) -> None:
        self._admitted: dict[str, bool] = {}
        self._counts = {True: 0, False: 0}  # by whether it is a side series
        self._parts: dict[tuple[str, ...], tuple[str, ...]] = {}
        self.is_full = False

    @classmethod
    def of(cls, names: Sequence[str]) -> "Gallery":
        """Those that were judged before."""
        gallery = cls()
        gallery.admit(tuple(names))
        return gallery

    def admit(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Of a row's series those that are judged, in their order."""
        if names not in self._parts:
            self._parts[names] = tuple(name for name in names if self._admits(name))
        return self._parts[names]

    def at(self, names: tuple[str, ...]) -> list[int]:
        """Where in `names` those stand that are judged."""
        return [index for index, name in enumerate(names) if self._admitted.get(name)]

    def said(self) -> str:
        """One sentence for a person."""
        return f"it has more series than are judged ({MAIN_MAX:,}, and {SIDE_MAX:,} that no rule is made for)"

    def _admits(self, name: str) -> bool:
        known = self._admitted.get(name)
        if known is not None:
            return known
        is_side = kind_of(name) in _SIDE
        fits = self._counts[is_side] < (SIDE_MAX if is_side else MAIN_MAX)
        self.is_full |= not fits
        self._counts[is_side] += fits
        if fits:  # of the others nothing is kept: there may be any number
            self._admitted[name] = True
        return fits
