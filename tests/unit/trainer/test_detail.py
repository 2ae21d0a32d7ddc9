"""Full detail begins when asked for, and ends by itself."""

from lossguard.detail import Detail


def test_it_ends_by_itself() -> None:
    told: list[tuple[int, dict[str, object]]] = []
    changes: list[bool] = []
    detail = Detail(lambda step, data: told.append((step, data)))
    detail.changed = changes.append
    assert detail.raise_for(10, 5, "command c") == 14
    full = []
    for step in range(10, 18):
        detail.at_step(step)
        full.append(detail.is_full)
    assert full == [True] * 5 + [False] * 3
    assert told == [
        (10, {"level": "full", "until": 14, "reason": "command c"}),
        (15, {"level": "default", "until": None, "reason": "its steps are over"}),
    ]
    assert changes == [True, False]


def test_asking_again_makes_it_last_longer_and_never_shorter() -> None:
    detail = Detail(lambda step, data: None)
    detail.raise_for(0, 100, "a")
    assert detail.raise_for(10, 5, "b") == 99
    assert detail.raise_for(50, 100, "c") == 149
