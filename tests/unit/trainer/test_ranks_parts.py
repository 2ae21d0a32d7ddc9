"""What the ranks tell, when they meet, and whether they share their gradients."""

import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed import HashStore

from lossguard.buffer import Note, Row, SampleBuffer
from lossguard.ranks import Alone
from lossguard.ranks.few import Few
from lossguard.ranks.meeting import _all_are_here, meet
from lossguard.ranks.pace import SharedCadence
from lossguard.ranks.sharing import shares_gradients
from lossguard.snapshots.options import Snapshots


def test_another_rank_tells_little() -> None:
    buffer = SampleBuffer()
    told: list[str] = []
    few = Few(buffer.add_row, buffer.add_note, lambda: told.append("bad"))
    names = ("loss/total", "loss/a", "step_time_s", "grad_norm/total", "grad_norm/a", "lr")
    few.add_row(Row(7, names, np.arange(6.0), 1.0))
    few.add_row(Row(8, ("lr", "mine"), [1.0, 2.0], 1.0))
    for kind in ("stage", "command", "rollback", "trip", "finish", "detail"):
        few.add_note(Note(kind, 7, 1.0))
    row, *notes = buffer.drain()
    assert isinstance(row, Row)
    assert (row.names, list(row.values)) == (("loss/total", "step_time_s", "grad_norm/total"), [0.0, 2.0, 3.0])
    assert [note.kind for note in notes if isinstance(note, Note)] == ["trip", "finish"]
    assert told == ["bad"]


def test_the_ranks_meet_when_the_last_has_come() -> None:
    store, answers = HashStore(), []
    ranks = [
        threading.Thread(target=lambda: answers.append(_all_are_here(store, "key", 3, 20.0)), daemon=True)
        for _ in range(3)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(30)
    assert answers == [True, True, True]


def test_nobody_meets_when_one_does_not_come_in_time_and_who_is_late_hears_the_same() -> None:
    store = HashStore()
    assert _all_are_here(store, "key", 2, 0.05) is False
    assert _all_are_here(store, "key", 2, 20.0) is False


def test_a_rank_without_torch_distributed_is_told_to_be_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert isinstance(meet(0, None, lambda text: None), Alone)
    assert "Call lg.init after init_process_group" in caplog.text
    monkeypatch.setenv("WORLD_SIZE", "1")
    caplog.clear()
    assert isinstance(meet(0, None, lambda text: None), Alone)
    assert caplog.text == ""


def test_a_model_that_nobody_wraps_shares_nothing() -> None:
    model = nn.Linear(2, 2)
    assert not shares_gradients(model, [torch.optim.SGD(model.parameters(), lr=0.1)], 2)
    assert not shares_gradients(None, [], 2)


def test_a_snapshot_is_taken_when_all_have_heard_of_it() -> None:
    ranks = Alone()  # hears itself at once: at the next boundary
    cadence = SharedCadence(Snapshots(every=3, healthy_after=1), ranks)
    due = []
    for step in range(12):
        if cadence.is_due(step):
            due.append(step)
            cadence.took(step, 0.0)
    assert due == [0, 4, 8]
