"""A progress bar for long work: on standard error, on a terminal only, and only once the work turns out to be long."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlmd.cli.settings import Settings

    Tell = Callable[[int, int], None]

_PATIENCE_S: Final = 0.2  # Shorter work is over before anyone could read a bar, and rich takes half as long to import.


@contextmanager
def progress_of(settings: Settings, what: str, unit: str = "records") -> Iterator[Tell | None]:
    """Yield what long work tells (done, total) in a unit; None where nobody looks."""
    if settings.quiet or not sys.stderr.isatty():
        yield None
        return
    started = time.monotonic()
    with ExitStack() as shown:
        bar: Tell | None = None

        def tell(done: int, total: int) -> None:
            nonlocal bar
            if bar is None and done < total and time.monotonic() - started > _PATIENCE_S:
                bar = shown.enter_context(_bar(what, unit))
            if bar is not None:
                bar(done, total)

        yield tell


@contextmanager
def _bar(what: str, unit: str) -> Iterator[Tell]:
    from rich.console import Console  # noqa: PLC0415 - a bar is rare, and rich is slow to import
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")

        def tell(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f} {unit}/s" if speed else "")

        yield tell
