"""When the machine's own series are sampled."""

from lossguard.sampler import Sampler


def test_a_row_every_few_seconds_and_one_a_step() -> None:
    now_s = [0.0]
    sampler = Sampler(lambda: {"system/cpu_percent": 5.0}, clock=lambda: now_s[0], wall=lambda: 9.0, every_s=5.0)
    taken = []
    for second, step in ((0, 0), (4, 40), (5, 50), (6, 60), (10, 60), (11, 60), (15, 60), (16, 61)):
        now_s[0] = float(second)
        taken += [(second, row.step, row.names, row.time_s) for row in sampler(step)]
    names = ("system/cpu_percent",)
    assert taken == [(5, 50, names, 9.0), (10, 60, names, 9.0), (16, 61, names, 9.0)]


def test_nothing_measured_no_row() -> None:
    now_s = [0.0]
    sampler = Sampler(dict, clock=lambda: now_s[0], every_s=1.0)
    now_s[0] = 2.0
    assert sampler(3) == []
