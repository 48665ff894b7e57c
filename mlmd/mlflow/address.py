"""What a tracking URI names.

| URI                       | store                                                                |
| `evlog://metadata`        | a folder, of the working directory; made if it is not there          |
| `evlog:///srv/metadata`   | a folder                                                             |
| `evlog://~/metadata`      | a folder, of the user                                                |
| `evlog://db.example:8080` | a server of ours; metric histories are read from a folder alone      |
| `...?at=2026-03-01`       | the same as it was then, for reading: see `mlmd.moment`              |
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from mlflow.exceptions import MlflowException

from mlmd.proto import metadata_store_pb2 as pb

SCHEME: Final = "evlog"
_SERVER: Final = re.compile(r"(.+):(\d{1,5})", re.ASCII)
_FORMS: Final = "evlog://FOLDER, evlog:///FOLDER or evlog://HOST:PORT, with ?at=MOMENT for the past"


class Address(NamedTuple):
    """What to open, as of when, and the folder for files where nobody names another."""

    config: pb.ConnectionConfig | pb.MetadataStoreClientConfig
    at: str | None
    artifacts: Path


def address_of(uri: str) -> Address:
    """Return what a URI names. Raises MlflowException: INVALID_PARAMETER_VALUE."""
    try:
        parts = urlsplit(uri)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise _wrong(uri, str(error)) from None
    at = query.pop("at", None)
    if parts.scheme != SCHEME:
        raise _wrong(uri, f"its scheme is {parts.scheme!r}")
    if parts.fragment or query:
        raise _wrong(uri, f"there is no {'#' + parts.fragment if parts.fragment else '?' + next(iter(query))!r} in one")
    if at == "":
        raise _wrong(uri, "at=MOMENT names no moment")
    if (server := _SERVER.fullmatch(parts.netloc)) and parts.path in ("", "/"):
        config = pb.MetadataStoreClientConfig(host=server[1], port=int(server[2]))
        return Address(config, at, Path("mlartifacts").absolute())
    place = unquote(parts.netloc + parts.path)
    if not place or "\0" in place:
        raise _wrong(uri, "it names no folder")
    try:
        folder = Path(place).expanduser().absolute()
    except RuntimeError as error:
        raise _wrong(uri, str(error)) from None
    sqlite = pb.SqliteMetadataSourceConfig(filename_uri=str(folder))
    return Address(pb.ConnectionConfig(sqlite=sqlite), at, folder.with_name(folder.name + ".artifacts"))


def _wrong(uri: str, why: str) -> MlflowException:
    return MlflowException.invalid_parameter_value(f"{uri!r} is no tracking URI of evlog: {why}. Write {_FORMS}")
