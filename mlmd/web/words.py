"""Values as pages write them: the filters of the templates. Data forms hold them as they are."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup, escape

from mlmd.display.cells import CELL_MAX, CONTROLS, NONE, apart, cut, in_words, moment_in_words, printable, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NEXT: Final = {
    400: "Change what was asked, or go back.",
    401: "Log in, or send a token: evlog token add NAME --role reader makes one.",
    403: "Ask somebody with the role for it.",
    404: "Search for it, or look at another moment: it may not have been there yet.",
    409: "Look at the newest state, then try again.",
    429: "Ask for less, or try again in a moment.",
    500: "evlog verify tells whether the store is whole. If it is, please report this.",
    503: "Try again in a moment.",
    504: "Ask for less.",
}
NOTICES: Final = {
    "tainted": "Tainted, with everything that was made from it. Lists show it, and the cache and “latest” pass over it.",
    "untainted": "The mark of the taint is taken away.",
    "alias": "The alias stands for this artifact from now on.",
    "unalias": "The alias is taken away.",
    "mark": "The moment has its name.",
    "saved": "The question is saved: anybody who reads the store can run it.",
}
_CONTROLS: Final = {code: said for code, said in CONTROLS.items() if chr(code) not in "\t\n\r"}
_NAMED: Final = {code: f"\\u{code:04x}" for code in CONTROLS} | {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_C1: Final = range(0x80, 0xA0)  # By their numbers HTML means other characters.
_REFERENCES: Final = {code: f"&#{code};" for code in CONTROLS if code and code not in _C1} | {
    code: CONTROLS[code] for code in (0, *_C1)
}
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_THOUSAND: Final = 1_000


def harmless(value: Any) -> Any:
    """Return a text that turns no other text around, and steers nothing that a page is copied to. Lines stay lines."""
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return value.translate(_CONTROLS).encode(errors="backslashreplace").decode()


def when(value: Any) -> Markup:
    """Return a time as a person reads it, and as a program does. value: milliseconds since 1970, a datetime, or RFC 3339."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return escape(value)
    time = time_of(value) if isinstance(value, int) else value
    if time is None:
        return escape(NONE)
    return Markup('<time datetime="{}">{}</time>').format(rfc3339(time), moment_in_words(time))


def instant(time_ms: int) -> str | None:
    """Return a time of MLMD's, milliseconds since 1970, as RFC 3339 in UTC; None for 0, which is none."""
    time = time_of(time_ms)
    return None if time is None else rfc3339(time)


def rfc3339(time: datetime) -> str:
    """Return a time as data has it."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def command_line(words: Iterable[str]) -> str:
    """Return a command to paste into a shell: what it holds of the store or of a link is quoted, and steers no terminal."""
    return " ".join(map(_shell_word, words))


def _shell_word(word: str) -> str:
    """Return a word as a shell reads it; one that would not be one line, or steer a terminal, in the way of $'...', which names characters."""
    if word == printable(word):
        return shlex.quote(word)
    named = word.replace("\\", "\\\\").replace("'", "\\'").translate(_NAMED)
    return f"$'{printable(named)}'"


def took(seconds: float | None) -> str:
    """Return a length of time as a person reads it."""
    if seconds is None:
        return NONE
    if seconds < 1:
        return f"{seconds * _THOUSAND:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f} min {seconds % _MINUTE_S:.0f} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S:.0f} h {seconds % _HOUR_S // _MINUTE_S:.0f} min"
    return f"{seconds / _DAY_S:.1f} days"


def number(value: float | None) -> str:
    """Return a number with separators."""
    return NONE if value is None else f"{value:,}"


def size(octets: int) -> str:
    """Return a size as a person reads it."""
    left = float(octets)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if left < 1024:  # noqa: PLR2004 - what the units mean
            return f"{left:.0f} {unit}" if unit == "B" else f"{left:.1f} {unit}"
        left /= 1024
    return f"{left:.1f} TiB"


def value(one: Any) -> Any:
    """Return any value in words; a time as one."""
    return when(one) if isinstance(one, datetime) else in_words(one)


def short(text: Any, longest: int = CELL_MAX) -> str:
    """Return a text in one line of at most so many characters, none of which turns what stands around it."""
    return cut(printable(str(text)), longest)


def beside(values: Sequence[Any], longest: int) -> list[str]:
    """Return values that are compared, each as `short`; where that hides what differs, from where they part."""
    return apart([" ".join(in_words(one).split()) for one in values], longest)


def exact(text: str) -> Markup:
    """Return what a form holds and nobody sees, to be sent back as it is: characters that steer are named, as HTML names them."""
    return Markup(str(escape(text)).translate(_REFERENCES))  # noqa: S704 - it is escaped


FILTERS: Final = {
    "when": when,
    "took": took,
    "number": number,
    "size": size,
    "value": value,
    "text": in_words,
    "cut": short,
    "apart": beside,
    "exact": exact,
}
