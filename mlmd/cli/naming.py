"""`mark`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.output import Row, rfc3339, show_rows
from mlmd.cli.reading import metadata_of, putting_of
from mlmd.cli.settings import When
from mlmd.moment import NOW
from mlmd.recorder.marks import mark as mark_moment
from mlmd.recorder.marks import marks

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.moment import Moment
    from mlmd.recorder.marks import Marked


@command(looks_back=True, lists=True)
@with_settings
@click.argument("name", metavar="[NAME]", required=False)
@click.argument("when", metavar="[WHEN]", type=When(), required=False)
@click.option("--reason", metavar="TEXT", help="Why, for the record; else EVLOG_REASON.")
def mark(settings: Settings, name: str | None, when: Moment | None, reason: str | None) -> None:
    """Give a moment a name, or, without NAME, list the marks. `mark:NAME` is a moment wherever one is asked for.

    WHEN is now, if it is not given. A mark that is there moves: its past is in the log. Of a server, WHEN is now or an offset.

    Examples:
    evlog mark release-3 '#100'                 any moment
    evlog mark release-4                        now
    evlog --at mark:release-4 runs              the store as it was then
    evlog diff mark:release-3 mark:release-4
    evlog mark                                  which there are; with --at which there were

    """
    if name is not None and settings.at is not None:
        raise click.UsageError("--at looks back, and a mark is put now: name its moment behind its name")
    if name is None:
        with metadata_of(settings) as store:
            found = marks(store)
    else:
        with putting_of(settings) as store:
            at = NOW if when is None or when.text == NOW else when.at
            if reason is None:
                found = [mark_moment(store, name, at)]
            else:
                with store.acting(reason=reason):
                    found = [mark_moment(store, name, at)]
    show_rows(
        settings,
        map(_row, found),
        ("mark", "moment", "updated"),
        None if found else "there is no mark yet: evlog mark NAME",
    )


def _row(one: Marked) -> Row:
    moment = f"#{one.offset}" if one.offset is not None else "before its own record"
    return {"mark": one.name, "moment": moment, "offset": one.offset, "updated": rfc3339(one.time_ms * 1000)}
