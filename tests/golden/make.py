"""Write the golden logs of this format version: every kind of change, every kind of value, two segments, the same bytes each time.

    python tests/golden/make.py [FOLDER]

`v1` is what the first release wrote, `v1-NAME` what was added to the format with NAME (`signed`: signatures of actors). `compressed` is the
first segment of `v1`, compressed; another release of zstd may compress it to other bytes. A later release reads every golden log that an
earlier one wrote, so the folder of a released version is never written anew.
"""

from __future__ import annotations

import itertools
import json
import math
import secrets
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec

from evlog import log as log_module
from evlog import resume, segment
from evlog.actors import SIGNED, Signer
from evlog.log import Log
from evlog.personal import sealed_values
from evlog.records import (
    RECORD_VERSION,
    ArtifactPut,
    ArtifactTypePut,
    AssociationPut,
    AttributionPut,
    Change,
    ContextPut,
    ContextTypePut,
    Envelope,
    Erased,
    EventPut,
    ExecutionPut,
    ExecutionTypePut,
    ForeignRowKept,
    LogRecovered,
    LossAccepted,
    Mended,
    NodePut,
    ParentContextPut,
    PersonalDeclared,
    PersonalRule,
    Proto,
    Record,
    Repaired,
    Restored,
    Sealed,
    Struct,
    Taken,
    TokenAdded,
    TokenRemoved,
)
from evlog.seekable import compressed
from evlog.tlog.keys import SigningKey
from mlmd.opening import BODIES
from replay.rebuild import build

HERE = Path(__file__).parent
LOG_ID = bytes(range(16))
START_US = 1_772_539_200_000_000  # 2026-03-03T12:00:00Z
SEGMENT_RECORDS = 4
BLOCK_BYTES = 1024


def changes() -> list[list[Change]]:
    """Return the changes of each record."""
    node = {"create_time_ms": 1_772_539_200_001, "update_time_ms": 1_772_539_200_002}
    values = {
        "int": -(2**63),
        "large": 2**63 - 1,
        "double": 0.1,
        "whole": 2.0,
        "infinite": math.inf,
        "text": 'é "\0',
        "empty": "",
        "yes": True,
        "struct": Struct({"a": [None, True, 1.5, "x", {"b": {}}], "unset": msgspec.msgpack.Ext(0, b"")}),
        "proto": Proto("type.googleapis.com/x.Y", b"\x08\x01"),
    }
    return [
        [
            ArtifactTypePut(1, "DataSet", properties={"day": "INT", "split": "STRING"}),
            ExecutionTypePut(2, "Trainer", "v2", "trains", "ext-2", {"state": "STRING"}, "mlmd.Train", {"any": {}}),
            ContextTypePut(3, "Experiment"),
        ],
        [ArtifactPut(1, 1, **node, properties={"day": 1, "split": "train"}, uri="path/to/data", state="LIVE")],
        [ExecutionPut(1, 2, **node, name="run", external_id="", properties={"state": "RUNNING"}, state="RUNNING")],
        [],
        [ContextPut(1, 3, **node, name="exp1"), ContextPut(2, 3, **node, name="exp2", custom_properties=values)],
        [
            EventPut(1, 1, 1, "DECLARED_INPUT", 1_772_539_200_003, ["data", 0]),
            AttributionPut(1, 1),
            AssociationPut(1, 1),
            ParentContextPut(1, 1, 2),
        ],
        [LogRecovered(segment.name_of(0), 128, 3, b"\x01" * 32, "torn", "quarantine/x")],
    ]


def imported() -> list[list[Change]]:
    """Return the changes of each record of an import."""
    row = {"id": 7, "artifact_id": 1, "type": 99, "name": "é", "rate": 0.5, "bytes": b"\xff\x00", "none": None}
    return [[ContextTypePut(12, "Pipeline"), ForeignRowKept("Event", row, "no such type of event")]]


def restored() -> list[list[Change]]:
    """Return the changes of each record of a restored store."""
    return [
        [ContextTypePut(12, "Pipeline")],
        [Restored(LOG_ID, f"evlog/{LOG_ID.hex()}", 1, b"\x01" * 32, 3, b"\x02" * 32, START_US)],
    ]


def signed() -> list[list[Change]]:
    """Return the changes of each record of a store whose actor signs."""
    return [[ContextTypePut(12, "Pipeline")], [ContextTypePut(13, "Run"), ContextTypePut(14, "Experiment")]]


def personal() -> list[list[Change]]:
    """Return the changes of each record of a store that declared, sealed and erased: the key is gone, so any bytes will do."""
    node = {"create_time_ms": 1_772_539_200_001, "update_time_ms": 1_772_539_200_002}
    sealed = {
        name: Sealed(kind, b"\x01" * 16, b"\x02" * 12, b"\x03" * 32, b"\x04" * 32, b"\x05" * 80)
        for name, kind in (("operator", "STRING"), ("age", "INT"))
    }
    rules = [PersonalRule("operator", "execution", "Trainer", "user"), PersonalRule("age*", subject="u-1")]
    return [
        [ExecutionTypePut(1, "Trainer", properties={"operator": "STRING", "age": "INT", "user": "STRING"})],
        [PersonalDeclared([PersonalRule("x")])],
        [PersonalDeclared(rules)],
        [ExecutionPut(1, 1, **node, properties={**sealed, "user": "u-1"}, custom_properties={"plain": 1})],
        [Erased("u-1", [b"\x01" * 16], "GDPR Art. 17", ["snapshot /lake: made anew"])],
    ]


def repaired() -> list[list[Change]]:
    """Return the changes of each record of a store that was repaired, and then lost records."""
    name = segment.name_of(0)
    taken = [Taken(0, 1, "copy", "the tree")]
    return [
        [ContextTypePut(12, "Pipeline")],
        [Repaired([Mended(name, "torn", f"quarantine/{name}-01", taken), Mended("HEAD", "gone")], 1, b"\x01" * 32)],
        [LossAccepted(2, b"\x02" * 32, 7, "no copy"), LossAccepted(2, b"\x02" * 32, 7, "", ["q"], 6, b"\x03" * 32)],
    ]


def tokens() -> list[list[Change]]:
    """Return the changes of each record of a store that let somebody in, and out."""
    return [
        [ContextTypePut(12, "Pipeline")],
        [TokenAdded("ci", "writer", 1_780_315_200_000)],
        [TokenAdded("ana", "auditor")],
        [TokenRemoved("ci")],
    ]


LOGS = {
    "v1": changes,
    "v1-import": imported,
    "v1-restored": restored,
    "v1-signed": signed,
    "v1-repaired": repaired,
    "v1-personal": personal,
    "v1-tokens": tokens,
    "v1-checkpoint": changes,
}
SIGNERS = {"v1-signed": SigningKey("ana", bytes(range(32)))}


CHECKPOINT_RECORDS = {"v1-checkpoint": 2}


def write(
    folder: Path,
    records: list[list[Change]],
    *,
    signer: Signer | None = None,
    checkpoint_records: int = resume.RECORDS,
) -> bytes:
    """Write records as a log into an empty folder; return its root."""
    kept = (log_module.SEGMENT_RECORDS_MAX, secrets.token_bytes, log_module.WRITER, resume.RECORDS)
    clock = itertools.count(START_US, 1_000_000)
    log_module.SEGMENT_RECORDS_MAX, log_module.WRITER = SEGMENT_RECORDS, "golden"  # type: ignore[misc]
    resume.RECORDS = checkpoint_records  # type: ignore[misc]
    secrets.token_bytes = lambda _size=None: LOG_ID  # type: ignore[assignment]
    try:
        log = Log.open(folder, create=True, clock=lambda: next(clock))
        for number, of_record in enumerate(records):
            transaction = number.to_bytes(16)
            reason = "ticket 81" if number == 1 else None
            envelope = Envelope(
                RECORD_VERSION,
                transaction,
                START_US + number,
                "PutTypes",
                "ana",
                "asserted" if signer is None else SIGNED,
                "golden",
                "host",
                7,
                reason,
                sealed=any(isinstance(change, NodePut) and [*sealed_values(change)] for change in of_record),
            )
            with log.claim() as group:
                group.add(Record(envelope, of_record), signer=signer)
                group.commit()
        root = log.tip_at_end().tree.root()
        log.close()
    finally:
        log_module.SEGMENT_RECORDS_MAX, secrets.token_bytes, log_module.WRITER, resume.RECORDS = kept  # type: ignore[misc]
    return root


def readable(log: Log) -> list[dict[str, Any]]:
    """Return the records of a log as JSON can hold them."""

    def plain(value: object) -> object:
        if isinstance(value, msgspec.msgpack.Ext):
            return {"ext": value.code}
        return str(value)

    encode = msgspec.json.Encoder(enc_hook=plain).encode
    return [
        {
            "offset": entry.offset,
            "time_us": entry.time_us,
            "envelope": json.loads(encode(entry.record.envelope)),
            "changes": [json.loads(encode(change)) for change in entry.record.changes],
        }
        for entry in log.read(0)
    ]


def settings(name: str) -> dict[str, Any]:
    """Return how a log is written, beyond its records."""
    return {"signer": SIGNERS.get(name), "checkpoint_records": CHECKPOINT_RECORDS.get(name, resume.RECORDS)}


def main() -> None:
    """Write the golden logs, and what is in them."""
    for name, of_log in LOGS.items():
        folder = (Path(sys.argv[1]) if len(sys.argv) > 1 else HERE) / name
        shutil.rmtree(folder, ignore_errors=True)
        root = write(folder / "log", of_log(), **settings(name))
        log = Log.open(folder / "log", writable=False)
        expected = {"root": root.hex(), "records": readable(log)}
        (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
        view = build(log, None, BODIES, log.end)
        (folder / "digest").write_text(view.digest() + "\n", encoding="utf-8")
        for name in ("LOCK", "ballast"):
            (folder / "log" / name).unlink()
    write_compressed(folder.parent / "compressed")


def write_compressed(folder: Path) -> None:
    """Write the first segment of `v1`, compressed in blocks that are small, so that there are several."""
    name = segment.name_of(0)
    data = (folder.parent / "v1" / "log" / name).read_bytes()
    blocks = [data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES)]
    folder.mkdir(exist_ok=True)
    (folder / (name + segment.COMPRESSED)).write_bytes(b"".join(compressed(blocks)))


if __name__ == "__main__":
    main()
