"""`python -m lossguard.scenarios`: what it prints and how it ends."""

import json
from pathlib import Path

import pytest

from lossguard.scenarios.__main__ import main
from lossguard.scenarios.record import JsonlRecorder


@pytest.fixture(autouse=True)
def off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", "off")


def test_it_trains_records_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "record.jsonl"
    small = ["--steps", "3", "--stage-steps", "2", "--batch-size", "4", "--seed", "1", "--device", "cpu"]
    assert main(["denovo", "--variant", "log1p_x100", *small, "--record", str(record)]) == 0
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [float.fromhex(line["weight"]["precursor"]) for line in lines] == [0.0, 0.0, 0.01]
    assert capsys.readouterr().out.startswith("denovo log1p_x100: Summary(steps=3")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "There is no scenario 'nothing'; choose from denovo, ris, tabular, planets."),
        (["denovo", "--variant", "l2"], "There is no variant of denovo 'l2'; choose from log1p_x100, log1p, l1."),
        (
            ["denovo", "--curriculum", "x"],
            "There is no curriculum of denovo 'x'; choose from original, reduced, gaussian.",
        ),
        (["denovo", "--spectrum", "x"], "There is no spectrum of denovo 'x'; choose from huber, gaussian."),
        (["ris", "--sigma", "2"], "ris has no option --sigma."),
        (["tabular", "--bin-size", "2"], "tabular has no option --bin-size; its own are --loss."),
        (["denovo", "--sigma", "2"], "--sigma is for --spectrum gaussian; with --spectrum huber it does nothing."),
        (["denovo", "--scale-factor", "2"], "--scale-factor is for --variant l1; with --variant log1p_x100 it does"),
        (["denovo", "--spectrum", "gaussian", "--sigma", "0"], "sigma is 0; it must be a finite number above 0."),
        (["denovo", "--spectrum", "gaussian", "--bin-size", "1"], "bin_size is 1; with a sigma of 0.05 it must be 0.2"),
        (["denovo", "--steps", "0"], "steps is 0; it must be 1 or more."),
        (["denovo", "--steps", "many"], "invalid int value: 'many'"),
        (["denovo", "--record", "/nowhere/at/all"], "No such file or directory"),
    ],
)
def test_a_usage_error_ends_with_2_and_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_ctrl_c_ends_with_130_and_closes_the_record(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[int] = []

    def interrupted(self: JsonlRecorder, step: int, *rest: object) -> None:
        written.append(step)
        raise KeyboardInterrupt

    monkeypatch.setattr(JsonlRecorder, "write", interrupted)
    record = tmp_path / "record.jsonl"
    assert main(["denovo", "--steps", "9", "--batch-size", "4", "--device", "cpu", "--record", str(record)]) == 130
    assert written == [0]
