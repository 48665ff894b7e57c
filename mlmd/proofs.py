"""Proofs: `s.prove("taxi-model:31").save("proof.txt")` where the store is, `mlmd.check("proof.txt", policy="my.policy")` anywhere else.

A proof is a file that shows, without the store, that a record, or some of its changes, is in a log: see `evlog.tlog.evidence`. The
command's `prove` and `check` are these.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from evlog import codec
from evlog.errors import EvidenceError
from evlog.files import RealFolder
from evlog.records import Entry, NodePut, TypePut
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog import evidence
from evlog.tlog.archive import best, newest
from evlog.tlog.publisher import in_memory
from evlog.tlog.review import keys_of
from evlog.tlog.shelf import FolderShelf, MemoryShelf
from evlog.tlog.tiles import FOLDER as TILES
from evlog.tlog.tiles import Tiles
from evlog.upkeep.backup import silent
from mlmd import errors, names
from mlmd.changes import in_short
from mlmd.display.cards import Card
from mlmd.display.cells import calendar_time
from mlmd.files import read_file, write_file
from mlmd.opening import TLOG_FOLDER
from mlmd.places import command_of
from mlmd.publishing import key_of, publish
from mlmd.trust import read_actors, trust_of
from replay.things import things_of
from replay.versions import history

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from evlog.log import Log
    from evlog.records import Change, Envelope
    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.policy import Agreed, Policy
    from evlog.tlog.proof import Node
    from evlog.upkeep.backup import Stage
    from mlmd.store import MetadataStore
    from mlmd.trust import Named, Trust
    from projections.sqlite.view import View
    from replay.things import Thing

_CHANGES_MAX: Final = 8  # So many are shown on a card.


@dataclass(frozen=True)
class Evident:
    """A record, what of it is shown, and the evidence for that. entry: a whole record where it is at hand, else what is shown of it."""

    evidence: evidence.Evidence
    entry: Entry
    shown: Sequence[Change]

    @property
    def offset(self) -> int:
        """Return which record of the log it is."""
        return self.entry.offset

    @property
    def time(self) -> datetime | None:
        """Return when it was put; None for a time that no calendar holds."""
        return calendar_time(self.entry.time_us)

    @property
    def actor(self) -> str:
        """Return who put it, as the record says."""
        return self._envelope.actor

    @property
    def log(self) -> str:
        """Return the origin of the log: its name for the world."""
        return self.evidence.signed.checkpoint.origin

    @property
    def size(self) -> int:
        """Return how many records the log had when its root was this."""
        return self.evidence.signed.checkpoint.size

    @property
    def root(self) -> str:
        """Return the root of the tree over those records, in hexadecimal: what the proof leads to."""
        return self.evidence.signed.checkpoint.root.hex()

    @property
    def _envelope(self) -> Envelope:
        return self.entry.record.envelope

    def _card(self, title: str, badge: str, facts: dict[str, Any]) -> Card:
        told = {"actor": self.actor, "time": self.time, "reason": self._envelope.reason, "call": self._envelope.api}
        head = {"log": self.log, "size": self.size, "root": self.root}
        lines = [in_short([one]) for one in self.shown[:_CHANGES_MAX]]
        if len(self.shown) > _CHANGES_MAX:
            lines.append(f"and {len(self.shown) - _CHANGES_MAX:,} more")
        return Card(title, [badge], told | head | facts, ends={"shown": lines})

    def card(self) -> Card:
        """Return it as a card. Each kind says its own."""
        raise NotImplementedError

    def __str__(self) -> str:
        return str(self.card())

    def _repr_html_(self) -> str:
        return self.card()._repr_html_()


@dataclass(frozen=True)
class Proof(Evident):
    """A proof that was made: `save` writes it, `data` are its bytes."""

    @property
    def unsigned(self) -> bool:
        """Tell whether nobody signed the root: then it convinces only who knows the root from elsewhere."""
        return self.evidence.signed.unsigned

    @property
    def signed_by(self) -> list[str]:
        """Return whose signatures the root bears: the log's, and those of witnesses."""
        return [one.name for one in self.evidence.signed.note.signatures]

    @property
    def data(self) -> bytes:
        """Return the bytes of the file."""
        return evidence.pack(self.evidence)

    def save(self, path: Named) -> Path:
        """Write the file, whole or not at all, and return its path. Raises InvalidArgumentError where it cannot be there."""
        return write_file(path, self.data)

    def card(self) -> Card:
        """Return the proof as a card."""
        signed = ", ".join(self.signed_by) or checkpoints.UNSIGNED
        return self._card(f"Proof of record #{self.offset:,}", signed, {"bytes": len(self.data)})


@dataclass(frozen=True)
class Checked(Evident):
    """A proof that holds. agreed: who stands for the root; actor_known: whether a key that is known as the actor's signed, None where none did."""

    changes: int
    agreed: Agreed
    actor_known: bool | None

    def card(self) -> Card:
        """Return what is proven as a card."""
        by = {"signed by": ", ".join(self.agreed.logs), "witnesses": ", ".join(self.agreed.witnesses)}
        shown = {"changes": f"{len(self.shown)} of {self.changes} shown"}
        return self._card(f"Record #{self.offset:,} of {self.log}", "proven", by | shown)


# Making -------------------------------------------------------------------------------------------------------------


def prove(metadata: MetadataStore, thing: Thing | int, *, sign: bool = True, stage: Stage = silent) -> Proof:
    """Return the proof that the last record that put a thing is in the log, and nothing else of that record; of an offset the whole record.

    sign: publish a checkpoint where there is a key and none is over the record; else nothing is written, and the proof may be unsigned.
    stage: as for `evlog.upkeep.backup`. Raises NotFoundError for what was never put, OutOfRangeError for an offset that is not there,
    FailedPreconditionError where the key is elsewhere, UnimplementedError for a server's store.
    """

    def question(log: Log, view: View, end: int) -> Proof:
        if not isinstance(thing, int):
            entry, wanted = record_of(log, view, thing, end)
        elif thing < end:
            entry, wanted = record_at(log, thing)
        else:
            raise errors.OutOfRangeError(f"there is no #{thing:,}: the last record is #{end - 1:,}")
        return make(log, entry, wanted, sign=sign, stage=stage)

    found: Proof = metadata._backend.review(question)  # noqa: SLF001 - one face of the same house
    return found


def prove_records(
    metadata: MetadataStore, offsets: Sequence[int], *, sign: bool = True, stage: Stage = silent
) -> list[Proof]:
    """Return the proofs of whole records, all under one checkpoint. Raises as `prove`."""

    def question(log: Log, _: View, end: int) -> list[Proof]:
        if (last := max(offsets)) >= end:
            raise errors.OutOfRangeError(f"there is no #{last:,}: the last record is #{end - 1:,}")
        signed, node = _tree(log, last, sign=sign, stage=stage)
        return [_made(log, *record_at(log, offset), signed, node) for offset in offsets]

    found: list[Proof] = metadata._backend.review(question)  # noqa: SLF001 - as above
    return found


def record_at(log: Log, offset: int) -> tuple[Entry, list[int]]:
    """Return a record, and all of its changes by number. Raises as `Log.read`."""
    entry = next(log.read(offset, offset + 1, sealed=True))  # A proof is of what is stored, and needs no key.
    return entry, [*range(len(entry.record.changes))]


def record_of(log: Log, view: View, thing: Thing, end: int) -> tuple[Entry, list[int]]:
    """Return the last record before `end` that put a thing, and by number which of its changes did. Raises NotFoundError."""
    for version in history(log, view, thing, end, links=False, newest_first=True):
        entry = next(log.read(version.by.offset, version.by.offset + 1))
        changes = enumerate(entry.record.changes)
        return entry, [at for at, one in changes if isinstance(one, NodePut | TypePut) and thing in things_of(one)]
    raise errors.NotFoundError(f"nothing was ever put as {names.name_of(thing)}")


def make(log: Log, entry: Entry, wanted: list[int], *, sign: bool, stage: Stage = silent) -> Proof:
    """Return the proof of some changes of a record. Raises EvidenceError, LogError."""
    return _made(log, entry, wanted, *_tree(log, entry.offset, sign=sign, stage=stage))


def _made(log: Log, entry: Entry, wanted: list[int], signed: Signed, node: Node) -> Proof:
    made = evidence.make(log.frame(entry.offset), wanted, node, signed)
    evidence.check(made)  # Before anyone relies on it: the tiles may be damaged.
    return Proof(made, entry, [entry.record.changes[number] for number in wanted])


def _tree(log: Log, offset: int, *, sign: bool, stage: Stage) -> tuple[Signed, Node]:
    """Return a checkpoint over a record and the tree below it: the best there is, one made now, or an unsigned one."""
    signed = None
    if isinstance(log.folder, RealFolder):  # Of a log in memory nothing is published.
        place = log.folder.path.parent
        shelf = FolderShelf(place / TLOG_FOLDER)
        signed = best(shelf, offset) or (_signed_now(place, shelf, stage) if sign else None)
        if signed is not None:
            signed.note.signers(keys_of(shelf.place))  # Raises where the file was tampered with.
            if shelf.names(TILES):
                return signed, Tiles(shelf).node(signed.checkpoint.size)
    memory = MemoryShelf()  # As for a backup, which has checkpoints and no tiles.
    with stage("making the tree", "records") as tell:
        head = in_memory(log, memory, tell, signed.checkpoint.size if signed is not None else None)
    signed = signed or checkpoints.seal(head, None)
    return signed, Tiles(memory).node(signed.checkpoint.size)


def _signed_now(place: Path, shelf: FolderShelf, stage: Stage) -> Signed | None:
    """Return a checkpoint made now, None where there is no key and never was one. Raises EvidenceError where the key is elsewhere."""
    key = key_of(place)
    if key is not None:
        return publish(place, key, stage)
    if (latest := newest(shelf)) is not None:
        raise EvidenceError(
            f"the newest checkpoint is over {latest.checkpoint.size} records, and here is no key to sign another:"
            f" ask for `{command_of(place)} checkpoint` where the key is"
        )
    return None


# Checking -----------------------------------------------------------------------------------------------------------


def check(
    proof: Named | bytes | Proof,
    *,
    policy: Named | Policy | None = None,
    root: str | None = None,
    key: str | None = None,
    actors: Named | Sequence[VerifierKey] | None = None,
) -> Checked:
    """Return what a proof proves: `mlmd.check`. Needs no store and no network.

    proof: a file, its bytes, or what `prove` returned. Whom you trust is one of three: policy, a file in the form of c2sp.org/tlog-policy;
    root, in hexadecimal, as you know it from elsewhere; key, the log's, as `evlog keys show` tells it. actors: a file of their keys, of
    which one must have signed the record. Raises InvalidArgumentError for what is no file, key or policy; FailedPreconditionError where
    nothing is proven, which says why.
    """
    trust = trust_of(policy, root, key)
    known = _known(actors)
    data = proof.data if isinstance(proof, Proof) else proof
    told = "the proof" if isinstance(data, bytes) else str(data)
    try:
        return checked(data if isinstance(data, bytes) else read_proof(data), trust, known)
    except EvidenceError as error:
        raise errors.FailedPreconditionError(f"{told}: nothing is proven: {error}") from error


def checked(data: bytes, trust: Trust, actors: Sequence[VerifierKey] = ()) -> Checked:
    """Return what the bytes of a proof prove. trust: returns who stands for a checkpoint. Raises EvidenceError where nothing is proven."""
    proof = evidence.parse(data)
    proven = evidence.check(proof)
    signed = evidence.actor_of(proof, actors)
    if signed is None and actors:
        raise EvidenceError("no actor signed the record")
    agreed = trust(proof.signed)
    record = codec.decode_stored(proof.envelope, [one.change for one in proof.shown], offset=proven.offset)
    entry = Entry(proven.offset, proven.time_us, record)
    known = signed.known if signed is not None else None
    return Checked(proof, entry, record.changes, proven.changes, agreed, known)


def read_proof(path: Named) -> bytes:
    """Return the bytes of a file that may be a proof. Raises InvalidArgumentError where it cannot be read."""
    return read_file(path, evidence.EVIDENCE_BYTES_MAX)


def _known(actors: Named | Sequence[VerifierKey] | None) -> Sequence[VerifierKey]:
    """Return the keys of actors that the caller of `check` knows. Raises InvalidArgumentError."""
    if not isinstance(actors, str | os.PathLike):
        return actors or ()
    try:
        return read_actors(actors)
    except EvidenceError as error:
        raise errors.InvalidArgumentError(str(error)) from error
