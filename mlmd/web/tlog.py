"""What a browser, or any tool for tiled logs, needs to verify the store by itself. Source: c2sp.org/tlog-tiles.

| path                              | answer                                                                                |
| /tlog/checkpoint                  | the newest checkpoint, a signed note                                                  |
| /tlog/checkpoints/SIZE            | one that is kept                                                                      |
| /tlog/policy                      | the keys that signed                                                                  |
| /tlog/tile/LEVEL/N[.p/WIDTH]      | hashes of the tree; LEVEL `entries`: its leaves                                       |
| /verified.json                    | what the chip says; for every reader                                                   |
| /tlog/records/OFFSET              | the frame of a record as it stands in the log: what its leaf is made of (docs/format.md) |

Nothing is made here: what the store has published is served as it lies there, tampered with or not, and what it has not is a 404 that says
how far the tree goes. The record is what the leaf commits to, so it is read from the log, not from a view. For auditors: unlike the
folder `tlog/`, which can be published, records hold what was put.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from evlog import frame
from evlog.tlog.archive import CHECKPOINT, CHECKPOINTS, newest
from evlog.tlog.publisher import POLICY
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import FOLDER, WIDTH
from mlmd import errors
from mlmd.opening import TLOG_FOLDER
from mlmd.web.headers import json_response
from mlmd.web.verified import PATH as VERIFIED

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from evlog.log import Log
    from mlmd.serving.tokens import Role
    from mlmd.web.site import Site

MOUNT: Final = "/tlog"
_LEVEL: Final = r"(?:entries|[1-5]?[0-9]|6[0-3])"
_NUMBER: Final = r"(?:x[0-9]{3}/){0,6}[0-9]{3}"
_PARTIAL: Final = re.compile(rf"{_LEVEL}/{_NUMBER}\.p/([1-9][0-9]{{0,2}})", re.ASCII)
_FULL: Final = re.compile(rf"{_LEVEL}/{_NUMBER}", re.ASCII)
_OFFSET: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_TEXT: Final = "text/plain; charset=utf-8"
_BYTES: Final = "application/octet-stream"
_IMMUTABLE: Final = "private, max-age=31536000, immutable"  # A full tile never changes.
_NEW: Final = "no-store"  # Who verifies wants what is there now.


def routes(site: Site) -> list[Route]:
    """Return the routes of a site."""
    return [
        Route(
            VERIFIED,
            answering(site, lambda _: json_response(msgspec.to_builtins(site.watch())), role="reader"),
        ),
        Route(f"{MOUNT}/checkpoint", answering(site, lambda _: _note(site, CHECKPOINT))),
        Route(f"{MOUNT}/policy", answering(site, lambda _: _note(site, POLICY))),
        Route(f"{MOUNT}/checkpoints/{{size}}", answering(site, lambda asked: _kept(site, asked.path_params["size"]))),
        Route(f"{MOUNT}/tile/{{name:path}}", answering(site, lambda asked: _tile(site, asked.path_params["name"]))),
        Route(
            f"{MOUNT}/records/{{offset}}",
            answering(site, lambda asked: _record(site.engine.log, asked.path_params["offset"])),
        ),
    ]


def answering(site: Site, answer: Callable[[Request], Response], role: Role = "auditor") -> Any:
    """Return the endpoint of what is no page: for who has the role, every failure in JSON, because a program asks."""

    async def endpoint(request: Request) -> Response:
        try:
            await site.guard.who(request, role)
            return await run_in_threadpool(answer, request)
        except Exception as error:  # noqa: BLE001 - every failure is an answer, in JSON: a program asks
            return site.refused(request, "json", error)

    return endpoint


def _shelf(site: Site) -> FolderShelf:
    if site.place is None:
        raise errors.NotFoundError("a store in memory publishes no tree")
    return FolderShelf(site.place / TLOG_FOLDER)


def _note(site: Site, name: str) -> Response:
    data = _shelf(site).read(name)
    if data is None:
        raise errors.NotFoundError(f"there is no {name}: {_published(site)}")
    return Response(data, media_type=_TEXT, headers={"cache-control": _NEW})


def _kept(site: Site, size: str) -> Response:
    if not _OFFSET.fullmatch(size):
        raise errors.NotFoundError("a checkpoint is named by its size, in digits")
    return _note(site, f"{CHECKPOINTS}/{size}")


def _tile(site: Site, name: str) -> Response:
    """Return a tile. Only the names that the specification gives are looked for: none leads out of the folder."""
    partial = _PARTIAL.fullmatch(name)
    if partial is None and not _FULL.fullmatch(name):
        raise errors.NotFoundError(
            f"{name[:100]!r} is no name of a tile: LEVEL/N or LEVEL/N.p/WIDTH, as c2sp.org/tlog-tiles has it"
        )
    if partial is not None and int(partial[1]) >= WIDTH:
        raise errors.NotFoundError(f"a partial tile has at most {WIDTH - 1} hashes")
    data = _shelf(site).read(f"{FOLDER}/{name}")
    if data is None:
        full = ", or the tile is full by now: ask without .p" if partial is not None else ""
        raise errors.NotFoundError(f"there is no tile {name}: {_published(site)}{full}")
    cached = _NEW if partial is not None else _IMMUTABLE
    return Response(data, media_type=_BYTES, headers={"cache-control": cached})


def _published(site: Site) -> str:
    """Return how far the published tree goes, in words."""
    signed = newest(_shelf(site))
    if signed is None:
        return "nothing of this store is published, because nobody signs it: `evlog keys new`, then `evlog checkpoint`"
    return f"the published tree is over the first {signed.checkpoint.size:,} records"


def _record(log: Log, offset: str) -> Response:
    """Return a frame, header and all, to the byte as in its segment."""
    if not _OFFSET.fullmatch(offset):
        raise errors.NotFoundError("a record is named by its offset, in digits")
    end = log.refresh()
    if int(offset) >= end:
        raise errors.NotFoundError(f"there is no record {int(offset):,}: the log ends at {end:,}")
    found = log.frame(int(offset))
    data = frame.repack(found, found.body, seed=log.seed)
    return Response(data, media_type=_BYTES, headers={"cache-control": _NEW})
