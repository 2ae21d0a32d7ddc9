"""The benchmark's scoring: what counts as an episode, what is credited, and how sure a rate is."""

import numpy as np
import pytest
from detection.corpus import Event, Run, weights
from detection.scoring import Score, episodes, onsets, poisson_interval


def run(label: str = "clean", group: str = "algoperf", n: int = 400, **about: object) -> Run:
    fields: dict[str, object] = {"nan_index": None, "events": (), "grad_events": (), "grad_norm": None}
    steps = np.arange(n, dtype=np.int64) * 100
    fields |= {"name": "r", "group": group, "label": label, "steps": steps, "loss": np.ones(n)}
    return Run(**fields | {"components": {}, "half": "tune"} | about)  # type: ignore[arg-type]


def at(*samples: int) -> np.ndarray:
    return np.array(samples, dtype=np.intp)


def test_alerts_fifty_samples_apart_are_one_episode() -> None:
    assert episodes(at()) == 0
    assert episodes(at(10, 60, 110)) == 1
    assert episodes(at(10, 61)) == 2


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (100, 81.36, 121.6), (2000, 1913.3, 2089.6)],
)
def test_poisson_interval_is_garwoods(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-3)


def test_false_alarms_are_counted_on_healthy_samples_and_reinforcement_learning_apart() -> None:
    score = Score()
    score.add(run(), at(10, 20, 200))
    score.add(run("spike"), at(5))
    score.add(run("spike", group="ddpg"), at(7))
    assert (score.healthy.samples, score.healthy.episodes, score.healthy.alerts) == (400, 2, 3)
    assert (score.rl.samples, score.rl.episodes) == (400, 1)
    assert score.healthy.storm == 1.5
    assert score.healthy.rate == 500.0


@pytest.mark.parametrize(("alert", "is_found"), [(179, False), (180, True), (208, True), (209, False)])
def test_credit_for_a_divergence(alert: int, is_found: bool) -> None:
    score = Score()
    score.add(run("diverge", events=(Event(200, None),)), at(alert))
    assert score.found["diverge"] == is_found


@pytest.mark.parametrize(("alert", "is_found"), [(284, False), (285, True), (319, True), (320, False)])
def test_credit_for_a_nan_is_from_its_onset_to_the_nan(alert: int, is_found: bool) -> None:
    score = Score()
    score.add(run("nan", nan_index=320, events=(Event(300, None),)), at(alert))
    assert score.found["nan"] == is_found
    assert score.lead_samples == ([320 - alert] if is_found else [])
    assert score.lead_steps == ([100 * (320 - alert)] if is_found else [])


def test_a_nan_without_an_onset_is_credited_in_its_last_thirty_samples() -> None:
    nan_run = run("nan", nan_index=320)
    assert [(each.first, each.last) for each in onsets(nan_run)] == [(290, 319)]
    assert list(onsets(run("nan", nan_index=29))) == []


def test_what_is_not_sought() -> None:
    events = (Event(200, None),)
    for label in ("clean", "slowdiv", "ambig"):
        assert list(onsets(run(label, events=events))) == []
    assert list(onsets(run("diverge", group="ddpg", events=events))) == []
    assert [each.kind for each in onsets(run("regime", events=events))] == ["restart"]


def test_weights_are_found_where_components_add_up() -> None:
    a, b = np.linspace(1, 2, 50), np.linspace(3, 4, 50)
    assert weights(a + b, {"a": a, "b": b}) == {"a": 1.0, "b": 1.0}
    assert weights((a + b) / 2, {"a": a, "b": b}) == {"a": 0.5, "b": 0.5}
    assert weights(a, {"a": a, "D_b": b}) == {"a": 1.0}
    assert weights(a * b, {"a": a, "b": b}) == {}
