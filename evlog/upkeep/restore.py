"""A store brought back from a backup, at its end or as of any moment before.

The files are checked against the manifest, then copied up to the frame of the first record that is left out; the copy is read again,
frame by frame, up to the root that the backup has there. Its first record from then on says that the store was restored, and from what.

The log keeps its id: its first records are the same history, so checkpoints and proofs of them hold, and backups of the lost store
go on with the restored one if it was restored whole. Of two stores that go on from one moment under one id, everyone who knows a
root of the other's finds out: they are two histories from the offset of that record on.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog import head, identity, segment
from evlog.author import Author, clock_us
from evlog.errors import BackupError, CorruptLogError, DamagedBackupError, FutureError
from evlog.frame import RECORD, BadFrame, seed_of
from evlog.head import Mark
from evlog.identity import Identity
from evlog.log import Log
from evlog.records import Record, Restored
from evlog.upkeep import manifest
from evlog.upkeep.backup import check_copy, copied, copy_compressed, silent

if TYPE_CHECKING:
    from evlog.files import Folder
    from evlog.tip import Tip
    from evlog.upkeep.backup import Stage, Tell
    from evlog.upkeep.manifest import Manifest

API: Final = "Restore"


class Cut(NamedTuple):
    """Where a log is cut: at the byte `position` of the segment `base`."""

    base: int
    position: int


def check(source: Folder, stage: Stage = silent) -> Manifest:
    """Return the manifest of a backup, once every byte of it is known to be what it was.

    Raises BackupError and its kinds, CorruptLogError where the log beside the manifest cannot be read.
    """
    found = manifest.read(source)
    if found is None:
        place = source.describe("")
        raise BackupError(f"{place}: there is no finished backup here: `evlog backup` makes one")
    total = sum(file.size for file in found.files)
    done = 0
    with stage("checking the backup", "bytes") as tell:
        for file in found.files:
            try:
                now = copied(source, file.name, file.size)
            except FileNotFoundError:
                raise DamagedBackupError(source.describe(file.name), "the file is missing") from None
            if now != file:
                raise DamagedBackupError(
                    source.describe(file.name), f"its first {file.size:,} bytes are not those that were copied"
                )
            done += file.size
            if tell is not None:
                tell(done, total)
    if identity.read(source) != Identity(bytes.fromhex(found.log_id), found.origin):
        raise DamagedBackupError(source.describe(manifest.NAME), "the manifest is that of another log")
    with closing(Log.open(source, writable=False, acknowledged=found.end)) as log:
        if log.tip_at(found.end).tree.root().hex() != found.root:
            raise DamagedBackupError(source.describe(manifest.NAME), "the root is not that of the records beside it")
    return found


def restore(
    source: Folder, found: Manifest, end: int, target: Folder, stage: Stage = silent, *, author: Author | None = None
) -> Restored:
    """Copy the first `end` records of a backup into an empty folder, and record that there; return what was recorded.

    found: what `check` returned. Raises FutureError for more records than the backup holds, CorruptLogError, DamagedBackupError,
    StorageError; the target is then of no use.
    """
    if not 0 <= end <= found.end:
        raise FutureError(asked=end, end=found.end)
    ident = Identity(bytes.fromhex(found.log_id), found.origin)
    seed = seed_of(ident.log_id)
    with closing(Log.open(source, writable=False, acknowledged=found.end)) as log:
        tip = log.tip_at(end)
    cut = _cut_at(source, found, end, seed)
    identity.write(target, ident)
    with stage("restoring", "bytes") as tell:
        _copy_up_to(source, found, cut, target, tell)
    with stage("checking", "records") as tell:
        check_copy(source, target, tip.tree.root(), since=0, tell=tell)
    head.write(target, Mark(0, end, cut.base, cut.position, tip.time_us, tip.prev), seed=seed)
    return _put_on_record(target, found, tip, author or Author())


def _cut_at(source: Folder, found: Manifest, end: int, seed: int) -> Cut:
    """Return the place behind the first `end` records: a sealed segment that ends there stays sealed."""
    base, file = max((base, file) for base, file in found.segments.items() if base < end or base == 0)
    with closing(segment.open_file(source, base)) as opened:
        for frame in segment.walk(opened, 0, seed=seed, stop=file.size):
            if isinstance(frame, BadFrame):
                raise CorruptLogError(frame.reason, file=opened.name, position=frame.position, offset=end)
            if frame.kind == RECORD and frame.offset == end:
                return Cut(base, frame.position)
    return Cut(base, file.size)


def _copy_up_to(source: Folder, found: Manifest, cut: Cut, target: Folder, tell: Tell | None) -> None:
    sizes = {base: file.size for base, file in found.segments.items() if base < cut.base} | {cut.base: cut.position}
    done, total = 0, sum(sizes.values())
    for base, size in sizes.items():
        if base == cut.base or not copy_compressed(source, target, base):  # The last one is written to, or succeeded.
            _copy(source, base, size, target)
        done += size
        if tell is not None:
            tell(done, total)
    target.sync_names()


def _copy(source: Folder, base: int, size: int, target: Folder) -> None:
    """Copy the first `size` bytes of a segment, uncompressed."""
    with (
        closing(segment.open_file(source, base)) as old,
        closing(target.create(segment.name_of(base))) as new,
    ):
        at = 0
        for data in segment.pieces(old, 0, size):
            new.write(data, at)
            at += len(data)
        new.sync()


def _put_on_record(target: Folder, found: Manifest, tip: Tip, author: Author) -> Restored:
    change = Restored(
        log_id=bytes.fromhex(found.log_id),
        origin=found.origin,
        end=tip.end,
        root=tip.tree.root(),
        made_end=found.end,
        made_root=bytes.fromhex(found.root),
        made_us=found.made_us,
    )
    with closing(Log.open(target)) as log, log.claim() as group:
        group.add(Record(author.envelope(API, clock_us()), [change]), signer=author.signer)
        group.commit()
    return change
