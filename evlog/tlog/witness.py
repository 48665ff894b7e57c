"""Witnesses: others who check that a log only grows, and sign that they did. Source: c2sp.org/tlog-witness.

    POST URL/add-checkpoint
    old SIZE                     the size that the witness signed last
    BASE64                       zero or more: that the tree begins with that one
                                 an empty line
    the checkpoint

It answers 200 and lines of signatures; or 409 and the size that it signed last, and is asked again from there.
"""

from __future__ import annotations

import re
from http.client import HTTPException
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from evlog.errors import EvidenceError
from evlog.tlog import checkpoint as checkpoints
from evlog.tlog.note import encode64, sign_line
from evlog.tlog.proof import consistency

if TYPE_CHECKING:
    from collections.abc import Sequence

    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.proof import Node

TIMEOUT_S: Final = 10.0
_ANSWER_BYTES_MAX: Final = 64 * 1024
_CONFLICT: Final = 409
_SIZE: Final = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")


class _NoRedirects(HTTPRedirectHandler):
    """A witness answers itself."""

    def redirect_request(self, *_args: object, **_rest: object) -> None:
        """See HTTPRedirectHandler."""


def cosign(url: str, keys: Sequence[VerifierKey], signed: Signed, node: Node, timeout_s: float = TIMEOUT_S) -> Signed:
    """Return a checkpoint with the signature of a witness added.

    keys: one of them must have signed. node: of the tree of the checkpoint. Raises EvidenceError where the witness cannot be asked,
    refuses, or signs wrongly; its word that it has seen another history of this log is in that error.
    """
    if not url.startswith(("http://", "https://")):
        raise EvidenceError(f"{url}: the address of a witness begins with https:// or http://")
    size = signed.checkpoint.size
    status, answer = _ask(url, _request(signed, 0, node), timeout_s)
    if status == _CONFLICT:
        known = _SIZE.fullmatch(answer)
        if known is None:
            raise EvidenceError(f"{url}: the witness signed another checkpoint of this log at {size}, or a newer one")
        if (old := int(known[1])) > size:
            raise EvidenceError(
                f"{url}: the witness has signed {old} records of this log, which has {size}: it was cut"
            )
        status, answer = _ask(url, _request(signed, old, node), timeout_s)
    if status != 200:  # noqa: PLR2004 - as every reader knows
        raise EvidenceError(f"{url}: the witness does not sign: {_WHY.get(status, f'it answers {status}')}")
    return _added(url, keys, signed, answer)


_WHY: Final = {
    400: "the request is not as it expects it",
    403: "it does not know the key of this log",
    404: "it does not know this log: its operator must be told of it",
    409: "it signed another tree of this size",
    422: "this log does not go on from what it signed before: it saw another history",
}


def _request(signed: Signed, old: int, node: Node) -> bytes:
    size = signed.checkpoint.size
    path = consistency(node, old, size) if 0 < old < size else []
    lines = [f"old {old}", *(encode64(one) for one in path)]
    return ("\n".join(lines) + "\n\n").encode() + signed.data


def _ask(url: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
    try:
        request = Request(f"{url.rstrip('/')}/add-checkpoint", data=body, method="POST")  # noqa: S310 - checked by the caller
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        with build_opener(_NoRedirects).open(request, timeout=timeout_s) as answer:
            return answer.status, answer.read(_ANSWER_BYTES_MAX)
    except HTTPError as error:
        with error:
            return error.code, error.read(_ANSWER_BYTES_MAX)
    except (URLError, OSError, ValueError, HTTPException) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise EvidenceError(f"{url}: the witness cannot be reached: {why}") from error


def _added(url: str, keys: Sequence[VerifierKey], signed: Signed, answer: bytes) -> Signed:
    """Return the checkpoint with those lines of the answer that are by the keys."""
    try:
        answered = checkpoints.parse(signed.note.text.encode() + b"\n" + answer)
        if not answered.note.signers(keys):
            raise EvidenceError("no key that the policy gives a witness signed")
    except EvidenceError as error:
        raise EvidenceError(f"{url}: the answer of the witness is of no worth: {error}") from error
    return _merged(signed, answered, keys)


def _merged(signed: Signed, answered: Signed, keys: Sequence[VerifierKey]) -> Signed:
    known = {(one.name, one.key_id) for one in signed.note.signatures}
    wanted = {(key.name, key.key_id) for key in keys} - known
    lines = [sign_line(*one) for one in answered.note.signatures if (one.name, one.key_id) in wanted]
    return checkpoints.parse(signed.data + "".join(lines).encode())
