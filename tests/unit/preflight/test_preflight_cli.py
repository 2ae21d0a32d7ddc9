"""`lossguard preflight`: scripts and scenarios, the exit codes, and what stands on stdout."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lossguard.preflight.__main__ import main
from lossguard.preflight.asked import BATCHES, FILE
from lossguard.scenarios.__main__ import main as train

SCRIPT = """
import sys, torch, lossguard as lg
aux = float(sys.argv[1])
print("the script's own words", sys.argv[2:])
model = torch.nn.Linear(4, 1)
opt = torch.optim.SGD(model.parameters(), 0.1)
stages = [lg.Stage("one", 0, {"ce": 1.0}), lg.Stage("two", 10, {"ce": 1.0, "aux": 0.01})]
run = lg.init("p", model=model, optimizer=opt, curriculum=lg.Curriculum(*stages))
for x in run.steps([torch.ones(2, 4)] * int(sys.argv[2])):
    said = model(x).square().mean()
    run.total(ce=said + 2, aux=said + aux).backward()
    opt.step()
run.finish()
open("saved", "w").close()
if aux < 0: raise ValueError("after the loop")
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # where it saves
    (tmp_path / "train.py").write_text(SCRIPT)
    return tmp_path


def test_a_script_whose_stage_blows_up(script: Path) -> None:
    words = ["train.py", "--batches", "2", "--", "700", "9", "--json"]
    command = [sys.executable, "-m", "lossguard_server", "preflight", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=script)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Preflight over 2 batches")
    assert done.stdout.endswith("Stage 'two' would blow up, by aux.\n")
    assert "the script's own words ['9', '--json']" in done.stderr
    assert sorted(path.name for path in script.iterdir()) == ["train.py"]  # nothing saved, nothing spooled


def test_a_script_that_fails_afterwards_has_no_clean_bill(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", str(script / "train.py"), "--", "-1", "1"]) == 2
    out, err = capfd.readouterr()
    assert (json.loads(out)["ok"], json.loads(out)["batches"]) == (True, 1)
    assert "ValueError: after the loop" in err
    assert "train.py ended with exit code 1 after 1 of 4 batches." in err


def test_a_script_that_makes_no_total(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "idle.py").write_text("print('nothing')")
    assert main([str(tmp_path / "idle.py")]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "ended with exit code 0 and made no total: there is no report." in err


def test_the_help_says_what_a_batch_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "calls of run.total to look at; with accumulation they are fewer optimizer steps; default: 4" in said


def test_a_training_that_refuses_its_options(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["denovo", "--variant", "nosuch"]) == 2
    assert "There is no variant of denovo 'nosuch'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nosuch.py"], "'nosuch.py' is no file and no scenario; the scenarios are denovo, ris, tabular"),
        (["denovo", "--batches", "0"], "--batches is 0; it is a number from 1."),
    ],
)
def test_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def of_scenario(words: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The report of a scenario's training, in this process."""
    monkeypatch.setenv(BATCHES, "1")
    monkeypatch.setenv(FILE, str(folder / "report.json"))
    with pytest.raises(SystemExit):
        train(words)
    return dict(json.loads((folder / "report.json").read_text())["report"])


def test_the_report_of_the_first_incident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = of_scenario(["denovo"], tmp_path, monkeypatch)
    stages = report["stages"]
    precursor = stages[1]["rows"][-1]
    assert precursor["component"] == "precursor"
    assert 600 < precursor["raw"] < 800
    assert 6 < precursor["contribution"] < 8
    assert precursor["share"] > 0.65  # of 3.2 + 7.1: an untrained cross-entropy; 0.76 with the report's 2.2
    assert [stage["verdict"] for stage in stages[:2]] == ["fine", "critical"]
    assert stages[1]["findings"][0]["weight"] == pytest.approx(2.2e-5, rel=0.2)
    assert report["ok"] is False


@pytest.mark.parametrize(
    ("words", "kinds"),
    [
        (["denovo", "--variant", "log1p"], []),
        (["ris", "--variant", "unnormalised"], ["gradient_not_finite", "alone", "too_large"]),
        (["ris", "--variant", "fixed"], []),
        (["tabular", "--variant", "empty_mask"], ["not_finite", "not_finite"]),
        (["tabular", "--variant", "bert"], []),
        (["planets"], []),
    ],
)
def test_the_other_reports(words: list[str], kinds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = of_scenario(words, tmp_path, monkeypatch)
    assert [found["kind"] for found in report["stages"][0]["findings"]] == kinds
    assert report["ok"] is (not kinds)
