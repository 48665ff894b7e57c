"""What is kept for how long: a policy, in TOML.

[[keep]]                     # the first rule that fits an artifact decides; one that no rule fits is kept
type = "Model"               # of all types if left out
newest = 5                   # of each name
younger = "90d"              # or younger than that: s, m, h, d, w; either is enough

[[hold]]                     # stays whatever the rules say: legal hold
name = "taxi-model"          # a name, an alias, or a filter in the short language, with a type or without
because = "ticket 81"
"""

from __future__ import annotations

import re
import tomllib
from typing import Annotated, Any, Final

import msgspec

from mlmd.errors import InvalidArgumentError
from mlmd.recorder.search import filter_text

RULES_MAX: Final = 1_000
TEXT_MAX: Final = 1_000_000
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_AGE: Final = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)


class Keep(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule: of a type, or of any, which artifacts stay. younger: "90d"; newest: of each name."""

    type: str | None = None
    newest: Annotated[int, msgspec.Meta(ge=0)] | None = None
    younger: str | None = None

    @property
    def younger_ms(self) -> int:
        """Return the age below which artifacts stay, 0 where age does not matter."""
        found = _AGE.fullmatch(self.younger or "0s")
        assert found is not None, "checked when it was read"
        return int(found[1]) * _UNITS_MS[found[2]]


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stays whatever the rules say."""

    because: str
    type: str | None = None
    name: str | None = None
    alias: str | None = None
    filter: str | None = None


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules, in their order, and holds."""

    keep: list[Keep] = []
    hold: list[Hold] = []


def policy_of(text: str) -> Policy:
    """Return the policy in a TOML text. Raises InvalidArgumentError that says which rule is wrong."""
    if len(text) > TEXT_MAX:
        raise InvalidArgumentError(f"a policy of {len(text):,} characters; {TEXT_MAX:,} at most")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # A number without end is a plain ValueError.
        raise InvalidArgumentError(f"this is no TOML: {error}") from None
    return checked(found)


def checked(found: Any) -> Policy:
    """Return a policy, given as a mapping, once it makes sense. Raises InvalidArgumentError."""
    try:
        policy = found if isinstance(found, Policy) else msgspec.convert(found, Policy)
    except msgspec.ValidationError as error:
        raise InvalidArgumentError(
            f"{error}: a rule [[keep]] has type, newest, younger; [[hold]] has because, and name, alias, filter or type"
        ) from None
    if not policy.keep:
        raise InvalidArgumentError("a policy without a rule [[keep]] keeps everything: say type and newest, or younger")
    if len(policy.keep) + len(policy.hold) > RULES_MAX:
        raise InvalidArgumentError(f"{len(policy.keep) + len(policy.hold):,} rules; {RULES_MAX:,} at most")
    for number, rule in enumerate(policy.keep, 1):
        if rule.newest is None and rule.younger is None:
            raise InvalidArgumentError(f"[[keep]] {number}: newest or younger: say which stay")
        if rule.younger is not None and not _AGE.fullmatch(rule.younger):
            raise InvalidArgumentError(f"[[keep]] {number}: younger: {rule.younger!r} is no age: write 90d, 12h or 8w")
    for number, hold in enumerate(policy.hold, 1):
        _check_hold(hold, number)
    return policy


def _check_hold(hold: Hold, number: int) -> None:
    if not hold.because.strip():
        raise InvalidArgumentError(f"[[hold]] {number}: because: say why")
    if not (hold.name or hold.alias or hold.filter or hold.type):
        raise InvalidArgumentError(f"[[hold]] {number}: of what? give name, alias, filter or type")
    if hold.alias is not None and (hold.name or hold.filter or hold.type):
        raise InvalidArgumentError(f"[[hold]] {number}: an alias names one artifact: nothing else goes with it")
    if hold.filter is not None:
        try:
            filter_text("artifact", hold.filter)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"[[hold]] {number}: {error}") from None
