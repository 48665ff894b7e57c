"""The options of every server that name certificates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlmd.cli.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.serving.http import TlsFiles


def with_tls(function: Callable[..., None]) -> Callable[..., None]:
    """Add --tls-key, --tls-cert and --tls-ca, as `tls_key`, `tls_cert` and `tls_ca`."""
    file = click.Path(path_type=Path)
    for option, about in (  # The last one first: click has them the other way round.
        ("--tls-ca", "Given, callers must prove a certificate of these."),
        ("--tls-cert", "The server's certificate and its chain, PEM."),
        ("--tls-key", "The server's key, PEM."),
    ):
        function = click.option(option, type=file, help=about)(function)
    return function


def check_tls(key: Path | None, certificate: Path | None, ca: Path | None) -> bool:
    """Tell whether there is TLS. Raises Refusal where a part of it is missing."""
    if key is not None and certificate is not None:
        return True
    if key is not None or certificate is not None or ca is not None:
        raise Refusal("TLS needs both --tls-key and --tls-cert", "evlog serve --help")
    return False


def tls_files(key: Path | None, certificate: Path | None, ca: Path | None) -> TlsFiles | None:
    """Return the files for an HTTP server, None for one without TLS. Raises Refusal."""
    from mlmd.serving.http import TlsFiles  # noqa: PLC0415 - it needs an extra

    if not check_tls(key, certificate, ca):
        return None
    assert key is not None, "checked"
    assert certificate is not None, "checked"
    return TlsFiles(key, certificate, ca)
