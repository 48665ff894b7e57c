"""What `verify` says of the views: each beside a replay of the log, at the offset that it shows."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from evlog.errors import LogError
from evlog.log import Log
from mlmd.cli.progress import progress_of
from mlmd.opening import BODIES, LOG_FOLDER, VIEWS_FOLDER
from projections.errors import MissingLibraryError
from projections.generations import HISTORY
from replay.verify import Finding, verify_view

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings
    from projections.state import State


@dataclass(frozen=True)
class Views:
    """What was found of the views. offset: of the current view, None where there is none; state: of a replay there.

    deep: whether each view's own state was compared. history_offset: of the history view, None where there is none to check.
    """

    findings: list[Finding] = field(default_factory=list)
    deep: bool = False
    offset: int | None = None
    state: State | None = None
    history_offset: int | None = None

    @property
    def damaged(self) -> bool:
        """Tell whether a view is not what the log says."""
        return any(finding.severity == "damage" for finding in self.findings)

    def row(self) -> Row | None:
        """Return the state as a row: None where there is no view that has one."""
        if self.offset is None or self.state is None:
            return None
        views = {"current": self.offset} | ({"history": self.history_offset} if self.history_offset is not None else {})
        return {
            "offset": self.offset,
            "digest": self.state.digest,
            "replaced": self.state.history,
            "compared": "states and rows" if self.deep else "rows",
            "views": views,
        }


def compare_views(settings: Settings, place: Path, *, deep: bool) -> Views:
    """Compare both views of a store with a replay of its log, which is sound."""
    try:
        log = Log.open(place / LOG_FOLDER, writable=False)
    except LogError as error:
        return Views([Finding("damage", str(error))])
    views = place / VIEWS_FOLDER
    with closing(log):
        checker = _checker(views, deep=deep)
        history: Any = checker.look(log, views, deep=deep) if isinstance(checker, ModuleType) else checker
        there = history is not None and not isinstance(history, Finding)
        with progress_of(settings, "replaying") as progress:
            stops = [history.applied] if deep and there else []
            current = verify_view(log, views, BODIES, progress, deep=deep, stops=stops)
        findings = [history] if isinstance(history, Finding) else []
        if isinstance(checker, ModuleType) and there:
            with progress_of(settings, "replaying for SQL") as progress:
                findings = checker.verify_view(log, history, current.states, progress)
    return Views(
        [*current.findings, *findings],
        deep,
        current.applied,
        current.states.get(current.applied) if current.applied is not None else None,
        history.applied if there else None,
    )


def _checker(views: Path, *, deep: bool) -> ModuleType | Finding | None:
    """Return what checks the history view, or why it is not checked; None where there is none, and nobody asked for it."""
    if HISTORY.current(views) is None:
        what = "the history view was not checked: there is none; the next question in SQL makes one"
        return Finding("note", what, str(views)) if deep else None
    try:
        from replay import analytics  # noqa: PLC0415 - DuckDB need not be there
    except MissingLibraryError as error:
        return Finding("note", f"the history view was not checked: {error}", str(views))
    return analytics


def tell_state(views: Views) -> None:
    """Say what the views were compared by, and the state that they have."""
    if views.damaged or views.offset is None or views.state is None:
        return
    click.echo("ok      the views equal a replay of the log")
    click.echo(f"ok      state {views.state.digest} after {views.offset:,} records")
    if views.deep:
        ways = "a replay, the current view" + (", the history view" if views.history_offset is not None else "")
        click.echo(f"ok      versions replaced {views.state.history}: both the same by {ways}")
