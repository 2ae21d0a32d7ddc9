"""Ranks that agree: the same commands at the same boundary, on all or on none."""

import random
import time

import pytest

from fake_ranks import Table, on_every_rank
from lossguard.protocol.messages import Command
from lossguard.ranks import Agreed, NotSettled, Wants
from lossguard.ranks.together import Together


def command(number: int) -> Command:
    return Command(id=f"c{number}", number=number, kind="set_weight", args={"component": "loss", "value": 0.1 * number})


def test_what_rank_0_is_offered_all_apply_one_boundary_later() -> None:
    def script(ranks: Together, rank: int) -> list[list[str]]:
        offered = {2: [command(1), command(2)], 3: [command(3)]}
        found = [ranks.agree(offered.get(step, []) if rank == 0 else [], step) for step in range(6)]
        ranks.end()
        return [[each.id for each in agreed.commands] for agreed in found]

    assert on_every_rank(3, script) == [[[], [], [], ["c1", "c2"], ["c3"], []]] * 3


@pytest.mark.parametrize("world", [2, 4])
def test_random_commands_and_random_skew_leave_the_same_trace_on_all_ranks(world: int) -> None:
    plan = random.Random(3)
    offered = {step: [] for step in range(400)}
    for number in range(200):
        offered[plan.randrange(390)].append(command(number))

    def script(ranks: Together, rank: int) -> list[tuple[str, int, float]]:
        chance, trace = random.Random(rank), []
        for step in range(400):
            if chance.random() < 0.05:
                time.sleep(chance.random() * 0.004)  # the skew is what is tested
            agreed = ranks.agree(offered[step] if rank == 0 else [], step)
            trace += [(each.id, step, each.args["value"]) for each in agreed.commands]
        ranks.end()
        return trace

    traces = on_every_rank(world, script)
    assert all(trace == traces[0] for trace in traces)
    assert sorted(id for id, _, _ in traces[0]) == sorted(f"c{number}" for number in range(200))


def test_more_commands_than_one_exchange_takes_come_with_the_next() -> None:
    def script(ranks: Together, rank: int) -> list[int]:
        many = [command(number) for number in range(600)] if rank == 0 else []
        sizes = [len(ranks.agree(many if step == 0 else [], step).commands) for step in range(5)]
        ranks.end()
        return sizes

    assert on_every_rank(2, script) == [[0, 256, 256, 88, 0]] * 2


def test_a_pause_goes_on_exchange_by_exchange_and_ends_at_the_same_boundary() -> None:
    def script(ranks: Together, rank: int) -> list[list[str]]:
        pause, resume = (Command(id=kind, number=1, kind=kind) for kind in ("pause", "resume"))
        found = [ranks.agree([pause] if rank == 0 else [], 0), ranks.agree([], 1)]
        while not found[-1].commands or found[-1].commands[0].kind != "resume":
            offered = [resume] if rank == 0 and len(found) == 4 else []
            found.append(ranks.wait(offered, 1))
        found.append(ranks.agree([], 2))
        ranks.end()
        return [[each.kind for each in agreed.commands] for agreed in found]

    traces = on_every_rank(3, script)
    assert traces[0] == [[], ["pause"], [], [], ["resume"], []]
    assert traces == [traces[0]] * 3


def test_what_comes_while_an_exchange_is_on_its_way_makes_rank_0_come_again_at_once() -> None:
    def script(ranks: Together, rank: int) -> list[float]:
        ranks.agree([], 0)
        waits = [ranks.keep_alive_s]
        ranks.wait([command(1)] if rank == 0 else [], 1)
        waits.append(ranks.keep_alive_s)
        assert [each.id for each in ranks.wait([], 1).commands] == ["c1"]
        ranks.end()
        return [*waits, ranks.keep_alive_s]

    assert on_every_rank(2, script) == [[10.0, 0.0, 10.0], [10.0, 10.0, 10.0]]


def test_any_rank_can_stop_all() -> None:
    def script(ranks: Together, rank: int) -> list[bool]:
        stops = [ranks.agree([], step, Wants.STOP if rank == 2 and step == 1 else Wants.NOTHING) for step in range(3)]
        ranks.end()
        return [agreed.stop for agreed in stops]

    assert on_every_rank(3, script) == [[False, False, True]] * 3


def test_a_rank_that_dies_ends_control_with_a_reason_and_nothing_is_raised() -> None:
    table = Table(3)

    def script(ranks: Together, rank: int) -> Agreed:
        ranks.agree([], 0)
        if rank == 1:
            table.kill(1)
            return Agreed()
        ranks.agree([command(1)] if rank == 0 else [], 1)
        agreed = ranks.agree([command(2)] if rank == 0 else [], 2)
        assert ranks.agree([], 3) == Agreed(over=agreed.over)
        ranks.end()
        with pytest.raises(NotSettled, match="Connection closed"):
            ranks.settle("")
        return agreed

    first, _, third = on_every_rank(3, script, table)
    reason = "this run can be controlled no more: a rank is gone (Connection closed by peer)"
    assert first == Agreed(refused=[command(1), command(2)], over=reason)
    assert third == Agreed(over=reason)


def test_epochs_of_the_same_length_go_on_after_each_other() -> None:
    def script(ranks: Together, rank: int) -> list[tuple[str, int]]:
        trace, step = [], 0
        for epoch in range(3):
            for i in range(4):
                offered = [command(10 * epoch + i)] if rank == 0 else []
                trace += [(each.id, step) for each in ranks.agree(offered, step).commands]
                step += 1
            ranks.leave()
        ranks.end()
        ranks.end()
        return trace

    traces = on_every_rank(2, script)
    assert traces[0] == traces[1]
    # the command of an epoch's last boundary comes with the next epoch's first
    assert traces[0] == [(f"c{10 * (step // 4) + step % 4}", step + 1) for step in range(11)]


def test_loaders_of_different_lengths_end_together_where_the_lengths_are_known() -> None:
    def script(ranks: Together, rank: int) -> list[int]:
        step, epochs = 0, []
        for _ in range(2):
            began = step
            for left in range(5 + rank, -1, -1):
                ranks.expect(left)
                ranks.agree([], step)
                if ranks.ends or left == 0:
                    break
                step += 1
            ranks.leave()
            epochs.append(step - began)
        ranks.end()
        assert ranks.over == "this run has ended"
        return epochs

    assert on_every_rank(3, script) == [[5, 5]] * 3


def test_loaders_of_unknown_lengths_end_control_and_not_the_training() -> None:
    def script(ranks: Together, rank: int) -> str:
        for step in range(6 + 3 * rank):  # the last boundary is that at which the loader has no more
            over = ranks.agree([], step).over
            assert not ranks.ends
        ranks.leave()
        ranks.end()
        return over

    over = "this run can be controlled no more: rank 0 makes no more steps, and rank 1 does"
    assert on_every_rank(2, script) == ["", over]


def test_every_rank_hears_what_every_rank_says() -> None:
    def script(ranks: Together, rank: int) -> list[str]:
        ranks.agree([], 0)
        answers = ranks.settle("" if rank == 0 else f"rank {rank}: no snapshot, é")
        ranks.end()
        return answers

    assert on_every_rank(3, script) == [["", "rank 1: no snapshot, é", "rank 2: no snapshot, é"]] * 3


def test_a_pause_at_the_last_step_but_one_does_not_hide_that_a_loader_ends() -> None:
    def script(ranks: Together, rank: int) -> list[bool]:
        ranks.expect(2 + rank)
        ranks.agree([], 0)
        found = [ranks.ends]
        ranks.wait([], 0)
        ranks.expect(1 + rank)
        ranks.agree([], 1)
        found.append(ranks.ends)
        ranks.wait([], 1)  # what was said at this boundary is heard before the next
        ranks.expect(rank)
        ranks.agree([], 2)
        ranks.end()
        return [*found, ranks.ends]

    assert on_every_rank(2, script) == [[False, False, True]] * 2


def test_a_rank_that_is_not_finite_is_heard_of_once_by_its_number() -> None:
    def live(ranks: Together, rank: int) -> list[int | None]:
        if rank > 0:
            ranks.ask(Wants.NONFINITE)
        for step in range(3):
            ranks.agree([], step)
        found = [ranks.bad_rank(), ranks.bad_rank()]
        ranks.end()
        return found

    assert on_every_rank(3, live) == [[2, None]] * 3


def test_what_was_asked_of_all_is_heard_once_also_when_it_comes_within_a_pause() -> None:
    def script(ranks: Together, rank: int) -> list[bool]:
        if rank == 0:
            ranks.ask(Wants.SNAPSHOT)
        ranks.agree([], 0)
        ranks.wait([], 0)
        found = [ranks.was_asked(Wants.SNAPSHOT), ranks.was_asked(Wants.SNAPSHOT)]
        ranks.end()
        return found

    assert on_every_rank(2, script) == [[True, False]] * 2
