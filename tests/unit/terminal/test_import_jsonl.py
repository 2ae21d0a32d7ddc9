"""JSON lines of the usual trackers become series; what is no number is counted, and a bad line is named."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.terminal.importing.json_lines import read_jsonl
from lossguard_server.terminal.importing.points import BadFile, Found
from unit.terminal.imported import points


def read(folder: Path, *lines: dict[str, Any] | str, step_key: str | None = None, end: str = "\n") -> Found:
    path = folder / "log.jsonl"
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text + end)
    return read_jsonl(path, "n", step_key)


def test_w_and_b_lines(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"_step": 0, "_timestamp": 1.7e9, "_runtime": 3.5, "loss": "NaN", "step": 7, "eval": {"acc": 0.5, "f1": 1}},
        {"_step": 1, "_timestamp": 1.7e9 + 60, "loss": float("-inf"), "h": {"_type": "histogram", "bins": [1]}},
        {"_step": 2, "note": "a text", "id": "15", "done": True, "loss": None, "list": [1, 2]},
    )
    assert points(found) == {
        "_timestamp": [(0, "1700000000.0"), (1, "1700000060.0")],
        "_runtime": [(0, "3.5")],
        "loss": [(0, "nan"), (1, "-inf")],
        "step": [(0, "7.0")],
        "eval/acc": [(0, "0.5")],
        "eval/f1": [(0, "1.0")],
    }
    assert (found.skipped, found.last_s) == (5, 1.7e9 + 60)


def test_mlflow_lines_are_points(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {"key": "loss", "value": 0.5, "step": 3, "timestamp": 1_700_000_000_000},
        {"key": "loss", "value": 0.0, "step": 4, "timestamp": 1_700_000_000_000, "is_nan": True},
        {"key": "acc", "value": -0.0, "step": 4, "timestamp": 1_700_000_000_000, "run_id": "r"},
    )
    assert points(found) == {"loss": [(3, "0.5"), (4, "nan")], "acc": [(4, "-0.0")]}
    with pytest.raises(BadFile, match="line 2: It belongs to another run"):
        read(tmp_path, *({"key": "a", "value": 1, "step": 1, "run_id": run} for run in "ab"))


def test_trackio_lines_and_the_trainer_s_own_log_history(tmp_path: Path) -> None:
    trackio = read(
        tmp_path, {"step": 2, "timestamp": "2025-01-01T00:00:00+00:00", "metrics": {"loss": 1.5, "a": {"b": 2}}}
    )
    assert points(trackio) == {"loss": [(2, "1.5")], "a/b": [(2, "2.0")]}
    assert trackio.last_s == 1_735_689_600.0
    history = read(
        tmp_path, {"loss": 2.5, "epoch": 0.1, "step": 10}, {"train_runtime": 5.0}, {"loss": 2.0, "step": "20"}
    )
    assert points(history)["loss"] == [(10, "2.5"), (20, "2.0")]
    assert history.remarks == ("1 lines have no 'step' and were left out",)


def test_lines_before_the_first_step_do_not_hide_its_key(tmp_path: Path) -> None:
    found = read(tmp_path, {"config": {"lr": 1}}, {"iteration": 4, "x": 1}, {"iteration": 5, "x": 2})
    assert points(found) == {"x": [(4, "1.0"), (5, "2.0")]}


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    found = read(tmp_path, {"step": 0, "a": 1}, '{"step": 1, "a', end="")
    assert points(found) == {"a": [(0, "1.0")]}
    assert found.remarks == ("line 2 is cut off and was left out",)


def test_integers_beyond_float64_are_counted(tmp_path: Path) -> None:
    assert read(tmp_path, {"step": 0, "a": 10**400, "b": 1}).skipped == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"step": 1, "a": }', r"line 2: It is no JSON object .*Mend or remove"),
        ("[1, 2]", r"line 2: It is no JSON object"),
        ("1", r"line 2: It is no JSON object"),
        ('{"step": -1, "a": 2}', r"line 2: '-1' is no step"),
        ('{"step": true, "a": 2}', r"line 2: 'True' is no step"),
        ('{"step": "soon", "a": 2}', r"line 2: 'soon' is no step"),
        ('{"step": 1.5, "a": 2}', r"line 2: '1.5' is no step.*--step-column"),
        ('{"step": NaN, "a": 2}', r"line 2: 'nan' is no step"),
        ('{"step": 1, "a\\u0000": 2}', r"line 2: 'a\\x00' cannot name a series"),
        ('{"step": 1, "\\ud800": 2}', r"line 2: .* cannot name a series: it is not valid Unicode"),
        ('{"step": 1, "": 2}', r"line 2: '' cannot name a series: it is empty.*Rename"),
        ('{"step": 1, "a": ' + "[" * 100_000 + "}", r"line 2: It is no JSON object"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(BadFile) as caught:
        read(tmp_path, {"step": 0, "a": 1}, line)
    assert re.search(says, f"{caught.value.message} {caught.value.hint}"), caught.value.message


def test_a_file_without_steps_says_how_to_name_them(tmp_path: Path) -> None:
    for step_key, wanted in ((None, "a step"), ("i", "'i'")):
        with pytest.raises(BadFile, match=rf"No line has {wanted}\.") as caught:
            read(tmp_path, {"loss": 1}, {"loss": 2}, step_key=step_key)
        assert "--step-column" in caught.value.hint
