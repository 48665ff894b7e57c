"""One request: the store as of one offset, what was asked of it, and links that stay at that moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode

from evlog.errors import LogError
from mlmd import moment
from mlmd.errors import DATA_LOSS, InvalidArgumentError, StatusError, status_error
from mlmd.past import Past, Present
from mlmd.recorder.store import Store
from mlmd.serving.tokens import REACHES
from mlmd.store import MetadataStore
from mlmd.web.words import NOTICES, command_line, rfc3339
from replay.reading import Gap, readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evlog.author import Caller
    from evlog.log import Log
    from mlmd.serving.tokens import Role
    from mlmd.web.site import Site
    from projections.sqlite.lookup import Lookup
    from projections.sqlite.view import View as Rows
    from replay.reading import Placed

_Answer = TypeVar("_Answer")
_Other = TypeVar("_Other")
_One = TypeVar("_One", bound="Placed")
TEXT_MAX: Final = 2_000
AT: Final = "at"
DONE: Final = "done"
_DIGITS_MAX: Final = 18  # Any such number fits 64 bits.
_YES: Final = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "": False}


@dataclass(frozen=True)
class Param:
    """What may be asked of a page in its query, or sent with a form. Its type is that of the default: str, int, bool, or a tuple of str for several.

    least, most: of a number, or of how many there are of several. moment: it names one, in a text of `mlmd.moment`.
    """

    name: str
    about: str
    default: str | int | bool | tuple[str, ...] = ""
    least: int = 0
    most: int = 2**53
    choices: tuple[str, ...] = ()
    longest: int = TEXT_MAX
    moment: bool = False

    def read(self, given: Sequence[str]) -> Any:
        """Return the value of what was given, the default where nothing was. Raises InvalidArgumentError."""
        if isinstance(self.default, tuple):
            if len(given) > self.most:
                raise InvalidArgumentError(f"{self.name}: {len(given):,} of them; {self.most:,} at most")
            return tuple(self._text(one) for one in given if one) or self.default  # A field left empty says nothing.
        if not given:
            return self.default
        if len(given) > 1:
            raise InvalidArgumentError(f"{self.name}: given {len(given)} times; once is right")
        if isinstance(self.default, bool):
            if given[0].lower() not in _YES:
                raise InvalidArgumentError(f"{self.name}={given[0]!r}: 1 or 0")
            return _YES[given[0].lower()]
        return self._number(given[0]) if isinstance(self.default, int) else self._text(given[0])

    def _text(self, text: str) -> str:
        if len(text) > self.longest:
            raise InvalidArgumentError(f"{self.name}: {len(text):,} characters; {self.longest:,} at most")
        if self.choices and text and text not in self.choices:
            raise InvalidArgumentError(f"{self.name}={text!r}: one of {', '.join(self.choices)}")
        return text

    def _number(self, text: str) -> int:
        if not text:  # A field of a form that was left empty.
            assert isinstance(self.default, int), "the caller asked"
            return self.default
        digits = text.removeprefix("-")
        if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(self.most)) + 1:
            number = int(text)
            if self.least <= number <= self.most:
                return number
        raise InvalidArgumentError(f"{self.name}={text!r}: a whole number from {self.least:,} to {self.most:,}")


# What may be asked of every page.
COMMON: Final = (
    Param(AT, "The moment to look at: #31907, 2026-03-01, yesterday, 3d, mark:NAME; now where it is not given."),
    Param(DONE, "What a form did: the notice to show.", choices=tuple(NOTICES)),
)


class View:
    """What a page is made from. `store`: pinned, so that all that a page reads is of one moment. `unread`: why parts of the page are not known."""

    def __init__(
        self,
        site: Site,
        path: str,
        named: Mapping[str, str],
        params: Sequence[Param],
        asked: Mapping[str, Any],
        who: Caller,
        wanted: str = "",
    ) -> None:
        """Pin the store. wanted: the form in which the page is wanted, "" for HTML. named: what the path names. asked: of `params` and COMMON; "at" is a moment as of `mlmd.moment`, "" for now.

        Raises InvalidArgumentError, OutOfRangeError.
        """
        self.site, self.path, self.named, self.who, self.wanted = site, path, named, who, wanted
        self._params, self._asked, self._began_s = params, asked, perf_counter()
        self.at: str = asked[AT]
        at = self.at
        if at:
            try:
                when = moment.parse(at)
            except ValueError as error:
                raise InvalidArgumentError(f"at: {error}") from None
            past = Past(site.engine, when.at)
        else:
            past = Present(site.engine)
        self._past = past
        self.unread: list[str] = []
        self.offset = past.offset
        self.store = Store(MetadataStore.over(past))

    def __getitem__(self, name: str) -> Any:
        """Return what was asked by a parameter of the page, its default where it was not."""
        return self._asked[name]

    def review(self, question: Callable[[Log, Rows, int], _Answer]) -> _Answer:
        """Return the answer to a question to log and view, of the records of this moment. Raises StatusError."""
        return self._past.review(question)

    def ask(self, question: Callable[[Lookup], _Answer]) -> _Answer:
        """Return the answer to a question to the serving view, at the moment of the page."""
        return self._past.ask(question)

    def where_sound(self, read: Callable[[], _Answer], otherwise: _Other) -> _Answer | _Other:
        """Return a part of the page that is read from the log; `otherwise` where the log is damaged there: the page says so, and shows the rest."""
        try:
            return read()
        except (LogError, StatusError) as error:
            told = status_error(error)
            if told.error_code != DATA_LOSS:
                raise
            self.miss(told)
            return otherwise

    def readable(self, read: Callable[[int, int], Iterator[_One]], start: int, stop: int) -> Iterator[_One]:
        """Yield the records [start, stop) but those that damage hides: the page says so. read: as of `replay.reading.readable`."""
        for one in readable(read, start, stop):
            if isinstance(one, Gap):
                self.miss(one.damage)
            else:
                yield one

    def miss(self, error: Exception) -> None:
        """Note why a part of the page is not known."""
        if str(error) not in self.unread:
            self.unread.append(str(error))

    def close(self) -> None:
        """Let go of the store. What was read stays."""
        self._past.close()

    @property
    def notice(self) -> str:
        """Return what a form did before the browser came here, "" for nothing."""
        return NOTICES.get(self._asked[DONE], "")

    @property
    def puts(self) -> bool:
        """Tell whether forms are shown: the page is of now, the store takes puts, and who looks may put."""
        return not self.is_past and self.marks

    @property
    def marks(self) -> bool:
        """Tell whether the moment can be given a name: that of the past too, for the name itself is put now."""
        return self.site.engine.writable and self.may("writer")

    def may(self, role: Role) -> bool:
        """Tell whether who looks has a role: what he may not see or do is not offered. Where nobody logs in, all may all."""
        return role in REACHES[getattr(self.who, "role", "admin")]

    @property
    def is_past(self) -> bool:
        """Tell whether the page is of a moment that was asked for."""
        return bool(self.at)

    @property
    def took_ms(self) -> float:
        """Return how long it took up to here. Not a fact: the same question later has the same answer, not the same pace."""
        return (perf_counter() - self._began_s) * 1000

    @property
    def cited(self) -> dict[str, Any]:
        """Return what the page cites: the log, how many of its records, the root of their tree; None where the log is damaged: the page is shown all the same."""
        try:
            root = self.site.citation(self.offset).root
        except LogError:
            root = None
        return {"log": self.site.engine.log.id.hex(), "offset": self.offset, "root": root}

    @property
    def csrf(self) -> str:
        """Return what each form that puts something carries in a field of this name."""
        return self.site.guard.csrf_of(self.who)

    def command(self, *words: str, at: str | None = None) -> str:
        """Return the command of these words, at the moment of the page; at: at another."""
        when = self.at if at is None else at
        return command_line(["evlog", *(["--at", when] if when else []), *words])

    def python(self, call: str, at: str | None = None) -> str:
        """Return Python that asks the store, as of the moment of the page. call: what is asked, such as ".runs()"; at: as above."""
        when = self.at if at is None else at
        return f"import mlmd\nmlmd.open(){f'.at({when!r})' if when else ''}{call}"

    def link(self, path: str, **query: Any) -> str:
        """Return a link to a page of the same moment. Of the query, what is None, "" or False is left out; a list is given several times."""
        if self.at and AT not in query:
            query = {**query, AT: self.at}
        pairs = _pairs(query)
        return f"{path}?{urlencode(pairs, quote_via=quote)}" if pairs else path

    def here(self, **other: Any) -> str:
        """Return a link to this very page, with some of what was asked in other words."""
        return self.link(self.path, **{**self._asked_beside_default(), **other})

    def form(self, suffix: str) -> str:
        """Return a link to this page in another form, such as "csv"."""
        path = "/index" if self.path == "/" else self.path
        return self.link(f"{path}.{suffix}", **self._asked_beside_default())

    @property
    def kept(self) -> list[tuple[str, str]]:
        """Return what was asked, as a form of this page repeats it in hidden fields."""
        return _pairs(self._asked_beside_default())

    @property
    def permanent(self) -> str:
        """Return the link under which this page stays as it is: every moment in it is one that the clock does not move."""
        moments = {one.name: self._fixed(self._asked[one.name]) for one in self._params if one.moment}
        return self.here(**moments, **{AT: f"#{self.offset}"})

    def _fixed(self, text: str) -> str:
        """Return a moment that was asked for as an offset or a time in UTC."""
        try:
            when = moment.parse(text).at
        except ValueError:  # Nobody looked at it, or it is not given.
            return text
        return rfc3339(when) if isinstance(when, datetime) else f"#{self.site.engine.offset_at(when)}"

    def _asked_beside_default(self) -> dict[str, Any]:
        return {one.name: self._asked[one.name] for one in self._params if self._asked[one.name] != one.default}


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a query or form holds as pairs of text; several of one name, one after the other."""
    found: list[tuple[str, str]] = []
    for name, value in query.items():
        several = value if isinstance(value, list | tuple) else [value]
        found += [
            (name, "1" if one is True else str(one))
            for one in several
            if one is not None and one is not False and one != ""
        ]
    return found


def inside(path: str) -> str:
    """Return a path of this site; what leads elsewhere leads home."""
    is_path = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_path else "/"


def is_id(text: str) -> bool:
    """Tell whether a path names a node by its number."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX


def object_path(kind: str, number: int) -> str:
    """Return the path of the page of a node."""
    return f"/{PLACES[kind]}/{number}"


PLACES: Final = {"artifact": "artifacts", "execution": "runs", "context": "contexts"}
