"""Now, as a moment of a log: its end, whatever time its records bear. A clock that was ahead has given some of them a time that is yet to come."""

from __future__ import annotations

from datetime import datetime


class Now(datetime):
    """The time at which somebody said now. Any other time means the records put up to it; this one all that there are."""
