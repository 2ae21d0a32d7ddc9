"""SIGTERM: what there is is saved, the process dies of it in time, and whoever else handles it is left alone."""

import signal
from pathlib import Path

import pytest

from helpers import events, isolate, points
from tiny_server import TinyServer
from ways_to_end import walk

TERMINATE = "os.kill(os.getpid(), signal.SIGTERM)\n"
LATER = "threading.Thread(target=lambda: (until(lambda: {}), os.kill(os.getpid(), signal.SIGTERM))).start()\n"
LOGGED = "run = start(); log(run)\n"
# what happens, and the recorded states; all of them die of the signal
DEATHS: dict[str, tuple[str, list[str]]] = {
    "while it logs": (LOGGED + TERMINATE + "until(lambda: False)", ["stopped"]),
    "two runs": (LOGGED + "other = start(); log(other)\n" + TERMINATE, ["stopped", "stopped"]),
    "with the logging's lock held": (
        "import logging\nlogging.lastResort.acquire()\n" + LOGGED + TERMINATE, ["stopped"],
    ),
    "the main thread waits for the one that trains": (
        LOGGED + "thread = threading.Thread(target=lambda: until(lambda: False)); thread.start()\n"
        + LATER.format("True") + "thread.join()", ["stopped"],
    ),
    "twice": (
        LOGGED + "handler = signal.getsignal(signal.SIGTERM)\n" + LATER.format("handler._is_ending")
        + "link = run._link._link; end = link.end\n"
        + "link.end = lambda timeout_s: (until(lambda: not threading.active_count() > 3), end(timeout_s))\n"
        + TERMINATE, ["stopped"],
    ),
    "after finish": (LOGGED + "run.finish()\n" + TERMINATE, ["finished"]),
    "forgotten in another thread's finish": (
        LOGGED + "thread = threading.Thread(target=run.finish); thread.start(); thread.join()\n" + TERMINATE,
        ["finished"],
    ),
    "switched off": ("run = start(handle_sigterm=False); log(run)\nuntil(lambda: spool_of(run).last_seq >= 3)\n"
                     + TERMINATE, []),
    "init in another thread": (
        "runs = []; thread = threading.Thread(target=lambda: runs.append(start())); thread.start(); thread.join()\n"
        "log(runs[0])\nuntil(lambda: spool_of(runs[0]).last_seq >= 3)\n" + TERMINATE, [],
    ),
    "a handler that came later and went again": (
        LOGGED + "mine = lambda *_: None; ours = signal.signal(signal.SIGTERM, mine)\n" + TERMINATE
        + "signal.signal(signal.SIGTERM, ours)\n" + TERMINATE, ["stopped"],
    ),
}  # fmt: skip
HANDLER = "seen = []\ndef mine(*_): seen.append(1)\n"
# all of them live on, and end as they like
LIVES: dict[str, str] = {
    "a handler was there before": (
        HANDLER + "signal.signal(signal.SIGTERM, mine)\n" + LOGGED + TERMINATE
        + "until(lambda: seen); run.finish(); assert signal.getsignal(signal.SIGTERM) is mine"
    ),
    "a handler came later": (
        LOGGED + HANDLER + "signal.signal(signal.SIGTERM, mine)\n" + TERMINATE
        + "until(lambda: seen); run.finish(); assert signal.getsignal(signal.SIGTERM) is mine"
    ),
    "a handler came later and calls ours": (
        LOGGED + HANDLER + "ours = signal.signal(signal.SIGTERM, lambda *a: (mine(), ours(*a)))\n" + TERMINATE
        + "until(lambda: seen); run.finish()"
    ),
    "ignored": "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LOGGED + TERMINATE + "run.finish()",
    "finish puts the default back": (
        LOGGED + "other = start(); assert callable(signal.getsignal(signal.SIGTERM))\nrun.finish()\n"
        "assert callable(signal.getsignal(signal.SIGTERM))\nother.finish()\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL"
    ),
    "off": "run = lg.init(mode='off')\nassert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
           "run = start(); log(run); run.finish()",
}  # fmt: skip
PAUSED = f"""
from lossguard.protocol.messages import Command
run, model, optimizer = trainer()
threading.Thread(target=lambda: (until(lambda: run.status().state == "paused"), {TERMINATE.strip()})).start()
for batch in train(run, model, optimizer, range(10)):
    if batch == 3:
        run._loop.parts.controller.offer(Command(id="c", number=1, kind="pause", args={{}}))
"""


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def test_what_there_is_is_saved_and_the_process_dies_of_the_signal(tmp_path: Path) -> None:
    ended = walk(tmp_path, {name: way for name, (way, _) in DEATHS.items()})
    assert {name: (end.code, end.states) for name, end in ended.items()} == {
        name: (-signal.SIGTERM, states) for name, (_, states) in DEATHS.items()
    }
    for name, end in ended.items():
        assert end.steps_of("a") == list(range(50)) * (2 if name == "two runs" else 1), name
        assert end.said == "", name


def test_whoever_else_handles_it_decides(tmp_path: Path) -> None:
    for name, end in walk(tmp_path, LIVES).items():
        assert (end.code, end.said) == (0, ""), name
        assert set(end.states) == {"finished"}, name
        assert end.steps_of("a") == list(range(50)), name


def test_a_loop_and_a_pause_end_at_once(tmp_path: Path) -> None:
    loop = (
        f"run, model, optimizer = trainer()\nfor b in train(run, model, optimizer, range(9)):\n if b == 4: {TERMINATE}"
    )
    for name, end in walk(tmp_path, {"in a step": loop + TERMINATE, "paused": PAUSED}).items():
        assert (end.code, end.states) == (-signal.SIGTERM, ["stopped"]), (name, end.said)
        assert end.steps_of("loss/total") == [0, 1, 2, 3], name


def test_a_server_that_answers_gets_everything_before_the_process_dies(tmp_path: Path) -> None:
    with TinyServer() as server:
        (end,) = walk(tmp_path, {"online": LOGGED + TERMINATE}, server.url).values()
        assert (end.code, end.messages) == (-signal.SIGTERM, [])
        assert points(server.messages)["a"] == [(step, float(step)) for step in range(50)]
        assert [event.data["state"] for event in events(server.messages, "finish")] == ["stopped"]


def test_a_server_that_does_not_answer_keeps_nobody_alive(tmp_path: Path) -> None:
    """Neither while training, nor in a finish that would wait for it for ten minutes."""
    with TinyServer() as server:
        server.acknowledges = False
        connected = "until(lambda: run._link._link._was_welcome)\n"
        ways = {
            "training": LOGGED + connected + TERMINATE,
            "finishing": LOGGED + connected + LATER.format("run._link is None") + "run.finish(timeout_s=600)",
        }
        ended = walk(tmp_path, ways, server.url)
    assert {name: (end.code, end.states) for name, end in ended.items()} == {
        "training": (-signal.SIGTERM, ["stopped"]), "finishing": (-signal.SIGTERM, ["finished"]),
    }  # fmt: skip


AT_A_LINE = """
lines = 0
def look(frame, event, arg):
    global lines
    if frame.f_globals["__name__"].startswith(("lossguard.", "threading")):
        lines += 1
        if lines == {line}:
            os.kill(os.getpid(), signal.SIGTERM)
    return look

{before}
sys.settrace(look)
{traced}
sys.settrace(None)
"""
LOOP = "for batch in train(run, model, optimizer, range(3)): pass"
# what comes before, what is interrupted, and about how many lines of ours that takes
INTERRUPTED = {
    "finish": (f"run, model, optimizer = trainer()\n{LOOP}", "run.finish()", 150),
    "steps": ("run, model, optimizer = trainer()", LOOP, 900),
    "init": ("", "run = start()", 700),
}


@pytest.mark.parametrize("what", INTERRUPTED)
def test_any_line_of_ours_may_be_interrupted(tmp_path: Path, what: str) -> None:
    """Nothing hangs, nothing is damaged, and an end is told once."""
    before, traced, lines = INTERRUPTED[what]
    ways = {f"line {n}": AT_A_LINE.format(line=n, before=before, traced=traced) for n in range(1, lines, lines // 30)}
    ended = walk(tmp_path, ways)
    for name, end in ended.items():
        told = [["stopped"], ["finished"]] if before or end.code == 0 else [["stopped"], []]
        assert end.code in (0, -signal.SIGTERM), (name, end.said)
        assert end.states in told, (name, end.said)
    # else the lines are not where they were, and the numbers above are to be counted again
    assert [end.code for end in ended.values()][:20] == [-signal.SIGTERM] * 20
