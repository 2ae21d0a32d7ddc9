"""After a repair everything agrees: parts come from chunks, heads from messages, and what is lost is told."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossguard_server import doctor
from lossguard_server.store import events, raw
from lossguard_server.store.database import safe_driver
from lossguard_server.store.points import Points
from lossguard_server.store.upkeep import repair
from lossguard_server.store.upkeep.damage import Damage
from store_world import frame, opened_store, rollback, schema

DRIVER = safe_driver()
PAGE = 4096
NAMES = ("loss/total", "a")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Runs r1 and r2, each with two series of 3,000 folded points, three times going back to a step before."""
    with opened_store(tmp_path) as store:
        for run in ("r1", "r2"):
            stream = store.stream(run)
            store.append(stream, schema(1, *NAMES))
            seq = 2
            for first, to_step in ((0, 1_500), (1_500, 1_400), (1_400, 2_000), (2_000, None)):
                steps = np.arange(first, first + 1_000 if to_step != 1_500 else 3_000)
                store.append(stream, frame(seq, steps.tolist(), steps * 1.5 + seq, steps * 2.5 + seq))
                if to_step is not None:
                    store.append(stream, rollback(seq + 1, int(steps[-1]), to_step))
                seq += 2
            store.fold(stream)
    return tmp_path


def shown(data: Path, run: str = "r1") -> dict[str, list[tuple[int, float]]]:
    with opened_store(data) as store:
        found = Points(store.reading).raw(run, NAMES, None, None)
        return {
            name: list(zip(steps.tolist(), values.tolist(), strict=True)) for name, (steps, values) in found.items()
        }


def gaps(data: Path, run: str) -> list[dict[str, Any]]:
    with opened_store(data) as store:
        return [each.data for each in store.read(lambda s: events.oldest_first(s, run)) if each.kind == "gap"]


def change(data: Path, *statements: str) -> None:
    with raw.writing(DRIVER, data / "lossguard.db") as connection:
        for statement in statements:
            connection.execute(statement)


def destroy(data: Path, *names: str) -> None:
    """The root page, which is the only one, of tables and indices."""
    path = data / "lossguard.db"
    with raw.reading(DRIVER, path) as connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))
    with path.open("r+b") as file:
        for name in names:
            file.seek((roots[name] - 1) * PAGE)
            file.write(b"\xff" * PAGE)


def repaired(data: Path) -> Sequence[str]:
    path = data / "lossguard.db"
    done = repair.repair(DRIVER, path, Damage(path), 0.0)
    return [*done.losses, *done.mended]


def test_parts_whose_rows_are_gone_are_made_anew_and_show_what_they_showed(data: Path) -> None:
    before = shown(data), shown(data, "r2")
    destroy(data, "part")
    said = repaired(data)
    assert sum("was made anew" in sentence for sentence in said) == 16, said
    assert (shown(data), shown(data, "r2")) == before
    assert (gaps(data, "r1"), gaps(data, "r2")) == ([], [])
    assert doctor.examine(data, is_full=True).findings == []


def test_a_part_that_lost_its_chunks_too_is_a_gap_of_its_series(data: Path) -> None:
    destroy(data, "part", "chunk")
    repaired(data)
    assert {name for gap in gaps(data, "r1") for name in gap["series"]} == set(NAMES)
    assert {name for gap in gaps(data, "r2") for name in gap["series"]} == set(NAMES)


@pytest.mark.parametrize("is_only_run", [True, False])
def test_points_whose_series_nobody_knows_are_told_with_their_steps(data: Path, is_only_run: bool) -> None:
    if is_only_run:
        with opened_store(data) as store:
            store.write(lambda s: s.connection().exec_driver_sql(
                "DELETE FROM chunk WHERE part_id IN (SELECT p.id FROM part p JOIN stream s ON s.id = p.stream_id"
                " WHERE run_id = 'r2')") and None)  # fmt: skip
        change(
            data,
            "DELETE FROM summary",
            "DELETE FROM part WHERE id NOT IN (SELECT part_id FROM chunk)",
            "DELETE FROM journal WHERE stream_id IN (SELECT id FROM stream WHERE run_id = 'r2')",
            "DELETE FROM stream WHERE run_id = 'r2'",
            "DELETE FROM run WHERE id = 'r2'",
        )
    destroy(data, "part", "part_by_name")
    said = repaired(data)
    if is_only_run:
        (gap,) = gaps(data, "r1")
        assert (gap["from"], gap["to"]) == (0, 2_999)
    else:
        assert any("steps 0 to 2999, of a run and series that nobody knows" in sentence for sentence in said), said
        assert gaps(data, "r1") == gaps(data, "r2") == []
    assert doctor.examine(data, is_full=True).findings == []


def test_a_part_whose_place_among_rollbacks_is_not_known_is_told(data: Path) -> None:
    change(data, "UPDATE journal SET first_step = 7 WHERE kind = 'rollback'")
    destroy(data, "part")
    repaired(data)
    assert any("whether a rollback took these points back" in gap["reason"] for gap in gaps(data, "r1"))


def test_an_absurd_part_is_made_anew_from_its_chunks(data: Path) -> None:
    before = shown(data)
    change(data, "UPDATE part SET first_seq = -62 WHERE id = 3", "UPDATE part SET first_seq = 1 << 40 WHERE id = 5")
    repaired(data)
    assert shown(data) == before


def test_a_part_whose_row_and_index_disagree_is_a_gap_of_the_other_name(data: Path) -> None:
    path = data / "lossguard.db"
    page = data_page(path, "part")
    at = page.rindex(b"loss/total")  # of the part with the smallest number
    with path.open("r+b") as file:
        file.seek(root_of(path, "part") * PAGE + at)
        file.write(b"loss/tofal")
    repaired(data)
    (gap,) = gaps(data, "r1")
    assert (gap["series"], gap["from"], gap["to"]) == (["loss/total"], 0, 2_999)
    assert "'loss/tofal'" in gap["reason"]


def root_of(path: Path, name: str) -> int:
    """From 0."""
    with raw.reading(DRIVER, path) as connection:
        return int(dict(connection.execute("SELECT name, rootpage FROM sqlite_master"))[name]) - 1


def data_page(path: Path, name: str) -> bytes:
    return path.read_bytes()[root_of(path, name) * PAGE :][:PAGE]


@pytest.mark.parametrize(
    ("statement", "is_whole"),
    [
        ("UPDATE stream SET folded_seq = 900", True),
        ("UPDATE stream SET last_seq = 1152921504606846976", True),
        ("UPDATE stream SET judged_seq = 900", True),
        ("UPDATE stream SET last_seq = 1, folded_seq = 1", True),
        ("UPDATE part SET count = count + 1", True),
        ("UPDATE part SET count = 0, first_step = -5, last_step = 7", True),
        ("UPDATE chunk SET last_step = last_step + 1", True),
        ("DELETE FROM summary", True),
        ("DELETE FROM chunk WHERE number = 1", False),
        ("DELETE FROM chunk", False),
        ("DELETE FROM part", False),
    ],
)
def test_whatever_an_examination_finds_is_mended(data: Path, statement: str, is_whole: bool) -> None:
    before = shown(data)
    change(data, statement)
    assert doctor.examine(data, is_full=True).findings != []
    repaired(data)
    assert doctor.examine(data, is_full=True).findings == []
    assert (shown(data) == before) is is_whole
