"""A damaged log made whole from copies, or cut where records are lost and somebody says so. Under the writers' lock.

Order, each step durable before the next: the new segments, beside the old ones; all of them read again and checked; a copy of what they
replace, in quarantine; REPAIR, which says what is being done; the new segments in the place of the old; HEAD; a record of it; REPAIR
removed. Up to REPAIR nothing was changed; from it on, the same again goes on: what is whole by then is left alone, and REPAIR names the
transaction of the record, so there is one, whatever happens.
"""

from __future__ import annotations

import re
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from evlog import compression, head, identity, segment
from evlog.author import Author, clock_us, transaction_id
from evlog.errors import (
    UNDECODABLE,
    BrokenSealError,
    CorruptLogError,
    LackingError,
    MissingKeyError,
    NoLogError,
    RepairError,
    StorageError,
)
from evlog.files import UNFINISHED, held, write_whole
from evlog.frame import seed_of
from evlog.head import Head
from evlog.identity import Identity
from evlog.log import LOCK_NAME, Log
from evlog.records import Erased, LossAccepted, Mended, Record, Repaired
from evlog.recovery import QUARANTINE
from evlog.subject_keys import BURIED
from evlog.upkeep import manifest
from evlog.upkeep.mending import Planner
from evlog.upkeep.rewrite import write_new
from evlog.upkeep.salvage import Source, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from evlog.files import Folder
    from evlog.upkeep.mending import Committed, Plan

NAME: Final = "REPAIR"
_API: Final = {Repaired: "Repair", LossAccepted: "AcceptLoss"}
_LOG_ID: Final = re.compile(rb"\xa6log_id\xc4\x10(.{16})", re.DOTALL)  # As MessagePack writes it in a SEGMENT frame.
_HEADER_BYTES: Final = 4096
_HASH_DIGITS: Final = 16


class Intent(msgspec.Struct, frozen=True):
    """REPAIR: what is being done. transaction: of the record that will say so; end: no record before that offset is it."""

    transaction: bytes
    end: int
    changes: list[Repaired | LossAccepted]

    @property
    def loss(self) -> LossAccepted | None:
        """Return the loss that is being accepted."""
        return next((one for one in self.changes if isinstance(one, LossAccepted)), None)


class Copy(NamedTuple):
    """A folder with segments, and how a person calls it."""

    name: str
    folder: Folder


class Means(NamedTuple):
    """What there is to mend a log with.

    committed: what outsiders were promised of it. acknowledged: records that a witness knows of. origin: its name, where a checkpoint
    tells it. progress: told (records looked at, records there are).
    """

    copies: Sequence[Copy]
    committed: Committed
    acknowledged: int = 0
    origin: str | None = None
    progress: Callable[[int, int], None] | None = None


class Looked(NamedTuple):
    """What was found: who the log is, what there is to do, and what an interrupted repair was about to do."""

    ident: Identity
    plan: Plan
    named: str | None  # Why the identity must be written anew; None where it is whole.
    headless: str | None  # Likewise HEAD.
    intent: Intent | None

    @property
    def whole(self) -> bool:
        """Tell whether there is nothing to mend."""
        return not (self.plan.mends or self.plan.dropped or self.named or self.headless or self.intent)


def look(folder: Folder, means: Means, *, cut: int | None = None) -> Looked:
    """Return what it takes to make a log whole; nothing is changed.

    cut: records to keep, if the loss of the rest is accepted. Raises LackingError where it cannot be done, RepairError where not even the
    log's id is left, and of a backup: the record of a repair would make it a log that goes on apart from the store.
    """
    if manifest.NAME in folder.names():
        raise RepairError(
            f"{folder.describe('')}: this is a backup, and nothing is written to one: back up to a new folder; where it is all that is left,"
            f" repair a copy of it, without the file {manifest.NAME}"
        )
    ident, named = _identity(folder, means)
    seed = seed_of(ident.log_id)
    sources = [Source(copy.folder, seed, copy.name) for copy in means.copies]
    plan = Planner(
        folder, sources, seed, means.committed, acknowledged=means.acknowledged, cut=cut, progress=means.progress
    ).run()
    headless = "it names another last record than the published tree" if plan.head_is_wrong else None
    if plan.mark is None:
        headless = "no slot of it is valid" if head.NAME in folder.names() else "the file is missing"
    return Looked(ident, plan, named, headless, read_intent(folder))


def repair(folder: Folder, means: Means, author: Author) -> Repaired | None:
    """Make a log whole and put that on record; return what was done, None where there was nothing to do.

    Raises as `look`, and then nothing was changed; StorageError, and then the same again goes on.
    """
    with _alone(folder):
        begun = read_intent(folder)
        if begun is not None and (loss := begun.loss) is not None:
            raise RepairError(
                f"{folder.describe(NAME)}: accepting a loss was interrupted: `evlog accept-loss --offset {loss.end}` goes on"
            )
        looked = look(folder, means)
        if looked.whole:
            return None
        carry_out(folder, looked, begun)
    done = finish(folder, author)
    return next(one for one in done if isinstance(one, Repaired))


def accept_loss(folder: Folder, means: Means, offset: int) -> None:
    """Cut a log to its first `offset` records, which must be all that it can be made to hold. `finish` must follow.

    In between the caller moves aside what goes further than the log does now. Raises RepairError where another number of records, or
    none, is lost: then nothing was changed. Raises StorageError, and then the same again goes on.
    """
    with _alone(folder):
        begun = read_intent(folder)
        loss = begun.loss if begun is not None else None
        try:
            look(folder, means)
        except LackingError as error:
            lacking = error
        else:
            if loss is None:
                raise RepairError(f"{folder.describe('')}: no record is lost: there is no loss to accept")
            _refuse_other(folder, loss, offset)
            return  # Cut, and not yet on record.
        looked = look(folder, means, cut=lacking.offset)
        if loss is not None and loss.end <= lacking.offset:
            _refuse_other(folder, loss, offset)
            if looked.plan.mends or looked.plan.dropped:
                _refuse_unlike(lacking, offset)
            carry_out(folder, looked, begun, loss)  # It may go on behind the cut: only HEAD does not know of that.
            return
        _refuse_unlike(lacking, offset)
        promised = max((size for size in means.committed.sizes if size > offset), default=0)
        root = means.committed.sizes.get(promised, b"")
        known, kept = (max(lacking.known, loss.known), loss.quarantine) if loss is not None else (lacking.known, [])
        new = LossAccepted(offset, looked.plan.tip.tree.root(), known, lacking.reason, kept, promised, root)
        carry_out(folder, looked, begun, new)


def _refuse_other(folder: Folder, loss: LossAccepted, offset: int) -> None:
    if loss.end != offset:
        raise RepairError(
            f"{folder.describe(NAME)}: the loss that is being accepted begins at offset {loss.end}, not {offset}"
        )


def _refuse_unlike(lacking: LackingError, offset: int) -> None:
    if lacking.offset != offset:
        raise RepairError(
            f"{lacking.file}: the log can be made whole up to offset {lacking.offset}, not {offset}: {lacking.reason}"
        )


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """Keep out who appends, and who compresses: a file that is looked at must not be another form of it a moment later."""
    with (
        closing(folder.lock(LOCK_NAME)) as lock,
        held(lock),
        closing(folder.lock(compression.LOCK_NAME)) as other,
        held(other),
    ):
        yield


def carry_out(folder: Folder, looked: Looked, begun: Intent | None, loss: LossAccepted | None = None) -> None:
    """Bring the files into place. The caller holds both locks."""
    plan, seed = looked.plan, seed_of(looked.ident.log_id)
    _sweep(folder)
    try:
        places = {mend.base: write_new(folder, mend, looked.ident) for mend in plan.mends}
        mended = _mended(folder, looked, lambda name: quarantined(folder, name))
        folder.sync_names()
    except StorageError:
        _sweep(folder)  # On a full device above all.
        raise
    if loss is None:
        change: Repaired | LossAccepted = Repaired(_with_earlier(mended, begun), plan.tip.end, plan.tip.tree.root())
    else:
        kept = [*loss.quarantine, *(one.quarantine for one in mended if one.quarantine)]
        change = msgspec.structs.replace(loss, quarantine=[*dict.fromkeys(kept)])
    _write_intent(folder, begun, change, plan.tip.end)
    if looked.named:
        identity.write(folder, looked.ident)
    moves = plan.base in places or plan.head_is_wrong or loss is not None
    if moves:  # Before the frames are elsewhere: nobody shall go on from what stands there then.
        with closing(_open_head(folder, seed)) as before:
            before.point_nowhere()
    for mend in plan.mends:
        name = segment.name_of(mend.base)
        folder.rename(name + UNFINISHED, name)
        if mend.stop is not None:
            segment.protect(folder, name)
    folder.sync_names()
    for base in [mend.base for mend in plan.mends] + plan.dropped[::-1]:
        for name in segment.files_of(folder, base):
            if base not in places or name != segment.name_of(base):
                folder.remove(name)
    folder.sync_names()
    if moves:
        _move_head(folder, plan, places.get(plan.base, plan.position), seed)


def _write_intent(folder: Folder, begun: Intent | None, change: Repaired | LossAccepted, end: int) -> None:
    """Write REPAIR. What an interrupted one was about stays, unless it is the same."""
    transaction = begun.transaction if begun is not None else transaction_id(clock_us() // 1000)
    before = [one for one in begun.changes if type(one) is not type(change)] if begun is not None else []
    end = min(begun.end, end) if begun is not None else end
    write_whole(folder, NAME, msgspec.json.encode(Intent(transaction, end, [*before, change])))
    folder.sync_names()


def finish(folder: Folder, author: Author) -> list[Repaired | LossAccepted]:
    """Put on record what REPAIR says was done, once, and remove it. The log is whole."""
    intent = read_intent(folder)
    assert intent is not None, "something was begun"
    with closing(Log.open(folder)) as log, log.claim() as group:
        if not any(entry.record.envelope.transaction == intent.transaction for entry in log.read(intent.end)):
            envelope = author.envelope(_API[type(intent.changes[-1])], clock_us())
            envelope = msgspec.structs.replace(envelope, transaction=intent.transaction)
            again = _erased_again(log, group.end) if intent.loss is not None else []
            group.add(Record(envelope, [*intent.changes, *again]), signer=author.signer)
            group.commit()
    with _alone(folder), closing(_open_head(folder, seed_of(identity.read(folder).log_id))) as there:
        _sweep(folder)
        there.sync()  # Else a power cut could leave one that knows of what was lost, and REPAIR no more.
    folder.remove(NAME)
    folder.sync_names()
    return intent.changes


def _erased_again(log: Log, offset: int) -> list[Erased]:
    """Return what puts an erasure on record again, at an offset, if the record that told of it is among the lost ones.

    The keys stay destroyed: without such a record, what they sealed would be damage, and nobody could read past it.
    """
    keys, opener = log.subject_keys, log.opener()
    gone = []
    for key_id in sorted(keys.ids(BURIED)):
        try:
            opener.cipher(key_id)
        except (MissingKeyError, BrokenSealError):
            keys.bury(key_id, offset)
            gone.append(key_id)
    return [Erased("", gone, "erased before: the record that said so was lost")] if gone else []


def _sweep(folder: Folder) -> None:
    """Remove new files that came to nothing, of a repair or a compression. Where they stay, they take up room and no more. Under both locks."""
    with suppress(StorageError):
        for name in folder.names():
            made = name.removesuffix(UNFINISHED)
            if made != name and (made in (NAME, identity.NAME) or segment.base_of(made) is not None):
                folder.remove(name)


def read_intent(folder: Folder) -> Intent | None:
    """Return what a repair that was interrupted was about to do, None where there was none. Raises RepairError for a damaged file."""
    try:
        file = folder.open(NAME)
    except FileNotFoundError:
        return None
    with closing(file):
        data = file.read(file.size(), 0)
    try:
        return msgspec.json.decode(data, type=Intent)
    except UNDECODABLE as error:
        raise RepairError(
            f"{folder.describe(NAME)}: it cannot be read ({error}); it only says what an interrupted repair was about to put on record:"
            " move it away, and repair again"
        ) from None


def identify(folder: Folder, means: Means) -> Identity:
    """Return who the log in a folder is, even if that must be found out from its segments. Raises RepairError where it cannot."""
    return _identity(folder, means)[0]


def foreseen(folder: Folder, looked: Looked) -> list[Mended]:
    """Return what a repair would put on record."""
    return _mended(folder, looked, lambda _name: "")


def _identity(folder: Folder, means: Means) -> tuple[Identity, str | None]:
    """Return who the log is, and why that must be written anew, None where it need not. From its own frames: each is tied to its id."""
    try:
        return identity.read(folder), None
    except CorruptLogError as error:
        reason = error.reason
    except NoLogError:
        reason = "the log's identity is missing"
    known = {}
    for copy in means.copies:
        try:
            found = identity.read(copy.folder)
        except (CorruptLogError, NoLogError):
            continue
        known[found.log_id] = found
    ids = {_log_id(folder, base) for base in segment.bases(folder)} - {None}
    log_id = next(iter(ids)) if len(ids) == 1 else None
    if log_id is None and not ids:
        log_id = next((one for one in known if _has_frames_of(folder, one)), None)
    if log_id is None:
        raise RepairError(
            f"{folder.describe(identity.NAME)}: {reason}, and no segment is left that tells which log this is: restore a backup"
        )
    fitting = known.get(log_id)
    named = means.origin or (fitting.origin if fitting is not None else f"evlog/{log_id.hex()}")
    return Identity(log_id, named), reason


def _log_id(folder: Folder, base: int) -> bytes | None:
    """Return the id in a segment's header, if the header's checksums are those of that id."""
    try:
        with closing(segment.open_file(folder, base)) as file:
            match = _LOG_ID.search(file.read(_HEADER_BYTES, 0))
            if match is None:
                return None
            header = segment.read_header(file, seed=seed_of(match[1]))
    except CorruptLogError:
        return None
    return match[1] if isinstance(header, segment.SegmentHeader) and header.log_id == match[1] else None


def _has_frames_of(folder: Folder, log_id: bytes) -> bool:
    source = Source(folder, seed_of(log_id), "")
    source.load(0, None)
    return bool(source.records)


def _mended(folder: Folder, looked: Looked, kept: Callable[[str], str]) -> list[Mended]:
    """Return what was wrong with each file, and what is done about it. kept: puts a file into quarantine and tells its name there."""
    files = {
        mend.base: segment.files_of(folder, mend.base) or [segment.name_of(mend.base)] for mend in looked.plan.mends
    }
    found = [(name, mend.reason, mend.taken) for mend in looked.plan.mends for name in files[mend.base]]
    for base in looked.plan.dropped:
        found += [(name, "the segment is no part of the log", []) for name in segment.files_of(folder, base)]
    small = ((identity.NAME, looked.named), (head.NAME, looked.headless))
    found += [(name, reason, []) for name, reason in small if reason is not None]
    return [Mended(name, reason, kept(name), taken) for name, reason, taken in found]


def quarantined(folder: Folder, name: str) -> str:
    """Copy a file into quarantine; return the name of the copy, "" where there is no file."""
    try:
        file = folder.open(name)
    except FileNotFoundError:
        return ""
    with closing(file):
        digest = sha256()
        for data in readable(file):
            digest.update(data)
        copy_name = f"{QUARANTINE}/{name}-{digest.hexdigest()[:_HASH_DIGITS]}"
        with closing(folder.create(copy_name)) as copy:
            position = 0
            for data in readable(file):
                copy.write(data, position)
                position += len(data)
            copy.sync()
    return copy_name


def _with_earlier(mended: list[Mended], begun: Intent | None) -> list[Mended]:
    """Return what was mended, with what an interrupted repair had done of it by then."""
    now = {one.file for one in mended}
    earlier = next((one for one in begun.changes if isinstance(one, Repaired)), None) if begun is not None else None
    before = earlier.mended if earlier is not None else []
    return [*(one for one in before if one.file not in now), *mended]


def _move_head(folder: Folder, plan: Plan, position: int, seed: int) -> None:
    """Let HEAD speak of what there is now. In its place, so that a writer who has it open sees that it moved."""
    tip = plan.tip
    with closing(_open_head(folder, seed)) as moved:
        moved.move(end=tip.end, base=plan.base, position=position, time_us=tip.time_us, prev=tip.prev)
        moved.sync()
    folder.sync_names()


def _open_head(folder: Folder, seed: int) -> Head:
    there = head.NAME in folder.names()
    opened = Head(folder.open(head.NAME, writable=True) if there else folder.create(head.NAME), seed)
    opened.changed()
    return opened
