"""What the scripts of the pages are tested with: proofs, tiles, notes and records as our Python makes them. The same bytes each time.

python tests/kit/vectors.py     writes web/test/evidence.json anew
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from evlog import frame, merkle
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import ArtifactPut, ArtifactTypePut, Change, ContextPut, Envelope, Record
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.checkpoint import Checkpoint
from evlog.tlog.keys import SigningKey
from evlog.tlog.proof import consistency, inclusion, node_of, root_of_range
from evlog.tlog.publisher import in_memory
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles, name_of
from mlmd.display.cells import printable

FILE = Path(__file__).parents[2] / "web" / "test" / "evidence.json"
ORIGIN = "evlog/000102030405060708090a0b0c0d0e0f"
RECORDS, OLDER = 300, 200
SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 255, 256, 257, 600)
START_US = 1_772_539_200_000_000  # 2026-03-03T12:00:00Z
FRAMES = (0, 7, 199, 200, 255, 256, 299)


def text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def tree() -> dict[str, Any]:
    """Return proofs in trees of leaves whose hashes are SHA-256 of their number."""
    leaves = [sha256(str(number).encode()).digest() for number in range(max(SIZES))]
    node = node_of(leaves)
    roots = {size: root_of_range(node, 0, size) for size in SIZES}
    included = [
        {"index": index, "size": size, "path": [text64(one) for one in inclusion(node, index, size)]}
        for size in SIZES
        for index in sorted({0, 1, size // 2, size - 1})
        if index < size
    ]
    begins = [
        {"older": older, "newer": newer, "path": [text64(one) for one in consistency(node, older, newer)]}
        for newer in SIZES
        for older in SIZES
        if older < newer
    ]
    return {
        "roots": {str(size): text64(root) for size, root in roots.items()},
        "inclusion": included,
        "consistency": begins,
    }


def records() -> list[Record]:
    """Return what the log of the vectors holds: a type, artifacts, and one record of many changes."""
    found = []
    for number in range(RECORDS):
        changes: list[Change] = [
            ArtifactPut(
                id=number,
                type_id=1,
                create_time_ms=number,
                update_time_ms=2**40 + number,
                name=f"artifact {number}",
                properties={"loss": number / 7, "big": 2**60 + number, "on": number % 2 == 0},
            )
        ]
        if number == 0:
            changes = [ArtifactTypePut(id=1, name="Data", properties={"loss": "DOUBLE"})]
        if number == FRAMES[1]:
            changes += [ContextPut(id=at, type_id=2, create_time_ms=1, update_time_ms=1) for at in range(6)]
        envelope = Envelope(
            v=1,
            transaction=number.to_bytes(16, "big"),
            wall_us=START_US + number,
            api="PutArtifacts",
            actor="ana" if number % 2 else "ben",
            auth="asserted",
            application="vectors",
            host="host",
            pid=7,
            reason=None if number % 3 else f"because of {number} \u202e\t<b>",
        )
        found.append(Record(envelope, changes))
    return found


def store() -> dict[str, Any]:
    """Return a signed log as a server hands it out."""
    clock = count(START_US, 1_500_000)
    folder, shelf = MemoryFolder(), MemoryShelf()
    log = Log.open(folder, create=True, clock=lambda: next(clock))
    made = records()
    for record in made:
        with log.claim() as group:
            group.add(record)
            group.commit()
    head = in_memory(log, shelf)
    tiles = Tiles(shelf)
    key = SigningKey(ORIGIN, bytes(range(32)))
    older = Checkpoint(ORIGIN, OLDER, root_of_range(tiles.node(RECORDS), 0, OLDER))
    hashed = [name for name in sorted(shelf.files) if "entries" not in name]
    frames = {at: log.frame(at) for at in FRAMES}
    told = {
        "checkpoint": checkpoints.seal(Checkpoint(ORIGIN, RECORDS, head.root), key).data.decode(),
        "older": checkpoints.seal(older, key).data.decode(),
        "unsigned": checkpoints.seal(older, None).data.decode(),
        "key": key.verifier.vkey,
        "policy": f"# ours\nlog {key.verifier.vkey}\nquorum none\n",
        "tiles": {name: text64(shelf.files[name]) for name in hashed},
        # Of no log: the header of a frame has a checksum that begins with the id, which is new each time; nobody looks at it.
        "frames": {str(at): text64(frame.repack(one, one.body, seed=0, prev=one.prev)) for at, one in frames.items()},
        "leafHashes": {str(at): text64(merkle.leaf_hash(_leaf(one))) for at, one in frames.items()},
        "shown": {str(at): _shown(frames[at].time_us, made[at]) for at in FRAMES},
    }
    log.close()
    return told


def _leaf(one: frame.Frame) -> bytes:
    envelope, changes = frame.unpack_body(one.body, one.changes)
    return merkle.leaf(
        kind=one.kind, flags=one.flags, offset=one.offset, time_us=one.time_us, envelope=envelope, changes=changes
    )


def _shown(time_us: int, record: Record) -> dict[str, str]:
    """Return a record as a page shows it."""
    from mlmd.display.cells import calendar_time, moment_in_words

    time, envelope = calendar_time(time_us), record.envelope
    assert time is not None
    return {
        "time": moment_in_words(time),
        "changes": str(len(record.changes)),
        **{
            name: printable(getattr(envelope, name) or "") for name in ("actor", "auth", "application", "api", "reason")
        },
    }


def vectors() -> str:
    """Return the file."""
    numbers = [(0, 0, 256), (0, 999, 256), (1, 1_000, 7), (2, 1_234_067, 256), (0, 12, 1), (5, 0, 255)]
    texts = ["", "plain", "a\tb\nc", "\x00\x1b[31m", "\u202eevil", "\x85", "\ufffe", "é — ✓"]
    told = {
        "tree": tree(),
        "store": store(),
        "names": [[level, number, width, name_of(level, number, width)] for level, number, width in numbers],
        "printable": [[text, printable(text)] for text in texts],
    }
    return json.dumps(told, indent=1, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    FILE.write_text(vectors(), encoding="ascii")
