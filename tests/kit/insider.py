"""One who may write to every file of a store and knows the format: what he rewrites fits in all its checksums and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evlog import frame, head, identity, merkle, segment
from evlog.files import RealFolder
from evlog.frame import RECORD, SEGMENT, Frame
from evlog.head import Mark
from evlog.tip import PREV_BYTES, leaf_of

if TYPE_CHECKING:
    from pathlib import Path


def frames_of(place: Path, base: int) -> list[Frame]:
    """Return the frames of a segment of the store in a folder, whole ones."""
    folder = RealFolder(place / "log")
    file = segment.open_file(folder, base)
    found = [*segment.walk(file, 0, seed=frame.seed_of(identity.read(folder).log_id))]
    file.close()
    return [one for one in found if isinstance(one, Frame)]


def position_of(place: Path, offset: int) -> int:
    """Return the position of a record in its segment."""
    base = max(one for one in segment.bases(RealFolder(place / "log")) if one <= offset)
    return next(one.position for one in frames_of(place, base) if (one.kind, one.offset) == (RECORD, offset))


def swap(place: Path, offset: int) -> None:
    """Let a record of the last segment and the one behind it change places, and make right all that follows, and HEAD."""
    folder = RealFolder(place / "log")
    seed = frame.seed_of(identity.read(folder).log_id)
    base = segment.bases(folder)[-1]
    header, *records = [one for one in frames_of(place, base) if one.kind in (SEGMENT, RECORD)]
    bodies = [(one.body, one.changes) for one in records]
    at = offset - base
    bodies[at], bodies[at + 1] = bodies[at + 1], bodies[at]
    file = place / "log" / segment.name_of(base)
    data, prev = file.read_bytes()[: header.stop], records[0].prev
    for old, (body, changes) in zip(records, bodies, strict=True):
        said = {"offset": old.offset, "time_us": old.time_us, "synced": old.synced, "prev": prev}
        packed = frame.pack(RECORD, body, changes=changes, **said, seed=seed)  # type: ignore[arg-type]
        new = Frame(len(data), len(packed), RECORD, 0, changes, old.offset, old.time_us, old.synced, prev, body)
        prev = merkle.leaf_hash(leaf_of(new, *frame.unpack_body(body, changes)))[:PREV_BYTES]
        data += packed
    file.write_bytes(data)
    mark = head.read(folder, seed=seed)
    assert mark is not None
    head.write(folder, Mark(mark.generation, mark.end, base, len(data), mark.time_us, prev), seed=seed)
