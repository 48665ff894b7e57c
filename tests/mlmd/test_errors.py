"""Status errors: one class per code, and the way from a code to its class."""

from __future__ import annotations

import logging
import pickle

import pytest

from mlmd import errors

CODES = {  # Source: the canonical gRPC status codes.
    "CANCELLED": (1, errors.CancelledError),
    "UNKNOWN": (2, errors.UnknownError),
    "INVALID_ARGUMENT": (3, errors.InvalidArgumentError),
    "DEADLINE_EXCEEDED": (4, errors.DeadlineExceededError),
    "NOT_FOUND": (5, errors.NotFoundError),
    "ALREADY_EXISTS": (6, errors.AlreadyExistsError),
    "PERMISSION_DENIED": (7, errors.PermissionDeniedError),
    "RESOURCE_EXHAUSTED": (8, errors.ResourceExhaustedError),
    "FAILED_PRECONDITION": (9, errors.FailedPreconditionError),
    "ABORTED": (10, errors.AbortedError),
    "OUT_OF_RANGE": (11, errors.OutOfRangeError),
    "UNIMPLEMENTED": (12, errors.UnimplementedError),
    "INTERNAL": (13, errors.InternalError),
    "UNAVAILABLE": (14, errors.UnavailableError),
    "DATA_LOSS": (15, errors.DataLossError),
    "UNAUTHENTICATED": (16, errors.UnauthenticatedError),
}


@pytest.mark.parametrize(("name", "code", "cls"), [(name, *pair) for name, pair in CODES.items()])
def test_each_code_has_a_constant_a_class_and_a_way_between_them(name, code, cls):
    assert getattr(errors, name) == code
    assert errors.exception_type_from_error_code(code) is cls
    error = cls("why")
    assert isinstance(error, errors.StatusError)
    assert (error.message, error.error_code, str(error)) == ("why", code, "why")
    assert type(errors.make_exception("why", code)) is cls


def test_the_docstring_draws_every_class_with_its_code():
    for code, cls in CODES.values():
        (line,) = [line for line in errors.__doc__.splitlines() if f" {cls.__name__} " in line]
        assert line.split(cls.__name__)[1].split()[0] == str(code)


@pytest.mark.parametrize("code", [errors.OK, -1, 17, 1000])
def test_a_code_without_a_class_is_a_key_error_and_makes_an_unknown_error(code):
    with pytest.raises(KeyError):
        errors.exception_type_from_error_code(code)
    error = errors.make_exception("why", code)
    assert type(error) is errors.UnknownError
    assert error.error_code == errors.UNKNOWN


def test_an_unknown_error_can_carry_the_code_it_came_with():
    assert errors.UnknownError("why").error_code == errors.UNKNOWN
    assert errors.UnknownError("why", 77).error_code == 77
    assert errors.StatusError("why", errors.ABORTED).error_code == errors.ABORTED


def test_a_subclass_made_later_is_not_what_a_code_stands_for():
    class Mine(errors.StatusError):
        error_code = errors.NOT_FOUND

    assert Mine("why").error_code == errors.NOT_FOUND
    assert errors.exception_type_from_error_code(errors.NOT_FOUND) is errors.NotFoundError


@pytest.mark.parametrize("error", [errors.NotFoundError("why"), errors.UnknownError("why", 77)])
def test_an_error_survives_pickling(error):
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.error_code) == (type(error), "why", error.error_code)


def test_making_an_internal_error_is_logged_as_a_warning_and_no_other_is(caplog):
    for code, _ in CODES.values():
        errors.make_exception(f"why {code}", code)
    ((logger, level, text),) = caplog.record_tuples
    assert (logger, level) == ("mlmd.errors", logging.WARNING)
    assert "why 13" in text
