"""Policies: which logs and which witnesses one trusts, and how many of these must agree. Source: c2sp.org/tlog-policy.

log VKEY [URL]
witness NAME VKEY [URL]
group NAME all | any | K  MEMBER...     witnesses or groups of lines before
quorum NAME | none                      exactly one such line
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from evlog.errors import EvidenceError
from evlog.tlog.note import COSIGNATURE, ED25519, VerifierKey, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Callable

    from evlog.tlog.checkpoint import Signed

POLICY_BYTES_MAX: Final = 1024 * 1024
_FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_NONE: Final = "none"


class Agreed(NamedTuple):
    """Who stands for a checkpoint: names of logs and of witnesses."""

    logs: list[str]
    witnesses: list[str]


class Policy:
    """What a policy file says."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, tuple[int, list[str]]] = {}
        self._members: set[str] = set()  # Each name is a member at most once.
        self._quorum: str | None = None

    def check(self, signed: Signed) -> Agreed:
        """Return who stands for a checkpoint. Raises EvidenceError unless a log and a quorum of witnesses do."""
        origin = signed.checkpoint.origin
        logs = signed.note.signers([key for key in self.logs if key.name == origin])
        if not logs:
            known = ", ".join(key.name for key in self.logs) or "none"
            what = "nobody signed" if signed.unsigned else "no log of the policy signed"
            raise EvidenceError(f"{what} the checkpoint of {origin}; the policy trusts: {known}")
        keys = {name: key for name, key in self.witnesses.items() if signed.note.signers([key])}
        if self._quorum != _NONE and not self._agrees(str(self._quorum), set(keys)):
            raise EvidenceError(
                f"the quorum {self._quorum!r} is not reached: witnesses that signed: {[*keys] or 'none'}"
            )
        return Agreed([key.name for key in logs], list(keys))

    def _agrees(self, name: str, signed: set[str]) -> bool:
        if name in self.witnesses:
            return name in signed
        least, members = self._groups[name]
        return sum(self._agrees(member, signed) for member in members) >= least

    def add(self, words: list[str]) -> None:
        """Take one line. Raises EvidenceError for one that says nothing, or not what a policy may say."""
        forms: dict[str, tuple[int, int, Callable[[list[str]], None]]] = {
            "log": (1, 2, self._log),
            "witness": (2, 3, self._witness),
            "group": (3, 1_000, self._group),
            "quorum": (1, 1, self._set_quorum),
        }
        if words[0] not in forms:
            raise EvidenceError(f"{words[0][:60]!r} begins no line of a policy: log, witness, group and quorum do")
        least, most, take = forms[words[0]]
        if not least <= len(words) - 1 <= most:
            raise EvidenceError(f"a line `{words[0]}` has another number of words")
        take(words[1:])

    def finish(self) -> None:
        """Raise EvidenceError unless there was a quorum."""
        if self._quorum is None:
            raise EvidenceError("the policy has no line `quorum`; `quorum none` asks for no witnesses")

    def _log(self, words: list[str]) -> None:
        self.logs.append(self._key(words[0], ED25519))

    def _witness(self, words: list[str]) -> None:
        name = self._new_name(words[0])
        self.witnesses[name] = self._key(words[1], COSIGNATURE)

    def _key(self, vkey: str, kind: int) -> VerifierKey:
        key = parse_vkey(vkey)
        if key.kind != kind:
            raise EvidenceError(f"the key {key.name} is of type {key.kind}: logs have type 1 here, witnesses type 4")
        if any(one.kind == kind and one.public == key.public for one in [*self.logs, *self.witnesses.values()]):
            raise EvidenceError(f"the key {key.name} is named twice")
        return key

    def _group(self, words: list[str]) -> None:
        name, many, *members = words
        for member in members:
            if member in self._members or (member not in self.witnesses and member not in self._groups):
                raise EvidenceError(
                    f"{member!r} cannot be in the group {name!r}: it is not named before, or in a group"
                )
            self._members.add(member)
        if many not in ("all", "any") and not re.fullmatch(r"[1-9][0-9]{0,8}", many, re.ASCII):
            raise EvidenceError(f"the group {name!r} asks for {many!r} of its members: write all, any or a number")
        least = {"all": len(members), "any": 1}.get(many) or int(many)
        if least > len(members):
            raise EvidenceError(f"the group {name!r} asks for {least} of {len(members)} members")
        self._groups[self._new_name(name)] = least, members

    def _set_quorum(self, words: list[str]) -> None:
        if self._quorum is not None:
            raise EvidenceError("the policy has more than one line `quorum`")
        if words[0] != _NONE and words[0] not in self.witnesses and words[0] not in self._groups:
            raise EvidenceError(f"the quorum {words[0]!r} is no witness and no group of a line before")
        self._quorum = words[0]

    def _new_name(self, name: str) -> str:
        if name == _NONE or name in self.witnesses or name in self._groups:
            raise EvidenceError(f"the name {name!r} is taken")
        return name


def parse(data: bytes) -> Policy:
    """Return the policy in the bytes of a file. Raises EvidenceError, which names the line."""
    if len(data) > POLICY_BYTES_MAX:
        raise EvidenceError(f"a policy of {len(data):,} bytes is over the limit of {POLICY_BYTES_MAX:,}")
    policy = Policy()
    for number, line in enumerate(data.split(b"\n"), 1):
        # Octets from 0x80 on are opaque, and come back as they were.
        words = [word for word in re.split("[ \t]+", line.decode("utf-8", "surrogateescape")) if word]
        try:
            if _FORBIDDEN.search(line):
                raise EvidenceError("it holds a control character")
            if words and not words[0].startswith("#"):
                policy.add(words)
        except EvidenceError as error:
            raise EvidenceError(f"line {number} of the policy: {error}") from error
    policy.finish()
    return policy
