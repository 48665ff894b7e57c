"""Every parser of bytes that somebody else may have written, with valid input to begin from: for Hypothesis and for atheris.

A parser returns what it made of the input, or raises one of its typed errors: `read` then returns None. Where the input carries its own
proof, a signature or a checksum, it is never read as valid with another content.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable  # noqa: TC003 - a NamedTuple's field
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from crash import record
from lineage_events import a_run, lines

from evlog import actors, codec, frame, head, identity, resume, segment
from evlog.compression import compress_all
from evlog.errors import BackupError, CorruptLogError, EvidenceError, FormatVersionError, RepairError, UnknownTagError
from evlog.frame import Frame
from evlog.log import Log
from evlog.memory import MemoryFolder
from evlog.records import LossAccepted, Repaired
from evlog.seekable import SeekableFile
from evlog.segment import SegmentHeader, name_of
from evlog.tip import Tip
from evlog.tlog import checkpoint, evidence, keys, note, policy
from evlog.tlog.note import COSIGNATURE, VerifierKey
from evlog.tlog.publisher import in_memory
from evlog.tlog.shelf import MemoryShelf
from evlog.tlog.tiles import Tiles
from evlog.upkeep import manifest, repair
from evlog.upkeep.backup import backup
from mlmd import personal
from mlmd.errors import InvalidArgumentError
from mlmd.exchange.errors import EventError
from mlmd.exchange.openlineage.importing import events_in
from mlmd.exchange.openlineage.reading import read_event
from mlmd.serving import server_config, tokens

RECORDS = 20
SEED = frame.seed_of(b"\7" * 16)
READ_MAX = 1 << 20


class Parser(NamedTuple):
    """One parser. read: what it makes of bytes, None where it refuses them; seeds: bytes that it does not refuse.

    authentic: the input bears a signature that is checked. summed: it bears a checksum, which chance does not meet, but a fuzzer may.
    """

    read: Callable[[bytes], Any]
    seeds: Callable[[], list[bytes]]
    authentic: bool = False
    summed: bool = False


def refusing(parse: Callable[[bytes], Any], *refusals: type[Exception]) -> Callable[[bytes], Any]:
    """Return a parser that returns None for what it refuses in its own words."""

    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except refusals:
            return None

    return read


# What is valid -----------------------------------------------------------------------------------------------------------


@cache
def _log() -> tuple[MemoryFolder, keys.SigningKey]:
    """Return a log, two of its segments compressed, and its key. Whoever calls has small segments."""
    folder = MemoryFolder()
    with closing(Log.open(folder, create=True)) as log:
        for number in range(RECORDS):
            with log.claim() as group:
                group.add(record(number, number))
                group.commit()
        return folder, keys.new(log.origin)


@cache
def _published() -> tuple[MemoryShelf, checkpoint.Signed]:
    folder, key = _log()
    shelf = MemoryShelf()
    with closing(Log.open(folder, writable=False)) as log:
        return shelf, checkpoint.seal(in_memory(log, shelf), key)


def _policy() -> policy.Policy:
    return policy.parse(_policies()[0])


def _policies() -> list[bytes]:
    key = _log()[1].verifier
    witness = VerifierKey("w.example/1", COSIGNATURE, bytes(range(32)))
    rest = f"witness one {witness.vkey} https://w.example/\ngroup all-of all one\nquorum all-of\n"
    return [f"log {key.vkey}\nquorum none\n".encode(), f"# both\nlog {key.vkey}\t https://x\n{rest}".encode()]


@cache
def _frames() -> list[bytes]:
    envelope, changes = codec.encode(record(3, 5))
    pack = {"changes": 1, "offset": 7, "time_us": 8, "synced": 7, "prev": bytes(16), "seed": SEED}
    return [
        frame.pack(frame.RECORD, frame.pack_body(envelope, changes), **pack),
        frame.pack(frame.SYNC, b"", **{**pack, "changes": 0}),
    ]


@cache
def _bodies() -> list[bytes]:
    envelope, changes = codec.encode(record(3, 5))
    return [frame.pack_body(envelope, changes), frame.pack_body(envelope, changes * 3), frame.pack_body(b"", [])]


def _control() -> list[bytes]:
    header = SegmentHeader(1, bytes(16), 1, 8, bytes(32), [bytes(32)], bytes(16), 9, "evlog")
    tip = Tip()
    seal = segment.Seal(1, 0, 0, 8, bytes(32), bytes(32), 1, 2, [64])
    made = [
        segment.pack_header(header, seed=SEED),
        segment.pack_seal(seal, prev=bytes(16), seed=SEED),
        resume.pack_state(resume.state_of(tip, 0, 0, [64]), tip, seed=SEED),
    ]
    return [one[frame.HEADER.size :] for one in made]


def _read_control(data: bytes) -> Any:
    """Return what each kind of control frame makes of a body. None of them raises."""
    found = [
        Frame(0, 64 + len(data), kind, 0, 0, 8, 9, 8, bytes(16), data)
        for kind in (segment.SEGMENT, segment.SEAL, frame.CHECKPOINT)
    ]
    return segment.decode_header(found[0]), segment.decode_seal(found[1]), resume.decode_state(found[2])


def _read_record(data: bytes) -> Any:
    for changes in (1, 3):
        refusing(codec.decode, UnknownTagError, FormatVersionError, CorruptLogError)(
            Frame(0, len(data), frame.RECORD, 0, changes, 8, 9, 8, bytes(16), data)  # type: ignore[arg-type]
        )


def _read_frame(data: bytes) -> Any:
    found = frame.unpack(data, 0, seed=SEED)
    return None if isinstance(found, frame.BadFrame) else found


@cache
def _proofs() -> list[bytes]:
    folder = _log()[0]
    shelf, signed = _published()
    with closing(Log.open(folder, writable=False)) as log:
        return [
            evidence.pack(evidence.make(log.frame(offset), [0], Tiles(shelf).node(RECORDS), signed))
            for offset in (0, 9, 19)
        ]


def _read_proof(data: bytes) -> Any:
    """Return what is proven, by a policy that trusts the log's key."""
    found = evidence.parse(data)
    _policy().check(found.signed)
    proven = evidence.check(found)
    evidence.actor_of(found)
    return proven, found.envelope, [(one.number, one.change) for one in found.shown], found.signed.checkpoint


def _read_checkpoint(data: bytes) -> Any:
    signed = checkpoint.parse(data)
    _policy().check(signed)
    return signed.checkpoint


def _file_of(name: str) -> Callable[[], list[bytes]]:
    return lambda: [bytes(_log()[0].files[name])]


def _in_folder(name: str, read: Callable[[Any], Any]) -> Callable[[bytes], Any]:
    def parse(data: bytes) -> Any:
        folder = MemoryFolder()
        folder.files[name] = bytearray(data)
        return read(folder)

    return parse


@cache
def _compressed() -> list[bytes]:
    folder = MemoryFolder()
    folder.files = {name: bytearray(data) for name, data in _log()[0].files.items()}
    with closing(Log.open(folder, writable=False)) as log:
        compress_all(folder, seed=log.seed)
    return [bytes(data) for name, data in folder.files.items() if name.endswith(".zst")]


def _read_compressed(folder: Any) -> Any:
    with closing(SeekableFile(folder.open(f"{name_of(0)}.zst"), offset=0)) as file:
        return file.read(READ_MAX, 0)


@cache
def _manifests() -> list[bytes]:
    target = MemoryFolder()
    backup(_log()[0], target)
    return [bytes(target.files[manifest.NAME])]


def _intents() -> list[bytes]:
    intent = repair.Intent(bytes(16), 8, [Repaired([], 8, bytes(32)), LossAccepted(8, bytes(32), 9, "rot", ["q"])])
    return [msgspec.json.encode(intent)]


def _read_tiles(data: bytes) -> Any:
    shelf = MemoryShelf()
    shelf.files = dict.fromkeys(_published()[0].files, data)
    found = Tiles(shelf)
    assert [*found.faults(RECORDS)], "one file cannot be every tile"
    return refusing(lambda _: found.entries(0, RECORDS), EvidenceError)(data)


def _text(parse: Callable[[str], Any]) -> Callable[[bytes], Any]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def _read_server_config(data: bytes) -> Any:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "config"
        path.write_bytes(data)
        config = server_config.read(path)
        return config, server_config.tls_of(config, path)


RULES = b'[[personal]]\nkind = "execution"\ntype = "Trainer"\nproperty = "operator"\nsubject_property = "user"\n'
CONFIGS = [
    b'connection_config { sqlite { filename_uri: "store" connection_mode: READWRITE } }\n',
    b'connection_config { fake_database {} }\nssl_config { server_key: "k" server_cert: "c" custom_ca: "a" client_verify: true }\n',
]


def _read_events(data: bytes) -> Any:
    return list(events_in(io.BytesIO(data)))


def _events() -> list[bytes]:
    return [lines(*a_run()), json.dumps(a_run()).encode(), json.dumps(a_run()[0], indent=1).encode()]


def _tokens() -> list[bytes]:
    made = [tokens.Token("ana", "reader", "0" * 64, "abcd", 1), tokens.Token("ci", "writer", "", "wxyz", 1, 2)]
    return [tokens.written(made), tokens.written([])]


PARSERS: dict[str, Parser] = {
    "frame": Parser(_read_frame, _frames, summed=True),
    "record": Parser(_read_record, _bodies),
    "control frame": Parser(_read_control, _control),
    "HEAD": Parser(lambda data: (head.newest(data, seed=SEED), head.checkpoint_in(data, seed=SEED)), _file_of("HEAD")),
    "LOGID": Parser(
        refusing(_in_folder(identity.NAME, identity.read), CorruptLogError, FormatVersionError), _file_of("LOGID"), summed=True
    ),
    "compressed segment": Parser(
        refusing(_in_folder(f"{name_of(0)}.zst", _read_compressed), CorruptLogError), _compressed
    ),
    "manifest": Parser(refusing(_in_folder(manifest.NAME, manifest.read), BackupError, FormatVersionError), _manifests),
    "repair": Parser(refusing(_in_folder(repair.NAME, repair.read_intent), RepairError), _intents),
    "note": Parser(refusing(note.parse, EvidenceError), lambda: [_published()[1].data]),
    "checkpoint": Parser(refusing(_read_checkpoint, EvidenceError), lambda: [_published()[1].data], authentic=True),
    "policy": Parser(refusing(policy.parse, EvidenceError), _policies),
    "vkey": Parser(refusing(_text(note.parse_vkey), EvidenceError), lambda: [_log()[1].verifier.vkey.encode()], summed=True),
    "signing key": Parser(refusing(_text(keys.parse), EvidenceError), lambda: [_log()[1].written().encode()]),
    "tiles": Parser(_read_tiles, lambda: list(_published()[0].files.values())),
    "proof": Parser(refusing(_read_proof, EvidenceError, UnknownTagError), _proofs, authentic=True),
    "actors": Parser(refusing(actors.parse_keys, EvidenceError), lambda: [b"# staff\n" + _log()[1].verifier.vkey.encode() + b"\n"]),
    "personal policy": Parser(refusing(_text(personal.rules_of), InvalidArgumentError), lambda: [RULES, RULES * 2]),
    "tokens": Parser(refusing(tokens.parse, ValueError), _tokens, summed=True),
    "server config": Parser(refusing(_read_server_config, server_config.ServerConfigError), lambda: CONFIGS),
    "channel arguments": Parser(
        refusing(_text(server_config.channel_arguments), server_config.ServerConfigError), lambda: [b"grpc.max=4,a=b"]
    ),
    "event of OpenLineage": Parser(refusing(read_event, EventError), lambda: [json.dumps(one).encode() for one in a_run()]),
    "events of OpenLineage": Parser(refusing(_read_events, EventError), _events),
}  # fmt: skip
