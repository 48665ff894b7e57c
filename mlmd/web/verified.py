"""What a page says of the evidence: how much of the log was checked, and what was found."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

PATH: Final = "/verified.json"
Status = Literal["verified", "checking", "unsigned", "unchecked", "broken"]


class Verified(msgspec.Struct, frozen=True):
    """How far the evidence was checked. text: of the chip.

    checked, records: so many records of those that there are; signed: those under the newest checkpoint of the store. swept_s: seconds since
    everything was last checked. outside_s, outside: seconds since the newest checkpoint that lies where somebody else keeps it, and
    where. findings: what is broken, the cause first: what, file, segment, position, record. compared_s: seconds since the view, which pages
    ask, was compared with a replay of the log.
    """

    status: Status
    text: str
    checked: int = 0
    records: int = 0
    signed: int = 0
    swept_s: float | None = None
    outside_s: float | None = None
    outside: str = ""
    findings: list[dict[str, Any]] = []
    compared_s: float | None = None


UNCHECKED: Final = Verified("unchecked", "not checked here")
