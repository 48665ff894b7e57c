"""The first page, and the calendar of records on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.web.calendar import BARS_MAX, Calendar

if TYPE_CHECKING:
    from starlette.testclient import TestClient

    from mlmd.engine import Engine
    from mlmd.recorder.store import Store


def facts(browser: TestClient, **query: Any) -> dict[str, Any]:
    answer = browser.get("/index.json", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["facts"]
    return found


def test_an_empty_store_has_a_page(browser: TestClient) -> None:
    told = facts(browser)
    assert (told["runs"], told["broken"]["failed"], told["since"]) == ([], [], None)
    assert "No run failed, and none is lost." in browser.get("/").text
    assert browser.get("/index.csv").status_code == 200


def test_what_failed_comes_first_with_its_reason(browser: TestClient, store: Store) -> None:
    with store.run("Trainer"):
        pass
    with pytest.raises(ValueError, match="boom"), store.run("Trainer"):
        raise ValueError("boom")
    told = facts(browser)
    assert [run["id"] for run in told["runs"]] == [2, 1]
    assert [(run["id"], run["error"]) for run in told["broken"]["failed"]] == [(2, "ValueError: boom")]
    page = browser.get("/").text
    assert page.index("ValueError: boom") < page.index("Newest runs")
    assert "1 running" not in page


def test_what_happened_since_a_moment_is_told(browser: TestClient, store: Store, engine: Engine) -> None:
    with store.run("Trainer"):
        pass
    then = engine.log.end
    with store.acting(actor="ana"), store.run("Trainer", name="second"):
        pass
    store.taint("run:1", "leak")
    told = facts(browser, since=f"#{then}")["since"]
    assert (told["offset"], told["records"]) == (then, engine.log.end - then)
    assert {"kind": "execution", "what": "added", "count": 1} in told["counts"]
    assert {"kind": "execution", "what": "changed", "count": 1} in told["counts"]
    assert [one["thing"] for one in told["shown"]] == ["run:1", "run:2"]
    assert told["shown"][0]["said"] == ["custom_properties.evlog.tainted unset → leak"]
    assert told["shown"][1]["actor"] == "ana"
    page = browser.get("/", params={"since": f"#{then}"}).text
    assert '<a href="/runs/2">run:2</a>' in page
    assert "Nothing was put since then." in browser.get("/", params={"since": f"#{engine.log.end}"}).text


@pytest.mark.parametrize(("since", "status"), [("nonsense", 400), ("#999999", 400), ("yesterday", 200), ("<b>", 400)])
def test_a_since_that_is_no_moment_is_refused(browser: TestClient, since: str, status: int) -> None:
    answer = browser.get("/", params={"since": since})
    assert answer.status_code == status
    assert "<b>&#39;" not in answer.text


def test_very_much_is_counted_and_not_told(browser: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlmd.web.home._DIFF_RECORDS_MAX", 1)
    with store.run("Trainer"):
        pass
    assert facts(browser, since="#0")["since"]["counts"] is None
    assert "more than are told one by one" in browser.get("/", params={"since": "#0"}).text


def test_each_bar_leads_to_the_store_at_its_end(browser: TestClient, store: Store, engine: Engine) -> None:
    with store.run("Trainer"):
        pass
    calendar = facts(browser)["calendar"]
    assert sum(bar["records"] for bar in calendar["bars"]) == engine.log.end
    assert calendar["bars"][-1]["offset"] == engine.log.end
    assert f'<a href="/?at=%23{engine.log.end}"' in browser.get("/").text


def test_of_the_store_itself_only_a_page_of_now_speaks(browser: TestClient) -> None:
    assert "up to date" in browser.get("/").text
    assert "The store" not in browser.get("/", params={"at": "#1"}).text


class Frames:
    """A log that has nothing but times."""

    def __init__(self, times: list[int]) -> None:
        self.times, self.read = times, 0

    def frame(self, offset: int) -> SimpleNamespace:
        self.read += 1
        return SimpleNamespace(time_us=self.times[offset])


START = datetime(2026, 3, 1, 13, 30, tzinfo=UTC)


def times(*steps: timedelta) -> list[int]:
    found = [START]
    for step in steps:
        found.append(found[-1] + step)
    return [int(one.timestamp() * 1_000_000) for one in found]


@pytest.mark.parametrize(
    ("step", "each", "first"),
    [
        (timedelta(minutes=7), "hour", datetime(2026, 3, 1, 13, tzinfo=UTC)),
        (timedelta(hours=5), "day", datetime(2026, 3, 1, tzinfo=UTC)),
        (timedelta(days=3), "week", datetime(2026, 2, 23, tzinfo=UTC)),
        (timedelta(days=40), "10 weeks", None),
    ],
)
def test_bars_are_as_long_as_the_log_is_old(step: timedelta, each: str, first: datetime | None) -> None:
    told = Calendar(Frames(times(*[step] * 100))).bars(101)  # type: ignore[arg-type] # all that it reads
    assert told["each"] == each
    assert len(told["bars"]) <= BARS_MAX
    assert first is None or told["bars"][0]["start"] == first


@given(st.lists(st.integers(0, 40 * 24 * 3600), max_size=60), st.data())
def test_every_record_is_in_the_bar_of_its_time(seconds: list[int], data: st.DataObject) -> None:
    all_times = times(*(timedelta(seconds=one) for one in seconds))
    calendar = Calendar(Frames(all_times))  # type: ignore[arg-type] # all that it reads
    for stop in sorted({len(all_times), data.draw(st.integers(1, len(all_times)))}):
        told = calendar.bars(stop)
        bars = told["bars"]
        starts = [int(bar["start"].timestamp() * 1_000_000) for bar in bars]
        assert starts[0] <= all_times[0]
        assert sum(bar["records"] for bar in bars) == bars[-1]["offset"] == stop
        assert told["most"] == max(bar["records"] for bar in bars)
        for at, start in enumerate(starts):
            end = starts[at + 1] if at + 1 < len(starts) else float("inf")
            assert bars[at]["records"] == sum(start <= one < end for one in all_times[:stop])


def test_what_is_over_is_read_once() -> None:
    log = Frames(times(*[timedelta(hours=3)] * 2_000))
    calendar = Calendar(log)  # type: ignore[arg-type] # all that it reads
    calendar.bars(2_000)
    before = log.read
    calendar.bars(2_001)
    assert log.read - before <= 20


def test_a_page_that_looks_at_some_runs_alone_says_so(
    browser: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlmd.web.home._LOOKED_AT_MAX", 2)
    puts = store.metadata
    kind = puts.put_execution_type(pb.ExecutionType(name="Trainer"))
    failed = pb.Execution(type_id=kind, last_known_state=pb.Execution.FAILED)
    running = pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)
    puts.put_executions([running, running])
    facts = browser.get("/index.json").json()["facts"]
    assert (facts["broken"]["running"], facts["broken"]["whole"]) == (2, True)
    then = facts["records"]
    puts.put_executions([running])
    puts.put_executions([failed, failed])
    for at in ("", f"#{then + 2}"):
        more = {"at": at} if at else {}
        told = browser.get("/index.json", params=more).json()["facts"]["broken"]
        assert (len(told["failed"]), told["running"], told["whole"]) == (2, 0, False)
        page = browser.get("/", params=more).text
        assert "The newest 2 that failed or did not end were looked at: there are more" in page
    puts.put_executions([running, running])
    page = browser.get("/").text
    assert "No run failed" not in page
