"""The background verifier behind the chip of every page: whether the store still is what it promised to be.

One thread, three kinds of look at the files, never at what the store holds in memory:

| look    | once a second    | HEAD, the newest checkpoint, and each frame that was added: checksums, links, tree              |
| sweep   | again and again  | every byte of the log, every checkpoint of the store and at its anchors, every hash of the tiles |
| compare | now and then     | every row of the view that pages ask, beside a replay of the log, in a process of its own       |

A sweep rests as it goes, so that the thread takes a twentieth of one processor; a comparison rests afterwards, twenty times as long as it took. What was seen once is remembered: a log, a HEAD or a checkpoint
that is older than what was here before, or has another history, is damage, also where nothing else in the store tells.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from evlog import identity, segment
from evlog.errors import LogError, LostRecordsError, ReplacedLogError
from evlog.files import RealFolder
from evlog.frame import seed_of
from evlog.head import NAME as HEAD
from evlog.lookout import Lookout
from evlog.merkle import EMPTY_ROOT
from evlog.tlog import anchors, review
from evlog.tlog.archive import newest
from evlog.tlog.committed import Published, believed, first_other
from evlog.tlog.leaves import Leaves
from evlog.tlog.shelf import FolderShelf
from evlog.upkeep import audit
from evlog.upkeep.audit import Fault
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, OpenError, opened_log
from mlmd.web import compared
from mlmd.web.verified import Status, Verified
from mlmd.web.words import took

if TYPE_CHECKING:
    from evlog.tlog.checkpoint import Checkpoint
    from evlog.tlog.review import Promise

_LOG: Final = logging.getLogger(__name__)
SHARE: Final = 0.05  # Of one processor.
PAUSE_S: Final = 3.0  # Between two sweeps, at least.
COMPARE_S: Final = 60.0  # Between two comparisons of the view, at least.
_LOOK_S: Final = 1.0
_POLL_S: Final = 0.2
_SLICE_S: Final = 0.01  # Less work than this needs no rest of its own.
_CHUNK_RECORDS: Final = 4_096


@dataclass(frozen=True)
class Outside:
    """The newest checkpoint that lies where whoever writes to the store need not reach. time: when it was put there, seconds since 1970."""

    size: int
    time: float
    place: str


@dataclass(frozen=True)
class State:
    """What is known of the store.

    status: broken: something is not as it was promised, `findings` says what; checking: not every record was checked yet; unsigned: all were, and
    no signature stands for them; verified: all were, and a checkpoint of the store is signed.
    checked, end: records; signed: records under the newest signed checkpoint; swept: when everything was last checked, seconds since
    1970, None before the first time; compared: when the view was, and could be.
    """

    status: Status = "checking"
    checked: int = 0
    end: int = 0
    signed: int = 0
    swept: float | None = None
    compared: float | None = None
    outside: Outside | None = None
    findings: tuple[Fault, ...] = ()

    def verified(self) -> Verified:
        """Return it as pages show it, as of now."""
        now, outside = time.time(), self.outside
        return Verified(
            self.status,
            self._in_words(now),
            self.checked,
            self.end,
            self.signed,
            None if self.swept is None else max(0.0, now - self.swept),
            None if outside is None else max(0.0, now - outside.time),
            "" if outside is None else outside.place,
            [_finding(one) for one in self.findings],
            None if self.compared is None else max(0.0, now - self.compared),
        )

    def _in_words(self, now: float) -> str:
        if self.status == "broken":
            first = self.findings[0]
            if _is_view(first):
                return "broken: the view, which pages ask, is not what the log says"
            return f"broken: record {first.offset:,}, {Path(first.file).name}"
        if self.status == "checking":
            return f"checked {self.checked:,} of {self.end:,} records"
        if self.status == "unsigned":
            return f"{self.checked:,} records checked, unsigned"
        copy = (
            "no copy elsewhere"
            if self.outside is None
            else f"copy elsewhere {took(max(0.0, now - self.outside.time))} old"
        )
        return f"{self.checked:,} records verified, {copy}"


def _finding(fault: Fault) -> dict[str, Any]:
    """Return what is wrong as a page shows it; segment: the base of the one in which it is, None where it is in another file."""
    base = segment.base_of(Path(fault.file).name)
    return {
        "what": fault.reason,
        "file": fault.file,
        "segment": base,
        "position": fault.position,
        "record": None if _is_view(fault) else fault.offset,
    }


def _is_view(fault: Fault) -> bool:
    """Tell whether it is a view that is wrong: no record is."""
    return Path(fault.file).parent.name == VIEWS_FOLDER


class Watch:
    """Watches the store in a folder. `state` is always at hand; `start` has a thread make it, else `sweep` and `look` do."""

    def __init__(self, place: Path, *, share: float = SHARE) -> None:
        self.state = State()
        self._place, self._share = place, share
        self._folder, self._tlog = RealFolder(place / LOG_FOLDER), place / TLOG_FOLDER
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._worked_s = 0.0  # The time of the thread when it last rested.
        # What was seen, and must be there from then on.
        self._lookout: Lookout | None = None
        self._walk: Leaves | None = None  # It stands behind the last record that a look checked.
        self._seen: tuple[int, bytes] = (0, EMPTY_ROOT)  # Records and their root, as the walk found them.
        self._promised: Checkpoint | None = None
        self._is_signed = False  # By a key that the store's policy names, as far as a sweep saw.
        # What is wrong, by who found it.
        self._looked: list[Fault] = []
        self._read: list[
            Fault
        ] = []  # Of the walk. It begins anew with a sweep: a segment is much to read every second.
        self._swept: list[Fault] = []
        self._unlike: list[Fault] = []  # Of the view.
        self._due_s = 0.0  # When the view is to be compared again, by the monotonic clock.

    # The thread -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Watch from now on, in a thread."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no longer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._let_go()

    def verified(self) -> Verified:
        """Return what is known, for pages."""
        return self.state.verified()

    def _run(self) -> None:
        with suppress(_StoppedError):
            while True:
                try:
                    self.sweep()
                except _StoppedError:
                    raise
                except Exception as error:  # noqa: BLE001 - green must never mean that nobody looks any more.
                    _LOG.exception("the store could not be checked")
                    self._swept = [self._fault(error)]
                    self._tell()
                if not self._swept and time.monotonic() >= self._due_s:
                    self.compare()
                self._rest(PAUSE_S)

    def _breathe(self, done: int, _: int) -> None:
        """Rest for what was worked, so that the share is kept. done: records checked so far."""
        if self.state.swept is None:
            self._tell(checked=min(done, self._seen[0]))
        if self._thread is None:
            return
        worked_s = time.thread_time() - self._worked_s
        if worked_s > _SLICE_S:
            self._rest(worked_s / self._share - worked_s)

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left_s := until - time.monotonic()) > 0:
            if self._stop.wait(min(left_s, _LOOK_S)):
                raise _StoppedError
            self.look()
        self._worked_s = time.thread_time()

    # What was added -------------------------------------------------------------------------------------------------

    def look(self) -> State:
        """Check what was added since the last look, and that what was there is not taken back."""
        try:
            self._looked = self._look()
            if not self._read:
                self._read_on()
        except LogError as error:
            self._looked = [self._fault(error)]
        return self._tell()

    def _look(self) -> list[Fault]:
        """Look at HEAD and the newest checkpoint. Raises LogError for an older or another HEAD than was there before."""
        signed = newest(FolderShelf(self._tlog))  # Before HEAD, which only grows.
        if self._lookout is None:
            log_id, _ = identity.read(self._folder)
            self._lookout = Lookout(self._folder, log_id, seed_of(log_id), lambda: self._seen[0])
            self._lookout.look()
            with suppress(LogError, OpenError), closing(opened_log(self._place)) as log:
                self._lookout.know(log.end)  # More than HEAD tells, where a power cut left that behind.
        end = self._lookout.look()
        size = signed.checkpoint.size if signed is not None else 0
        gone = self._promised.size if self._promised is not None else 0
        if size < gone:
            reason = f"the checkpoint over {gone:,} records is gone, the newest is over {size:,}: an older one was put in its place"
            return [Fault("damage", reason, str(self._tlog), 0, size)]
        self._promised = signed.checkpoint if signed is not None else None
        if end < size:
            reason = f"HEAD tells of {end:,} records, and a checkpoint was made over {size:,}: an older HEAD was put in its place"
            return [Fault("damage", reason, self._folder.describe(HEAD), 0, end)]
        return []

    def _read_on(self) -> None:
        """Check the frames up to the end. The first look begins with the last segment: those before are for the sweep."""
        assert self._lookout is not None, "who calls has looked"
        end, (known, root) = self._lookout.end, self._seen
        try:
            if self._walk is None and end > 0:
                self._walk = Leaves.of_segment(self._folder, self._seed, (known or end) - 1)
                self._walk.read(known)
                if known and self._walk.tip.tree.root() != root:
                    raise self._rewritten(known)
            while self._walk is not None and (at := self._walk.tip.end) < end:
                self._walk.read(min(end, at + _CHUNK_RECORDS))
                self._seen = self._walk.tip.end, self._walk.tip.tree.root()
        except LogError as error:
            self._read = [self._fault(error)]
            self._let_go()

    @property
    def _seed(self) -> int:
        assert self._lookout is not None, "who calls has looked"
        return self._lookout.seed

    def _rewritten(self, size: int) -> ReplacedLogError:
        reason = f"its first {size:,} records are not those that were here before"
        return ReplacedLogError(reason, place=self._folder.describe(""), offset=size)

    def _let_go(self) -> None:
        if self._walk is not None:
            self._walk.close()
            self._walk = None

    # All of it ------------------------------------------------------------------------------------------------------

    def sweep(self) -> State:
        """Check everything."""
        self._worked_s = time.thread_time()
        self._read = []
        self.look()
        outside: Outside | None = None
        try:
            kept, faults = review.promises_of(self._tlog)  # Before the log is read: it only grows, and so do they.
            anchored = anchors.newest_of(self._place, identity.read(self._folder)).promises
            outside = _outside(anchored)
            found = [*self._sweep([*anchored, *kept]), *faults]
        except LogError as error:
            found = [self._fault(error)]
        self._swept = [one for one in found if one.severity == "damage"]
        return self._tell(swept=time.time(), outside=outside)

    def _sweep(self, promises: list[Promise]) -> list[Fault]:
        size, root = self._seen
        keys = review.keys_of(self._tlog)
        trusted, promised = believed(promises, keys), self._promised
        self._is_signed = promised is not None and any(one.size >= promised.size for one in trusted)
        sizes = {one.signed.checkpoint.size for one in promises}
        result = audit.audit(self._folder, self._breathe, sizes | {size})
        found = [*result.faults, *(fault for one in promises for fault in review.compare(one, result, keys))]
        if any(one.severity == "damage" for one in result.faults):
            found = [*self._first_other(trusted), *found]
        else:
            if result.records < size:
                reason = f"the log ends before record {size:,}, which was here before"
                found.append(self._fault(self._lost(reason, result.records)))
            elif result.roots[size] != root:
                found.append(self._fault(self._rewritten(size)))
            if any(result.roots.get(one.signed.checkpoint.size) != one.signed.checkpoint.root for one in promises):
                found = [*self._first_other(trusted), *found]
        return [*found, *review.tile_faults(self._tlog, self._breathe)]

    def _lost(self, reason: str, offset: int) -> LostRecordsError:
        return LostRecordsError(reason, file=self._folder.describe(""), position=0, offset=offset)

    def _first_other(self, checkpoints: list[Checkpoint]) -> list[Fault]:
        """Tell which record is the first that is not the one that was promised, where sound tiles do."""
        published = Published(FolderShelf(self._tlog), checkpoints)
        other = first_other(self._folder, self._seed, published, self._breathe)
        if other is None:
            return []
        name = next(iter(segment.files_of(self._folder, other.base)), segment.name_of(other.base))
        reason = "it is not the record that was promised: it was altered after a checkpoint over it was made"
        return [Fault("damage", reason, self._folder.describe(name), other.position, other.offset)]

    # The view -------------------------------------------------------------------------------------------------------

    def compare(self) -> State:
        """Compare the view with a replay of the log, looking on meanwhile. What cannot be compared is not said to be."""
        began_s = time.monotonic()
        try:
            found = self._compared()
            if found:  # Once more: what others do to the view meanwhile must turn nothing red.
                found = self._compared()
        except _StoppedError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the log is watched on
            _LOG.warning("the view could not be compared with the log", exc_info=True)
            return self.state
        finally:
            self._due_s = time.monotonic() + max(COMPARE_S, (time.monotonic() - began_s) / self._share)
        self._unlike = found
        return self._tell(compared=time.time())

    def _compared(self) -> list[Fault]:
        with compared.start(self._place) as child:
            try:
                while self._thread is not None and child.poll() is None:
                    self._rest(_POLL_S)
                return compared.outcome(child)
            finally:
                child.kill()

    # What is told ---------------------------------------------------------------------------------------------------

    def _tell(self, **said: Any) -> State:
        """Put together what is known."""
        state = replace(self.state, **said)
        end = max(self._lookout.end if self._lookout is not None else 0, self._seen[0])
        checked = state.checked if state.swept is None else self._seen[0]
        findings = tuple(dict.fromkeys([*self._swept, *self._looked, *self._read, *self._unlike]))
        status: Status = "verified"
        if findings:
            status = "broken"
        elif state.swept is None or checked < end:
            status = "checking"
        elif self._promised is None or not self._is_signed:
            status = "unsigned"
        signed = self._promised.size if self._promised is not None else 0
        self.state = replace(state, status=status, checked=checked, end=end, signed=signed, findings=findings)
        return self.state

    def _fault(self, error: Exception) -> Fault:
        reason, file = getattr(error, "reason", str(error)), getattr(error, "file", str(self._place))
        return Fault("damage", reason, file, getattr(error, "position", 0), getattr(error, "offset", 0))


class _StoppedError(Exception):
    """The thread is asked to end."""


def _outside(promises: list[Promise]) -> Outside | None:
    """Return the newest of the copies at the anchors of a store."""
    newest_first = sorted(promises, key=lambda one: one.signed.checkpoint.size, reverse=True)
    for one in newest_first:
        with suppress(OSError):  # It went since it was read.
            return Outside(one.signed.checkpoint.size, Path(one.file).stat().st_mtime, one.file)
    return None
