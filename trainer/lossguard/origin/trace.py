"""Watches one execution of a training step, op by op, and says where a non-finite value was born.

Rules of this file: it changes no bit of what it watches, and leaves no hook and no mode behind. It may be entered in a
generator and left by an exception. What an op made is followed by its memory, because the first event of a step
need not be the one that reached the loss: a mask may be made with log(0). Every op is waited for: this is for a replay.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

from ..shield import Shield
from .birth import Birth, Taint, Taints, share_memory
from .content import Content, content_of, dense_parts
from .judge import Source, judge
from .ops import Facts, numbers_in, tensors_in
from .places import Place, Places, clean_path

__all__ = ["Birth", "OriginTrace"]

BIRTHS_MAX = 1_000
INPUT = "input"


class OriginTrace:
    """Within `with trace:`, the births of non-finite values are recorded; `model` gives the paths, None gives none.

    births: all that nobody meant, in order, at most BIRTHS_MAX. Compiled code runs eagerly within it, and is not
    recompiled afterwards. Use an object once.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self.births: list[Birth] = []
        self._model = model
        self._taints, self._places = Taints(), Places(model)
        self._facts: dict[object, Facts] = {}
        self._watch = _Watch(self)
        self._mode, self._undo = ExitStack(), ExitStack()
        self._is_on = False
        self._shield = Shield()  # the user's step must not fail because it is looked at

    def __enter__(self) -> "OriginTrace":
        with ExitStack() as undo:  # what fails half-way is undone
            stance = torch.compiler.set_stance("force_eager")
            undo.callback(stance.__exit__, None, None, None)
            undo.callback(self._places.stop)
            self._places.start()
            self._mode.enter_context(self._watch)
            self._undo = undo.pop_all()
        self._is_on = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """May be called twice. From another thread (a collected generator) the mode can only be silenced."""
        self._is_on = False
        self._undo.close()
        if _get_current_dispatch_mode() is self._watch:  # each thread has its own
            self._mode.close()

    def birth_of(self, tensor: Tensor) -> Birth | None:
        """The birth whose value reached `tensor`; None where it is finite. Ask before its memory is written again."""
        was_on, self._is_on = self._is_on, False  # the looking itself must not be looked at
        try:
            for part in dense_parts(tensor.detach()):
                content = content_of(part)
                if not content.is_finite:
                    return self._taint_of(part, content, None).birth
        finally:
            self._is_on = was_on
        return None

    def rank_of(self, birth: Birth | None) -> int:
        """Its number among the births: the smaller, the earlier. One that was meant comes last."""
        return self.births.index(birth) if birth in self.births else len(self.births)

    # -- each op ------------------------------------------------------------------------------------------------

    def look(self, op: Any, args: Sequence[object], kwargs: Mapping[str, object]) -> object:
        """Run `op`, and judge what it made."""
        if not self._is_on or self._shield.broken:
            return op(*args, **kwargs)
        facts, given, before = Facts(str(op)), dict[str, object](), list[Source]()
        with self._shield("the trace of an origin"):
            facts = self._facts_of(op)
            given = facts.named(args, kwargs)
            # what is about to be overwritten can be asked only now
            before = self._sources([value for name, value in given.items() if name in facts.reads_first], facts)
        result = op(*args, **kwargs)
        with self._shield("the trace of an origin"):
            self._places.remember(facts.label)
            if not facts.is_quiet:
                self._look_at(result, facts, given, before)
        return result

    def _facts_of(self, op: object) -> Facts:
        facts = self._facts.get(op)
        if facts is None:
            facts = self._facts[op] = Facts.of(op)
        return facts

    def _look_at(self, result: object, facts: Facts, given: Mapping[str, object], before: list[Source]) -> None:
        to_write = [given.get(name) for name in facts.changes]
        # an op in place returns what it was given
        tensors = {id(tensor): tensor for tensor in tensors_in([result, to_write])}
        written = [part for tensor in tensors.values() for part in dense_parts(tensor)]
        if facts.is_fresh:
            self._allocated(written, facts)
        elif facts.is_constant:
            self._wrote_down(written)
        else:
            self._wrote(written, facts, given, before)

    def _wrote(
        self, written: Sequence[Tensor], facts: Facts, given: Mapping[str, object], before: list[Source]
    ) -> None:
        bad: list[tuple[int, Tensor, Content]] = []
        for index, part in enumerate(written):
            content = content_of(part)
            if content.is_finite:
                self._taints.clear(part)
            else:
                bad.append((index, part, content))
        if not bad:
            return
        values = [value for name, value in given.items() if name not in facts.changes]
        sources = [*before, *self._sources(values, facts)]
        numbers = [number for value in given.values() for number in numbers_in(value)]
        place = self._places.of(facts.label)
        for index, part, content in bad:
            verdict = judge(content, sources, numbers)
            is_meant = verdict.is_meant or (facts.has_by_products and index > 0 and not content.has_nan)
            heir = verdict.heir
            if heir is None:
                heir = Taint(_birth(place, content), is_meant)
                self._record(heir)
            self._taints.put(part, heir)

    def _allocated(self, parts: Sequence[Tensor], facts: Facts) -> None:
        place = self._places.of(facts.label)
        for part in parts:
            self._taints.put(part, Taint(_birth(place, Content(has_nan=True)), is_unwritten=True))

    def _wrote_down(self, parts: Sequence[Tensor]) -> None:
        for part in parts:
            content = content_of(part)
            if not content.is_finite:
                self._taints.put(part, Taint(_birth(self._places.of(INPUT), content), is_meant=True))

    def _sources(self, values: Sequence[object], facts: Facts) -> list[Source]:
        sources = []
        for tensor in tensors_in(list(values)):
            for part in dense_parts(tensor):
                content = content_of(part)
                if not content.is_finite:
                    sources.append(Source(content, self._taint_of(part, content, facts)))
        return sources

    # -- what was there before ----------------------------------------------------------------------------------

    def _taint_of(self, part: Tensor, content: Content, facts: Facts | None) -> Taint:
        """Of a tensor that is not finite. What no op of this trace wrote was there before it."""
        taint = self._taints.find(part)
        if taint is None or taint.is_unwritten:
            taint = self._from_outside(part, content, facts) if taint is None else _seen(taint, content)
            self._record(taint)
            self._taints.put(part, taint)
        return taint

    def _from_outside(self, part: Tensor, content: Content, facts: Facts | None) -> Taint:
        # Masks hold -inf and nothing else of the kind; data and weights that went wrong hold NaN, or +inf as well.
        looks_meant = content.has_minus_inf and not content.has_plus_inf and not content.has_nan
        for kind, name, tensor in self._of_model():
            if any(share_memory(part, own) for own in dense_parts(tensor)):
                path = clean_path(name, self._model)
                birth = Birth(INPUT, "forward", path.rpartition(".")[0], f"{kind} {path}", content.word)
                return Taint(birth, is_meant=looks_meant and kind == "buffer")
        where = self._places.of(INPUT).where if facts is not None else ""
        return Taint(Birth(INPUT, "forward", "", where, content.word), is_meant=looks_meant)

    def _of_model(self) -> list[tuple[str, str, Tensor]]:
        if self._model is None:
            return []
        named = list(self._model.named_parameters())
        gradients = [("gradient of", name, p.grad) for name, p in named if p.grad is not None]
        buffers = [("buffer", name, buffer) for name, buffer in self._model.named_buffers()]
        return [*(("parameter", name, p) for name, p in named), *buffers, *gradients]

    def _record(self, taint: Taint) -> None:
        if not taint.is_meant and len(self.births) < BIRTHS_MAX and taint.birth not in self.births:
            self.births.append(taint.birth)


class _Watch(TorchDispatchMode):
    """Hands every op to the trace."""

    supports_higher_order_operators = True  # else flex_attention raises under a mode

    def __init__(self, trace: OriginTrace) -> None:
        self.trace = trace  # the base's own state is made when the mode is entered

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        return self.trace.look(func, args, kwargs or {})


def _birth(place: Place, content: Content) -> Birth:
    return Birth(place.op, place.phase, place.module, place.where, content.word, place.backward_of)


def _seen(taint: Taint, content: Content) -> Taint:
    born = taint.birth
    return Taint(Birth(born.op, born.phase, born.module, born.where, content.word, born.backward_of))
