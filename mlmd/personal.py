"""Which values are personal, and whose: the rules that a store declared, applied to what is put.

A rule names properties by kind, type and name; the first that fits decides. Whose a value is: that of the subject_property beside it,
the rule's own subject, or whom the caller names. A value that stays as it was stays its subject's, whoever puts it again.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import msgspec

from evlog.author import SAID_MAX
from evlog.personal import ERASED, MAPS, context_of
from evlog.records import NodePut, PersonalDeclared, PersonalRule, Sealed
from evlog.sealing import Cipher
from mlmd import errors
from mlmd.kinds import KINDS
from mlmd.methods import Method
from replay.things import key_of, kind_of, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from evlog.log import Log
    from evlog.records import Change, Value
    from evlog.sealing import Context
    from replay.things import Key

    Stored = Callable[[str, int], NodePut | None]

RULES_MAX: Final = 1_000
Invalid = errors.InvalidArgumentError


def rules_of(text: str) -> list[PersonalRule]:
    """Return the rules in a TOML file: tables [[personal]]. Raises InvalidArgumentError."""
    import tomllib  # noqa: PLC0415 - only who declares needs it

    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # A number without end is a plain ValueError.
        raise Invalid(f"this is no TOML: {error}") from None
    if unknown := sorted(found.keys() - {"personal"}):
        raise Invalid(f"{unknown[0]}: each rule is a table [[personal]], and there is nothing else")
    return checked(found.get("personal", []))


def checked(rules: Iterable[PersonalRule | Mapping[str, str]]) -> list[PersonalRule]:
    """Return rules, given as such or as mappings, once each of them makes sense. Raises InvalidArgumentError."""
    made: list[PersonalRule] = []
    if isinstance(rules, str | bytes) or not hasattr(rules, "__iter__"):
        raise Invalid("rules are a list of rules: [{'property': 'operator', 'subject_property': 'user'}]")
    for number, given in enumerate(rules, 1):
        try:
            plain = msgspec.to_builtins(given)
            rule = msgspec.convert(plain, _Strict)
        except (msgspec.ValidationError, TypeError) as error:
            raise Invalid(
                f"rule {number}: {error}; it has property, and perhaps kind, type, subject_property, subject"
            ) from None
        _check(rule, number)
        made.append(PersonalRule(**msgspec.structs.asdict(rule)))
    if len(made) > RULES_MAX:
        raise Invalid(f"{len(made):,} rules; {RULES_MAX:,} at most: a pattern such as patient_* is one")
    return made


class _Strict(PersonalRule, frozen=True, forbid_unknown_fields=True):
    """A rule as somebody writes it: a word too many is a mistake, and would leave something plain."""


def _check(rule: PersonalRule, number: int) -> None:
    kinds = [kind.name for kind in KINDS]
    if not rule.property:
        raise Invalid(f"rule {number}: property: name one, or a pattern such as patient_*")
    if rule.kind not in ("", *kinds):
        raise Invalid(f"rule {number}: kind: {rule.kind!r} is none: {', '.join(kinds)}, or leave it out for all")
    if rule.subject and rule.subject_property:
        raise Invalid(f"rule {number}: subject and subject_property: whose the values are is said by one of them")
    if rule.subject_property and fnmatchcase(rule.subject_property, rule.property):
        raise Invalid(f"rule {number}: subject_property: {rule.subject_property!r} would be sealed by the rule itself")
    for text in msgspec.structs.astuple(rule):
        if len(text) > SAID_MAX:
            raise Invalid(f"rule {number}: {len(text):,} characters; {SAID_MAX:,} at most")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid(f"rule {number}: {text!r} is no Unicode text: {error.reason}") from None


def _declare(draft: Any, rules: Sequence[PersonalRule]) -> None:
    draft.changes.append(PersonalDeclared(list(rules)))


# Not an RPC: who may declare what is personal has the store itself.
DECLARE: Final = Method("DeclarePersonal", type(None), type(None), _declare, None)


class Policy:
    """The rules that hold now."""

    def __init__(self, rules: Sequence[PersonalRule]) -> None:
        self._rules = rules

    def __bool__(self) -> bool:
        """Tell whether anything is personal."""
        return bool(self._rules)

    def rule(self, kind: str, type_name: str, name: str) -> PersonalRule | None:
        """Return the first rule that makes a property personal, None where none does."""
        for rule in self._rules:
            if rule.kind in ("", kind) and rule.type in ("", type_name) and fnmatchcase(name, rule.property):
                return rule
        return None


class Sealer:
    """Seals the personal values of one group of puts, under the log's writer lock, so that no key is erased meanwhile."""

    def __init__(self, log: Log, policy: Policy, stored: Stored) -> None:
        """Begin a group. stored: returns the last state of a node as its record holds it, None for a new one."""
        self._keys, self._log_id, self._policy, self._stored = log.subject_keys, log.id, policy, stored
        self._by_subject: dict[str, Cipher] = {}
        self._opener = log.opener()

    def seal(
        self, changes: Sequence[Change], subject: str | None, type_name: Callable[[str, int], str]
    ) -> list[Change] | None:
        """Return the changes as they are stored, None where nothing in them is personal.

        subject: whom the caller names. Raises InvalidArgumentError for a value of nobody.
        """
        stored: list[Any] = []  # Of Change.
        before: dict[Key, NodePut] = {}  # Of the nodes that these changes put.
        for change in changes:
            if isinstance(change, NodePut) and (names := self._personal(change, type_name)):
                stored.append(self._sealed(change, names, subject, before))
            else:
                stored.append(change)
            if isinstance(change, NodePut):
                before[key_of(change)] = stored[-1]
        return stored if any(new is not old for new, old in zip(stored, changes, strict=True)) else None

    def _personal(self, change: NodePut, type_name: Callable[[str, int], str]) -> dict[tuple[str, str], PersonalRule]:
        """Return the values of a node to be sealed, by map and name. That a value was erased is nobody's secret."""
        if not change.properties and not change.custom_properties:
            return {}
        kind, found = kind_of(change), {}
        of_type = type_name(kind, change.type_id)
        for field in MAPS:
            for name, value in getattr(change, field).items():
                rule = self._policy.rule(kind, of_type, name)
                if rule is not None and value != ERASED:
                    found[field, name] = rule
        return found

    def _sealed(
        self,
        change: NodePut,
        names: dict[tuple[str, str], PersonalRule],
        subject: str | None,
        before: dict[Key, NodePut],
    ) -> NodePut:
        key = key_of(change)
        known = before.get(key) or self._stored(*key)
        maps = {field: dict(getattr(change, field)) for field in MAPS}
        for (field, name), rule in names.items():
            value, context = maps[field][name], context_of(self._log_id, change, field, name)
            sealed_with = self._same_as_before(known, value, context)
            cipher = sealed_with or self._cipher(_whose(change, name, rule, subject))
            maps[field][name] = cipher.seal(value, context)
        return msgspec.structs.replace(change, **maps)

    def _same_as_before(self, known: NodePut | None, value: Value, context: Context) -> Cipher | None:
        """Return what a value is sealed with already, None for a new one."""
        stored = getattr(known, context.field).get(context.name) if known is not None else None
        if not isinstance(stored, Sealed):
            return None
        cipher = self._opener.cipher(stored.key_id)
        return cipher if isinstance(cipher, Cipher) and same(cipher.unseal(stored, context), value) else None

    def _cipher(self, subject: str) -> Cipher:
        if subject not in self._by_subject:
            found = self._keys.for_subject(subject)
            self._by_subject[subject] = Cipher(found.key_id, found.key)
        return self._by_subject[subject]


def _whose(change: NodePut, name: str, rule: PersonalRule, named: str | None) -> str:
    """Return the subject of a personal value. Raises InvalidArgumentError where there is none."""
    if rule.subject_property:
        said = [getattr(change, field).get(rule.subject_property) for field in MAPS]
        found = next((str(one) for one in said if one.__class__ in (str, int) and one != ""), "")
        if not found:
            raise Invalid(
                f"{kind_of(change)} property {name!r} is personal, and {rule.subject_property!r}, which says whose it is,"
                " is not set: put both"
            )
    else:
        found = rule.subject or named or ""
        if not found:
            raise Invalid(
                f"{kind_of(change)} property {name!r} is personal, and nobody says whose: put it in"
                " `with store.acting(subject=...)`, or send x-evlog-subject"
            )
    if len(found) > SAID_MAX:
        raise Invalid(f"the subject of {name!r} has {len(found):,} characters; {SAID_MAX:,} at most")
    return found
