"""What a page says of the evidence: how much of the log was checked, and what was found."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

Status = Literal["verified", "checking", "unsigned", "unchecked", "broken"]


class Verified(msgspec.Struct, frozen=True):
    """How far the evidence was checked. checked: so many records of the log; outside_s: seconds since the newest checkpoint that somebody else keeps.

    finding: where it is broken: segment, position, offset and why.
    """

    status: Status
    text: str
    checked: int = 0
    outside_s: float | None = None
    finding: dict[str, Any] | None = None


UNCHECKED: Final = Verified("unchecked", "not checked here")
