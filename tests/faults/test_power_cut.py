"""Power cuts of the server's machine at random instants: no acknowledged commit is lost, no file is damaged.

LOSSGUARD_FAULTS_N sets the number of cuts (fifty for one), LOSSGUARD_FAULTS_SEED repeats a run that failed.
"""

import os
import random
import time
from pathlib import Path

from faults.evidence import DATABASE
from faults.power import Course, check_image, cuts, drive, small_log
from faults.power_fold import fold
from faults.recording_vfs import Sync, Write
from lossguard_server.store.database import Database

CUTS = max(1_200, 50 * int(os.environ.get("LOSSGUARD_FAULTS_N", "24")))
SEED = int(os.environ.get("LOSSGUARD_FAULTS_SEED", random.SystemRandom().randrange(1 << 31)))
COURSES, COMMITS = CUTS // 300, 60
LOG = f"{DATABASE}-wal"


def cut_down(course: Course, number: int, chance: random.Random, folder: Path) -> tuple[int, list[str]]:
    """(cuts that lost what was not acknowledged, faults) of so many cuts."""
    faults: list[str] = []
    for index, (files, acked) in enumerate(cuts(course, number, chance)):
        place = folder / str(index)
        place.mkdir(parents=True)
        try:
            faults += check_image(files, acked, course, place)
        finally:
            for path in place.iterdir():
                path.unlink()
    return number, faults


def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path) -> None:
    print(f"LOSSGUARD_FAULTS_SEED={SEED}")
    done = 0
    for number in range(COURSES):
        home = tmp_path / f"course{number}"
        home.mkdir()
        course = drive(home, SEED + number, COMMITS, fold)
        # a course without checkpoints, and without logs that begin again, would prove little
        assert sum(isinstance(act, Sync) and act.file == DATABASE for act in course.acts) > 3
        assert sum(isinstance(act, Write) and (act.file, act.offset) == (LOG, 0) for act in course.acts) > 3
        count, faults = cut_down(course, CUTS // COURSES, random.Random(SEED + number), tmp_path / f"cuts{number}")
        assert faults == [], f"course {number} of seed {SEED}"
        done += count
    assert done >= CUTS - COURSES


def test_the_server_starts_on_what_a_cut_leaves(tmp_path: Path) -> None:
    home = tmp_path / "course"
    home.mkdir()
    course = drive(home, SEED, COMMITS, fold)
    for number, (files, _) in enumerate(cuts(course, 40, random.Random(SEED))):
        place = tmp_path / str(number)
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
        Database(f"sqlite:///{place / 'lossguard.db'}", time.monotonic).close()


def test_normal_instead_of_full_is_caught(tmp_path: Path) -> None:
    """With synchronous=NORMAL a commit returns before its log is on the platter."""

    def normal(sql: str) -> str:
        return small_log(sql.replace("synchronous=FULL", "synchronous=NORMAL"))

    course = drive(tmp_path, 1, COMMITS, fold, normal)
    _, faults = cut_down(course, 100, random.Random(1), tmp_path / "cuts")
    assert any("was acknowledged" in fault for fault in faults)


def test_no_sync_at_all_is_caught(tmp_path: Path) -> None:
    """With synchronous=OFF the file itself comes to harm, which the integrity check or a missing row shows."""

    def off(sql: str) -> str:
        return small_log(sql.replace("synchronous=FULL", "synchronous=OFF"))

    course = drive(tmp_path, 2, COMMITS, fold, off)
    found = 0
    for number, (files, acked) in enumerate(cuts(course, 60, random.Random(2))):
        place = tmp_path / str(number)
        place.mkdir()
        try:
            found += bool(check_image(files, acked, course, place))
        except Exception:  # noqa: BLE001  # a damaged file fails in as many ways as it can be damaged
            found += 1
    assert found > 10
