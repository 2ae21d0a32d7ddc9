"""What is owed gets there at least once, each time under the same key, and one channel's trouble is its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from lossguard_server.errors import DiskFull
from lossguard_server.services.notifying import courier as couriers
from lossguard_server.services.notifying.backoff import TRIES_LEAST
from lossguard_server.services.notifying.channel import Channel
from lossguard_server.services.notifying.courier import CHANNELS_AT_ONCE, Courier
from lossguard_server.services.notifying.owing import owe_all
from lossguard_server.services.notifying.told import DELIVERED, LATER, REFUSED, Told
from lossguard_server.store import alerts, channels, outbox
from lossguard_server.store.outbox import Notice
from notify_world import Mute, alert, alerted_store, change, channel
from store_world import Store, opened_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with alerted_store(tmp_path) as opened:
        yield opened


def courier(store: Store, mute: Any) -> Courier:
    return Courier(store.writer, store.reading, store.clock.of_services, mute, "http://lg", lambda: 0.0)


def owed(store: Store, *changes: Any, to: tuple[Channel, ...] = (channel(),)) -> None:
    now_s = store.clock.of_services.wall_s()
    store.write(lambda session: [channels.put(session, each.stored()) for each in to])
    store.write(lambda session: owe_all(session, changes, now_s))


def notices(store: Store) -> list[Notice]:
    return store.read(lambda session: outbox.newest_first(session, 100))


async def looked(it: Courier) -> float:
    delay_s = await it.look()
    await it.settled()
    return delay_s


@asynccontextmanager
async def running(it: Courier) -> AsyncIterator[None]:
    task = asyncio.create_task(it.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(probe: Any, what: str) -> None:
    try:
        async with asyncio.timeout(10):
            while not probe():
                await asyncio.sleep(0.005)
    except TimeoutError:
        pytest.fail(what)


async def test_what_is_owed_is_delivered_when_it_is_woken(store: Store) -> None:
    mute = Mute()
    it = courier(store, mute)
    async with running(it):
        owed(store, change())
        it.wake()
        await until(lambda: notices(store)[0].state == "delivered", "it was not delivered")
    ((to, message),) = mute.sent
    assert (to, message.key, message.event) == ("c1", "c1:i1:opened:critical:100", "opened")
    assert message.words.link == "http://lg/#run=r1&alert=a1"
    assert (notices(store)[0].tries, notices(store)[0].said) == (1, "HTTP 200 OK")


async def test_it_tries_again_later_and_later_and_gives_up_after_a_day(store: Store) -> None:
    mute, began_s = Mute(), store.clock.now_s
    mute.told = Told(LATER, "HTTP 503", 503)
    owed(store, change())
    it, at_s = courier(store, mute), list[float]()
    for _ in range(100):
        if notices(store)[0].state == "given_up":
            break
        delay_s = await looked(it)
        at_s.append(store.clock.now_s - began_s)
        assert delay_s <= 15.0
        store.clock.now_s += notices(store)[0].due_s - store.clock.of_services.wall_s()
    waits = [later - sooner for sooner, later in pairwise(at_s)]
    assert waits[:5] == [5, 10, 20, 40, 80]
    assert set(waits[10:]) == {3_600}
    assert 86_400 - 3_600 < at_s[-1] <= 86_400
    assert {message.key for _, message in mute.sent} == {"c1:i1:opened:critical:100"}
    assert notices(store)[0].said == "HTTP 503"


async def test_it_waits_as_long_as_it_is_asked_to(store: Store) -> None:
    mute = Mute()
    mute.told = Told(LATER, "HTTP 429", 429, 1_234.0)
    owed(store, change())
    await looked(courier(store, mute))
    assert notices(store)[0].due_s - store.clock.of_services.wall_s() == 1_234.0


async def test_a_refusal_is_final(store: Store) -> None:
    mute = Mute()
    mute.told = Told(REFUSED, "HTTP 410 Gone", 410)
    owed(store, change())
    it = courier(store, mute)
    assert await looked(it) <= 15.0
    await looked(it)
    assert (notices(store)[0].state, notices(store)[0].said, len(mute.sent)) == ("given_up", "HTTP 410 Gone", 1)


async def test_what_may_not_be_sent_there_waits_for_a_start_that_allows_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    mute = Mute()
    mute.told = Told(LATER, "10.0.0.7 is not public.", is_kept_in=True)
    owed(store, change())
    it = courier(store, mute)
    for _ in range(3):
        await looked(it)
        store.clock.now_s += 60.0
    assert (notices(store)[0].state, len(mute.sent)) == ("owed", 3)
    (warned,) = [record.getMessage() for record in caplog.records if "--notify-allow" in record.getMessage()]
    assert "10.0.0.7" in warned
    mute.told = Told(DELIVERED, "HTTP 200 OK", 200)
    await looked(courier(store, mute))  # the server after this one
    assert notices(store)[0].state == "delivered"


async def test_a_server_that_dies_while_it_sends_sends_the_same_again(tmp_path: Path) -> None:
    class Dying(Mute):
        async def send(self, channel: Channel, message: Any) -> Told:
            await super().send(channel, message)
            await asyncio.Event().wait()  # the other side has it; we never hear so
            return self.told

    dying, mute = Dying(), Mute()
    with opened_store(tmp_path) as store:
        store.stream("r1")
        store.write(lambda session: alerts.upsert(session, alert().to_dict()))
        owed(store, change(), change(incident="i2"))
        async with running(courier(store, dying)):
            await until(lambda: dying.sent, "nothing was sent")
    with opened_store(tmp_path) as store:
        it = courier(store, mute)
        await looked(it)
        await looked(it)
        await looked(it)
        assert [notice.state for notice in notices(store)] == ["delivered"] * 2
    first = dying.sent[0][1].key
    assert [message.key for _, message in mute.sent].count(first) == 1
    assert len(mute.sent) == 2


async def test_a_digest_has_the_same_key_after_a_restart(tmp_path: Path) -> None:
    keys: list[str] = []
    for _ in range(2):
        with opened_store(tmp_path) as store:
            store.clock.now_s += 0.0 if not keys else 600.0
            if not keys:
                store.stream("r1")
                store.write(lambda session: alerts.upsert(session, alert().to_dict()))
                owed(store, change(), change("doubled", last_step=1), change("doubled", last_step=2))
                await looked(courier(store, Mute()))
                store.clock.now_s += 600.0
            mute = Mute()
            mute.told = Told(LATER, "no")
            store.clock.now_s += 3_600.0 if keys else 0.0
            await looked(courier(store, mute))
            keys += [message.key for _, message in mute.sent]
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert ":digest:" in keys[0]


async def test_a_channel_that_hangs_holds_up_no_other(store: Store) -> None:
    class Hanging(Mute):
        async def send(self, channel: Channel, message: Any) -> Told:
            told = await super().send(channel, message)
            if channel.id == "c0":
                await asyncio.Event().wait()
            return told

    mute = Hanging()
    owed(store, change(), to=tuple(channel(channel_id=f"c{number}") for number in range(12)))
    async with running(courier(store, mute)):
        await until(lambda: [n.state for n in notices(store)].count("delivered") == 11, "the others waited")
        assert len(mute.sent) == 12, "and the one that hangs is tried once"


async def test_channels_that_hang_leave_a_place_to_those_that_do_not(store: Store) -> None:
    class Late(Mute):
        async def send(self, channel: Channel, message: Any) -> Told:
            await super().send(channel, message)
            if channel.id < "c5":  # those that come first in whatever order
                await gate.wait()
                return Told(LATER, "It did not answer within 10 s.")
            return self.told

    gate, mute = asyncio.Event(), Late()
    hanging = tuple(channel(channel_id=f"c{number}") for number in range(5))
    owed(store, change(), to=hanging)
    it = courier(store, mute)
    gate.set()
    await looked(it)
    await looked(it)
    gate.clear()  # from now on they hang: it is known that they failed
    store.clock.now_s += 60.0
    owed(store, change(incident="i2"), to=(*hanging, channel(channel_id="c9")))
    async with running(it):
        await until(lambda: "c9" in [to for to, _ in mute.sent], "it waited for those that hang")
        await until(lambda: notices(store)[0].state == "delivered" or len(it._under_way) == 3, "all places are taken")
        assert len(it._under_way) == CHANNELS_AT_ONCE - 1


async def test_a_channel_that_fails_rests_with_all_that_it_is_owed(store: Store) -> None:
    mute = Mute()
    mute.told = Told(LATER, "HTTP 503", 503)
    owed(store, *(change(incident=f"i{number}") for number in range(5)))
    it, at_s = courier(store, mute), list[float]()
    for _ in range(100):
        before = len(mute.sent)
        await looked(it)
        at_s += [store.clock.now_s] * (len(mute.sent) - before)
        store.clock.now_s += 5.0
    assert [later - sooner for sooner, later in pairwise(at_s)] == [5, 10, 20, 40, 80, 160]
    mute.told = Told(DELIVERED, "HTTP 200", 200)
    store.clock.now_s += 3_600.0
    for _ in range(5):
        await looked(it)
    assert {notice.state for notice in notices(store)} == {"delivered"}, "one after the other, without a rest"


async def test_it_rests_as_long_as_it_is_asked_to_whatever_the_clock_says(store: Store) -> None:
    mute = Mute()
    mute.told = Told(LATER, "HTTP 429", 429, 7_200.0)
    owed(store, change())
    it = courier(store, mute)
    await looked(it)
    store.clock.now_s += 7_199.0
    await looked(it)
    assert len(mute.sent) == 1
    store.clock.now_s += 1.0
    await looked(it)
    assert len(mute.sent) == 2
    mute.told = Told(LATER, "HTTP 429", 429, 90_000.0)
    store.clock.now_s += 7_200.0
    await looked(it)
    assert notices(store)[0].state == "given_up", "it asks for more than the day for which it is tried"


async def test_a_clock_that_was_set_back_delays_nothing(store: Store) -> None:
    mute = Mute()
    owed(store, change())
    store.clock.now_s -= 86_400.0
    await looked(courier(store, mute))
    assert notices(store)[0].state == "delivered"


async def test_a_clock_that_was_set_forward_gives_nothing_up(store: Store) -> None:
    mute = Mute()
    mute.told = Told(LATER, "HTTP 503", 503)
    owed(store, change())
    it = courier(store, mute)
    store.clock.now_s += 365 * 86_400.0
    for _ in range(TRIES_LEAST - 1):
        await looked(it)
        assert notices(store)[0].state == "owed"
        store.clock.now_s += 3_600.0
    await looked(it)
    assert notices(store)[0].state == "given_up"


async def test_few_at_once_and_one_for_each_channel(store: Store) -> None:
    at_once: list[int] = []
    busy: list[str] = []
    full = asyncio.Event()

    class Counting(Mute):
        async def send(self, channel: Channel, message: Any) -> Told:
            assert channel.id not in busy
            busy.append(channel.id)
            at_once.append(len(it._under_way))
            if len(busy) == CHANNELS_AT_ONCE:
                full.set()
            await full.wait()
            busy.remove(channel.id)
            return await super().send(channel, message)

    mute = Counting()
    owed(store, change(), change(incident="i2"), to=tuple(channel(channel_id=f"c{number}") for number in range(10)))
    it = courier(store, mute)
    async with running(it):
        await until(lambda: all(notice.state == "delivered" for notice in notices(store)), "not everything got there")
    assert len(mute.sent) == 20
    assert max(at_once) == CHANNELS_AT_ONCE


async def test_a_fault_of_ours_is_one_channels_and_is_not_tried_at_once_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(Mute):
        async def send(self, channel: Channel, message: Any) -> Told:
            await super().send(channel, message)
            if channel.id == "c1":
                raise ZeroDivisionError("a fault")
            return self.told

    mute = Faulty()
    owed(store, change(), to=(channel(), channel(channel_id="c2")))
    it = courier(store, mute)
    for _ in range(5):
        await looked(it)
    assert len(mute.sent) == 2
    assert {(notice.channel, notice.state, notice.tries) for notice in notices(store)} == {
        ("c1", "owed", 1), ("c2", "delivered", 1),
    }  # fmt: skip
    assert "ZeroDivisionError" in caplog.text


async def test_what_was_sent_on_a_full_disk_is_not_sent_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    mute, is_full = Mute(), True
    move = outbox.move

    def full(*args: Any, **named: Any) -> bool:
        if is_full:
            raise DiskFull()
        return move(*args, **named)

    monkeypatch.setattr(couriers.outbox, "move", full)
    owed(store, change(), to=(channel(), channel(channel_id="c2")))
    it = courier(store, mute)
    for _ in range(5):
        await it.look()
        await it.settled()
    assert sorted(to for to, _ in mute.sent) == ["c1", "c2"], "the second goes out although nothing can be written"
    is_full = False
    await looked(it)
    assert {notice.state for notice in notices(store)} == {"delivered"}
    assert len(mute.sent) == 2


@pytest.mark.parametrize("is_removed", [True, False])
async def test_nothing_is_sent_to_a_channel_that_is_gone(store: Store, is_removed: bool) -> None:
    mute = Mute()
    owed(store, change())
    off = replace(channel(), enabled=False).stored()
    store.write(lambda session: channels.delete(session, "c1") if is_removed else channels.put(session, off))
    await looked(courier(store, mute))
    assert mute.sent == []
    assert notices(store)[0].state == "given_up"


async def test_no_log_has_a_secret_in_it(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    mute = Mute()
    mute.told = Told(REFUSED, "HTTP 401")
    owed(store, change(), to=(channel("https://example.org/hooks/TOPSECRET"),))
    await looked(courier(store, mute))
    assert "given up" in caplog.text
    assert "TOPSECRET" not in caplog.text
    assert "whsec_" not in caplog.text
