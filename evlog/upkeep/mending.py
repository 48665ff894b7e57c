"""What it takes to mend a log: every segment looked at, and for a damaged one the frames that can be had and why they may be taken.

Nothing is written here. A frame of the log itself stays unless what is known speaks against it. A frame of a copy is taken only if its
leaf is committed, which is to say that something the copy has no part in names it:
- a published tile or a checkpoint: the leaf, or the root of a tree that it is in;
- the log's own tree: the seal of the segment, or the header of a later one;
- the log's own next frame, or HEAD: the first 16 bytes of the leaf's hash, which stand in every header.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from evlog import head, segment
from evlog.errors import CorruptLogError, LackingError, StorageError, UnknownTagError
from evlog.frame import CONTROL, RECORD, SEAL, SEGMENT, BadFrame
from evlog.records import Taken
from evlog.recovery import Active, refuse_damage
from evlog.tip import PREV_BYTES, Tip
from evlog.upkeep.salvage import Source, whole_frame
from evlog.upkeep.segment_audit import control_fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evlog.files import Folder
    from evlog.frame import Frame
    from evlog.head import Mark
    from evlog.upkeep.salvage import Piece

REPORT_FRAMES: Final = 5_000
BY_TREE: Final = "the tree"
BY_TILE: Final = "a published tile"
BY_LINK: Final = "the next frame, or HEAD"


class Committed(Protocol):
    """What outsiders were promised of a log."""

    @property
    def sizes(self) -> Mapping[int, bytes]:
        """Return roots of trees, by the number of their leaves."""
        ...

    def root(self, size: int) -> bytes | None:
        """Return the root of the first `size` leaves, None where it is not known."""
        ...

    def leaf(self, offset: int) -> bytes | None:
        """Return the hash of a leaf, None where it is not known."""
        ...


class Choice(NamedTuple):
    """A record's frame, and the source that it is taken from."""

    source: Source
    piece: Piece


@dataclass
class Mend:
    """A segment that is to be written anew. sources: in the order in which they are asked; stop: where it ends if it is sealed."""

    base: int
    number: int
    reason: str
    before: Tip
    after: Tip
    sources: list[Source]
    chosen: list[Choice]
    stop: int | None
    taken: list[Taken]

    def load(self) -> None:
        """Have the sources hold the frames that were chosen."""
        for source in self.sources:
            source.load(self.base, self.stop)


@dataclass
class Plan:
    """How a log becomes whole: the segments to write anew, those that are no part of it, and what it is then."""

    known: int  # Records known to have been acknowledged.
    mark: Mark | None
    mends: list[Mend] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    tip: Tip = field(default_factory=Tip)
    base: int = 0  # Of the last segment.
    head_is_wrong: bool = False  # It names another record than the published tree.
    position: int = 0  # At which its next frame goes; not yet known of one that is written anew.


class Planner:
    """Looks at a log, segment after segment. cut: the records to keep, where the loss of all others is accepted.

    progress: told (records looked at, records there are).
    """

    def __init__(
        self,
        folder: Folder,
        copies: Sequence[Source],
        seed: int,
        committed: Committed,
        *,
        acknowledged: int,
        cut: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._folder, self._copies, self._seed, self._committed = folder, copies, seed, committed
        self._own = Source(folder, seed, folder.describe(""))
        self._bases = segment.bases(folder)
        self._mark = head.read(folder, seed=seed)
        self._cut, self._progress, self._checked = cut, progress, 0
        known = [acknowledged, self._mark.end if self._mark else 0, *committed.sizes, *self._bases]
        self.known = max(known) if cut is None else cut
        self._roots: dict[int, bytes] = {}  # Of the segment that is looked at, by the log itself.
        self._links: dict[int, set[bytes]] = {}
        self._covered = 0  # A root that is committed was met here.
        self._head_is_wrong = False
        self._pending: list[Taken] = []  # What was taken, and no root was met since.

    def run(self) -> Plan:
        """Return what is to be done. Raises LackingError where the log cannot be made whole, UnknownTagError for a newer one."""
        plan, seen = Plan(self.known, self._mark), set[int]()
        sealed = True
        while sealed and self._expected(plan.tip.end):
            plan.base = plan.tip.end
            found = self._check(plan.tip, len(seen))
            if isinstance(found, Active):
                plan.tip, plan.position, sealed = found.tip, found.position, found.sealed
            else:
                mend = self._rebuild(plan.tip, len(seen), found)
                plan.mends.append(mend)
                plan.tip, plan.position, sealed = mend.after, 0, mend.stop is not None
            self._pending = [one for one in self._pending if one.stop > self._covered]
            seen.add(plan.base)
        if self._pending:
            raise self._uncommitted(self._pending[0])
        plan.head_is_wrong = self._head_is_wrong
        plan.dropped = [base for base in self._bases if base not in seen]
        return plan

    def _expected(self, base: int) -> bool:
        """Tell whether there must be a segment with this base."""
        if base == 0 or self._cut is not None:
            return base == 0 or base < self.known
        return base < self.known or base in self._bases or (self._mark is not None and self._mark.base == base)

    # A segment as it is ------------------------------------------------------------------------------------------------

    def _check(self, before: Tip, number: int) -> Active | str:
        """Return the segment that follows, read to its end, or why it is not whole."""
        try:
            with closing(segment.open_file(self._folder, before.end)) as file:
                active = Active(file, base=before.end, number=number, tip=before.copy())
                return self._fault(active) or active
        except FileNotFoundError:
            return "the segment is missing"
        except CorruptLogError as error:  # Of the form in which it is stored.
            return error.reason
        except StorageError as error:
            if error.errno != errno.EIO:
                raise
            return f"the device fails: {os.strerror(error.errno)}"

    def _fault(self, active: Active) -> str | None:
        for frame in segment.walk(active.file, 0, seed=self._seed):
            reason = frame.reason if isinstance(frame, BadFrame) else self._take(active, frame)
            if reason is not None:
                bad = frame if isinstance(frame, BadFrame) else BadFrame(frame.position, reason)
                return self._damage(active, bad)
            self._checked += 1
            if self._progress is not None and self._checked % REPORT_FRAMES == 0:
                self._progress(active.tip.end, max(self.known, active.tip.end))
        return self._end_fault(active)

    def _take(self, active: Active, frame: Frame) -> str | None:
        if frame.kind == RECORD and active.tip.end == self._cut:
            return "what follows is lost"
        reason = active.take(frame)
        if reason is None and frame.kind >= CONTROL:
            reason = control_fault(active, frame)
        if reason is None and frame.kind == RECORD:
            reason = self._contradiction(active.tip)
        elif reason is None and frame.kind == SEGMENT:
            self._covered = active.tip.end
        return reason

    def _damage(self, active: Active, bad: BadFrame) -> str | None:
        """Return why a bad frame is more than a torn end, None where it is one: opening settles that."""
        if bad.newer:
            raise UnknownTagError(bad.reason, offset=active.tip.end)
        if self._cut is not None or active.position == 0 or self._bases[-1] > active.base:
            return bad.reason
        try:
            refuse_damage(
                active, bad, self._folder, known=self.known, durable=self._durable(active.base), seed=self._seed
            )
        except CorruptLogError as error:
            return error.reason
        return None

    def _durable(self, base: int) -> int:
        return self._mark.position if self._mark is not None and self._mark.base == base else 0

    def _end_fault(self, active: Active) -> str | None:
        """Return what is wrong with the end of a segment whose frames are whole."""
        end = active.tip.end
        if active.position == 0:
            return "the segment has no header"
        if active.sealed:
            root = self._committed.root(end)
            return None if root in (None, active.tip.tree.root()) else "its records are not those of the published tree"
        if self._cut is None and self._bases[-1] > active.base:
            return "the segment is not the last and has no seal"
        if end < self.known:
            return f"the log ends at record {end}, {self.known} were acknowledged"
        if self._cut is None and active.position < self._durable(active.base):
            return "the log ends before the place up to which HEAD says that it is durable"
        return None

    def _contradiction(self, tip: Tip) -> str | None:
        """Return what speaks against the records so far; a root that they have covers those that were taken before."""
        end = tip.end
        root = self._committed.sizes.get(end) or self._roots.get(end)
        if root is not None:
            if tip.tree.root() != root:
                return f"the first {end} records are not those of the tree that was promised"
            self._covered = end
        mark = self._mark
        if self._cut is None and mark is not None and mark.end == end and mark.prev != tip.prev:
            if self._committed.leaf(end - 1) is None:
                return "the last record is not the one that HEAD names"
            self._head_is_wrong = True
        return None

    # A segment made anew -------------------------------------------------------------------------------------------------

    def _rebuild(self, before: Tip, number: int, reason: str) -> Mend:
        stop = self._boundary(before.end)
        sources = [self._own, *self._copies]
        for source in sources:
            source.load(before.end, stop)
        self._learn(stop)
        failures = []
        for first in range(len(sources)):
            covered = self._covered
            tried = self._attempt(
                [sources[first], *sources[:first], *sources[first + 1 :]], before, number, stop, reason
            )
            if isinstance(tried, Mend):
                self._pending += [one for one in tried.taken if one.committed == BY_TREE]
                self._roots, self._links = {}, {}
                return tried
            self._covered = covered
            failures.append(tried)
        raise max(failures, key=lambda failure: failure.offset)

    def _boundary(self, base: int) -> int | None:
        """Return the offset at which the segment ends, None if it is the last."""
        following = min((one for one in self._bases if one > base), default=None)
        ends = [following] if following is not None else []
        seals: list[int] = []
        if base in self._bases:
            self._own.load(base, following)
            controls = self._own.controls.items()
            seals = [end for end, here in controls if end > base and any(one.kind == SEAL for one in here)]
            ends += seals
        if not seals:
            others = (_next_base(copy, base, self._seed) for copy in self._copies)
            ends += [end for end in others if end is not None and end <= self.known]
        stop = min(ends, default=None)
        return None if stop is None or (self._cut is not None and stop > self._cut) else stop

    def _learn(self, stop: int | None) -> None:
        """Note what the log itself says of the records of a segment: the root at its end, and what came before each frame."""
        self._roots = {}
        self._links = {offset - 1: {one.prev for one in pieces} for offset, pieces in self._own.records.items()}
        for offset, controls in self._own.controls.items():
            for control in controls:
                self._link(offset - 1, control.prev)
                seal = segment.decode_seal(whole_frame(control.stored, self._seed)) if control.kind == SEAL else ""
                if not isinstance(seal, str):
                    self._roots.setdefault(offset, seal.root)
        if self._mark is not None:
            self._link(self._mark.end - 1, self._mark.prev)
        header = _header_at(self._folder, stop, self._seed) if stop is not None else None
        if stop is not None and header is not None:
            self._roots.setdefault(stop, header.root)
            self._link(stop - 1, header.prev)
        if stop is not None and (root := self._committed.root(stop)) is not None:
            self._roots[stop] = root

    def _link(self, offset: int, prev: bytes) -> None:
        self._links.setdefault(offset, set()).add(prev)

    def _attempt(
        self, order: list[Source], before: Tip, number: int, stop: int | None, reason: str
    ) -> Mend | LackingError:
        """Return the segment made of what the sources have, the first in order first, or where that fails."""
        tip, chosen = before.copy(), list[Choice]()
        known = self.known
        if stop is None:
            known = (
                max([known, *(one.synced for here in self._own.records.values() for one in here)])
                if self._cut is None
                else known
            )
        while stop is None or tip.end < stop:
            choice = self._choose(order, tip) if tip.end != self._cut else None
            if choice is None:
                if stop is None and tip.end >= known:
                    break
                what = f"{reason}: no copy at hand has record {tip.end:,}"
                return self._lack(what, before.end, self._certain(chosen, before.end))
            tip.pass_over(choice.piece.leaf, choice.piece.time_us)
            chosen.append(choice)
            if (why := self._contradiction(tip)) is not None:
                return self._lack(why, before.end, self._certain([], before.end))
        taken = [*self._taken(chosen, before.end)]
        return Mend(before.end, number, reason, before, tip, order, chosen, stop, taken)

    def _choose(self, order: list[Source], tip: Tip) -> Choice | None:
        """Return the frame of the next record, of the first source that has one to which nothing is opposed."""
        offset = tip.end
        leaf, links = self._committed.leaf(offset), self._links.get(offset)
        for source in order:
            for piece in source.records.get(offset, ()):
                if piece.prev != tip.prev or piece.time_us <= tip.time_us:
                    continue
                if piece.leaf == leaf if leaf is not None else links is None or piece.leaf[:PREV_BYTES] in links:
                    mine = next((one for one in self._own.records.get(offset, ()) if one[:3] == piece[:3]), None)
                    return Choice(self._own, mine) if mine is not None else Choice(source, piece)
        return None

    def _taken(self, chosen: list[Choice], start: int) -> Iterator[Taken]:
        def origin(numbered: tuple[int, Choice]) -> tuple[Source, str]:
            return numbered[1].source, self._by(numbered[0])

        for (source, by), group in groupby(enumerate(chosen, start), origin):
            offsets = [offset for offset, _ in group]
            if source is not self._own:
                yield Taken(offsets[0], offsets[-1] + 1, source.name, by)

    def _by(self, offset: int) -> str:
        """Return what commits to a record of a copy; the tree, where nothing else does: that its root was met is checked at the end."""
        if self._committed.leaf(offset) is not None:
            return BY_TILE
        return BY_LINK if offset >= self._covered and offset in self._links else BY_TREE

    def _certain(self, chosen: list[Choice], start: int) -> int:
        """Return up to which offset the log can be made whole, given what was chosen of a segment that cannot."""
        unsure = [one for one in [*self._pending, *self._taken(chosen, start)] if one.committed == BY_TREE]
        return min([start + len(chosen), *(one.start for one in unsure if one.stop > self._covered)])

    def _uncommitted(self, one: Taken) -> LackingError:
        reason = f"nothing at hand says that the records {one.start:,} to {one.stop - 1:,} of {one.source} are those that were lost"
        return self._lack(reason, max(base for base in [0, *self._bases] if base <= one.start), one.start)

    def _lack(self, reason: str, base: int, offset: int) -> LackingError:
        return LackingError(
            reason, file=self._folder.describe(segment.name_of(base)), offset=offset, known=max(self.known, offset)
        )


def _header_at(folder: Folder, base: int, seed: int) -> segment.SegmentHeader | None:
    try:
        with closing(segment.open_file(folder, base)) as file:
            header = segment.read_header(file, seed=seed)
    except (FileNotFoundError, CorruptLogError):
        return None
    return header if isinstance(header, segment.SegmentHeader) and header.base == base else None


def _next_base(copy: Source, base: int, seed: int) -> int | None:
    """Return the base of the segment of a copy that follows, if its header says so too."""
    following = min((one for one in copy.bases() if one > base), default=None)
    if following is None or _header_at(copy.folder, following, seed) is None:
        return None
    return following
