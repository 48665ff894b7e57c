"""Status errors: what a caller of the store can catch, one class per gRPC status code.

Exception
└── StatusError                  code
    ├── CancelledError               1  the caller, or a finished downgrade, ended the call
    ├── UnknownError                 2  a code without a class of its own
    ├── InvalidArgumentError         3  the request is wrong, whatever the store holds
    ├── DeadlineExceededError        4  no answer in time; the put may have happened
    ├── NotFoundError                5  what was asked for by name or id is not there
    ├── AlreadyExistsError           6  the put clashes with something stored
    ├── PermissionDeniedError        7  the caller may not do this
    ├── ResourceExhaustedError       8  a limit was reached, such as the size of a message
    ├── FailedPreconditionError      9  the store is not in the state the request asks for
    ├── AbortedError                10  another writer was faster: try again
    ├── OutOfRangeError             11  an index points outside its list
    ├── UnimplementedError          12  the call, or this use of it, is not supported
    ├── InternalError               13  the store failed, not the caller
    ├── UnavailableError            14  no server answers
    ├── DataLossError               15  stored data is damaged
    └── UnauthenticatedError        16  the server does not know who calls
"""

from __future__ import annotations

import logging
from typing import Final

from evlog.errors import (
    BrokenKeysError,
    CorruptLogError,
    DiskFullError,
    EvidenceError,
    ForkedError,
    FormatVersionError,
    FutureError,
    LogClosedError,
    LogError,
    NoLogError,
    RecordTooLargeError,
    ReplacedLogError,
    SealedValueError,
    UnknownSubjectError,
    UnknownTagError,
)
from projections.errors import BusyViewError, FullViewError, TooDeepError, ViewError

OK: Final = 0
CANCELLED: Final = 1
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
NOT_FOUND: Final = 5
ALREADY_EXISTS: Final = 6
PERMISSION_DENIED: Final = 7
RESOURCE_EXHAUSTED: Final = 8
FAILED_PRECONDITION: Final = 9
ABORTED: Final = 10
OUT_OF_RANGE: Final = 11
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
DATA_LOSS: Final = 15
UNAUTHENTICATED: Final = 16
# As gRPC writes them: PERMISSION_DENIED.
NAMES: Final = {code: name for name, code in globals().items() if name.isupper() and isinstance(code, int)}

_LOG: Final = logging.getLogger(__name__)


class StatusError(Exception):
    """A call was refused or failed: `message` is for people, `error_code` (a constant above) for programs."""

    error_code: int = UNKNOWN  # Each subclass has its own.

    def __init__(self, message: str, error_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        if error_code is not None:
            self.error_code = error_code


class CancelledError(StatusError):
    """The caller, or a finished downgrade, ended the call."""

    error_code = CANCELLED


class UnknownError(StatusError):
    """A code without a class of its own."""

    error_code = UNKNOWN


class InvalidArgumentError(StatusError):
    """The request is wrong, whatever the store holds."""

    error_code = INVALID_ARGUMENT


class DeadlineExceededError(StatusError):
    """No answer in time. A put may have happened nevertheless."""

    error_code = DEADLINE_EXCEEDED


class NotFoundError(StatusError):
    """What was asked for is not there."""

    error_code = NOT_FOUND


class AlreadyExistsError(StatusError):
    """The put clashes with something stored."""

    error_code = ALREADY_EXISTS


class PermissionDeniedError(StatusError):
    """The caller may not do this."""

    error_code = PERMISSION_DENIED


class ResourceExhaustedError(StatusError):
    """A limit was reached, such as the size of a message."""

    error_code = RESOURCE_EXHAUSTED


class FailedPreconditionError(StatusError):
    """The store is not in the state the request asks for."""

    error_code = FAILED_PRECONDITION


class AbortedError(StatusError):
    """Another writer was faster. Trying again is right, and the client does so."""

    error_code = ABORTED


class OutOfRangeError(StatusError):
    """An index points outside its list."""

    error_code = OUT_OF_RANGE


class UnimplementedError(StatusError):
    """The call, or this use of it, is not supported."""

    error_code = UNIMPLEMENTED


class InternalError(StatusError):
    """The store failed, not the caller."""

    error_code = INTERNAL


class UnavailableError(StatusError):
    """No server answers."""

    error_code = UNAVAILABLE


class DataLossError(StatusError):
    """Stored data is damaged."""

    error_code = DATA_LOSS


class UnauthenticatedError(StatusError):
    """The server does not know who calls."""

    error_code = UNAUTHENTICATED


# Read once, here: a subclass that a caller adds later is no answer to a status code.
_TYPES: Final = {cls.error_code: cls for cls in StatusError.__subclasses__()}


def exception_type_from_error_code(error_code: int) -> type[StatusError]:
    """Return the class for a status code. Raises KeyError for OK and for numbers which are no status code."""
    return _TYPES[error_code]


def make_exception(message: str, error_code: int) -> StatusError:
    """Return, not raise, the error for a status code; an UnknownError if the code has no class.

    INTERNAL is also logged as a warning, because it is a fault of the store and callers tend to swallow it.
    """
    if error_code == INTERNAL:
        _LOG.warning("mlmd InternalError: %s", message)
    return _TYPES.get(error_code, UnknownError)(message)


def status_error(error: Exception) -> StatusError:
    """Return what a caller of the store is told of an error from a lower layer."""
    if isinstance(error, StatusError):
        return error
    code = next((code for cause, code in _INNER if isinstance(error, cause)), INTERNAL)
    text = str(error) if isinstance(error, LogError | ViewError) else f"{type(error).__name__}: {error}"
    return make_exception(text, code)


# The first class that fits decides, so a special one stands before its base.
_INNER: Final[list[tuple[type[Exception], int]]] = [
    (RecordTooLargeError, RESOURCE_EXHAUSTED),
    (DiskFullError, RESOURCE_EXHAUSTED),
    (FullViewError, RESOURCE_EXHAUSTED),
    (BusyViewError, UNAVAILABLE),
    (CorruptLogError, DATA_LOSS),
    (ReplacedLogError, DATA_LOSS),
    (SealedValueError, DATA_LOSS),
    (BrokenKeysError, DATA_LOSS),
    (UnknownSubjectError, NOT_FOUND),
    (FormatVersionError, FAILED_PRECONDITION),
    (UnknownTagError, FAILED_PRECONDITION),
    (ForkedError, FAILED_PRECONDITION),
    (LogClosedError, FAILED_PRECONDITION),
    (EvidenceError, FAILED_PRECONDITION),
    (NoLogError, NOT_FOUND),
    (FutureError, OUT_OF_RANGE),
    (UnicodeDecodeError, INVALID_ARGUMENT),
    (TooDeepError, INVALID_ARGUMENT),
]
