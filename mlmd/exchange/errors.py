"""What may go wrong between a store and the rest of the world: databases of ML Metadata, events of OpenLineage, documents.

ExchangeError
├── SourceError       the database cannot be read, or is none of ML Metadata
├── DivergedError     store and database are not, or no longer, two states of one history
├── TargetError       the file to export to cannot be written
├── NothingError      what is to be exported is not there
├── EventError        an event of OpenLineage is none, or holds what a store cannot
└── DeliveryError     an event was not taken by whom it was sent to
"""

from __future__ import annotations


class ExchangeError(Exception):
    """Base of this package's errors. hint: the next command, None where the command's help says it."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class SourceError(ExchangeError):
    """A database cannot be read, or is none of ML Metadata that we know."""


class DivergedError(ExchangeError):
    """The store holds what the database does not: it is another's, or both went on by themselves."""


class TargetError(ExchangeError):
    """A file cannot be made."""


class NothingError(ExchangeError):
    """What is to be exported is not there."""


class EventError(ExchangeError):
    """An event of OpenLineage is none, or holds what a store cannot. where: of the value that is wrong, such as `run.runId`."""

    def __init__(self, reason: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason, self.where = reason, where


class DeliveryError(ExchangeError):
    """An event was not taken by whom it was sent to."""
