"""The gates on a fixed part of the shared corpus: every run with an onset, every third healthy one."""

import zlib

import pytest
from detection.corpus import Run
from detection.monitored import Tier, alerts_of, notices, story_of, told
from detection.scoring import Score

FALSE_ALARMS_MAX = 2.0  # episodes in 100,000 healthy samples
RECALL_MIN = {"nan": 0.85, "diverge": 0.85, "spike": 0.90}
DELAY_MAX, STORM_MAX = 3.0, 1.2
WATCH_MAX = 20.0


def is_chosen(run: Run) -> bool:
    return not run.is_healthy or zlib.crc32(run.name.encode()) % 3 == 0


@pytest.fixture(scope="module")
def scores(corpus: list[Run]) -> dict[Tier, Score]:
    found: dict[Tier, Score] = {"PAGE": Score(), "WATCH": Score()}
    for run in filter(is_chosen, corpus):
        story = story_of(run)
        said = told(story.declaration, story.blocks)
        for tier, score in found.items():
            score.add(run, alerts_of(said.alerts, tier), notices(said, tier))
    return found


def test_the_part_is_large_enough_to_say_something(scores: dict[Tier, Score]) -> None:
    page = scores["PAGE"]
    assert page.healthy.samples > 200_000
    assert (page.sought["nan"], page.sought["diverge"], page.sought["spike"]) == (6, 10, 112)


def test_pages_cry_wolf_at_most_twice_in_a_hundred_thousand_samples(scores: dict[Tier, Score]) -> None:
    healthy = scores["PAGE"].healthy
    assert healthy.rate <= FALSE_ALARMS_MAX, f"{healthy.episodes} episodes in {healthy.samples} samples"
    assert healthy.storm <= STORM_MAX
    assert scores["WATCH"].healthy.rate <= WATCH_MAX


@pytest.mark.parametrize("kind", RECALL_MIN)
def test_pages_find_what_broke(scores: dict[Tier, Score], kind: str) -> None:
    page = scores["PAGE"]
    missed = [(name, onset) for missed_kind, name, onset in page.missed if missed_kind == kind]
    assert page.recall(kind) >= RECALL_MIN[kind], missed


def test_pages_come_in_time(scores: dict[Tier, Score]) -> None:
    delay = scores["PAGE"].delay
    assert delay is not None
    assert delay <= DELAY_MAX
