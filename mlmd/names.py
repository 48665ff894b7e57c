"""How a person or a program names one thing of a store: art:2, run:1, ctx:7, type:Trainer, or a message that was read from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlmd.kinds import ARTIFACT, CONTEXT, EXECUTION, KINDS

if TYPE_CHECKING:
    from mlmd.kinds import Kind
    from replay.things import Thing

SHORT: Final = {"artifact": "art", "execution": "run", "context": "ctx"}
TYPE: Final = "type"
_KINDS: Final[dict[str, Kind]] = {
    "art": ARTIFACT,
    "artifact": ARTIFACT,
    "run": EXECUTION,
    "execution": EXECUTION,
    "ctx": CONTEXT,
    "context": CONTEXT,
}
_ID_MAX: Final = 2**63 - 1
_DIGITS_MAX: Final = len(str(_ID_MAX))


def parse(text: str) -> Thing:
    """Return what a name such as art:2 or type:Trainer names. Raises ValueError."""
    word, _, rest = text.partition(":")
    if word == TYPE and rest.encode(errors="ignore").decode() == rest:  # A shell may hand over bytes that are no text.
        return (TYPE, rest)
    kind = _KINDS.get(word)
    if kind is None or not is_number(rest) or int(rest) > _ID_MAX:
        raise ValueError(f"{text!r} names nothing: write art:ID, run:ID, ctx:ID or type:NAME")
    return (kind.name, int(rest))


def is_number(text: str) -> bool:
    """Tell whether a text is the digits 0 to 9, and no more of them than an id or an offset has."""
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_MAX


def thing_of(value: Any) -> Thing:
    """Return what a name, or a message of a node with an id or of a type, means. Raises ValueError."""
    if isinstance(value, str):
        return parse(value)
    for kind in KINDS:
        if isinstance(value, kind.message) and value.HasField("id"):
            return (kind.name, value.id)
        if isinstance(value, kind.type_message):
            return (TYPE, value.name)
    raise ValueError(f"{value!r} names nothing: give art:ID, run:ID, ctx:ID, type:NAME, or a message that has an id")


def name_of(thing: Thing) -> str:
    """Return the short name of a thing."""
    kind, name = thing
    return f"{SHORT.get(kind, kind)}:{name}"
