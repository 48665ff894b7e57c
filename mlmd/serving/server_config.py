"""The published server's configuration, as far as it has a meaning here: its file, and the text of its channel arguments.

A MetadataStoreServerConfig in protobuf's text format names the store (`connection_config`) and the certificates (`ssl_config`, PEM
texts). Whatever would be silently different here is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import text_format

from mlmd.proto import metadata_store_pb2 as pb
from mlmd.serving.server import Tls

if TYPE_CHECKING:
    from pathlib import Path


BYTES_MAX: Final = 1024 * 1024


class ServerConfigError(Exception):
    """A configuration of the published server cannot be followed; the text says what and why."""


def read(path: Path) -> pb.MetadataStoreServerConfig:
    """Return the configuration in a file. Raises ServerConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(BYTES_MAX + 1).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ServerConfigError(f"{path}: {reason}") from None
    if len(text) > BYTES_MAX:
        raise ServerConfigError(f"{path}: over the limit of {BYTES_MAX:,} bytes")
    try:
        config = text_format.Parse(text, pb.MetadataStoreServerConfig())
    except text_format.ParseError as error:
        raise ServerConfigError(f"{path}: no MetadataStoreServerConfig in text format: {error}") from None
    backend = config.connection_config.WhichOneof("config")
    if backend in ("mysql", "postgresql"):
        raise ServerConfigError(f"{path}: {backend} is no backend here: name a folder as sqlite.filename_uri")
    if config.migration_options.downgrade_to_schema_version >= 0:
        raise ServerConfigError(f"{path}: a store is never rewritten, so it cannot be downgraded")
    return config


def tls_of(config: pb.MetadataStoreServerConfig, path: Path) -> Tls | None:
    """Return the certificates that a configuration holds, None where it holds none. Raises ServerConfigError."""
    if not config.HasField("ssl_config"):
        return None
    ssl = config.ssl_config
    if not ssl.server_key or not ssl.server_cert:
        raise ServerConfigError(f"{path}: ssl_config needs server_key and server_cert, the PEM texts themselves")
    if ssl.client_verify and not ssl.custom_ca:
        raise ServerConfigError(f"{path}: ssl_config.client_verify needs custom_ca, the PEM text itself")
    ca = ssl.custom_ca.encode() if ssl.client_verify else None
    return Tls(ssl.server_key.encode(), ssl.server_cert.encode(), ca)


def channel_arguments(text: str) -> list[tuple[str, int | str]]:
    """Return gRPC's options in `k=v,k=v`; a value that is a number is one. Raises ServerConfigError."""
    found: list[tuple[str, int | str]] = []
    for entry in filter(None, text.split(",")):
        name, sign, value = entry.partition("=")
        if not sign or not name:
            raise ServerConfigError(f"--grpc_channel_arguments: {entry!r} is not NAME=VALUE")
        try:
            found.append((name, int(value)))
        except ValueError:
            found.append((name, value))
    return found
