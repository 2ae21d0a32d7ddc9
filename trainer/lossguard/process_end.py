"""How a run ends where nobody calls `run.finish`: with its process, by SIGTERM, in a fork, dropped, or by a newer run.

Rules of this file:
- A signal handler and a destructor run between any two instructions of a thread, its logging and its locks included.
  They wait for no lock and start no thread: they append to the buffer and raise the link's flag, and the link thread
  does the rest.
- A run is held by its script alone. What outlives it here (atexit, the handler, sys.exit, the mark on an optimizer)
  holds it weakly, so that a model is freed when its run is dropped.
- Of what a process has one (the handler, sys.exit), the object that is installed there is what its runs share.
"""

import atexit
import functools
import logging
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn, Protocol

from .buffer import ROWS_MAX, Note, Row, SampleBuffer
from .journal import Journal
from .link import LinkThread
from .loop import Loop

log = logging.getLogger("lossguard")

EXIT_S = 5.0  # for a server that answers, at the interpreter's exit
SIGTERM_S = 2.0  # launchers kill 10 to 30 s after SIGTERM; most of that is the user's own
BACKGROUND_S = 30.0  # for what is left of a run that was dropped, while the process goes on
MARK = "_lossguard"  # the attribute of an optimizer that ties it to its run


class Run(Protocol):
    """What is used of a run."""

    id: str

    def finish(self, timeout_s: float = ..., state: str | None = None) -> None:
        """As run.Run's."""


class EndBuffer(SampleBuffer):
    """A buffer that takes one end of the run, the first, and gives it out last; and takes nothing once it is shut."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        super().__init__(rows_max)
        self._is_shut = self._end_is_drained = False
        self._end: Note | None = None

    def add_note(self, note: Note) -> None:
        """Queue an event; never dropped while the run goes on."""
        if self._is_shut:
            return
        if note.kind != "finish":
            super().add_note(note)
        elif self._end is None:  # one assignment: a signal handler comes before it or after it, and dies of its signal
            self._end = note

    def drain(self) -> list[Row | Note]:
        """Everything queued so far, oldest first."""
        end, items = self._end, super().drain()  # in this order: what was queued before the end comes before it
        if end is not None and not self._end_is_drained:
            self._end_is_drained = True
            items.append(end)
        return items

    def shut(self) -> None:
        """Whatever comes now is forgotten; what is queued stays."""
        self._rows_max, self._is_shut = 0, True


class ProcessEnd:
    """The end of one run. To the run it is its link; it dies with the run."""

    def __init__(
        self,
        run: Run,
        link: LinkThread,
        buffer: EndBuffer,
        loop: Loop,
        optimizers: Sequence[object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._is_over = False
        self._run, self._link, self._buffer, self._loop = weakref.ref(run), link, buffer, loop
        self._optimizers, self._clock = list(optimizers), clock
        self._run_id, self._thread = run.id, threading.get_ident()
        self._in_background = False
        self._exit: tuple[object, int] | None = None
        self._shared: list[_Shared] = []
        self._at_exit = _AtExit(self, link)

    def watch(self, handle_sigterm: bool) -> None:
        """Look out for every end there is; called once the link runs."""
        for optimizer in self._optimizers:
            vars(optimizer)[MARK] = Mark(self)
        atexit.register(self._at_exit)
        self._shared = [SysExit.of_this_process()]
        if handle_sigterm and (handler := Sigterm.of_this_process()) is not None:
            self._shared.append(handler)
        for shared in self._shared:
            shared.add(self)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_weakly(self._begin_as_child))

    # -- by the run itself --------------------------------------------------------------------------------------

    def finish(self, timeout_s: float) -> None:
        """Deliver for up to `timeout_s`; the run has told its end."""
        if self._is_over:
            return
        self._buffer.shut()
        if self._in_background:
            self._is_over = True
            self._link.end(timeout_s)
            self._leave()
            return
        try:
            self._link.finish(timeout_s)
        finally:
            self._is_over = True
            self._leave()
            atexit.unregister(self._at_exit)

    @property
    def journal(self) -> Journal:
        """Of its stream."""
        return self._link.journal

    # -- by something else --------------------------------------------------------------------------------------

    def exit(self) -> None:
        """The interpreter ends."""
        if (run := self._run()) is not None:
            run.finish(EXIT_S, self._state_at_exit())

    def called_exit(self, status: object) -> None:
        """sys.exit was called; somebody may catch it yet."""
        self._exit = (status, self._loop.step)

    def interrupt(self, timeout_s: float) -> None:
        """The process is about to die: begin to save what there is. Called by a signal handler; returns at once."""
        self._tell("stopped")
        self._link.end(timeout_s)

    def wait(self, timeout_s: float) -> None:
        """Until the link thread is done."""
        self._link.join(max(0.0, timeout_s))

    def give_way(self) -> None:
        """A newer run measures the same optimizer: this one ends here, and delivers in the background."""
        run = self._run()
        if run is None or self._is_over:
            return
        state = self._state_alone()
        log.warning(
            "lossguard: run %s was not finished when lg.init got its optimizer again; it is recorded as %s.",
            self._run_id,
            state,
        )
        self._in_background = True
        run.finish(BACKGROUND_S, state)
        self._loop.turn_off()  # its loop may go on, without snapshots of what is another run's now

    def __del__(self) -> None:
        if getattr(self, "_is_over", True):
            return
        self._is_over = True
        state = self._state_alone()
        if threading.get_ident() == self._thread:  # a device is asked by the training thread alone
            self._loop.end()
        self._loop.turn_off()
        self._tell(state)
        # the link says it: this may be in the middle of somebody's logging
        text = f"run {self._run_id} was dropped without run.finish(); it is recorded as stopped."
        self._link.end(BACKGROUND_S, text if state == "stopped" else "")
        self._leave()

    def _begin_as_child(self) -> None:
        """In a forked child: the run is its parent's. Nothing is measured, written, sent or ended here."""
        self._is_over = True
        self._buffer.shut()
        self._loop.turn_off()
        self._link.disown()
        self._leave()
        atexit.unregister(self._at_exit)

    # -- inside -------------------------------------------------------------------------------------------------

    def _tell(self, state: str) -> None:
        self._buffer.add_note(Note("finish", max(self._loop.step, 0), self._clock(), {"state": state}))
        self._buffer.shut()

    def _leave(self) -> None:
        for shared in self._shared:
            shared.remove(self)
        for optimizer in self._optimizers:
            mark = vars(optimizer).get(MARK)
            if isinstance(mark, Mark) and mark.end() in (self, None):
                del vars(optimizer)[MARK]

    def _state_alone(self) -> str:
        """How a run ended of which nothing is known but its loop."""
        return "finished" if self._loop.is_through and self._loop.state == "running" else "stopped"

    def _state_at_exit(self) -> str | None:
        if hasattr(sys, "ps1") or sys.flags.interactive:
            return self._state_alone()  # the last error of a session need not be this run's
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if error is None and self._exit is not None and self._exit[1] == self._loop.step:
            error = SystemExit(self._exit[0])
        return state_after(error)


def state_after(error: BaseException | None) -> str | None:
    """What an exception that leaves the loop says of the run; None where it says nothing against it."""
    if error is None:
        return None
    if isinstance(error, SystemExit):
        is_zero = error.code is None or (isinstance(error.code, int) and error.code == 0)
        return None if is_zero else "crashed"
    return "crashed" if isinstance(error, Exception) else "stopped"


def make_room(optimizers: Sequence[object]) -> None:
    """End the unfinished runs that measure one of these: the cell of a notebook was run again."""
    for optimizer in optimizers:
        mark = getattr(optimizer, "__dict__", {}).get(MARK)
        if isinstance(mark, Mark) and (end := mark.end()) is not None:
            end.give_way()


class Mark:
    """On an optimizer: the end of the run that measures it."""

    def __init__(self, end: ProcessEnd) -> None:
        self.end = weakref.ref(end)

    def __reduce__(self) -> tuple[type[bool], tuple[()]]:
        return bool, ()  # a copy has no run, and a pickle of it must load where lossguard is not installed


class _AtExit:
    """What atexit calls; stays registered after a drop, because the link may still deliver."""

    def __init__(self, end: ProcessEnd, link: LinkThread) -> None:
        self._end, self._link = weakref.ref(end), weakref.ref(link)

    def __call__(self) -> None:
        if (end := self._end()) is not None:
            end.exit()
        elif (link := self._link()) is not None:
            link.join(EXIT_S)


def _weakly(method: Callable[[], None]) -> Callable[[], None]:
    """The bound method, without holding its object: what is registered for forks cannot be taken back."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if (bound := reference()) is not None:
            bound()

    return call


class _Shared:
    """The ends that share something of which a process has one."""

    def __init__(self) -> None:
        self._ends: dict[int, weakref.ref[ProcessEnd]] = {}

    def add(self, end: ProcessEnd) -> None:
        self._ends[id(end)] = weakref.ref(end)

    def remove(self, end: ProcessEnd) -> None:
        self._ends.pop(id(end), None)
        if not self._ends:
            self.uninstall()

    def uninstall(self) -> None:
        """Nobody needs it any more."""

    def alive(self) -> list[ProcessEnd]:
        return [end for ref in list(self._ends.values()) if (end := ref()) is not None]


class Sigterm(_Shared):
    """The handler of SIGTERM: saves what there is for at most SIGTERM_S, and dies of the signal.

    A forked child has the default again, and the signal is kept from it until then: what a handler of Python's catches
    before the child's interpreter has begun is forgotten, and who terminates a worker at once would wait for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_ending = False
        self._masks: dict[int, set[signal.Signals | int]] = {}  # of the threads that are forking now

    @classmethod
    def of_this_process(cls) -> "Sigterm | None":
        """The one that is installed, or a new one; None where another handler is, or none may be installed."""
        current: object = signal.getsignal(signal.SIGTERM)
        if isinstance(current, cls):
            return current
        if current is not signal.SIG_DFL or threading.current_thread() is not threading.main_thread():
            return None
        handler = cls()
        try:
            signal.signal(signal.SIGTERM, handler)
        except ValueError:  # a sub-interpreter
            return None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=_weakly(handler._before_fork),
                after_in_parent=_weakly(handler._after_fork),
                after_in_child=_weakly(handler._begin_as_child),
            )
        return handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_installed() or self._is_ending:
            # a later handler calls us as its predecessor: what happens is its matter. Or the signal came twice, as it
            # does where a launcher and its agent both send it
            return
        self._is_ending = True
        try:
            deadline_s = time.monotonic() + SIGTERM_S
            ends = self.alive()
            for end in ends:
                end.interrupt(0.75 * SIGTERM_S)
            for end in ends:
                end.wait(deadline_s - time.monotonic())
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def uninstall(self) -> None:
        """Back to the default; only the main thread may, and without runs it acts as the default."""
        if self._is_installed() and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _before_fork(self) -> None:
        if self._is_installed():
            self._masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def _after_fork(self) -> None:
        if (mask := self._masks.pop(threading.get_ident(), None)) is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _begin_as_child(self) -> None:
        self.uninstall()
        self._after_fork()

    def _is_installed(self) -> bool:
        current: object = signal.getsignal(signal.SIGTERM)
        return current is self


class SysExit(_Shared):
    """sys.exit, remembering what it was called with: atexit is told nothing, sys.excepthook is not called for it."""

    def __init__(self, original: Callable[..., NoReturn]) -> None:
        super().__init__()
        functools.update_wrapper(self, original)
        self._original = original

    @classmethod
    def of_this_process(cls) -> "SysExit":
        """The one that is installed, or a new one."""
        current: object = sys.exit
        if not isinstance(current, cls):
            current = vars(sys)["exit"] = cls(sys.exit)
        return current

    def __call__(self, status: object = None, /) -> NoReturn:
        if threading.current_thread() is threading.main_thread():  # elsewhere it ends a thread
            for end in self.alive():
                end.called_exit(status)
        self._original(status)

    def __reduce__(self) -> str:
        return "exit"  # pickled by name, as sys.exit is

    def uninstall(self) -> None:
        """Only where nobody has put something else there."""
        if vars(sys)["exit"] is self:
            vars(sys)["exit"] = self._original
