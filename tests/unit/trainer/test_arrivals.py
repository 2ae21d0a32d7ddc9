"""What a step's vector becomes when it has reached the host."""

import numpy as np

from lossguard.arrivals import Arrivals, Trip
from lossguard.buffer import Note, Row


class World:
    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.notes: list[Note] = []
        self.trips: list[Trip] = []
        self.arrivals = Arrivals(self.rows.append, self.notes.append, lambda: 5.0, self.trips.append)

    def arrive(self, step: int, **values: float) -> None:
        series = tuple(name.replace("__", "/").replace("bad", ".bad").replace("micro", ".micro") for name in values)
        self.arrivals(step, series, np.array(list(values.values())))


def test_private_names_stay_here() -> None:
    world = World()
    world.arrive(3, loss__a=1.0, bad=0.0, lr=0.1)
    assert [(row.step, row.names, list(row.values)) for row in world.rows] == [(3, ("loss/a", "lr"), [1.0, 0.1])]
    assert world.trips == []


def test_what_became_non_finite_is_told_once() -> None:
    world = World()
    for step, value in enumerate([1.0, np.nan, np.nan, 1.0, np.inf]):
        world.arrive(step, loss__a=value)
    assert [(note.step, note.data["series"]) for note in world.notes] == [(1, ["loss/a"]), (4, ["loss/a"])]


def test_each_trip_is_told_with_its_micro_batch() -> None:
    world = World()
    for step in (1, 2):
        world.arrive(step, loss__a=np.nan, skipped=1.0, bad=1.0, micro__0=1.0, micro__1=np.nan, micro__2=1.0)
    assert [(trip.step, trip.skipped, trip.series, trip.micro_batch) for trip in world.trips] == [
        (1, True, ("loss/a",), 1),
        (2, True, ("loss/a",), 1),
    ]
    data = world.trips[0].to_data("device")
    assert (data["mode"], data["action"]) == ("device", "skipped")
    assert data["text"] == (
        "loss/a not finite at step 1 (micro-batch 2 of 3): the update was skipped, weights and state are clean."
    )


def test_a_trip_that_no_series_shows_is_one_of_the_buffers() -> None:
    world = World()
    world.arrive(1, loss__a=1.0, skipped=1.0, bad=1.0)
    assert world.trips[0].series == ("buffers",)


def test_an_observed_trip_says_that_the_update_was_made() -> None:
    world = World()
    world.arrive(1, loss__a=np.nan, skipped=0.0, bad=1.0)
    assert world.trips[0].to_data("trip")["mode"] == "observe"
    assert "the guard only observes" in world.trips[0].text


def test_a_scaler_that_probes_infinity_is_no_trip_and_no_news() -> None:
    world = World()
    world.arrive(1, loss__a=1.0, grad_norm__total=np.inf, clip_coef=np.nan, skipped=1.0, bad=1.0, loss_scale=65536.0)
    assert (world.trips, world.notes) == ([], [])
    world.arrive(2, loss__a=np.nan, grad_norm__total=np.nan, skipped=1.0, bad=1.0, loss_scale=65536.0)
    assert len(world.trips) == 1


def test_a_module_that_was_not_called_has_no_point() -> None:
    world = World()
    world.arrive(1, loss__a=1.0, activation__x__rms=-1.0, activation__y__rms=2.0, bad=0.0)
    assert world.rows[0].names == ("loss/a", "activation/y/rms")
    assert list(world.rows[0].values) == [1.0, 2.0]
