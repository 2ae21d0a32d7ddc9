"""A thread that computes takes short pages and rests while others are at work."""

from lossguard_server.services.turns import PAGE_S, REST, SIZE_MAX, Turns


class World:
    """Time passes in pages only; `commits` counts the others' work."""

    def __init__(self) -> None:
        self.now_s, self.commits = 0.0, 0
        self.rests_s: list[float] = []
        self.turns = Turns(lambda: self.now_s, lambda: self.commits, self.rests_s.append)

    def page(self, took_s: float, commits: int = 0) -> None:
        with self.turns.page():
            self.now_s += took_s
            self.commits += commits


def test_it_rests_only_while_others_are_at_work() -> None:
    world = World()
    world.page(0.01)
    assert world.rests_s == []
    world.page(0.01, commits=1)
    assert world.rests_s == [REST * 0.01]


def test_pages_shrink_until_they_are_short_and_grow_again() -> None:
    world = World()
    for _ in range(20):
        world.page(2 * PAGE_S)
    assert world.turns.size == 1
    world.page(0.75 * PAGE_S)
    assert world.turns.size == 1, "just right"
    for _ in range(20):
        world.page(PAGE_S / 10)
    assert world.turns.size == SIZE_MAX
