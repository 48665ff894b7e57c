"""What was promised, against what is there: checkpoints, of the store or kept elsewhere, beside the roots that an audit found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from evlog.errors import EvidenceError, LogError
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog import policy as policies
from evlog.tlog.archive import CHECKPOINT, CHECKPOINTS, newest, sizes
from evlog.tlog.proof import check_consistency, consistency
from evlog.tlog.publisher import POLICY
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import FOLDER, Tiles
from evlog.upkeep.audit import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from evlog.tlog.checkpoint import Checkpoint, Signed
    from evlog.tlog.note import VerifierKey
    from evlog.upkeep.audit import Audit


class Promise(NamedTuple):
    """A checkpoint and the file it is in."""

    file: str
    signed: Signed


def promises_of(place: Path) -> tuple[list[Promise], list[Fault]]:
    """Return the checkpoints that a store keeps, and which of its files are none."""
    shelf = FolderShelf(place)
    found, faults = [], []
    for name in [CHECKPOINT, *(f"{CHECKPOINTS}/{size}" for size in sizes(shelf))]:
        file = str(place / name)
        data = shelf.read(name)
        if data is None:
            continue
        try:
            one = Promise(file, checkpoints.parse(data))
        except EvidenceError as error:
            faults.append(Fault("damage", str(error), file, 0, 0))
            continue
        found.append(one)
        size = one.signed.checkpoint.size
        if name not in (CHECKPOINT, f"{CHECKPOINTS}/{size}"):
            faults.append(
                Fault("damage", f"the checkpoint is over {size} records, its name says another number", file, 0, size)
            )
    return found, faults


def keys_of(place: Path) -> list[VerifierKey]:
    """Return the keys that the policy beside a store's tiles names; none where there is no such file. Raises EvidenceError."""
    data = FolderShelf(place).read(POLICY)
    try:
        return policies.parse(data).logs if data is not None else []
    except EvidenceError as error:
        raise EvidenceError(f"{place / POLICY}: {error}") from error


def compare(promise: Promise, result: Audit, keys: Sequence[VerifierKey]) -> Iterator[Fault]:
    """Yield what a checkpoint says that the log does not bear out."""
    one, file = promise.signed.checkpoint, promise.file
    if one.origin != result.origin:
        yield Fault(
            "damage", f"the checkpoint is of the log {one.origin}, this one is {result.origin}", file, 0, one.size
        )
        return
    try:
        signers = promise.signed.note.signers(keys)
    except EvidenceError as error:
        yield Fault("damage", str(error), file, 0, one.size)
        return
    if not signers and keys:
        yield Fault("damage", "none of the known keys signed the checkpoint", file, 0, one.size)
    elif not signers:
        yield Fault("note", "who signed the checkpoint was not checked: name the key with --policy", file, 0, one.size)
    root = result.roots.get(one.size)
    if root is None:
        damaged = [fault.offset for fault in result.faults if fault.severity == "damage"]
        end = min([result.records, *damaged])
        reason = (
            f"the log can be read up to record {end}, the checkpoint is over {one.size}"
            if damaged
            else f"the log ends at record {end}, the checkpoint is over {one.size}: it was cut, or is an old copy"
        )
        yield Fault("damage", reason, file, 0, end)
    elif root != one.root:
        reason = f"the first {one.size} records are not those that the checkpoint was made for: the log was rewritten"
        yield Fault("damage", reason, file, 0, one.size)


def tile_faults(place: Path, progress: Callable[[int, int], None] | None = None) -> Iterator[Fault]:
    """Yield what is wrong with the tiles of the newest checkpoint, each hash of them computed again."""
    shelf = FolderShelf(place)
    try:
        signed = newest(shelf)
    except EvidenceError:
        return  # Told as a checkpoint that cannot be read.
    if signed is None:
        return
    one, tiles = signed.checkpoint, Tiles(shelf)
    mends = f"remove {place / FOLDER}, and `evlog checkpoint` makes the tiles anew"
    found = False
    if one.size and not shelf.names(FOLDER):
        yield Fault(
            "note", "there are no tiles, as in a backup: `evlog checkpoint` makes them", str(place), 0, one.size
        )
        return
    try:
        for reason in tiles.faults(one.size, progress):
            found = True
            yield Fault("damage", f"{reason}; {mends}", str(place), 0, one.size)
        if not found and tiles.root(one.size) != one.root:
            yield Fault(
                "damage", f"the tiles are of another tree than the checkpoint; {mends}", str(place), 0, one.size
            )
    except LogError as error:
        yield Fault("damage", str(error), str(place), 0, one.size)


def path_between(place: Path, old: Checkpoint) -> tuple[Checkpoint, list[bytes]] | None:
    """Return the newest checkpoint and the proof, checked, that its tree begins with the old one; None without tiles for it.

    Raises EvidenceError where it does not begin with it.
    """
    shelf = FolderShelf(place)
    signed = newest(shelf)
    if signed is None or not 0 < old.size <= signed.checkpoint.size:
        return None
    new, tiles = signed.checkpoint, Tiles(shelf)
    if tiles.root(new.size) != new.root:
        return None
    path = consistency(tiles.node(new.size), old.size, new.size) if old.size < new.size else []
    check_consistency((old.size, old.root), (new.size, new.root), path)
    return new, path
