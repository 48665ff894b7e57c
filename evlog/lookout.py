"""How far a log goes that others append to, as one who only reads sees it.

HEAD is opened by its name at every look: an older copy may have been put in its place, and an open file would never tell. What is
no longer the log that was read up to here is refused at the first look.
"""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Final

from evlog import head, identity, segment
from evlog.errors import LostRecordsError, ReplacedLogError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.files import Folder
    from evlog.head import Mark

_TRIES: Final = 3  # A reader that is held up amid its read may see both slots half-written; the next read does not.


class Lookout:
    """Looks how far a log is acknowledged. `end`: as last seen; `mark`: what HEAD said then, None where it is lost; `seed`: of its checksums."""

    def __init__(self, folder: Folder, log_id: bytes, seed: int, whole: Callable[[], int]) -> None:
        """Begin with nothing seen. whole: tells how far the frames are whole, for a log without a HEAD."""
        self._folder, self._log_id, self._whole = folder, log_id, whole
        self.seed = seed
        self._lock = threading.Lock()  # Of `look`: an older HEAD must not be judged after a newer one.
        self._raw: bytes | None = None
        self.end = 0
        self.mark: Mark | None = None

    def look(self) -> int:
        """Return how far the log goes now.

        Raises ReplacedLogError for another log or history in its place, LostRecordsError for a shorter one, NoLogError for none.
        """
        with self._lock:
            raw, mark = self._read()
            if raw == self._raw:
                return self.end
            if mark is None:
                # What can be read is what there is. One walk will do: a writer that opens makes HEAD anew.
                self._check_identity()
                self.end = max(self.end, self._whole())
            else:
                self._check_goes_on(mark)
                self.end = mark.end
            self._raw, self.mark = raw, mark
            return self.end

    def know(self, end: int) -> None:
        """Take it from the caller, who has read them, that so many records are acknowledged: HEAD may be behind."""
        with self._lock:
            self.end = max(self.end, end)

    def _read(self) -> tuple[bytes, Mark | None]:
        raw, mark = b"", None
        for _ in range(_TRIES):
            try:
                file = self._folder.open(head.NAME)
            except FileNotFoundError:
                return b"", None
            with closing(file):
                raw = file.read(head.SIZE, 0)
            mark = head.newest(raw, seed=self.seed)
            if mark is not None:
                break
        return raw, mark

    def _check_identity(self) -> None:
        found = identity.read(self._folder).log_id
        if found != self._log_id:
            reason = f"this is log {found.hex()}, and {self._log_id.hex()} was here before"
            raise ReplacedLogError(reason, place=self._folder.describe(""), offset=self.end)

    def _check_goes_on(self, mark: Mark) -> None:
        place = self._folder.describe("")
        if mark.end < self.end:
            reason = f"the log ends at record {mark.end}, {self.end} were acknowledged"
            last = self._folder.describe(segment.name_of(mark.base))
            raise LostRecordsError(reason, file=last, position=mark.position, offset=mark.end)
        if self.mark is not None and mark.end == self.mark.end and mark.prev != self.mark.prev:
            raise ReplacedLogError(f"record {mark.end - 1} is another than before", place=place, offset=mark.end)
