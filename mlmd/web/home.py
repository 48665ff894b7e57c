"""The first page: what the store holds, and what is new in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.web.page import Page

if TYPE_CHECKING:
    from mlmd.web.view import View

_NEWEST: Final = 10


def home_page(view: View) -> Page:
    """Return the page."""
    runs: list[dict[str, Any]] = [
        {"id": run.id, "run": run.label, "type": run.type, "state": run.state, "started": run.created}
        for run in view.store.runs()[:_NEWEST]
    ]
    return Page(
        "home.html",
        view.site.name,
        {"runs": runs, "records": view.offset},
        command="evlog status",
        python="mlmd.open().runs()",
    )
