"""STORE: how a person or a program names a store.

| text                                | means                                                                          |
| `my-store`, `/data/mlmd`            | the folder of a store                                                          |
| `host:8080`, `[::1]:8080`           | a server; a folder of that very name comes first                               |
| `grpc://host:8080`                  | a server                                                                       |
| `grpcs://host:8080`                 | a server, over TLS; it is known by the authorities of gRPC, or those in the    |
|                                     | file that GRPC_DEFAULT_SSL_ROOTS_FILE_PATH names                               |
| nothing                             | EVLOG_STORE; else the first store from here upward: a folder that is one, or   |
|                                     | has one in it that is called `metadata`                                        |

A folder is a store where it holds `log/LOGID`. `evlog init` and `mlmd.open` make `metadata` where they are told no name.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.proto.metadata_store_pb2 import MetadataStoreClientConfig

DEFAULT: Final = "metadata"
VARIABLE: Final = "EVLOG_STORE"
_LOGID: Final = (
    "log/LOGID"  # As mlmd.opening and evlog.identity, which a command line that asks for help need not import.
)
# A text, which `re` compiles when it is needed, as pathlib is imported then: `evlog --help` names no store.
_SERVER: Final = r"(?a)(grpcs?://)?(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):(\d{1,5})/?"
_TLS: Final = "grpcs://"
_PORT_MAX: Final = 65_535


class Server(NamedTuple):
    """A server of a store. port: 1 to 65535. tls: the connection is encrypted, and the server proves who it is."""

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        """Return the server as one names it."""
        return f"{'grpcs://' if self.tls else ''}{self.host}:{self.port}"

    def config(self) -> MetadataStoreClientConfig:
        """Return what `MetadataStore` opens."""
        from mlmd.proto import metadata_store_pb2 as pb  # noqa: PLC0415 - a name costs no protobuf

        ssl = pb.MetadataStoreClientConfig.SSLConfig() if self.tls else None
        return pb.MetadataStoreClientConfig(host=self.host, port=self.port, ssl_config=ssl)


Place: TypeAlias = "Path | Server"


def parse(text: str) -> Place:
    """Return what a name of a store means. Raises ValueError for one that means nothing."""
    from pathlib import Path  # noqa: PLC0415 - with what it imports 6 ms: see above

    match = re.fullmatch(_SERVER, text)
    if match is not None and (match[1] or not Path(text).exists()):
        if not 0 < int(match[3]) <= _PORT_MAX:
            raise ValueError(f"{text!r}: a port is 1 to {_PORT_MAX}")
        return Server(match[2], int(match[3]), tls=match[1] == _TLS)
    if text.startswith(("grpc://", _TLS)):
        raise ValueError(f"{text!r} names no server: write grpc://HOST:PORT, or grpcs://HOST:PORT for TLS")
    if not text or "\0" in text:
        raise ValueError(f"{text!r} names no store: write a folder, or HOST:PORT of a server")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{text!r} names no folder: {error}") from None


def is_loopback(host: str) -> bool:
    """Tell whether what is sent to a host, or heard by who listens there, stays on this machine. Of a name nobody knows, but localhost."""
    from ipaddress import ip_address  # noqa: PLC0415 - a command that asks for help need not import it

    if host == "localhost":
        return True
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False


def is_store(folder: Path) -> bool:
    """Tell whether a folder is a store."""
    return (folder / _LOGID).is_file()


def command_of(place: object) -> str:
    """Return how a command that means this store begins, to be pasted into a shell."""
    import shlex  # noqa: PLC0415 - who asks for help or Tab names no store

    return f"evlog -s {shlex.quote(str(place))}"


def found(here: Path | None = None) -> Place | None:
    """Return the store that nobody named, None where there is none. Raises ValueError for a setting that names none."""
    if named := os.environ.get(VARIABLE):
        return parse(named)
    from pathlib import Path  # noqa: PLC0415 - as above

    here = here or Path.cwd()
    for folder in (here, *here.parents):
        for place in (folder, folder / DEFAULT):
            if is_store(place):
                return place
    return None
