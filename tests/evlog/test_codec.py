"""Records and stored bytes, of this version, older ones and newer ones."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from evlog import codec, upcast
from evlog.errors import FormatVersionError, UnknownTagError
from evlog.frame import RECORD, Frame, pack_body
from evlog.records import ArtifactPut, Change, ContextPut, Envelope, EventPut, Proto, Record, Struct

ENVELOPE = Envelope(1, b"t" * 16, 5, "PutArtifacts", "ann", "asserted", "test", "host", 1)


def frame_of(envelope: bytes, changes: list[bytes]) -> Frame:
    body = pack_body(envelope, changes)
    return Frame(0, 64 + len(body), RECORD, 0, len(changes), 7, 9, 0, bytes(16), body)


def stored(record: Record) -> Frame:
    return frame_of(*codec.encode(record))


def plain(**fields: Any) -> bytes:
    return codec.PLAIN + msgspec.msgpack.encode(fields)


def envelope_of(version: int) -> bytes:
    return msgspec.msgpack.encode(msgspec.structs.replace(ENVELOPE, v=version))


@pytest.mark.parametrize(
    "value",
    [0, -1, 2**63 - 1, -(2**63), 0.0, 1.0, -1.5, math.inf, "", "ü\0", True, False, Struct({"a": [1.0, None, {"b": ""}]}),
     Struct({}), Proto("type.googleapis.com/x", b"\0\xff")],
)  # fmt: skip
def test_a_value_comes_back_with_its_type(value: Any) -> None:
    change = ArtifactPut(1, 2, 3, 4, properties={"p": value}, custom_properties={"c": value})
    (found,) = codec.decode(stored(Record(ENVELOPE, [change]))).changes
    assert isinstance(found, ArtifactPut)
    assert found == change
    assert type(found.properties["p"]) is type(value)


def test_not_a_number_comes_back() -> None:
    change = ContextPut(1, 2, 3, 4, properties={"p": math.nan})
    (found,) = codec.decode(stored(Record(ENVELOPE, [change]))).changes
    assert isinstance(found, ContextPut)
    assert math.isnan(found.properties["p"])  # type: ignore[arg-type]


def test_not_set_and_empty_stay_apart() -> None:
    changes: list[Change] = [ContextPut(1, 2, 3, 4, name=None), ContextPut(1, 2, 3, 4, name="")]
    assert codec.decode(stored(Record(ENVELOPE, changes))).changes == changes


def test_a_body_of_one_change_that_is_cut_or_grown_anywhere_is_refused() -> None:
    whole = stored(Record(ENVELOPE, [ArtifactPut(1, 2, 3, 4, properties={"p": 1})]))
    bodies = [whole.body[:size] for size in range(len(whole.body))] + [whole.body + b"\0", whole.body + whole.body]
    for body in bodies:
        with pytest.raises(UnknownTagError):
            codec.decode(msgspec.structs.replace(whole, body=body))


def test_a_record_may_hold_no_change() -> None:
    assert codec.decode(stored(Record(ENVELOPE, []))) == Record(ENVELOPE, [])


def test_an_unknown_tag_is_refused_and_names_the_offset() -> None:
    with pytest.raises(UnknownTagError, match="upgrade") as caught:
        codec.decode(frame_of(envelope_of(1), [plain(t="from_the_future", id=1)]))
    assert caught.value.offset == 7


@pytest.mark.parametrize("change", [b"", b"\1abc", codec.PLAIN, codec.PLAIN + b"\xc1", plain(t="context", id="one")])
def test_a_change_of_unknown_form_or_shape_is_refused(change: bytes) -> None:
    with pytest.raises(UnknownTagError):
        codec.decode(frame_of(envelope_of(1), [change]))


def test_an_unknown_field_of_a_known_change_is_passed_over() -> None:
    change = plain(t="attribution", context_id=2, artifact_id=3, from_the_future="x")
    (found,) = codec.decode(frame_of(envelope_of(1), [change])).changes
    assert msgspec.to_builtins(found) == {"t": "attribution", "context_id": 2, "artifact_id": 3}


def test_a_newer_record_is_refused_with_both_versions() -> None:
    with pytest.raises(FormatVersionError, match="record 7") as caught:
        codec.decode(frame_of(envelope_of(2), [plain(t="context", id=1)]))
    assert (caught.value.found, caught.value.known) == (2, 1)


def test_an_old_record_passes_through_every_upcaster_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(change: dict[str, Any]) -> dict[str, Any]:
        return {"t": "event", **{key: value for key, value in change.items() if key != "t"}}

    def number_types(change: dict[str, Any]) -> dict[str, Any]:
        return {**change, "type": ["INPUT", "OUTPUT"][change["type"]]}

    monkeypatch.setattr(codec, "RECORD_VERSION", 3)
    monkeypatch.setattr(upcast, "RECORD_VERSION", 3)
    monkeypatch.setitem(upcast.UPCASTERS, 1, rename)  # type: ignore[arg-type]
    monkeypatch.setitem(upcast.UPCASTERS, 2, number_types)  # type: ignore[arg-type]
    fields = {"id": 1, "artifact_id": 2, "execution_id": 3, "time_ms": 4}
    expected = EventPut(1, 2, 3, "OUTPUT", 4)
    assert codec.decode(frame_of(envelope_of(1), [plain(t="edge", type=1, **fields)])).changes == [expected]
    assert codec.decode(frame_of(envelope_of(2), [plain(t="event", type=1, **fields)])).changes == [expected]
    assert codec.decode(frame_of(envelope_of(3), [plain(t="event", type="OUTPUT", **fields)])).changes == [expected]


def test_an_old_record_without_an_upcaster_is_refused() -> None:
    with pytest.raises(UnknownTagError):
        codec.decode(frame_of(envelope_of(0), [plain(t="context", id=1)]))
    with pytest.raises(KeyError):
        upcast.upcast({"t": "context"}, 0, {})
