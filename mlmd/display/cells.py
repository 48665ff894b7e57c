"""A value as a person reads it in a cell: in a terminal, in HTML, in Markdown.

What is stored may hold anything: what could steer a terminal is shown as an escape, whoever asked for the text.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final
from unicodedata import category, east_asian_width

from mlmd.plain import unwrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

NONE: Final = "-"
EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
CELL_MAX: Final = 60
_TURNING: Final = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # They make a reader see text in another order.
CONTROLS: Final = (
    {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
    | {code: f"\\u{code:04x}" for code in _TURNING}
    | {code: f"\\u{code:04x}" for code in (0xFFFE, 0xFFFF)}  # No characters, XML says.
    | dict.fromkeys((0x09, 0x0A, 0x0D), " ")
)
_DIGITS: Final = 6
_NO_WIDTH: Final = ("Mn", "Me", "Cf")
_SURROGATES: Final = "backslashreplace"  # A lone half of a pair cannot be written to any file.


def printable(text: str) -> str:
    """Return a text in one line that steers no terminal and that every file takes."""
    return text.translate(CONTROLS).encode(errors=_SURROGATES).decode()


def in_words(value: Any) -> str:
    """Return a value as a person reads it: six digits of a double, times in UTC, lists and dicts as JSON."""
    match value:
        case None | "":
            return NONE
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.{_DIGITS}g}"
        case datetime():
            return moment_in_words(value)
        case dict() if (bare := unwrapped(value)) is not value:
            return in_words(bare)
        case list() | tuple() | dict():
            return printable(json.dumps(value, ensure_ascii=False, default=str)) if value else NONE
    return printable(str(value))


def as_listed(value: Any) -> str:
    """Return a value as rows of a command show it: in full, the parts of a dict or list with commas between."""
    if value in EMPTY:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        if (bare := unwrapped(value)) is not value:
            return as_listed(bare)
        return ", ".join(f"{as_listed(key)}={as_listed(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(as_listed, value))
    return printable(str(value))


def moment_in_words(time: datetime) -> str:
    """Return a time to the second, in UTC where it has a zone: who reads it may be elsewhere, years later."""
    if time.tzinfo is None:
        return time.isoformat(sep=" ", timespec="seconds")
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds") + "Z"


def time_of(time_ms: int) -> datetime | None:
    """Return a time of MLMD's, milliseconds since 1970, or None for 0, which is none, and for one that no calendar holds."""
    return calendar_time(time_ms * 1000) if time_ms else None


def calendar_time(time_us: int) -> datetime | None:
    """Return a time, microseconds since 1970, in UTC; None for one that no calendar holds: an event bears whatever its caller said."""
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).replace(microsecond=time_us % 1_000_000)
    except (ValueError, OverflowError, OSError):
        return None


def cut(text: str, longest: int = CELL_MAX) -> str:
    """Return a text of at most so many characters, with an ellipsis where some are lacking."""
    return _shortened(" ".join(text.split()), longest)


def apart(texts: Sequence[str], longest: int = CELL_MAX) -> list[str]:
    """Return texts that stand beside each other, each of at most so many characters; long ones that begin alike from where they part."""
    shown = [_shortened(text, longest) for text in texts]
    if len(set(shown)) == len(set(texts)):
        return shown
    alike = sum(1 for _ in takewhile(lambda beside: len(set(beside)) == 1, zip(*texts, strict=False)))
    start = alike - longest // 3
    return [_shortened(f"…{text[start:]}", longest) for text in texts] if start > 0 else shown


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for the wide characters of East Asia and for emoji, none for what combines."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(one) in "WF" else category(one) not in _NO_WIDTH for one in text)


def within(text: str, width: int) -> str:
    """Return a text that takes so many columns at most, with an ellipsis where some of it is lacking."""
    if width_of(text) <= width:
        return text
    at, left = 0, width - 1
    while (left := left - width_of(text[at])) >= 0:
        at += 1
    return f"{text[:at]}…"
