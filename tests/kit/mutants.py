"""Ways to break the log's promises, one at a time: a harness that does not catch them proves nothing.

Each is a name and a function that breaks the code through pytest's monkeypatch.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import crash
from disk import SimulatedDisk, SimulatedFile

from evlog import frame, identity, log, merkle, recovery, resume
from evlog.frame import BadFrame

if TYPE_CHECKING:
    import pytest

    from evlog.records import LogRecovered
    from evlog.tip import Tip


def acknowledge_before_the_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedFile, "sync", lambda _self: None)


def forget_the_folder_sync(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SimulatedDisk, "sync_names", lambda _self: None)


def trust_what_was_read_at_opening(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "_write_again", lambda _file, _start, _stop: None)


def trust_the_identity(patch: pytest.MonkeyPatch) -> None:
    def create_unsynced(folder: SimulatedDisk) -> identity.Identity:
        found = identity.Identity(b"\7" * 16, "evlog/test")
        file = folder.create(identity.NAME)
        file.write(identity._text(found), 0)
        return found

    patch.setattr(identity, "create", create_unsynced)
    patch.setattr(identity, "write_again", lambda _folder, _identity: None)


def succeed_before_the_seal_is_durable(patch: pytest.MonkeyPatch) -> None:
    def roll(self: log.Log, active: recovery.Active) -> None:
        sync, active.file.sync = active.file.sync, lambda: None
        try:
            original(self, active)
        finally:
            del sync

    original = log.Log._roll
    patch.setattr(log.Log, "_roll", roll)


def go_on_after_a_failed_sync(patch: pytest.MonkeyPatch) -> None:
    def sync(self: SimulatedFile) -> None:
        try:
            original(self)
        except Exception:  # noqa: BLE001 - the point of the mutant
            original(self)

    original = SimulatedFile.sync
    patch.setattr(SimulatedFile, "sync", sync)


def believe_every_body(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(frame, "crc32c", lambda _data: 0)


def believe_every_frame(patch: pytest.MonkeyPatch) -> None:
    def unpack(data: bytes, at: int, *, seed: int, position: int = 0) -> frame.Frame | BadFrame:
        found = original(data, at, seed=seed, position=position)
        if isinstance(found, BadFrame) and found.reason == "the frame body fails its checksum":
            size, changes, offset, time_us, synced, prev = (
                frame.HEADER.unpack_from(data, at)[i] for i in (2, 7, 8, 9, 10, 11)
            )
            kind = data[at + 17]
            total = 64 + size + -size % 8
            body = data[at + 64 : at + 64 + size]
            return frame.Frame(position + at, total, kind, 0, changes, offset, time_us, synced, prev, body)
        return found

    original = frame.unpack
    patch.setattr("evlog.segment.unpack", unpack)


def forget_the_names_that_another_made(patch: pytest.MonkeyPatch) -> None:
    def go_on(self: log.Log, *arguments: object, **named: object) -> None:
        with patch.context() as inner:
            inner.setattr(SimulatedDisk, "sync_names", lambda _self: None)
            original(self, *arguments, **named)  # type: ignore[arg-type]

    original = log.Log._continue
    patch.setattr(log.Log, "_continue", go_on)


def report_only_what_this_opening_cut(patch: pytest.MonkeyPatch) -> None:
    def found(_folder: SimulatedDisk, _end: int) -> list[LogRecovered]:
        return [cuts.pop()] if cuts else []

    def cut(*arguments: object) -> LogRecovered | None:
        done = original(*arguments)  # type: ignore[arg-type]
        cuts[:] = [done] if done else []
        return done

    cuts: list[LogRecovered] = []
    original = recovery.cut
    patch.setattr(recovery, "cut", cut)
    patch.setattr(recovery, "unreported", found)


def cut_without_looking_further(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "refuse_damage", lambda *_arguments, **_named: None)


def ignore_head(patch: pytest.MonkeyPatch) -> None:
    def settle(*arguments: object, **named: object) -> None:
        original(*arguments, **{**named, "mark": None})  # type: ignore[arg-type]

    original = recovery.settle
    patch.setattr(recovery, "settle", settle)


def believe_every_header(patch: pytest.MonkeyPatch) -> None:
    def unpack(data: bytes, at: int, *, seed: int, position: int = 0) -> frame.Frame | BadFrame:
        if len(data) - at >= frame.HEADER.size:
            crc = frame._extend(seed, data[at + 8 : at + 64]).to_bytes(4, "little")
            data = data[: at + 4] + crc + data[at + 8 :]
        return original(data, at, seed=seed, position=position)

    original = frame.unpack
    patch.setattr("evlog.segment.unpack", unpack)
    patch.setattr("evlog.recovery.unpack", unpack)


def resume_without_the_frontier(patch: pytest.MonkeyPatch) -> None:
    def go_on_from(self: recovery.Active, found: frame.Frame) -> None:
        tree = self.tip.tree
        original(self, found)
        if self.position:
            self.tip.tree = merkle.Frontier(
                found.offset, (tree.hashes * 64 or [bytes(32)] * 64)[: found.offset.bit_count()]
            )

    original = recovery.Active.go_on_from
    patch.setattr(recovery.Active, "go_on_from", go_on_from)


def resume_without_the_index(patch: pytest.MonkeyPatch) -> None:
    def go_on_from(self: recovery.Active, found: frame.Frame) -> None:
        original(self, found)
        self.index = []

    original = recovery.Active.go_on_from
    patch.setattr(recovery.Active, "go_on_from", go_on_from)


def write_checkpoints_a_record_late(patch: pytest.MonkeyPatch) -> None:
    def pack_state(state: resume.State, tip: Tip, *, seed: int) -> bytes:
        later = tip.copy()
        later.add(bytes(96), tip.time_us + 1)
        return original(state, later, seed=seed)

    original = resume.pack_state
    patch.setattr(resume, "pack_state", pack_state)


def resume_at_head(patch: pytest.MonkeyPatch) -> None:
    def go_on_from(self: recovery.Active, found: frame.Frame) -> None:
        original(self, found)
        self.position = self.file.size()

    original = recovery.Active.go_on_from
    patch.setattr(recovery.Active, "go_on_from", go_on_from)


def go_on_after_a_failure(patch: pytest.MonkeyPatch) -> None:
    """Leave the log open whatever fails, the roll to another segment included."""
    patch.setattr(log.Log, "_poison", lambda _self, _error: None)
    patch.setattr(crash.Life, "STUBBORN", True)


def go_on_after_a_failed_write(patch: pytest.MonkeyPatch) -> None:
    """Leave the log open if a group cannot be written or synced.

    Equivalent: whoever claims next finds bytes behind HEAD, and reads, writes and syncs them again before it goes on.
    """

    def poison(self: log.Log, error: BaseException) -> None:
        if sys._getframe(1).f_code.co_name != "_write":
            original(self, error)

    original = log.Log._poison
    patch.setattr(log.Log, "_poison", poison)
    patch.setattr(crash.Life, "STUBBORN", True)


EQUIVALENT = "`go_on_after_a_failed_write` is equivalent, and not among them: nothing is lost by it"
MUTANTS_OF_RESUMING = [
    resume_without_the_frontier,
    resume_without_the_index,
    write_checkpoints_a_record_late,
    resume_at_head,
]
MUTANTS_OF_WRITING = [
    acknowledge_before_the_sync,
    forget_the_folder_sync,
    trust_what_was_read_at_opening,
    trust_the_identity,
    succeed_before_the_seal_is_durable,
    go_on_after_a_failed_sync,
    believe_every_frame,
    forget_the_names_that_another_made,
    report_only_what_this_opening_cut,
    go_on_after_a_failure,
]
MUTANTS_OF_READING = [believe_every_body, believe_every_header, cut_without_looking_further, ignore_head]
