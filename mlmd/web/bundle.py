"""Evidence to take along: the proof of a record, or of several with all that it takes to check them, in one file.

| path                          | answer                                                                        |
| /audit/7.tlog-proof           | the proof of a record: docs/verifier.md                                       |
| /evidence/bundle.zip?record=7 | proofs, the newest checkpoint, the policy, a verifier in one file, what to run |

Nothing is signed for it and nothing written: where no checkpoint is over all of the records, the proofs are unsigned.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response
from starlette.routing import Route

from evlog.tlog.archive import CHECKPOINT
from evlog.tlog.evidence import SUFFIX
from evlog.tlog.publisher import POLICY
from evlog.tlog.shelf import FolderShelf
from mlmd import proofs
from mlmd.errors import InvalidArgumentError
from mlmd.opening import TLOG_FOLDER
from mlmd.store import MetadataStore
from mlmd.web.audit import offset_of
from mlmd.web.tlog import answering

if TYPE_CHECKING:
    from starlette.requests import Request

    from mlmd.proofs import Proof
    from mlmd.web.site import Site

BUNDLED_MAX: Final = 100
_HERE: Final = Path(__file__).parent
_VERIFIER: Final = "verifier.py"
_TIME: Final = (1980, 1, 1, 0, 0, 0)  # The same evidence is the same bytes, whenever it is fetched.
_README: Final = """\
Evidence of the log {log}

{proofs}
Each file in proofs/ shows that one record is in the log whose root {signed}: it holds the record as it is stored, its path in the
tree, and the checkpoint. Check it with nothing of the store, on any machine:

    python verifier.py proofs/{first} {trust}

(Python 3.11 and `pip install cryptography`), or, with evlog-mlmd installed:

    evlog check proofs/{first} {option}

Exit status 0 and what is proven, or 1 and what is wrong. What each step is: docs/verifier.md of evlog-mlmd.

{whom}
"""
_SIGNED: Final = """\
policy.txt is what THE STORE says of who signs it. Compare its key with the one that you were given by somebody you trust, or use that one:
whoever could forge the store could forge this file too. checkpoint is the newest one of the store; keep it where nobody who writes to
the store can reach it, and later `evlog verify --since checkpoint`, or the audit page, tells whether the log still begins with it.
"""
_UNSIGNED: Final = """\
No signed checkpoint is over all of these records, so the proofs convince only who knows the root from elsewhere, such as from a page
that cited it. Where somebody signs the store, ask for this again after the next checkpoint. verifier.py needs a signature and a policy; `evlog check --root` does not.
"""


def routes(site: Site) -> list[Route]:
    """Return the routes of a site."""
    return [
        Route(f"/audit/{{offset}}{SUFFIX}", answering(site, lambda request: _proof(site, request))),
        Route("/evidence/bundle.zip", answering(site, lambda request: _bundle(site, request))),
    ]


def _proof(site: Site, request: Request) -> Response:
    offset = offset_of(request.path_params["offset"])
    [made] = _proven(site, [offset])
    return _file(made.data, f"record-{offset}{SUFFIX}", "text/plain; charset=utf-8")


def _bundle(site: Site, request: Request) -> Response:
    """Return the bundle of the records that are named."""
    named = request.query_params.getlist("record")
    if not 0 < len(named) <= BUNDLED_MAX:
        raise InvalidArgumentError(
            f"choose records to prove: record=7&record=9, {BUNDLED_MAX} at most; there are {len(named)}"
        )
    made = _proven(site, sorted({offset_of(one) for one in named}))
    files = {f"proofs/record-{one.offset}{SUFFIX}": one.data for one in made}
    if site.place is not None:
        shelf = FolderShelf(site.place / TLOG_FOLDER)
        found = {CHECKPOINT: shelf.read(CHECKPOINT), "policy.txt": shelf.read(POLICY)}
        files |= {name: data for name, data in found.items() if data is not None}
    files |= {_VERIFIER: _verifier(), "README.txt": _readme(made).encode()}
    return _file(_zipped(files), "evidence.zip", "application/zip")


def _proven(site: Site, offsets: list[int]) -> list[Proof]:
    return proofs.prove_records(MetadataStore.over(site.engine), offsets, sign=False)


def _readme(made: list[Proof]) -> str:
    first = made[0]
    lines = "".join(
        f"record-{one.offset}{SUFFIX}  {one.time}, {one.actor}, under {one.size} records, root {one.root}\n"
        for one in made
    )
    return _README.format(
        log=first.log,
        proofs=lines,
        first=f"record-{first.offset}{SUFFIX}",
        signed="nobody signed" if first.unsigned else f"{', '.join(first.signed_by)} signed",
        trust="policy.txt" if not first.unsigned else "POLICY",
        option="--policy policy.txt" if not first.unsigned else f"--root {first.root}",
        whom=_UNSIGNED if first.unsigned else _SIGNED,
    )


def _verifier() -> bytes:
    """Return the verifier of docs/: in an installed package it lies beside this file."""
    places = (_HERE / _VERIFIER, _HERE.parents[1] / "docs" / _VERIFIER)
    return next(place for place in places if place.is_file()).read_bytes()


def _zipped(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def _file(data: bytes, name: str, kind: str) -> Response:
    told: dict[str, Any] = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(data, media_type=kind, headers=told)
