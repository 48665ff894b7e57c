"""Sessions of browsers, and logins that fail too often."""

from __future__ import annotations

from mlmd.web import sessions
from mlmd.web.sessions import LIFE_S, Attempts, Sessions


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_session_leads_to_its_token_until_it_ends() -> None:
    clock = Clock()
    made = Sessions(clock)
    first, second = made.begin("hash-a"), made.begin("hash-b")
    assert (made.token_hash(first), made.token_hash(second)) == ("hash-a", "hash-b")
    assert made.token_hash("guessed") is None
    made.end(first)
    assert made.token_hash(first) is None
    clock.now_s += LIFE_S - 1
    assert made.token_hash(second) == "hash-b"
    clock.now_s += 1
    assert made.token_hash(second) is None
    clock.now_s -= 10
    assert made.token_hash(second) is None


def test_of_too_many_sessions_the_oldest_ends(monkeypatch) -> None:
    monkeypatch.setattr(sessions, "_SESSIONS_MAX", 3)
    made = Sessions()
    begun = [made.begin(str(number)) for number in range(4)]
    assert [made.token_hash(one) for one in begun] == [None, "1", "2", "3"]


def test_what_forms_carry_is_of_one_session_of_one_server() -> None:
    one, other = Sessions(), Sessions()
    assert one.csrf("a") == one.csrf("a")
    assert len({one.csrf("a"), one.csrf("b"), other.csrf("a"), one.csrf("")}) == 4


def test_who_fails_too_often_waits_and_nobody_else_does() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    for _ in range(10):
        assert attempts.wait_s("a") == 0
        attempts.failed("a")
        clock.now_s += 1
    assert attempts.wait_s("a") == 50
    assert attempts.wait_s("b") == 0
    clock.now_s += 50
    assert attempts.wait_s("a") == 0
    attempts.failed("a")
    assert attempts.wait_s("a") == 1


def test_a_great_many_peers_are_forgotten_the_first_one_first(monkeypatch) -> None:
    monkeypatch.setattr(sessions, "_PEERS_MAX", 2)
    attempts = Attempts(Clock())
    for peer in ("a", "b", "c"):
        for _ in range(10):
            attempts.failed(peer)
    assert [attempts.wait_s(peer) > 0 for peer in ("a", "b", "c")] == [False, True, True]
