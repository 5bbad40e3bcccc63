"""Totals over restarts, losses on the link, the queue's bound and the lease."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nshell.collector.accounts import Cumulative, LinkAccount
from nshell.collector.lease import Lease
from nshell.collector.schema import AGENT, LOSS
from nshell.collector.status import Rates, Sample
from nshell.collector.storage.catalog import Catalog, Loss
from nshell.collector.storage.inbox import Inbox
from nshell.tasks import Tasks


def test_totals_go_on_over_a_restart() -> None:
    counters: Cumulative[str] = Cumulative()
    assert [counters.report("seen", value) for value in (5, 5, 9)] == [5, 0, 4]
    counters.restart()
    assert counters.report("seen", 3) == 3
    assert counters.totals == {"seen": 12}


def test_a_counter_that_falls_was_reset_and_counts_anew() -> None:
    counters: Cumulative[str] = Cumulative()
    counters.report("hits", 10)
    assert counters.report("hits", 4) == 4
    assert counters.totals == {"hits": 14}


def test_without_a_gap_nothing_is_lost_whatever_the_agent_counts() -> None:
    link = LinkAccount.starting(1)
    link.arrived(2, 10)
    link.arrived(3)
    assert link.lost(sent_rows=25) == 0


def test_a_gap_is_counted_in_rows_once_the_agent_says_how_many_it_sent() -> None:
    link = LinkAccount.starting(1)
    link.arrived(2, 10)
    link.arrived(4)
    assert link.lost(sent_rows=25) == 15
    link.arrived(5)
    assert link.lost(sent_rows=25) == 0
    link.arrived(7, 5)
    assert link.lost(sent_rows=37) == 7


def test_a_gap_that_held_no_rows_counts_its_messages() -> None:
    link = LinkAccount.starting(1)
    link.arrived(4, 10)
    assert link.lost(sent_rows=10) == 2


def test_an_account_that_starts_midway_takes_the_first_numbers_as_they_are() -> None:
    link = LinkAccount.starting(50)
    link.arrived(51, 10)
    assert link.lost(sent_rows=1010) == 0
    link.arrived(53)
    assert link.lost(sent_rows=1030) == 20


def test_a_gap_before_the_end_counts_its_messages() -> None:
    link = LinkAccount.starting(1)
    link.arrived(5)
    assert (link.lost_at_end(), link.lost_at_end()) == (3, 0)


def test_rows_taken_for_a_commit_that_failed_are_there_again_in_their_newest_version() -> None:
    catalog = Catalog()
    rest = (None,) * (len(AGENT.columns) - 1)
    catalog.put(AGENT, "a", ("old", *rest))
    catalog.put(AGENT, "b", ("b", *rest))
    assert [rows.count for rows in catalog.take()] == [2]
    catalog.put(AGENT, "a", ("new", *rest))
    catalog.rolled_back()
    (rows,) = catalog.take()
    assert dict(zip(rows.columns["rowid"], rows.columns["Node"], strict=True)) == {
        1: "new",
        2: "b",
    }
    catalog.committed()
    assert list(catalog.take()) == []


def test_losses_of_one_kind_before_one_commit_are_one_row() -> None:
    catalog = Catalog()
    for at in (1, 2, 3):
        catalog.merge_loss(Loss("a", "store", 10, 100, at, at))
    catalog.merge_loss(Loss("b", "store", 1, 1, 5, 5))
    (rows,) = catalog.take()
    assert list(zip(*(rows.columns[name] for name in LOSS.names), strict=True)) == [
        ("a", "store", 30, 300, 1, 3),
        ("b", "store", 1, 1, 5, 5),
    ]
    catalog.committed()
    catalog.merge_loss(Loss("a", "store", 1, 1, 9, 9))
    (rows,) = catalog.take()
    assert (rows.columns["rowid"], rows.columns["Count"]) == ((3,), (1,))
    assert catalog.lost == 32


async def test_the_queue_takes_no_more_than_its_limit_and_keeps_the_order() -> None:
    inbox: Inbox[str] = Inbox(limit_bytes=10)
    await inbox.put("a", 6)
    order: list[str] = []

    async def put(item: str, size: int) -> None:
        await inbox.put(item, size)
        order.append(item)

    async with Tasks("test", on_error=_fail) as tasks:
        waiting = [tasks.start(put(*each), name=each[0]) for each in (("b", 6), ("c", 1))]
        await asyncio.sleep(0)
        assert (order, inbox.held_bytes) == ([], 6)
        taken = inbox.take(0)
        assert taken == ("a", 6)
        await asyncio.to_thread(inbox.done, 6)
        await asyncio.gather(*waiting)
    assert order == ["b", "c"]
    assert [inbox.take(0), inbox.take(0), inbox.take(0)] == [("b", 6), ("c", 1), None]


async def test_what_is_larger_than_the_queue_goes_in_alone() -> None:
    inbox: Inbox[str] = Inbox(limit_bytes=10)
    await inbox.put("large", 50)
    assert inbox.take(0) == ("large", 50)


async def test_a_producer_that_gives_up_waiting_does_not_block_the_next() -> None:
    inbox: Inbox[str] = Inbox(limit_bytes=10)
    await inbox.put("a", 10)
    async with Tasks("test", on_error=_fail) as tasks:
        first = tasks.start(inbox.put("b", 5), name="b")
        second = tasks.start(inbox.put("c", 5), name="c")
        await asyncio.sleep(0)
        first.cancel()
        thread = threading.Thread(target=inbox.done, args=(10,))
        thread.start()
        thread.join()
        await asyncio.wait_for(second, 10)
    assert [inbox.take(0), inbox.take(0), inbox.take(0)] == [("a", 10), ("c", 5), None]


async def test_the_lease_runs_out_from_the_start_and_not_while_a_shell_is_there() -> None:
    await asyncio.wait_for(Lease(0.01).run_out(), 10)
    lease = Lease(0.01)
    async with Tasks("test", on_error=_fail) as tasks:
        with lease.held():
            running = tasks.start(lease.run_out(), name="lease")
            await asyncio.sleep(0.1)
            assert not running.done()
        await asyncio.wait_for(running, 10)


async def test_a_lease_of_zero_never_runs_out() -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(Lease(0).run_out(), 0.05)


def test_rates_are_over_the_last_seconds_however_often_they_are_asked_for() -> None:
    rates = Rates()
    assert rates.rates(Sample(0, 0, 0)) == (0, 0)
    assert rates.rates(Sample(1, 100, 10)) == (100, 10)
    assert rates.rates(Sample(1.01, 101, 10))[0] == pytest.approx(100)
    for second in range(2, 8):
        last = rates.rates(Sample(second, 100, 10))
    assert last == (0, 0)


def _fail(error: BaseException) -> None:
    raise error
