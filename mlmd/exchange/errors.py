"""What may go wrong between a database of ML Metadata and a store.

ExchangeError
├── SourceError       the database cannot be read, or is none of ML Metadata
├── DivergedError     store and database are not, or no longer, two states of one history
└── TargetError       the file to export to cannot be written
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
