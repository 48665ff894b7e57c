"""What can go wrong with a view. A view is derived: each of these but the last two, and a full disk, is mended by rebuilding it.

ViewError
├── WrongViewError      the file is no view, of another log, of another release, or ahead of its log
├── BusyViewError       another process has the file open
├── FullViewError       the disk is full; the view catches up once there is room
├── MissingLibraryError the library that a view needs is not installed
├── OutOfOrderError     a record was applied that does not come next
├── QueryError          the database refuses to work out a question, such as a filter that overflows
│   └── TooDeepError        it would get a text that is out of all proportion
└── ExportError         rows cannot be written to a file of somebody else's, such as for a full disk
"""

from __future__ import annotations


class ViewError(Exception):
    """Base of everything this package raises on purpose."""


class WrongViewError(ViewError):
    """The file is not a view of this log that this release can use."""


class BusyViewError(ViewError):
    """Another process, or another connection of this one, has the file of the view open."""


class FullViewError(ViewError):
    """There is no room for rows on the disk. Nothing is lost: they are made from the log."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path}: the disk is full: free some space, and the view catches up with the log by itself")


class MissingLibraryError(ViewError):
    """A library that only some need is not installed."""

    def __init__(self, library: str, *, extra: str) -> None:
        self.library, self.install = library, f"pip install 'evlog-mlmd[{extra}]'"
        super().__init__(f"this needs {library}, which is not installed: {self.install}")


class OutOfOrderError(ViewError):
    """A record was applied that is not the next one."""

    def __init__(self, *, expected: int, offset: int) -> None:
        super().__init__(f"the view expects record {expected}, it was given {offset}")
        self.expected, self.offset = expected, offset


class QueryError(ViewError):
    """The database cannot work out a question: a number that overflows, a pattern that is too long."""


class TooDeepError(QueryError):
    """Functions of a question are nested so deep that its text as SQL doubles out of hand."""


class ExportError(ViewError):
    """Rows cannot be written to a file: the disk is full, the folder is not ours."""
