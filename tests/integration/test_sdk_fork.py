"""A forked child has no part in its parent's run: it writes, sends and ends nothing, and nothing of it hangs."""

from pathlib import Path

import pytest

from helpers import events, isolate, points, soon, spooled
from tiny_server import TinyServer
from ways_to_end import walk

# `child` runs in a fork; its exit code must be 0
FORKED = """
run, model, optimizer = trainer()
def fork(child):
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit(0)  # with all that an interpreter does at its end
    return pid
def wait(pid):
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
for batch in train(run, model, optimizer, range(10)):
    if batch == 5:
        {}
"""
TRAINS = """
        import gc
        def child():
            assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
            assert list(train(run, model, optimizer, range(5))) == list(range(5))
            run.log({"b": 1.0, "c": torch.tensor(1.0)})
            run.matrix("m", torch.eye(2))
            run.finish()
            gc.collect()
        wait(fork(child))
"""
WAYS = {
    "it does nothing": FORKED.format("wait(fork(lambda: None))"),
    "it trains and finishes": FORKED.format(TRAINS),
    "it makes a run of its own": FORKED.format("""
        def child():
            own = lg.init(mode="offline", dir=f"{here}/own", model=model, optimizer=optimizer)
            assert len(list(train(own, model, optimizer, range(4)))) == 4
            own.finish()
        wait(fork(child))
"""),
    "it forks again": FORKED.format("wait(fork(lambda: wait(fork(run.finish))))"),
    "it fails": FORKED.format("assert os.waitpid(fork(lambda: 1 / 0), 0)[1] != 0"),
    "a with is left in it": FORKED.format("wait(fork(lambda: run.__exit__(ValueError, ValueError(), None)))"),
    "in another thread": FORKED.format("""
        # os._exit: torch ends a child whose thread returns by a fatal error, with or without us
        thread = threading.Thread(target=lambda: wait(fork(lambda: (run.log({"b": 1.0}), run.finish(), os._exit(0)))))
        thread.start(), thread.join()
"""),
    "multiprocessing, fork": FORKED.format("""
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=lambda: (run.log({"b": 1.0}), run.finish()))
        process.start(), process.join()
        assert process.exitcode == 0
"""),
    "multiprocessing, spawn": FORKED.format("""
        import multiprocessing
        process = multiprocessing.get_context("spawn").Process(target=sys.exit, args=(3,))
        process.start(), process.join()
        assert process.exitcode == 3
"""),
    # at once: what reaches a child before its interpreter has begun is forgotten where a handler is installed
    "it is terminated": FORKED.format("""
        for _ in range(50):
            pid = fork(lambda: until(lambda: False))
            os.kill(pid, signal.SIGTERM)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=lambda: until(lambda: False))
        process.start(), process.terminate(), process.join()
        assert process.exitcode == -signal.SIGTERM
"""),
    "a DataLoader's workers": """
run, model, optimizer = trainer()
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 10
    def __getitem__(self, index):
        run.log({"b": 1.0})
        return torch.full((3,), float(index))
for epoch in range(2):
    loader = torch.utils.data.DataLoader(Data(), batch_size=2, num_workers=2)
    for batch in run.steps(loader):
        run.total(loss=model(batch).sum()).backward()
        optimizer.step()
""",
}


@pytest.fixture(autouse=True)
def _own_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


def test_the_parents_run_is_whole_and_its_own(tmp_path: Path) -> None:
    for name, end in walk(tmp_path, WAYS).items():
        assert (end.code, end.states) == (0, ["finished"]), (name, end.said)
        assert end.said == "" or name == "it fails", (name, end.said)
        assert [message.seq for message in end.messages] == list(range(1, len(end.messages) + 1)), name
        assert end.steps_of("loss/total") == end.steps_of("grad_norm/total") == list(range(10)), name
        assert not {"b", "c", "matrix/m/fro"} & set(points(end.messages)), name
    own = points(spooled(tmp_path / "it makes a run of its own" / "own"))
    assert [step for step, _ in own["grad_norm/total"]] == list(range(4))


@pytest.mark.parametrize("name", ["it trains and finishes", "a DataLoader's workers"])
def test_a_live_connection_goes_on(tmp_path: Path, name: str) -> None:
    with TinyServer() as server:
        (end,) = walk(tmp_path, {name: WAYS[name]}, server.url).values()
        assert (end.code, end.said, end.messages) == (0, "", [])
        assert [step for step, _ in points(server.messages)["loss/total"]] == list(range(10))
        assert [event.data["state"] for event in events(server.messages, "finish")] == ["finished"]
        assert len(server.hellos) == 1


def test_a_fork_at_any_moment_hangs_nobody(tmp_path: Path) -> None:
    """The link writes, sends and logs without a pause meanwhile; a child makes a run of its own, too."""
    way = """
import lossguard.link
lossguard.link.PUMP_S = 0.0
run = start()
for number in range(30):
    log(run, 20 * number, 20)
    if os.fork() == 0:
        run.log({"b": 1.0})
        run.finish()
        own = lg.init(dir=f"{here}/own", mode="offline")
        log(own, 0, 5)
        sys.exit(0)
for number in range(30):
    assert os.wait()[1] == 0
"""
    with TinyServer() as server:
        (end,) = walk(tmp_path, {"way": way}, server.url).values()
        assert (end.code, end.said) == (0, "")
        assert [step for step, _ in points(server.messages)["a"]] == list(range(600))
        assert "b" not in points(server.messages)
    assert len(list((tmp_path / "way" / "own").iterdir())) == 30


ORPHAN = """
import fcntl
run = start()
log(run)
until(lambda: spool_of(run).last_seq >= 3 and {connected})
parent = os.getpid()
def is_locked():
    (path,) = [f"{{here}}/{{name}}" for name in os.listdir(here) if name.endswith(".lgs")]
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
ready, go = os.pipe()
if os.fork() == 0:
    held = is_locked()
    os.write(go, b"1")
    is_over = lambda: os.path.exists(f"{{here}}/end")
    until(lambda: os.getppid() != parent)
    until(lambda: is_over() or not is_locked())  # the kernel lets go a moment later
    open(f"{{here}}/told", "w").write(json.dumps([held, is_locked()]))
    until(is_over)
    os._exit(0)
os.read(ready, 1)
os.kill(parent, signal.SIGKILL)
"""


def test_a_child_that_lives_longer_holds_neither_the_spools_lock_nor_the_socket(tmp_path: Path) -> None:
    """`lossguard sync` takes the spool of a dead trainer, and the server sees at once that it is gone."""
    with TinyServer() as server:
        server.acknowledges = False  # else there is no spool left to look at
        (end,) = walk(tmp_path, {"way": ORPHAN.format(connected="run._link._link._was_welcome")}, server.url).values()
        told = tmp_path / "way" / "told"
        try:
            assert soon(lambda: told.exists() and told.read_text(), "the orphan tells") == "[true, false]"
            assert end.states == []
            soon(lambda: not server._sockets, "the server sees that the trainer is gone")
        finally:
            (tmp_path / "way" / "end").touch()
