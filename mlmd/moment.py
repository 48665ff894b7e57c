"""WHEN: how a person or a program names a moment of the store.

| text                          | means                                                            |
| `#31907`                      | an offset: the store of the first 31,907 records, 0 to 31,906    |
| `2026-03-01`                  | the first instant of that day, local time                        |
| `2026-03-01T09:30`, `... 09:30:15.5` | that instant, local time                                  |
| `2026-03-01T09:30Z`, `+01:00` | that instant: RFC 3339, with its zone                            |
| `today`, `yesterday`          | the first instant of that day, local time                        |
| `45s`, `90m`, `2h`, `3d`, `2w`| so long ago; also `3 days ago`, `1 hour ago`                     |
| `now`                         | the end of the log                                               |
| `mark:release-4`              | the moment that has this name in the store: see `marks`          |
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from evlog.now import Now

FORMS: Final = "'#31907', 2026-03-01, 2026-03-01T09:30Z, yesterday, 3d, 2h, now or mark:NAME"
NOW: Final = "now"
PREFIX: Final = "mark:"
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
# Texts, which `re` compiles once, when a moment is read: `evlog --help` reads none.
_OFFSET: Final = r"(?a)#(\d+(?:,\d{3})*)"
_AGO: Final = r"(?a)(\d+)(?:([smhdw])| (second|minute|hour|day|week)s? ago)"
_DATE: Final = r"(?a)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?"


class Mark(NamedTuple):
    """A moment that has a name in the store; only the store knows which it is."""

    name: str


At = int | datetime | Mark
"""An offset (how many records had been put), a time with a zone, or a mark."""


class Moment(NamedTuple):
    """What WHEN meant. local: the zone was ours, not the text's."""

    text: str
    at: At
    local: bool = False

    def __str__(self) -> str:
        """Return the moment as a person checks that it was understood."""
        if isinstance(self.at, int):
            return f"#{self.at:,}"
        if isinstance(self.at, Mark):
            return PREFIX + self.at.name
        if not self.local:
            return self.at.isoformat(sep=" ", timespec="auto")
        return f"{self.at.isoformat(sep=' ', timespec='auto')} (local time)"


def parse(text: str, now: datetime | None = None) -> Moment:
    """Return the moment that a text names. Raises ValueError for a text that names none.

    now: an aware datetime, for tests; the clock's by default.
    """
    now = now or datetime.now(UTC)
    word = text.strip().lower()
    if match := re.fullmatch(_OFFSET, word):
        return Moment(text, int(match[1].replace(",", "")))
    if word == NOW:
        return Moment(NOW, Now.combine(now.date(), now.timetz()))
    if word.startswith(PREFIX):
        return Moment(text, Mark(_mark_named(text.strip()[len(PREFIX) :])))
    if word in ("today", "yesterday"):
        return Moment(text, _midnight(now, days_ago=word == "yesterday"), local=True)
    if match := re.fullmatch(_AGO, word):
        return Moment(text, _ago(text, now, int(match[1]), _UNITS[match[2] or match[3][0]]))
    if word.isascii() and word.isdecimal():
        raise ValueError(
            f"{text} alone may be an offset or a year: write '#{text}' for the offset, 2026-03-01 for a date"
        )
    return _written(text)


def ahead(text: str, now: datetime | None = None) -> datetime:
    """Return when something ends: so long from now ("30d", "12h"), or a time as above, yet to come. Raises ValueError."""
    now = now or datetime.now(UTC)
    try:
        if (match := re.fullmatch(_AGO, text.strip().lower())) and match[2]:
            return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        found = _written(text).at
    except (ValueError, OverflowError):
        found = now
    if not isinstance(found, datetime) or found <= now:
        raise ValueError(f"{text!r} is no time to come: write 30d, 12h, or a date such as 2030-03-01")
    return found


def _mark_named(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError(f"{PREFIX + name!r} names no mark: write one such as {PREFIX}release-4")
    return name


def _written(text: str) -> Moment:
    """Return the moment of a date, or of a date and time."""
    form = text.strip().upper()
    try:
        time = datetime.fromisoformat(form) if re.fullmatch(_DATE, form) else None
        if time is not None and time.tzinfo is None:
            return Moment(text, time.astimezone(), local=True)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no moment: {error}") from None
    if time is None:
        raise ValueError(f"{text!r} is no moment: write {FORMS}")
    return Moment(text, time)


def _midnight(now: datetime, *, days_ago: int) -> datetime:
    day = now.astimezone().date() - timedelta(days=days_ago)
    # Through a naive time, because the distance from UTC at midnight need not be the one of now.
    return datetime(day.year, day.month, day.day).astimezone()


def _ago(text: str, now: datetime, number: int, unit: str) -> datetime:
    try:
        return (now - timedelta(**{unit: number})).astimezone()
    except OverflowError:
        raise ValueError(f"{text!r} is before the calendar begins") from None


def at(value: At | str) -> At:
    """Return what a program names: an offset, a datetime with a zone, or a text as above. Raises ValueError."""
    if isinstance(value, str):
        return parse(value).at
    if isinstance(value, Mark):
        return value
    if isinstance(value, bool) or not isinstance(value, int | datetime):
        raise ValueError(f"{value!r} is no moment: give an offset, a datetime with a zone, or a text such as {FORMS}")  # noqa: TRY004
    if isinstance(value, datetime) and value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone, so it names no moment: add one, such as tzinfo=UTC")
    return value


def on_the_wire(value: At) -> str:
    """Return a moment as text that needs no place and no clock: an offset in digits, RFC 3339, or a mark by its name."""
    if isinstance(value, Mark):
        from urllib.parse import quote  # noqa: PLC0415 - as below

        return PREFIX + quote(value.name)
    return str(value) if isinstance(value, int) else value.astimezone(UTC).isoformat()


def from_the_wire(text: str) -> At:
    """Return the moment of such a text. Raises ValueError."""
    if text.isascii() and text.isdecimal():
        return int(text)
    if text.startswith(PREFIX):
        from urllib.parse import unquote  # noqa: PLC0415 - for servers: `evlog --help` parses nothing

        return Mark(_mark_named(unquote(text[len(PREFIX) :])))
    try:
        time = datetime.fromisoformat(text.upper()) if re.fullmatch(_DATE, text.upper()) else None
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(
            f"{text!r} is neither an offset nor an RFC 3339 time with a zone, such as 2026-03-01T09:30:00Z, nor a mark"
        )
    return time
