from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from mlmd.line import Line, Ticket


class Numbered(Ticket):
    __slots__ = ("number", "served")

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.served = number, 0


def start(work: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    return thread


def test_a_lone_ticket_is_served_by_its_own_thread_at_once() -> None:
    by: list[int] = []
    line = Line(lambda _group: by.append(threading.get_ident()))
    ticket = Ticket()
    line.stand(ticket)
    assert ticket.done
    assert by == [threading.get_ident()]


def test_everyone_is_served_once_and_those_who_wait_share_a_group() -> None:
    groups: list[int] = []

    def serve(group: list[Any]) -> None:
        groups.append(len(group))
        time.sleep(0.002)
        for ticket in group:
            ticket.served += 1

    line = Line(serve)
    tickets = [[Numbered(turn) for turn in range(20)] for _ in range(8)]
    threads = [start(lambda mine: [line.stand(ticket) for ticket in mine], mine) for mine in tickets]
    for thread in threads:
        thread.join()
    assert all(ticket.served == 1 and ticket.done for mine in tickets for ticket in mine)
    assert sum(groups) == 160
    assert max(groups) > 1
    assert len(groups) < 120


def test_those_who_wait_are_served_in_the_order_they_came() -> None:
    order: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def serve(group: list[Any]) -> None:
        begun.set()
        go_on.wait()
        order.extend(ticket.number for ticket in group)

    line = Line(serve)
    threads = [start(line.stand, Numbered(0))]
    begun.wait()
    for number in range(1, 6):
        threads.append(start(line.stand, Numbered(number)))
        while len(line._waiting) < number:
            time.sleep(0.001)
    go_on.set()
    for thread in threads:
        thread.join()
    assert order == list(range(6))


def test_a_leader_that_is_interrupted_wakes_its_group_and_hands_on() -> None:
    def serve(group: list[Any]) -> None:
        if any(ticket.number == 13 for ticket in group):
            raise KeyboardInterrupt
        for ticket in group:
            ticket.served += 1

    line = Line(serve)
    with pytest.raises(KeyboardInterrupt):
        line.stand(Numbered(13))
    ticket = Numbered(1)
    line.stand(ticket)
    assert ticket.served == 1


class Interrupting:
    """A lock whose waiter is interrupted by a signal."""

    def __init__(self, before: Any) -> None:
        self.before = before

    def acquire(self) -> None:
        self.before()
        raise KeyboardInterrupt

    def release(self) -> None:
        pass


@pytest.mark.parametrize("already_led", [False, True])
def test_one_who_is_interrupted_while_waiting_leaves_nobody_stuck(already_led: bool) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def serve(group: list[Any]) -> None:
        begun.set()
        go_on.wait()
        for ticket in group:
            ticket.served += 1

    line = Line(serve)
    first = start(line.stand, Numbered(0))
    begun.wait()
    gone = Numbered(1)

    def before() -> None:
        if already_led:  # The first has finished, and this one was asked to lead, as the signal came.
            go_on.set()
            first.join()

    gone.wake = Interrupting(before)  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        line.stand(gone)
    go_on.set()
    first.join()
    last = Numbered(2)
    line.stand(last)
    assert (gone.served, last.served) == (0, 1)
