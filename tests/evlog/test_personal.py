"""What a reader of a log gets for a sealed value: what was put, that it was erased, or a refusal."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import msgspec
import personal
import pytest
from personal import NAME, append, append_sealed, operators

from evlog.errors import BrokenSealError, MissingKeyError
from evlog.log import Log
from evlog.personal import ERASED
from evlog.records import Erased, ExecutionPut, Proto, Sealed


def key_file(log: Log, key_id: bytes) -> Path:
    return Path(log.subject_keys.folder.describe(f"{key_id.hex()}.key"))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log.open(tmp_path / "log", create=True)


def test_a_reader_gets_what_was_put_and_the_disk_does_not(log: Log, tmp_path: Path) -> None:
    append_sealed(log, "ana")
    assert operators(log) == [NAME]
    [each] = log.read_each([0])
    assert each.record.changes[0].properties == {"operator": NAME, "plain": "p"}
    [stored] = log.read(0, sealed=True)
    assert isinstance(stored.record.changes[0].properties["operator"], Sealed)
    assert personal.holds(tmp_path, NAME.encode()) == []
    log.close()


@pytest.mark.parametrize(("value", "shown"), [("Ana", ERASED), ("", ERASED), (41, None), (0.5, None), (True, None)])
def test_an_erased_text_reads_so_and_any_other_value_is_absent(log: Log, value: object, shown: object) -> None:
    key_id = append_sealed(log, "ana", value)
    append_sealed(log, "ben")
    log.subject_keys.destroy(key_id, "ana")
    append(log, Erased("ana", [key_id]))
    assert operators(log) == [shown, NAME]
    [first, *_] = log.read(0)
    assert first.record.changes[0].properties["plain"] == "p"
    log.close()


def test_a_missing_key_that_no_record_erased_stops_whoever_reads(log: Log) -> None:
    key_id = append_sealed(log, "ana")
    append(log, Erased("ben", [bytes(16)]))
    key_file(log, key_id).unlink()
    with pytest.raises(MissingKeyError, match=r"record 0: .*--lost-keys") as caught:
        operators(log)
    assert (caught.value.key_id, caught.value.offset) == (key_id, 0)
    assert [entry.offset for entry in log.read(0, sealed=True)] == [0, 1]  # As it is stored it needs no key.
    log.close()


def test_a_value_that_was_moved_to_another_node_is_refused(log: Log) -> None:
    append_sealed(log, "ana")
    [stored] = log.read(0, sealed=True)
    append(log, msgspec.structs.replace(stored.record.changes[0], id=2), sealed=True)
    with pytest.raises(BrokenSealError, match=r"record 1: .*another place") as caught:
        operators(log)
    assert caught.value.offset == 1
    log.close()


def test_a_hint_counts_only_with_its_record(log: Log) -> None:
    key_id = append_sealed(log, "ana")
    for offset in (0, 1, 99):
        log.subject_keys.bury(key_id, offset)
        assert operators(log) == [NAME]
    key_file(log, key_id).unlink()
    with pytest.raises(MissingKeyError):
        operators(log)
    log.close()


def test_a_key_that_is_put_back_after_it_was_erased_opens_nothing(log: Log) -> None:
    key_id = append_sealed(log, "ana")
    data = key_file(log, key_id).read_bytes()
    log.subject_keys.bury(key_id, append(log, Erased("ana", [key_id])))
    log.subject_keys.destroy(key_id, "ana")
    key_file(log, key_id).write_bytes(data)
    assert operators(log) == [ERASED]
    log.close()


def test_an_erasure_by_another_process_holds_at_the_next_read(log: Log, tmp_path: Path) -> None:
    key_id = append_sealed(log, "ana")
    reader = Log.open(tmp_path / "log", writable=False)
    assert operators(log) == operators(reader) == [NAME]
    with closing(Log.open(tmp_path / "log")) as other:
        append(other, Erased("ana", [key_id]))
        other.subject_keys.destroy(key_id, "ana")
    # The first has not caught up: it knows one record, and yet finds the one that erased the key.
    assert log.end == 1
    assert operators(log) == operators(reader) == [ERASED]
    reader.close()
    log.close()


def test_a_text_that_looks_like_a_sealed_value_is_a_text(log: Log) -> None:
    text = "\xa1t\xa6sealed and \xa1t\xa6erased"
    raw = Proto("x.Y", b"\xa1t\xa6sealed \xa1t\xa6erased")  # In the frame these are the very bytes.
    change = ExecutionPut(1, 1, 1, 1, properties={"operator": text, "raw": raw})
    append(log, change)
    append(log, change, sealed=True)  # As a record in which another value is.
    append_sealed(log, "ana")
    assert operators(log) == [text, text, NAME]
    log.close()
