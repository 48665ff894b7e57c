"""The vocabulary of the log: one Record per put, holding its changes.

A change carries the complete new state of what it names, with ids and times settled, so replay is a fold that needs no
look-up, no clock and no chance, and a record read in ten years explains itself. Stored as MessagePack maps with explicit
tags (`t`), never import paths: renaming a class here does not touch history. New fields go last, with a default; any
other change is a new RECORD_VERSION with an upcaster and a golden file.

Times: `*_ms` milliseconds, `*_us` microseconds since 1970. A field that is None was not set; "" was set to "".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

RECORD_VERSION: Final = 1


class Struct(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="struct", gc=False):
    """A google.protobuf.Struct as plain data: None, bool, float, str, list, dict; a value without kind is an Ext(0)."""

    fields: dict[str, Any]


class Proto(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="proto", gc=False):
    """A google.protobuf.Any: the name of its message type and its bytes."""

    type_url: str
    value: bytes


class Sealed(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="sealed", gc=False):
    """A personal value, encrypted under the key of its subject: see `evlog.sealing`. type: INT, DOUBLE, STRING, ... of the value.

    key_id names the key, and no person. The commitments bind key and value: no other key opens the bytes, and to no other value.
    """

    type: str
    key_id: bytes
    nonce: bytes
    key_commitment: bytes
    value_commitment: bytes
    ciphertext: bytes


# MessagePack keeps int, double, string and bool apart, so a plain value is its own type. Sealed is how a value is stored; whoever
# reads a log gets what is in it (`evlog.personal`).
Value = int | float | str | bool | Struct | Proto | Sealed
Properties = dict[str, Value]


class TypePut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", gc=False):
    """A type as it is from now on. properties: name -> INT, DOUBLE, STRING, STRUCT, PROTO or BOOLEAN."""

    id: int
    name: str
    version: str | None = None
    description: str | None = None
    external_id: str | None = None
    properties: dict[str, str] = {}
    base_type: str | None = None


class ArtifactTypePut(TypePut, frozen=True, omit_defaults=True, tag="artifact_type", gc=False):
    """A type of artifacts."""


class ExecutionTypePut(TypePut, frozen=True, omit_defaults=True, tag="execution_type", gc=False):
    """A type of executions. input_type, output_type: ArtifactStructType in protobuf's JSON form."""

    input_type: dict[str, Any] | None = None
    output_type: dict[str, Any] | None = None


class ContextTypePut(TypePut, frozen=True, omit_defaults=True, tag="context_type", gc=False):
    """A type of contexts."""


class NodePut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", gc=False):
    """What artifacts, executions and contexts share: the node as it is from now on."""

    id: int
    type_id: int
    create_time_ms: int
    update_time_ms: int
    name: str | None = None
    external_id: str | None = None
    properties: Properties = {}
    custom_properties: Properties = {}


class ArtifactPut(NodePut, frozen=True, omit_defaults=True, tag="artifact", gc=False):
    """An artifact. state: a name of MLMD's Artifact.State."""

    uri: str = ""
    state: str | None = None


class ExecutionPut(NodePut, frozen=True, omit_defaults=True, tag="execution", gc=False):
    """An execution. state: a name of MLMD's Execution.State."""

    state: str | None = None


class ContextPut(NodePut, frozen=True, omit_defaults=True, tag="context", gc=False):
    """A context."""


class EventPut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="event", gc=False):
    """An edge between an execution and an artifact. type: a name of MLMD's Event.Type; path: indexes and keys."""

    id: int
    artifact_id: int
    execution_id: int
    type: str
    time_ms: int
    path: list[int | str] = []


class AttributionPut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="attribution", gc=False):
    """An artifact belongs to a context."""

    context_id: int
    artifact_id: int


class AssociationPut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="association", gc=False):
    """An execution belongs to a context."""

    context_id: int
    execution_id: int


class ParentContextPut(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="parent_context", gc=False):
    """A context is the parent of another. id: the order in which such links were made."""

    id: int
    parent_id: int
    child_id: int


class LogRecovered(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="log_recovered", gc=False):
    """Opening cut off a tail that was never acknowledged; the bytes are in the quarantine file named here."""

    segment: str
    position: int
    size: int
    sha256: bytes
    reason: str
    quarantine: str


class ForeignRowKept(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="foreign_row", gc=False):
    """A row of an imported database that could not be put as it was, whole: column -> null, int, float, text or bytes.

    why: what is wrong with it, in the same words for all rows of which it is true. No view shows it.
    """

    table: str
    row: dict[str, Any]
    why: str


class Restored(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="restored", gc=False):
    """The store was brought back from a backup here: the records before this one are the first `end` of the log of that id.

    root: of the tree of these records. made_end, made_root, made_us: how much the backup held, and when it was made; records
    [end, made_end) were left behind on purpose.
    """

    log_id: bytes
    origin: str
    end: int
    root: bytes
    made_end: int
    made_root: bytes
    made_us: int


class Taken(msgspec.Struct, frozen=True, gc=False):
    """The records [start, stop) came from a copy. committed: by what is known that they are those that were lost."""

    start: int
    stop: int
    source: str
    committed: str


class Mended(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A file of the log that was damaged or gone. quarantine: where its bytes are, "" if there were none."""

    file: str
    reason: str
    quarantine: str = ""
    taken: list[Taken] = []


class Repaired(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="repaired", gc=False):
    """Damaged files of the log were replaced; the records are those that were there before.

    end, root: records of the log then, and the root of their tree.
    """

    mended: list[Mended]
    end: int
    root: bytes


class LossAccepted(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="loss_accepted", gc=False):
    """Records were lost, and somebody said that the log shall go on without them: it was cut to its first `end` records.

    root: of their tree. known: records known to have been acknowledged, so at least [end, known) are gone. why: what was damaged.
    quarantine: where what was left of the rest lies. promised, promised_root: the newest checkpoint that is broken by it; 0 and empty if none is.
    """

    end: int
    root: bytes
    known: int
    why: str
    quarantine: list[str] = []
    promised: int = 0
    promised_root: bytes = b""


class PersonalRule(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Which properties are personal, and whose. kind, type: "" for all. property: a name, or a pattern with * and ?.

    subject_property: the property of the same node, and of either map, that names the subject; subject: the one subject of them all.
    Where both are "" whoever puts names the subject.
    """

    property: str
    kind: str = ""
    type: str = ""
    subject_property: str = ""
    subject: str = ""


class PersonalDeclared(
    msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="personal_declared", gc=False
):
    """From here on, values to which one of these rules applies are sealed; the rules declared before are over."""

    rules: list[PersonalRule]


class Erased(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="erased", gc=False):
    """The keys of a subject are destroyed, on purpose: what they sealed can be read by nobody any more.

    keys: their ids. subject: the pseudonym under which they were made; "" where they were lost, and nobody knew. copies: what had
    been published of the store, and what becomes of each.
    """

    subject: str
    keys: list[bytes]
    basis: str | None = None
    copies: list[str] = []


class TokenAdded(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="token_added", gc=False):
    """Whoever holds the token of this name may use servers of the store, as far as the role goes. The secret is in no record.

    role: reader, writer, auditor or admin. expires_ms: when it ends by itself; None where it does not.
    """

    name: str
    role: str
    expires_ms: int | None = None


class TokenRemoved(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="t", tag="token_removed", gc=False):
    """The token of this name opens nothing any more."""

    name: str


Change = (
    ArtifactTypePut
    | ExecutionTypePut
    | ContextTypePut
    | ArtifactPut
    | ExecutionPut
    | ContextPut
    | EventPut
    | AttributionPut
    | AssociationPut
    | ParentContextPut
    | LogRecovered
    | ForeignRowKept
    | Restored
    | Repaired
    | LossAccepted
    | PersonalDeclared
    | Erased
    | TokenAdded
    | TokenRemoved
)
# No facts about what is stored: no get answers with them.
REMARKS: Final = (
    LogRecovered,
    ForeignRowKept,
    Restored,
    Repaired,
    LossAccepted,
    PersonalDeclared,
    Erased,
    TokenAdded,
    TokenRemoved,
)


class Answered(msgspec.Struct, frozen=True, gc=False):
    """How a put was answered whose caller may send it again. request: SHA-256 of what was asked, empty where a value in it is sealed."""

    request: bytes
    response: bytes


class ActorSignature(msgspec.Struct, frozen=True, gc=False):
    """The actor's signature over a record (actors.py). public: the key, 32 bytes; value: 64 bytes."""

    public: bytes
    value: bytes


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Who put the record, when, through what, and why.

    transaction: a UUID, names the put across retries; `answered` is there if the caller chose it. auth: how the actor is known
    ("os", "asserted", "tls", "token", "signed"); never more than was checked. host, pid: of the caller; pid is 0 where only its address is known. wall_us: the writer's clock as it read, while the frame's time never goes back.
    sealed: values in the changes are sealed; without it nobody looks for any.
    """

    v: int
    transaction: bytes
    wall_us: int
    api: str
    actor: str
    auth: str
    application: str
    host: str
    pid: int
    reason: str | None = None
    answered: Answered | None = None
    signature: ActorSignature | None = None
    sealed: bool = False


class Record(msgspec.Struct, frozen=True, gc=False):
    """What one put appends."""

    envelope: Envelope
    changes: list[Change]


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record in its place in the log."""

    offset: int
    time_us: int
    record: Record
