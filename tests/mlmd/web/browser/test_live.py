"""What a page of now does by itself: it follows the log, remembers the last visit, and draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from on_show import TRAINING

from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from chromium import Visitor
    from on_show import OnShow

    Visit = Callable[..., Visitor]

pytestmark = [pytest.mark.once, pytest.mark.slow]


def put(shown: OnShow) -> int:
    with shown.store.run("Trainer", params={"lr": 0.5}) as run:
        run.log(acc=0.5)
    return run.run.id


def test_a_new_run_appears_and_what_was_ticked_and_focused_stays(visitor: Visit, shown: OnShow) -> None:
    page = visitor().visit("runs")
    tick = page.locator("input[name=run]").nth(2)
    number = tick.get_attribute("value")
    tick.check()
    page.locator("input[name=run]").nth(3).focus()
    focused = page.evaluate("document.activeElement.value")
    run_id = put(shown)
    page.locator(f"#list a[href='/runs/{run_id}']").wait_for()
    assert page.locator(f"input[name=run][value='{number}']").is_checked()
    assert page.evaluate("document.activeElement.value") == focused
    assert f"#{shown.engine.log.end:,}" in page.locator("footer").inner_text()


def test_a_page_without_a_list_says_how_much_is_new(visitor: Visit, shown: OnShow) -> None:
    page = visitor().visit("types")
    page.wait_for_timeout(500)  # The stream begins.
    put(shown)
    link = page.locator("#live a")
    link.wait_for()
    assert "new record" in link.inner_text()
    link.click()
    page.wait_for_load_state()
    assert page.locator("#live a").count() == 0


def test_a_page_of_the_past_does_not_follow(visitor: Visit, shown: OnShow) -> None:
    asked: list[str] = []
    page = visitor().visit("runs?at=%23100")
    page.on("request", lambda request: asked.append(request.url))
    put(shown)
    page.wait_for_timeout(500)
    assert [address for address in asked if "/static/" not in address] == []


def test_the_last_visit_is_remembered(visitor: Visit, shown: OnShow) -> None:
    window = visitor()
    page = window.visit("")
    page.evaluate("sessionStorage.clear()")
    page.evaluate(
        "at => { for (const key of Object.keys(localStorage)) localStorage.setItem(key, String(at)); }",
        shown.engine.log.end,
    )
    run_id = put(shown)
    page = window.visit("")
    page.locator("#since-title").wait_for()
    assert "Since your last visit" in page.locator("#since-title").inner_text()
    assert page.locator(f"#news a[href='/runs/{run_id}']").count() == 1


def test_metrics_are_drawn_and_have_their_points_below(visitor: Visit) -> None:
    window: Any = visitor()
    page = window.visit(f"runs/{TRAINING}")
    page.locator("figure.curve").first.scroll_into_view_if_needed()
    page.locator("figure.curve canvas").first.wait_for()
    assert page.locator("figure.curve table").count() >= 1
    assert page.locator("figure.curve svg[role=img]").first.get_attribute("aria-label")


def test_an_open_run_is_followed_from_its_state_to_its_records(visitor: Visit, shown: OnShow) -> None:
    puts = shown.store.metadata
    kind = puts.get_execution_type("Trainer").id
    [number] = puts.put_executions([pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)])
    page = visitor().visit(f"runs/{number}")
    assert "RUNNING" in page.locator("h1").inner_text()
    puts.put_executions([pb.Execution(id=number, type_id=kind, last_known_state=pb.Execution.COMPLETE)])
    end = shown.engine.log.end
    page.locator("footer").get_by_text(f"#{end:,}").wait_for()
    assert "COMPLETE" in page.locator("h1").inner_text()
    assert page.get_by_text("state RUNNING → COMPLETE").count() == 1
    shown.store.taint(f"run:{number}", "leak")
    page.get_by_role("alert").get_by_text("leak").wait_for()


def test_the_first_page_counts_what_comes(visitor: Visit, shown: OnShow) -> None:
    page = visitor().visit("")
    put(shown)
    page.locator("footer").get_by_text(f"#{shown.engine.log.end:,}").wait_for()
    runs = len(shown.store.runs())
    assert page.locator("h1").inner_text().endswith(f"{runs:,} runs, {shown.engine.log.end:,} records")


def test_many_runs_at_once_end_in_a_list_that_is_whole(visitor: Visit, shown: OnShow) -> None:
    page = visitor().visit("runs?limit=5")
    last = [put(shown) for _ in range(30)][-5:]
    page.locator("footer").get_by_text(f"#{shown.engine.log.end:,}").wait_for()
    found = [one.get_attribute("value") for one in page.locator("input[name=run]").all()]
    assert found == [str(one) for one in reversed(last)]


def test_a_stream_that_was_refused_is_asked_for_again(visitor: Visit, shown: OnShow) -> None:
    """A server that is about to end refuses; the one that takes its place does not."""
    window = visitor()
    window.page.clock.install()
    asked: list[int] = []

    def answer(route: Any) -> None:
        asked.append(0)
        if len(asked) == 1:
            route.fulfill(status=503, body="{}", content_type="application/json")
        else:
            route.continue_()

    window.page.route("**/live", answer)
    page = window.visit("runs")
    while not asked:
        page.wait_for_timeout(10)
    page.wait_for_timeout(100)
    page.clock.fast_forward(60_000)
    run_id = put(shown)
    page.locator(f"#list a[href='/runs/{run_id}']").wait_for()
    page.unroute("**/live")
    window.wrongs[:] = [one for one in window.wrongs if "/live" not in one]  # It was refused.
