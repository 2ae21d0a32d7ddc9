"""TensorBoard's event files: both ways to write a scalar, restarts, subfolders, and damage."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from lossguard_server.terminal.client import Refused
from lossguard_server.terminal.importing.points import BadFile
from lossguard_server.terminal.importing.tensorboard import read_tensorboard
from unit.terminal.imported import points


def simple(step: int, **values: float) -> Event:
    """As torch's SummaryWriter writes scalars."""
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
    return Event(step=step, wall_time=1.7e9 + step, summary=summary)


def tensor(step: int, tag: str, array: object) -> Event:
    """As TensorFlow 2 writes them."""
    return Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, tensor=make_tensor_proto(array))]))


def log(folder: Path, *events: Event, suffix: str = "") -> Path:
    """A file of those events."""
    writer = EventFileWriter(str(folder), filename_suffix=suffix)
    for event in events:
        writer.add_event(event)
    writer.close()
    [file] = folder.glob(f"*tfevents*{suffix}")
    return file


def test_both_ways_to_write_a_scalar(tmp_path: Path) -> None:
    file = log(
        tmp_path / "logs",
        simple(0, a=0.5),
        tensor(1, "a", np.float32(math.nan)),
        tensor(2, "a", np.float64(0.1)),
        tensor(2, "n", np.int64(7)),
        simple(3, a=-math.inf, b=-0.0),
        tensor(3, "text", np.array([b"words"])),
        tensor(3, "many", np.arange(3.0)),
    )
    [found] = read_tensorboard(file, None)
    assert found.name == "logs"
    assert points(found) == {
        "a": [(0, "0.5"), (1, "nan"), (2, "0.1"), (3, "-inf")],
        "n": [(2, "7.0")],
        "b": [(3, "-0.0")],
    }
    assert (found.skipped, found.last_s) == (2, 1.7e9 + 3)


def test_a_restart_takes_back_what_it_says_and_the_newer_file_wins(tmp_path: Path) -> None:
    log(tmp_path, *(simple(step, a=1.0) for step in range(10)), suffix=".1")
    start = Event(step=6, session_log=SessionLog(status=SessionLog.START))
    log(tmp_path, start, simple(5, a=2.0), simple(6, a=2.0), suffix=".2")
    [found] = read_tensorboard(tmp_path, "given")
    assert found.name == "given"
    assert points(found)["a"] == [*((step, "1.0") for step in range(5)), (5, "2.0"), (6, "2.0")]
    assert found.repeated == 1


def test_each_subfolder_is_a_run(tmp_path: Path) -> None:
    log(tmp_path / "logs", simple(1, a=1.0))
    log(tmp_path / "logs" / "eval" / "x", simple(1, a=2.0))
    assert [found.name for found in read_tensorboard(tmp_path / "logs", None)] == ["logs", "logs/eval/x"]
    assert [found.name for found in read_tensorboard(tmp_path / "logs", "n")] == ["n", "n/eval/x"]


def test_a_cut_off_record_ends_the_file_and_a_damaged_one_is_an_error(tmp_path: Path) -> None:
    file = log(tmp_path, *(simple(step, a=1.0) for step in range(4)))
    whole = file.read_bytes()
    for missing in (1, 5, 20):
        file.write_bytes(whole[:-missing])
        [found] = read_tensorboard(tmp_path, None)
        assert (len(found.series["a"][0]), found.remarks[0][:16]) == (3, "the last record ")
    for at in range(len(whole) - 40, len(whole), 7):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        with pytest.raises(BadFile, match=r"The record at byte \d+ is damaged"):
            list(read_tensorboard(tmp_path, None))


def test_what_is_no_log_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadFile, match="no event file in it"):
        list(read_tensorboard(tmp_path, None))
    with pytest.raises(BadFile, match=r"tag .*: '-3' is no step"):
        list(read_tensorboard(log(tmp_path / "a", simple(-3, a=1.0)), None))
    (tmp_path / "b.tfevents.1").write_bytes(b"step,a\n1,2\n" * 9)
    with pytest.raises(BadFile, match="byte 0 is damaged"):
        list(read_tensorboard(tmp_path / "b.tfevents.1", None))
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(Refused) as caught:
        list(read_tensorboard(tmp_path, None))
    assert "pip install 'lossguard[tensorboard]'" in caught.value.hint
