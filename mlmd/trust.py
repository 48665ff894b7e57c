"""Whom one trusts: the policy, the root or the key that a proof or a checkpoint is held to, and the keys of actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evlog.actors import KEYS_BYTES_MAX, parse_keys
from evlog.errors import EvidenceError
from evlog.tlog import policy as policies
from evlog.tlog.note import parse_vkey
from mlmd import errors
from mlmd.files import read_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.policy import Agreed, Policy

    Named = str | os.PathLike[str]
    Trust = Callable[[Signed], Agreed]

_Form = TypeVar("_Form")


def by_root(root: str) -> Trust:
    """Return the trust of who knows the root of a log, in hexadecimal, from elsewhere."""

    def trust(signed: Signed) -> Agreed:
        if signed.checkpoint.root.hex() != root.strip().lower():
            raise EvidenceError("the root of the checkpoint is not the one that you know")
        return policies.Agreed([], [])

    return trust


def by_key(key: str) -> Trust:
    """Return the trust of who knows the key of a log, as `evlog keys show` tells it. Raises EvidenceError for what is no key."""
    return policies.parse(f"log {parse_vkey(key.strip()).vkey}\nquorum none\n".encode()).check


def read_policy(path: Named) -> Policy:
    """Return the policy in a file. Raises EvidenceError, which names the file."""
    return _parsed(path, policies.parse, policies.POLICY_BYTES_MAX)


def read_actors(path: Named) -> list[VerifierKey]:
    """Return the keys of actors in a file. Raises EvidenceError, which names the file."""
    return _parsed(path, parse_keys, KEYS_BYTES_MAX)


def _parsed(path: Named, parse: Callable[[bytes], _Form], bytes_max: int) -> _Form:
    try:
        return parse(read_file(path, bytes_max))
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error}") from error


def trust_of(policy: Named | Policy | None, root: str | None, key: str | None) -> Trust:
    """Return whom the caller of `check` trusts. Raises InvalidArgumentError."""
    if sum(one is not None for one in (policy, root, key)) != 1:
        raise errors.InvalidArgumentError(
            "whom do you trust? give one of policy='FILE', root='HASH' and key='NAME+ID+KEY'"
        )
    for name, value in (("root", root), ("key", key)):
        if value is not None and not isinstance(value, str):
            raise errors.InvalidArgumentError(f"{name}={value!r}: is a {type(value).__name__}, not a text")
    if root is not None:
        return by_root(root)
    try:
        if key is not None:
            return by_key(key)
        return (policy if isinstance(policy, policies.Policy) else read_policy(policy)).check  # type: ignore[arg-type] # One of three.
    except EvidenceError as error:
        raise errors.InvalidArgumentError(str(error)) from error
