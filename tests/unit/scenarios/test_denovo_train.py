"""The training: real, the same with and without lossguard, and showing its incident by itself."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lossguard.errors import ConfigError
from lossguard.scenarios import Options, UnknownChoice
from lossguard.scenarios.denovo import DENOVO
from lossguard.scenarios.denovo import train as denovo
from lossguard.scenarios.denovo.plain import train_plain
from lossguard.scenarios.record import JsonlRecorder


def recorded(options: Options, path: Path) -> list[dict[str, Any]]:
    recorder = JsonlRecorder(path)
    denovo.train(options, recorder)
    recorder.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(options.steps))
    return lines


def number(line: dict[str, Any], kind: str, component: str) -> float:
    return float.fromhex(line[kind][component])


DRAWN = {"variant": "l1", "curriculum": "gaussian", "knobs": {"spectrum": "gaussian", "weight_factor": 0.5}}


@pytest.mark.parametrize(("mode", "chosen"), [("offline", {}), ("off", {}), ("offline", DRAWN)])
def test_lossguard_changes_no_bit_of_the_training(
    mode: str, chosen: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LOSSGUARD_MODE", mode)
    # short stages: only from the third on does the order of the sum matter
    options = DENOVO.options(steps=40, stage_steps=4, batch_size=8, eval_every=7, device="cpu", **chosen)
    watched = [line["total"] for line in recorded(options, tmp_path / "record.jsonl")]
    assert watched == train_plain(options)


def test_the_same_seed_trains_the_same_and_another_does_not() -> None:
    def totals(seed: int) -> list[str]:
        return train_plain(Options("l1", steps=3, seed=seed, batch_size=4, device="cpu"))

    assert totals(1) == totals(1)
    assert totals(1) != totals(2)


def test_the_total_jumps_by_about_six_when_the_stage_starts(tmp_path: Path) -> None:
    options = Options("log1p_x100", steps=70, stage_steps=60, device="cpu")
    lines = recorded(options, tmp_path / "record.jsonl")
    before, after = lines[59], lines[60]
    assert number(before, "weight", "precursor") == 0.0
    assert number(after, "weight", "precursor") == 0.01
    assert 550 < number(after, "loss", "precursor") < 750
    assert 2.2 < float.fromhex(before["total"]) < 3.0
    assert 5.5 < float.fromhex(after["total"]) - float.fromhex(before["total"]) < 7.5


@pytest.mark.parametrize("variant", ["log1p", "l1"])
def test_a_mended_loss_enters_unnoticed(variant: str, tmp_path: Path) -> None:
    lines = recorded(Options(variant, steps=62, stage_steps=60, device="cpu"), tmp_path / "record.jsonl")
    assert 0.1 < number(lines[60], "loss", "precursor") < 1.0
    assert abs(float.fromhex(lines[60]["total"]) - number(lines[60], "loss", "ce")) < 0.01


def test_the_summary_says_how_it_ended() -> None:
    summary = denovo.train(Options("l1", steps=4, batch_size=4, device="cpu"))
    assert (summary.steps, summary.state) == (4, "finished")
    assert summary.steps_per_s > 0
    assert 0 <= summary.token_accuracy_easy <= 1
    assert 0 <= summary.token_accuracy_hard <= 1


def test_what_cannot_be_trained_is_refused_before_the_first_step() -> None:
    with pytest.raises(UnknownChoice, match="variant"):
        denovo.train(Options("l2"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="no CUDA device here"):
            denovo.train(Options("l1", device="cuda"))
