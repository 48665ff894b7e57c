"""A log with a published tree, and the verifier of docs/ as a module."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import records

from evlog.log import Log
from evlog.tlog import evidence, keys
from evlog.tlog.publisher import Publisher
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import Tiles

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from evlog.records import Record
    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.evidence import Evidence

VERIFIER = Path(__file__).parents[2] / "docs" / "verifier.py"


class Published:
    """A log in a folder, its key and its publisher."""

    def __init__(self, place: Path) -> None:
        self.place, self.tlog = place, place / "tlog"
        self.log = Log.open(place / "log", create=True)
        self.key = keys.new(self.log.origin)
        self.publisher = Publisher(place / "log", self.tlog, self.key)
        self.policy = f"log {self.key.verifier.vkey}\nquorum none\n"

    def put(self, *wanted: Record) -> None:
        records.append(self.log, list(wanted))

    def fill(self, count: int) -> None:
        """Put so many artifacts, each in a record of its own."""
        self.put(*(records.record(records.artifact(number)) for number in range(1, count + 1)))

    def publish(self) -> Signed:
        return self.publisher.publish()

    def reopened(self) -> Publisher:
        self.publisher.close()
        self.publisher = Publisher(self.place / "log", self.tlog, self.key)
        return self.publisher

    def tiles(self) -> Tiles:
        return Tiles(FolderShelf(self.tlog))

    def prove(self, offset: int, signed: Signed, wanted: list[int] | None = None) -> Evidence:
        frame = self.log.frame(offset)
        node = self.tiles().node(signed.checkpoint.size)
        return evidence.make(frame, range(frame.changes) if wanted is None else wanted, node, signed)

    def leaves(self) -> list[bytes]:
        """Return the leaves, made from the log by the document's words alone."""
        from hashlib import sha256
        from struct import pack

        import rfc6962

        found = []
        for offset in range(self.log.end):
            frame = self.log.frame(offset)
            body, parts = frame.body, []
            while body:
                size = int.from_bytes(body[:4], "little")
                parts.append(body[4 : 4 + size])
                body = body[4 + size :]
            head = pack("<BBHIQQ", 1, 1, 0, len(parts) - 1, offset, frame.time_us)
            found.append(b"MLJLEAF1" + head + sha256(parts[0]).digest() + rfc6962.mth(parts[1:]))
        return found

    def close(self) -> None:
        self.publisher.close()
        self.log.close()


def verifier() -> ModuleType:
    """Return docs/verifier.py."""
    spec = importlib.util.spec_from_file_location("docs_verifier", VERIFIER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def outcome(check: Callable[[], Any], *refusals: type[Exception]) -> Any:
    """Return what a check returns, None where it refuses."""
    try:
        return check()
    except refusals:
        return None
