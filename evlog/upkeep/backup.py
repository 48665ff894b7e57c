"""A copy of a log that others go on writing: HEAD first, then the segments up to it, the manifest last.

What HEAD speaks of is durable and never changes, so nothing is locked in the store and no writer waits. The copy is a valid, closed
log of its own. It grows as the log does: a sealed segment is copied once, of the active one the bytes that are new. The manifest speaks
of uncompressed bytes: whether source or copy have a segment compressed makes no difference to it, and either may change that.

Order in the target, each step durable before the next: new bytes, in the order of the log; all of them read again and checked,
frame by frame, up to the root of the tree; HEAD; the manifest. Whatever stops it, the log up to the target's HEAD and the files up
to the sizes in its manifest are what they were, and the next run goes on: bytes that are there already are compared, not written.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from evlog import head, identity, segment
from evlog.errors import BackupError, CorruptLogError, DamagedBackupError, DivergedError
from evlog.files import held, write_pieces
from evlog.log import LOCK_NAME, WRITER, Log
from evlog.upkeep import manifest
from evlog.upkeep.audit import audit
from evlog.upkeep.manifest import Copied, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.files import Folder
    from evlog.head import Mark
    from evlog.identity import Identity

    Tell = Callable[[int, int], None]
    Stage = Callable[[str, str], AbstractContextManager[Tell | None]]


class Outcome(NamedTuple):
    """What a backup did. before: records that were in the backup already; written: bytes; files: copied or extended."""

    manifest: Manifest
    before: int
    written: int
    files: int


def silent(_what: str, _unit: str) -> AbstractContextManager[Tell | None]:
    """Show nothing of a stage."""
    return nullcontext()


def backup(source: Folder, target: Folder, stage: Stage = silent, *, acknowledged: int = 0) -> Outcome:
    """Bring the backup in `target` up to the log in `source`, or begin one.

    stage: given what is being done and the unit of its progress, yields what to tell (done, total). acknowledged: as in `Log.open`.
    Raises BackupError and its kinds, NoLogError, CorruptLogError for damage in the log or the copy, StorageError.
    """
    made = datetime.now(UTC)
    with closing(Log.open(source, writable=False, acknowledged=acknowledged)) as log:
        if head.read(source, seed=log.seed) is None:
            raise BackupError(
                f"{source.describe(head.NAME)}: HEAD is missing or damaged, so how far the log is acknowledged is not known:"
                " `evlog replay` opens the store for writing, which makes it anew"
            )
        mark = log.mark_at_end()
        _refuse_store(target)
        with closing(target.lock(LOCK_NAME)) as lock, held(lock):
            return _bring_up(log, mark, target, made, stage)


def _refuse_store(target: Folder) -> None:
    """Raise BackupError for a folder with a log that is no backup. Before anything is made there, even a lock."""
    names = target.names()
    if manifest.NAME in names or manifest.STARTED in names:
        return
    if identity.NAME in names or head.NAME in names or segment.bases(target):
        raise BackupError(f"{target.describe('')}: there is a store that is no backup: back up to another folder")


def _bring_up(log: Log, mark: Mark, target: Folder, made: datetime, stage: Stage) -> Outcome:
    _refuse_store(target)  # Again: it may have come while this waited for the lock.
    ident = identity.Identity(log.id, log.origin)
    former = _begin(target, ident)
    tip = log.tip_at(mark.end)
    if tip.prev != mark.prev:
        place = log.folder.describe(head.NAME)
        raise CorruptLogError("HEAD speaks of another last record", file=place, position=0, offset=mark.end)
    before = _refuse_other_history(log, mark, target, former)
    with stage("copying", "bytes") as tell:
        files, written, changed = _copy_all(log, mark, target, former, tell)
    if changed:
        with stage("checking", "records") as tell:
            check_copy(log.folder, target, tip.tree.root(), since=changed[0], tell=tell)
    head.write(target, mark, seed=log.seed)
    result = Manifest(
        manifest.FORMAT_VERSION, log.id.hex(), log.origin, mark.end, tip.tree.root().hex(), made, WRITER, files
    )
    manifest.write(target, result)
    return Outcome(result, before, written, len(changed))


def _begin(target: Folder, ident: Identity) -> Manifest | None:
    """Return the manifest of the backup in a folder; begin one where there is none, or go on with one that was begun."""
    former = manifest.read(target)
    if identity.NAME in target.names():
        found = identity.read(target)
        if found != ident:
            raise BackupError(
                f"{target.describe('')}: this is a backup of another log, {found.origin}, not of {ident.origin}:"
                " back up to another folder"
            )
    elif former is not None:
        raise DamagedBackupError(target.describe(identity.NAME), "the file is missing")
    else:
        target.create(manifest.STARTED).close()
        target.sync_names()
        identity.write(target, ident)
    if former is not None and former.log_id != ident.log_id.hex():
        raise DamagedBackupError(target.describe(manifest.NAME), "the manifest is that of another log")
    return former


def _refuse_other_history(log: Log, mark: Mark, target: Folder, former: Manifest | None) -> int:
    """Return how many records the backup holds. Raises DivergedError unless these are the first ones of the log."""
    newest = max([0, *segment.bases(target)])
    copy_end, parted = newest, mark.end if newest > mark.base else None
    # Else a first backup was interrupted: nothing that it left counts yet, and bytes may be missing in the middle.
    if former is not None or head.NAME in target.names():
        with closing(Log.open(target, writable=False, acknowledged=former.end if former else 0)) as copy:
            if former is not None and copy.tip_at(former.end).tree.root().hex() != former.root:
                raise DamagedBackupError(
                    target.describe(manifest.NAME), "the root is not that of the records beside it"
                )
            copy_end, both = max(copy.end, newest), min(copy.end, mark.end)
            if copy.end > mark.end or not _same(log, copy, both):
                parted = _parting(log, copy, both)
    if parted is not None:
        raise DivergedError(target.describe(""), offset=parted, backup_end=copy_end, end=mark.end)
    return former.end if former is not None else 0


def _same(log: Log, copy: Log, end: int) -> bool:
    return log.tip_at(end).tree.root() == copy.tip_at(end).tree.root()


def _parting(log: Log, copy: Log, end: int) -> int:
    """Return the first offset at which two logs differ; `end` if they are one up to there. Halves: a look reads one segment of each."""
    same, differ = 0, end + 1  # Roots at `same` are equal; at `differ` they are not, or one log has no more.
    while differ - same > 1:
        middle = (same + differ) // 2
        if _same(log, copy, middle):
            same = middle
        else:
            differ = middle
    return same


def _copy_all(
    log: Log, mark: Mark, target: Folder, former: Manifest | None, tell: Tell | None
) -> tuple[list[Copied], int, list[int]]:
    """Copy what is missing; return the files of the backup, how many bytes were written, and the segments that changed."""
    source = log.folder
    known = former.segments if former is not None else {}
    bases = [base for base in segment.bases(source) if base <= mark.base]
    sizes = {base: mark.position if base == mark.base else segment.size_of(source, base) for base in bases}
    new = {base: size - (known[base].size if base in known else 0) for base, size in sizes.items()}
    report = _adding_up(tell, sum(new.values())) if tell is not None else None
    files, changed = [copied(target, identity.NAME)], []
    for base, size in sizes.items():
        name, before = segment.name_of(base), known.get(base)
        if before is not None and segment.size_of(target, base) < before.size:
            raise DamagedBackupError(
                target.describe(name), f"the file is shorter than the {before.size:,} bytes it had"
            )
        if before is None or before.size < size:
            if base < mark.base and copy_compressed(source, target, base):
                before = copied(target, name)
                if report is not None:
                    report(new[base])
            elif before is not None and name not in target.names():
                compressed = target.describe(segment.compressed_name_of(base))
                raise DamagedBackupError(compressed, "it does not hold what the store holds")
            else:
                before = _extend(source, target, base, size, before, report)
            changed.append(base)
        files.append(before)
    return files, sum(new[base] for base in changed), changed


def _adding_up(tell: Tell, total: int) -> Callable[[int], None]:
    """Return what adds bytes to those that are done, and tells."""
    done = 0

    def add(size: int) -> None:
        nonlocal done
        done += size
        tell(done, total)

    return add


def copy_compressed(source: Folder, target: Folder, base: int) -> bool:
    """Copy a sealed segment as it is, if it is compressed; tell whether it is in the target now, compressed."""
    raw, small = segment.name_of(base), segment.compressed_name_of(base)
    names = target.names()
    if raw in names or (small not in names and raw in source.names()):
        return False
    with closing(segment.open_file(source, base)) as old:
        wanted = segment.digest_before(old, old.size())
    if _digest_of(target, base) == wanted:  # An interrupted backup left it, or it was compressed there since.
        return True
    if raw in source.names():
        return False
    with closing(source.open(small)) as file:
        write_pieces(target, small, segment.pieces(file, 0, file.size()))
    target.sync_names()
    if _digest_of(target, base) != wanted:
        raise DamagedBackupError(target.describe(small), "what was read again is not what was written")
    return True


def _digest_of(folder: Folder, base: int) -> bytes | None:
    """Return the SHA-256 of what a compressed segment holds; None where it is missing or damaged."""
    try:
        with closing(segment.open_compressed(folder, base)) as file:
            return segment.digest_before(file, file.size())
    except (FileNotFoundError, CorruptLogError):
        return None


def _extend(
    source: Folder, target: Folder, base: int, size: int, before: Copied | None, tell: Callable[[int], None] | None
) -> Copied:
    """Bring one segment of the target to the first `size` bytes of the source's; return what it is then.

    before: what it is known to be already. tell: told how many bytes more are done.
    """
    name = segment.name_of(base)
    start = before.size if before is not None else 0
    made = name not in target.names()
    with (
        closing(segment.open_file(source, base)) as old,
        closing(target.create(name) if made else target.open(name, writable=True)) as new,
    ):
        digest = segment.hash_of(new, start)
        if before is not None and digest.hexdigest() != before.sha256:
            raise DamagedBackupError(new.name, f"the first {start:,} bytes are not those that were copied")
        wanted = digest.copy()
        for data in segment.pieces(old, start, size):
            if new.read(len(data), start) != data:
                new.write(data, start)
            wanted.update(data)
            start += len(data)
            if tell is not None:
                tell(len(data))
        if new.size() > size:  # An interrupted backup left it, of a store that lost its end since.
            new.truncate(size)
        new.sync()
    if made:
        target.sync_names()
    done = copied(target, name)
    if done != Copied(name, size, wanted.hexdigest()):
        raise DamagedBackupError(target.describe(name), "what was read again is not what was written")
    return done


def check_copy(source: Folder, target: Folder, root: bytes, *, since: int, tell: Tell | None) -> None:
    """Check every frame of a copy from the segment `since` on, and that they lead to a root.

    Raises CorruptLogError, of the source: that the copy has its bytes is known by now.
    """
    found = audit(target, tell, since=since)
    for fault in found.faults:
        if fault.file != target.describe(head.NAME):  # The copy's own is old, or not there yet.
            place = source.describe(fault.file.rpartition("/")[2])
            raise CorruptLogError(fault.reason, file=place, position=fault.position, offset=fault.offset)
    if found.root != root:
        reason = "the records do not lead to the root that the log has at its end"
        raise CorruptLogError(reason, file=source.describe(segment.name_of(since)), position=0, offset=since)


def copied(folder: Folder, name: str, size: int | None = None) -> Copied:
    """Return what a file is now, or what its first `size` bytes are: of a segment, uncompressed. Raises FileNotFoundError."""
    base = segment.base_of(name)
    with closing(folder.open(name) if base is None else segment.open_file(folder, base)) as file:
        size = file.size() if size is None else min(size, file.size())
        return Copied(name, size, segment.digest_before(file, size).hex())
