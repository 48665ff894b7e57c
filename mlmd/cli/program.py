"""A program that is fed records, and up to where it has done with them. At least once: what it has not called done is fed again."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from typing import IO, TYPE_CHECKING, Annotated, Final, Self

import msgspec

from evlog.files import RealFolder, write_whole
from mlmd.cli.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from evlog.log import Log
    from mlmd.cli.output import Row

PATIENCE_S: Final = 10  # For a program whose input has ended, when we are told to end.
_CHUNK_BYTES: Final = 65_536
_DIGITS_MAX: Final = 19
_STATE_BYTES_MAX: Final = 4_096


class _Kept(msgspec.Struct):
    """What a state file holds, as JSON. log: the id of the log; prev: names the record before `applied`; both in hexadecimal."""

    log: str
    applied: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    prev: str


class State:
    """Up to where a program has done with records. `applied`: offset of the first that is not done; `prev`: names the one before."""

    def __init__(self, path: Path | None, log: Log, begin: int) -> None:
        """Read the file, or make it where there is none: then it begins at an offset. Nothing is kept if `path` is None."""
        self._path, self._log = path, log
        self.applied, self.prev = begin, log.leaf_prefix(begin)
        if path is None:
            return
        self._folder = RealFolder(path.parent)
        if path.exists():
            self._read(path)
        else:
            self._write()

    def done(self, applied: int) -> None:
        """Note that the program has done with all records before an offset."""
        if applied > self.applied:
            self.applied, self.prev = applied, self._log.leaf_prefix(applied)
            if self._path is not None:
                self._write()

    @property
    def kept(self) -> bool:
        """Tell whether there is a file."""
        return self._path is not None

    def _read(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                kept = msgspec.json.decode(file.read(_STATE_BYTES_MAX), type=_Kept)  # It may be endless.
            self.applied, self.prev = kept.applied, bytes.fromhex(kept.prev)
        except (msgspec.DecodeError, ValueError) as error:
            raise Refusal(f"{path}: not the state of a follower ({error}); remove it to begin at --from") from None
        if kept.log != self._log.id.hex():
            raise Refusal(f"{path}: the state of following another log, {kept.log}; name another file")

    def _write(self) -> None:
        assert self._path is not None, "the callers checked"
        kept = _Kept(self._log.id.hex(), self.applied, self.prev.hex())
        write_whole(self._folder, self._path.name, msgspec.json.encode(kept) + b"\n")


class Program:
    """A program at work, as a `with` block; at its end the program's input ends, and it may finish what it was given.

    `ended`: set when it has; `given`: the offset behind the last record it was fed; `status`: after the block, what it ended with.
    A thread listens to what it has done, if that is kept; nobody else moves the state meanwhile.
    """

    def __init__(self, words: Sequence[str], state: State) -> None:
        """Start it. Raises Refusal where it cannot be started."""
        self._name, self._state = words[0], state
        self.given, self.status = state.applied, 0
        self.ended = threading.Event()
        self._error: Exception | None = None  # Of the thread that listens.
        try:
            self._process = subprocess.Popen(  # noqa: S603 - to run what the user names is what it is for
                words,
                bufsize=0,  # Closing it must not wait for one who does not read.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if state.kept else None,
                process_group=0,  # Ctrl-C is told to us alone: the program sees the end of its input.
            )
        except OSError as error:
            raise Refusal(f"--exec {self._name}: {error.strerror}") from None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        threading.Thread(target=self._await_end, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stdin().close()
        # One that stopped to read by itself may do with its time what it likes.
        by_itself = kind is None and self._error is None
        try:
            self.status = self._process.wait(None if by_itself else PATIENCE_S)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self.status = self._process.wait()
        self._listener.join(PATIENCE_S)  # Its output may go on without it, in a child of its own.
        if self._error is not None and kind is None:
            raise self._error

    def give(self, row: Row) -> None:
        """Feed it a line of JSON. Where it no longer reads, `ended` is set."""
        data = memoryview(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self.given = row["offset"] + 1  # First: it may be done before `write` returns.
        try:
            while data:
                data = data[self._stdin().write(data) :]
        except BrokenPipeError:
            self.ended.set()

    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None, "it was asked for"
        return self._process.stdin

    def _await_end(self) -> None:
        self._process.wait()
        self.ended.set()

    def _listen(self) -> None:
        """Note what the program has done, until its output ends."""
        if self._process.stdout is None:
            return
        rest = b""
        try:
            with self._process.stdout as stdout:
                while chunk := os.read(stdout.fileno(), _CHUNK_BYTES):
                    *lines, rest = (rest + chunk).split(b"\n")
                    if lines:  # The highest says it for all: each note is a sync.
                        self._state.done(max(map(self._done, lines)))
        except Exception as error:  # noqa: BLE001 - raised where the program is left
            self._error = error
            self._process.terminate()

    def _done(self, line: bytes) -> int:
        """Return the offset behind the record that a line names. Raises Refusal."""
        if len(line) <= _DIGITS_MAX and line.isdigit() and int(line) < self.given:
            return int(line) + 1
        said = line.decode(errors="replace")
        raise Refusal(f"{self._name} said {said!r}: with --state its output is for offsets of records that it was fed")
