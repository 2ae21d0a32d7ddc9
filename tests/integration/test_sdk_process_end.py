"""However a training process ends, its spool tells how far it came, and how it ended."""

import signal
from pathlib import Path

import pytest

from helpers import isolate
from lossguard.buffer import Note, Row
from lossguard.process_end import EndBuffer
from ways_to_end import walk

LOGGED = "run = start(); log(run); until(lambda: spool_of(run).last_seq >= 3)\n"  # declaration, schema, frame
LOOPED = """
run, model, optimizer = trainer()
for batch in train(run, model, optimizer, range(5)):
    if batch == 3:
        {}
"""
INSIDE = """
with start() as run:
    log(run)
    {}
"""
# what ends it, the exit code, the recorded states
ENDS: dict[str, tuple[str, int, list[str]]] = {
    "it comes to its end": (LOGGED, 0, ["finished"]),
    "finish": (LOGGED + "run.finish()", 0, ["finished"]),
    "finish, then an error": (LOGGED + "run.finish(); 1 / 0", 1, ["finished"]),
    "an error that nobody caught": (LOGGED + "raise RuntimeError('out of memory')", 1, ["crashed"]),
    "an error told as an exit code": (LOGGED + "try: 1 / 0\nexcept ArithmeticError: sys.exit(1)", 1, ["crashed"]),
    "Ctrl-C": (LOGGED + "raise KeyboardInterrupt", -signal.SIGINT, ["stopped"]),
    "sys.exit()": (LOGGED + "sys.exit()", 0, ["finished"]),
    "sys.exit(0)": (LOGGED + "sys.exit(0)", 0, ["finished"]),
    "sys.exit(3)": (LOGGED + "sys.exit(3)", 3, ["crashed"]),
    "sys.exit(text)": (LOGGED + "sys.exit('no data')", 1, ["crashed"]),
    "sys.exit in a thread": (
        LOGGED + "t = threading.Thread(target=sys.exit, args=(3,)); t.start(); t.join()", 0, ["finished"],
    ),
    "a kill": (LOGGED + "os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, []),
    "os._exit": (LOGGED + "os._exit(5)", 5, []),
    "a session whose last error was another's": (
        LOGGED + "sys.ps1 = ''; sys.last_value = sys.last_exc = NameError('slip')", 0, ["finished"],
    ),
    "a run dropped at the very end": (
        "import lossguard.link; lossguard.link.PUMP_S = 1.0\nrun = start(); log(run); del run", 0, ["finished"],
    ),
    "two runs": (LOGGED + "other = start(); 1 / 0", 1, ["crashed", "crashed"]),
    "with": (INSIDE.format("pass"), 0, ["finished"]),
    "with, an error": (INSIDE.format("1 / 0"), 1, ["crashed"]),
    "with, Ctrl-C": (INSIDE.format("raise KeyboardInterrupt"), -signal.SIGINT, ["stopped"]),
    "with, sys.exit(0)": (INSIDE.format("sys.exit(0)"), 0, ["finished"]),
    "with, raise SystemExit(3)": (INSIDE.format("raise SystemExit(3)"), 3, ["crashed"]),
}  # fmt: skip
LOOP_ENDS: dict[str, tuple[str, int, list[str]]] = {
    "the loop's end": (LOOPED.format("pass"), 0, ["finished"]),
    "the optimizer's next run": (LOOPED.format("pass") + "lg.init(mode='off', optimizer=optimizer)", 0, ["finished"]),
    "break": (LOOPED.format("break"), 0, ["finished"]),
    "an error in the loop": (LOOPED.format("1 / 0"), 1, ["crashed"]),
    "Ctrl-C in the loop": (LOOPED.format("raise KeyboardInterrupt"), -signal.SIGINT, ["stopped"]),
    "sys.exit(3) in the loop": (LOOPED.format("sys.exit(3)"), 3, ["crashed"]),
    "sys.exit(3) that somebody catches": (
        LOOPED.format("\n        try: sys.exit(3)\n        except SystemExit: pass"), 0, ["finished"],
    ),
    "Ctrl-C in a session": ("sys.ps1 = ''\n" + LOOPED.format("raise KeyboardInterrupt"), -signal.SIGINT, ["stopped"]),
    "an error in the loop that is caught": (
        f"try:\n    {LOOPED.format('1 / 0').strip().replace(chr(10), chr(10) + '    ')}\nexcept ArithmeticError: pass",
        0, ["finished"],
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def test_the_spool_is_whole_and_says_how_it_ended(tmp_path: Path) -> None:
    ended = walk(tmp_path, {name: way for name, (way, _, _) in ENDS.items()})
    assert {name: (end.code, end.states) for name, end in ended.items()} == {
        name: (code, states) for name, (_, code, states) in ENDS.items()
    }
    for name, end in ended.items():
        assert end.steps_of("a") == list(range(50)), name


def test_a_loop_that_is_left_in_any_way_has_every_step_it_made(tmp_path: Path) -> None:
    ended = walk(tmp_path, {name: way for name, (way, _, _) in LOOP_ENDS.items()})
    assert {name: (end.code, end.states) for name, end in ended.items()} == {
        name: (code, states) for name, (_, code, states) in LOOP_ENDS.items()
    }
    for name, end in ended.items():
        whole = name in ("the loop's end", "the optimizer's next run", "sys.exit(3) that somebody catches")
        assert end.steps_of("loss/total") == end.steps_of("grad_norm/total") == list(range(5 if whole else 4)), name


def test_a_run_has_one_end_and_it_comes_last() -> None:
    buffer = EndBuffer()
    notes = [Note("finish", 1, 0.0, {"state": state}) for state in ("finished", "stopped")]
    row = Row(1, ("a",), [1.0], 0.0)
    buffer.add_row(row)
    buffer.add_note(notes[0])
    buffer.add_row(row)
    buffer.add_note(notes[1])
    assert buffer.drain() == [row, row, notes[0]]
    buffer.add_row(row)
    buffer.shut()
    buffer.add_row(row)
    buffer.add_note(Note("error", 1, 0.0))
    assert (buffer.drain(), buffer.drain()) == ([row], [])
