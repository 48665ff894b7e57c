"""`compress`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evlog import head, identity, segment
from evlog.compression import compress_all
from evlog.files import RealFolder
from evlog.frame import seed_of
from mlmd.cli.command import command, with_settings
from mlmd.cli.output import show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal
from mlmd.opening import LOG_FOLDER
from mlmd.places import command_of

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings


@command()
@with_settings
def compress(settings: Settings) -> None:
    """Compress the sealed segments of the log, while others read and write. Nothing that is read changes by it.

    Each is checked first, every byte, frame, link and leaf; its compressed form is written beside it, read again and compared; then
    it is replaced. A store that stays open for writing does so by itself, unless EVLOG_COMPRESS is off. The newest segment is never
    compressed. What cannot be trusted is left as it is: exit 3.

    Examples:
    evlog compress               and tell how much smaller they became
    evlog -s copy compress       a backup is a store too
    evlog compress --json

    """
    place = find_store(settings)
    folder = RealFolder(place / LOG_FOLDER)
    seed = seed_of(identity.read(folder).log_id)
    if head.read(folder, seed=seed) is None:
        raise Refusal(
            f"{folder.describe(head.NAME)}: HEAD is missing or damaged, so which segment is written to is not known",
            f"{command_of(place)} replay, which opens the store for writing and makes HEAD anew",
        )
    started = time.perf_counter()
    with progress_of(settings, "compressing", "bytes") as tell:
        done = compress_all(folder, seed=seed, tell=tell)
    took_s = time.perf_counter() - started
    before, after = sum(one.size for one in done), sum(one.size_compressed for one in done)
    row = {
        "segments": len(segment.bases(folder)),
        "segments_compressed": len(done),
        "bytes_before": before,
        "bytes_after": after,
        "ratio": round(before / after, 2) if after else None,
    }
    show_one(settings, row)
    talk(settings, f"{took_s:.2f} s, {before / took_s / 1e6:,.0f} MB/s" if done else "there was nothing to compress")
