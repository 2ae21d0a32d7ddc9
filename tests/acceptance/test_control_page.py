"""What a person does to a run on the page, in a real Chromium against a real server and the real reference trainer.

Rules of this file: what a control says before it is pressed and after is compared with what the trainer did. No
wait_for_function: it evaluates a string, which the page's CSP refuses.
"""

import asyncio
import contextlib
import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import lossguard as lg
from lossguard.protocol.messages import ControlsSpec
from processes import ServerProcess, TrainerProcess, chromium_page, until
from raw_trainer import RawTrainer
from torchrun import torchrun

pytestmark = pytest.mark.browser

STAGE_STEPS = 300
APPEARS_MS = 60_000
PHONE = (390, 844)


@pytest.fixture
def trainer(server: ServerProcess, tmp_path: Path) -> Iterator[TrainerProcess]:
    process = TrainerProcess(
        server, tmp_path, "denovo", "--variant", "log1p_x100", "--stage-steps", str(STAGE_STEPS), "--steps", "100000"
    )
    yield process
    process.end()


@pytest.fixture
def shown(server: ServerProcess, trainer: TrainerProcess, page: Any) -> Any:
    """The page with the run on it, past its first steps."""
    return open_run(page, server.page_url)


def open_run(page: Any, address: str) -> Any:
    page.set_default_timeout(APPEARS_MS)
    page.goto(address)
    page.get_by_test_id("stage-row").first.wait_for()
    until(lambda: step_on(page) > 20, "the run makes steps")
    return page


def step_on(page: Any) -> int:
    digits = "".join(char for char in str(page.get_by_test_id("vital-step").inner_text()) if char.isdigit())
    return int(digits or 0)


def says(page: Any, test_id: str, words: str) -> str:
    """The text of the part, once it has `words` in it; thin spaces are spaces."""
    place = page.get_by_test_id(test_id).first
    until(lambda: place.count() == 1 and words in plain(place.inner_text()), f"{test_id} says {words!r}")
    return plain(place.inner_text())


def plain(text: str) -> str:
    return text.replace("\u2009", "")


def run_of(server: ServerProcess) -> str:
    return str(server.get("/api/runs")["items"][0]["id"])


def commands(server: ServerProcess) -> list[dict[str, Any]]:
    return list(server.get(f"/api/runs/{run_of(server)}/commands")["items"])


def post(server: ServerProcess, path: str, body: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.admin_token}"}
    return httpx.post(f"{server.url}{path}", json=body, headers=headers, trust_env=False, timeout=10)


def weights_made(trainer: TrainerProcess, component: str) -> dict[int, float]:
    """The trainer's own word: its weight at every step."""
    return {int(row["step"]): float.fromhex(row["weight"][component]) for row in trainer.record()}


def test_a_weight_is_foreseen_then_leased_and_ends_by_itself(
    server: ServerProcess, trainer: TrainerProcess, shown: Any, complaints: list[str]
) -> None:
    slider = shown.get_by_test_id("weight-slider-ce")
    slider.focus()
    for _ in range(3):
        slider.press("PageDown")
    shown.locator("[data-testid=what-if-ce][data-state=told]").wait_for()
    foreseen = says(shown, "what-if-ce", "Computed from steps")
    assert re.search(r"1 → 0\.\d+: share .* → .*, total .* → ", foreseen), foreseen
    assert shown.locator("[data-testid=what-if-ce] path").count() == 2
    assert commands(server) == [], "nothing is sent before Apply is pressed"

    shown.get_by_test_id("weight-input-ce").fill("0.25")
    shown.get_by_test_id("lease-ce").fill("60")
    shown.get_by_test_id("weight-apply-ce").click()
    said = says(shown, "outcome-weight-ce", "applied at step")
    applied = int(re.findall(r"applied at step (\d+)", said)[0])
    assert commands(server)[0]["step"] == applied
    until(lambda: step_on(shown) > applied + 65, "the lease is over")
    made = weights_made(trainer, "ce")
    held = [made[step] for step in range(applied - 2, applied + 62)]
    assert held == [1.0] * 2 + [0.25] * 60 + [1.0] * 2
    until(lambda: shown.get_by_test_id("weight-input-ce").input_value() == "1", "the page follows the run")
    until(lambda: mark_says(shown, f"ends by itself at step {applied + 60}"), "the end is a mark on the curves")
    assert complaints == []


def mark_says(page: Any, words: str) -> bool:
    titles = page.locator("[data-testid=chart-contributions] .glyph").evaluate_all("all => all.map(one => one.title)")
    return any(words in plain(title) for title in titles)


def test_a_held_stage_does_not_come_until_it_is_released(
    server: ServerProcess, trainer: TrainerProcess, shown: Any, tmp_path: Path
) -> None:
    shown.get_by_test_id("btn-hold").click()
    says(shown, "proposal-stage", "until it is released")
    assert commands(server) == []
    shown.get_by_test_id("send-stage").click()
    held_since = int(re.findall(r"since step (\d+)", says(shown, "held", "held since step"))[0])
    assert held_since < STAGE_STEPS
    says(shown, "stages", "waits for the release")
    until(lambda: step_on(shown) > STAGE_STEPS + 20, "the step at which the next stage is declared goes by")
    stage = shown.get_by_test_id("vital-stage").inner_text()
    assert stage.startswith("1:"), f"the stage came although it is held: {stage}"
    assert set(weights_made(trainer, "precursor").values()) == {0.0}

    shown.get_by_test_id("btn-release").click()
    says(shown, "proposal-stage", f"goes on from {held_since}")
    shown.get_by_test_id("send-stage").click()
    released = int(re.findall(r"applied at step (\d+)", says(shown, "outcome-stage", "held → going on"))[0])
    begins = released + STAGE_STEPS - held_since
    says(shown, "stages", f"at step {begins}")
    until(lambda: step_on(shown) > begins + 2, "the next stage begins")
    made = weights_made(trainer, "precursor")
    assert (made[begins - 1], made[begins]) == (0.0, 0.01)
    with shown.expect_download() as download:
        shown.get_by_test_id("export-curriculum").click()
    patch = tmp_path / "patch.json"
    download.value.save_as(patch)
    assert [each["kind"] for each in json.loads(patch.read_text())["operations"]] == ["hold_stage", "release_stage"]
    assert len(lg.Curriculum.load(patch).operations) == 2


def test_a_verdict_appears_and_one_press_takes_the_command_back(
    server: ServerProcess, trainer: TrainerProcess, shown: Any
) -> None:
    shown.get_by_test_id("weight-input-ce").fill("0.5")
    shown.get_by_test_id("weight-apply-ce").click()
    says(shown, "outcome-weight-ce", "applied at step")
    verdict = shown.get_by_test_id("effect").first
    verdict.wait_for()
    told = commands(server)[0]
    assert told["effect"]["text"] in verdict.inner_text()
    judged = told["effect"]["at_step"] + told["effect"]["steps"]
    assert f"by step {judged}" in plain(verdict.inner_text())
    if told["effect"]["decided"]:
        until(lambda: mark_says(shown, told["effect"]["text"]), "the verdict is a mark on the curves")
    shown.get_by_test_id(f"revert-{told['id']}").click()
    until(lambda: commands(server)[0]["kind"] == "revert" and commands(server)[0]["state"] == "applied", "reverted")
    at = commands(server)[0]["step"]
    until(lambda: step_on(shown) > at + 2, "steps after it")
    made = weights_made(trainer, "ce")
    assert (made[at - 1], made[at]) == (0.5, 1.0)
    until(lambda: shown.get_by_test_id(f"revert-{told['id']}").count() == 0, "what is taken back is not offered again")


def test_what_is_queued_can_be_cancelled(server: ServerProcess, page: Any) -> None:
    async def asked_for() -> None:
        trainer = RawTrainer(server.url, server.ingest_token)
        await trainer.connect()
        trainer.declare(components=["ce"], controls=ControlsSpec(["set_weight"], {"ce": (0.0, 1.0)}))
        trainer.frame([0, 1], loss__ce=[1.0, 1.0], weight__ce=[0.5, 0.5])
        await trainer.deliver()
        body = {"kind": "set_weight", "args": {"component": "ce", "value": 0.25}, "idempotency_key": "mine"}
        sent = await asyncio.to_thread(post, server, f"/api/runs/{run_of(server)}/commands", body)
        assert sent.status_code == 201
        trainer.disconnect()

    in_a_thread(asked_for)
    assert server.stop() == 0
    # as if the server had died between storing it and sending it, and the trainer with it
    with contextlib.closing(sqlite3.connect(server.folder / "lossguard.db")) as database, database:
        (history,) = database.execute("SELECT history FROM command").fetchone()
        database.execute("UPDATE command SET state = 'queued', history = ?", [json.dumps(json.loads(history)[:1])])
    server.start()
    page.set_default_timeout(APPEARS_MS)
    page.goto(server.page_url)
    row = page.locator("[data-testid=command-row][data-state=queued]")
    row.get_by_role("button", name="cancel").click()
    page.locator("[data-testid=command-row][data-state=cancelled]").wait_for()
    assert [each["state"] for each in commands(server)] == ["cancelled"]


def in_a_thread(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Playwright's own loop is in this one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, work()).result(30)


def test_a_change_by_somebody_else_is_shown_before_mine_goes(
    server: ServerProcess, trainer: TrainerProcess, shown: Any
) -> None:
    shown.get_by_test_id("weight-input-ce").fill("0.5")
    shown.locator("[data-testid=what-if-ce][data-state=told]").wait_for()
    other = {"kind": "set_weight", "args": {"component": "spectrum", "value": 0.02}, "idempotency_key": "other"}
    assert post(server, f"/api/runs/{run_of(server)}/commands", other).status_code == 201
    until(lambda: commands(server)[0]["state"] == "applied", "the other's is applied")
    shown.get_by_test_id("weight-apply-ce").click()
    says(shown, "outcome-weight-ce", "#1 spectrum weight 0 → 0.02")
    assert len(commands(server)) == 1, "mine did not go"
    shown.get_by_test_id("weight-apply-ce").click()
    says(shown, "outcome-weight-ce", "#2 applied at step")
    assert [each["state"] for each in commands(server)] == ["applied", "applied"]


def test_a_refusal_of_the_trainer_reaches_the_control(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    kinds = ("set_clip",)
    with training(server, tmp_path, lg.Controls(kinds=kinds)):
        page.set_default_timeout(APPEARS_MS)
        page.goto(server.page_url)
        page.get_by_test_id("input-clip").fill("0.5")
        says(page, "proposal-clip", "gradients are clipped to norm 0.5")
        page.get_by_test_id("send-clip").click()
        says(page, "outcome-clip", "rejected: the script has not called run.clip_grad_norm_ yet")
        assert page.get_by_test_id("input-lr-scale").count() == 0, "what the script does not allow is not there"
        assert page.get_by_test_id("weight-slider-ce").is_disabled()


def test_a_checkpoint_is_written_where_the_script_can(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    saved: list[int] = []

    def save(step: int) -> str:
        saved.append(step)
        return f"checkpoints/{step}.pt"

    with training(server, tmp_path, lg.Controls(kinds=("checkpoint",)), checkpoint=save):
        page.set_default_timeout(APPEARS_MS)
        page.goto(server.page_url)
        page.get_by_test_id("btn-checkpoint").click()
        says(page, "proposal-checkpoint", "The script writes a checkpoint at the next step.")
        assert saved == [], "nothing is sent before the second press"
        page.get_by_test_id("send-checkpoint").click()
        said = says(page, "outcome-checkpoint", "applied at step")
        assert f"#1 applied at step {saved[0]}: checkpoints/{saved[0]}.pt" in said
        assert saved == [commands(server)[0]["step"]]


def slow_and_bad(rank: int, folder: Path) -> int:
    """Three ranks, the last of them slow; from step 30 on the gradients of rank 1 are not finite."""
    from ranked_training import RankedTraining

    where = json.loads((folder / "where").read_text())
    training = RankedTraining(folder, "alone", mode="online", **where)
    step = 0
    while not (folder / "end").exists() and training.run.boundary():
        time.sleep(0.03 if rank == 2 else 0.01)  # who holds the others up is what is tested
        training.one(training.batches(1)[0], "gradients" if rank == 1 and step >= 30 else "")
        step += 1
    training.finish()
    return step


def test_the_ranks_of_a_real_job_are_told_apart(server: ServerProcess, page: Any, tmp_path: Path) -> None:
    where = {"url": server.url, "token": server.ingest_token}
    (tmp_path / "where").write_text(json.dumps(where))
    job = threading.Thread(target=torchrun, args=(slow_and_bad, 3, tmp_path))
    job.start()
    try:
        page.set_default_timeout(APPEARS_MS)
        page.goto(server.page_url)
        says(page, "straggler", "rank 2 is a straggler")
        says(page, "ranks-not-finite", "rank 1: not finite since step 30")
        says(page, "vital-not-finite", "rank 1: not finite since step 30")
        says(page, "vital-not-finite", "charts show rank 0")
        says(page, "incident-headline", "Rank 1 is not finite")
        for rank in range(3):
            says(page, f"rank-{rank}", "ms")
    finally:
        (tmp_path / "end").touch()
        job.join()


@contextmanager
def training(server: ServerProcess, folder: Path, controls: lg.Controls, **init: Any) -> Iterator[None]:
    """A loop of one loss in this process, which never clips."""
    to_server = {"url": server.url, "token": server.ingest_token, "dir": str(folder / "spool")}
    run = lg.init("test", "page", losses={"ce": 1.0}, controls=controls, **to_server, **init)
    end = threading.Event()

    def loop() -> None:
        while not end.wait(0.02) and run.boundary():
            run.total(ce=torch.tensor(2.0))

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        run.finish(timeout_s=5)


def test_by_keyboard_alone_a_weight_is_moved_and_an_ambiguous_number_is_asked(
    server: ServerProcess, trainer: TrainerProcess, shown: Any
) -> None:
    says(shown, "weight-facts-ce", "allowed 0 to 10")
    shown.get_by_test_id("input-clip").fill("1,000")
    assert shown.locator("[data-testid=input-clip][aria-invalid=true]").count() == 1
    assert "1000 or 1.000?" in shown.locator("section[aria-label=Optimizer]").inner_text()
    shown.keyboard.press("Escape")
    assert shown.get_by_test_id("input-clip").input_value() == ""

    slider = shown.get_by_test_id("weight-slider-ce")
    slider.focus()
    shown.keyboard.press("PageDown")
    shown.locator("[data-testid=what-if-ce]").wait_for()
    shown.keyboard.press("Escape")
    shown.get_by_test_id("what-if-ce").wait_for(state="detached")
    slider.focus()
    shown.keyboard.press("PageDown")
    shown.keyboard.press("Enter")
    says(shown, "outcome-weight-ce", "applied at step")
    command = commands(server)[0]
    assert command["new"] < 1.0
    verdict = shown.get_by_test_id("outcome-effect")
    verdict.wait_for()
    assert commands(server)[0]["effect"]["text"] in verdict.inner_text(), "the effect stands where the weight was moved"
    shown.get_by_test_id(f"outcome-revert-{command['id']}").press("Enter")
    until(lambda: commands(server)[0]["kind"] == "revert", "it is taken back from there")


def test_a_double_click_stops_nothing_and_a_stopped_run_promises_nothing(
    server: ServerProcess, trainer: TrainerProcess, shown: Any
) -> None:
    shown.get_by_test_id("btn-stop").dblclick()
    assert shown.get_by_test_id("btn-stop").inner_text() == "Really stop?"
    assert commands(server) == []
    shown.get_by_test_id("btn-stop").click()
    shown.get_by_test_id("vital-state").filter(has_text="stopped").wait_for()
    later = shown.locator("[data-testid=stage-row] .stage-when").nth(2)
    until(lambda: later.inner_text() == "not reached", "a later stage is not promised")
    assert shown.get_by_test_id("schedule").count() == 0


def test_a_view_only_token_sees_all_of_it_and_can_do_none(
    server: ServerProcess, trainer: TrainerProcess, page: Any
) -> None:
    viewer = post(server, "/api/tokens", {"name": "viewer", "scopes": ["view"]}).json()["token"]
    open_run(page, f"{server.url}/#t={viewer}")
    says(page, "no-control", "View only")
    says(page, "stages", "clock at")
    free = "#control :is(input, button):enabled:not(.steer-parts button, [data-testid=export-curriculum])"
    assert page.locator(free).count() == 0


def test_on_a_phone_all_of_it_is_reached(server: ServerProcess, trainer: TrainerProcess, tmp_path: Path) -> None:
    with chromium_page(tmp_path / "phone", *PHONE) as page:
        open_run(page, server.page_url)
        page.get_by_test_id("weight-input-ce").fill("0.5")
        page.get_by_test_id("gate-spectrum").click()
        page.get_by_test_id("btn-hold").click()
        page.locator("[data-testid=what-if-ce][data-state=told]").wait_for()
        assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE[0]
        weights = ("ramp-ce", "lease-ce", "what-if-ce", "send-gate-spectrum", "input-scale-all")
        stages = ("btn-hold", "lease-stage", "send-stage", "export-curriculum")
        for reached in (*weights, *stages, "input-lr-scale", "input-clip"):
            place = page.get_by_test_id(reached)
            place.scroll_into_view_if_needed()
            box = place.bounding_box()
            assert box["x"] >= 0, reached
            assert box["x"] + box["width"] <= PHONE[0], reached
