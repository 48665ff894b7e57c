"""A segment written anew, of frames that were chosen: byte for byte as it was, wherever they are all to be had."""

from __future__ import annotations

import errno
from contextlib import closing
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evlog import resume, segment
from evlog.errors import StorageError
from evlog.files import UNFINISHED
from evlog.frame import CHECKPOINT, CONTROL, SEAL, SEGMENT, BadFrame, seed_of
from evlog.log import WRITER
from evlog.recovery import Active
from evlog.upkeep.salvage import whole_frame
from evlog.upkeep.segment_audit import control_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evlog.files import File, Folder
    from evlog.identity import Identity
    from evlog.tip import Tip
    from evlog.upkeep.mending import Mend


def write_new(folder: Folder, mend: Mend, ident: Identity) -> int:
    """Write a segment beside the old one, and check what is there then; return the position behind it. Raises StorageError."""
    mend.load()
    with closing(folder.create(segment.name_of(mend.base) + UNFINISHED)) as file:
        position = _Writing(file, mend, ident).write()
        file.sync()
        _check(file, mend, position, seed_of(ident.log_id))
    return position


def _check(file: File, mend: Mend, position: int, seed: int) -> None:
    active = Active(file, base=mend.base, number=mend.number, tip=mend.before.copy())
    for frame in segment.walk(file, 0, seed=seed):
        if isinstance(frame, BadFrame) or active.take(frame) is not None:
            break
        if frame.kind >= CONTROL and control_fault(active, frame) is not None:
            break
    else:
        if (active.tip.tree.root(), active.position) == (mend.after.tree.root(), position):
            return
    cause = OSError(errno.EIO, "what was read again is not what was written")
    raise StorageError("nothing was replaced", file=file.name, cause=cause)


class _Writing:
    """The frames of a segment, one after the other."""

    def __init__(self, file: File, mend: Mend, ident: Identity) -> None:
        self._file, self._mend, self._ident = file, mend, ident
        self._seed = seed_of(ident.log_id)
        self._position = 0
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._digest = sha256()
        self._index: list[int] = []

    def write(self) -> int:
        """Write them all; return the position behind the last."""
        mend, tip = self._mend, self._mend.before.copy()
        self._put(self._header())
        for source, piece in mend.chosen:
            for control in self._controls(tip):
                self._put(control)
            segment.note_position(self._index, tip.end, mend.base, self._position)
            self._put(source.stored(piece))
            tip.pass_over(piece.leaf, piece.time_us)
        for control in self._controls(tip):
            self._put(control)
        if (seal := self._seal(tip)) is not None:
            self._put(seal)
        self._flush()
        return self._position

    def _put(self, stored: bytes) -> None:
        self._digest.update(stored)
        self._gathered.append(stored)
        self._gathered_bytes += len(stored)
        self._position += len(stored)
        if self._gathered_bytes >= segment.READ_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write(b"".join(self._gathered), self._position - self._gathered_bytes)
        self._gathered, self._gathered_bytes = [], 0

    def _of_kind(self, kind: int, offset: int) -> Iterator[bytes]:
        for source in self._mend.sources:
            for control in source.controls.get(offset, ()):
                if control.kind == kind:
                    yield control.stored

    def _controls(self, tip: Tip) -> list[bytes]:
        """Return the frames that stand before a record and are none, but for header and seal: of the first source that has any."""
        for source in self._mend.sources:
            found = [
                self._noted(tip, one.stored) if one.kind == CHECKPOINT else one.stored
                for one in source.controls.get(tip.end, ())
                if one.kind not in (SEGMENT, SEAL) and one.prev == tip.prev
            ]
            if found:
                return found
        return []

    def _noted(self, tip: Tip, stored: bytes) -> bytes:
        """Return a CHECKPOINT frame as it is stored, or made anew where it says something else, such as where the records were before."""
        chosen = self._mend.chosen
        first_us = chosen[0].piece.time_us if tip.end > self._mend.base else 0
        state = resume.state_of(tip, self._mend.base, first_us, self._index)
        if resume.decode_state(whole_frame(stored, self._seed)) == state:
            return stored
        return resume.pack_state(state, tip, seed=self._seed)

    def _header(self) -> bytes:
        mend, before = self._mend, self._mend.before
        header = segment.SegmentHeader(
            v=1,
            log_id=self._ident.log_id,
            number=mend.number,
            base=mend.base,
            root=before.tree.root(),
            frontier=before.tree.hashes,
            prev=before.prev,
            time_us=before.time_us,
            writer=WRITER,
        )
        for stored in self._of_kind(SEGMENT, mend.base):
            found = segment.decode_header(whole_frame(stored, self._seed))
            if not isinstance(found, str) and replace(found, writer=WRITER) == header:
                return stored
        return segment.pack_header(header, seed=self._seed)

    def _seal(self, tip: Tip) -> bytes | None:
        """Return the seal, None for a segment that has none yet."""
        mend, generation = self._mend, 0
        seal = segment.Seal(
            v=1,
            generation=0,
            base=mend.base,
            end=tip.end,
            root=tip.tree.root(),
            sha256=self._digest.digest(),
            first_us=mend.chosen[0].piece.time_us if mend.chosen else 0,
            last_us=tip.time_us,
            index=self._index,
        )
        for stored in self._of_kind(SEAL, tip.end):
            found = segment.decode_seal(whole_frame(stored, self._seed))
            if isinstance(found, str) or segment.check_seal(found, tip, mend.base) is not None:
                continue
            if replace(found, generation=0) == seal:
                return stored
            generation = max(generation, found.generation + 1)
        if mend.stop is None:
            return None
        return segment.pack_seal(replace(seal, generation=generation), prev=tip.prev, seed=self._seed)
