"""`ui`."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlmd.cli.command import command, with_settings
from mlmd.cli.encrypting import tls_files, with_tls
from mlmd.cli.output import show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal
from mlmd.engine import Engine
from mlmd.opening import open_folder
from mlmd.places import command_of, is_loopback
from mlmd.serving.admission import gate_of
from mlmd.serving.life import ListenError, told_to_end

if TYPE_CHECKING:
    from mlmd.cli.settings import Settings
    from mlmd.opening import Opened
    from mlmd.serving.http import HttpServer, TlsFiles


def web_server(engine: Engine, name: str, host: str, port: int, tls: TlsFiles | None) -> HttpServer:
    """Return the server of a store's pages, listening. Raises ListenError, MissingLibraryError, Refusal, TokensError."""
    # Imported here: it needs an extra, and other commands need none of it.
    from mlmd.serving.http import HttpServer  # noqa: PLC0415
    from mlmd.web.login import TokenGuard  # noqa: PLC0415
    from mlmd.web.site import Site, application  # noqa: PLC0415
    from mlmd.web.verified import UNCHECKED  # noqa: PLC0415
    from mlmd.web.watch import Watch  # noqa: PLC0415

    gate = gate_of(engine)
    if not is_loopback(host) and (gate is None or gate.is_open()):
        raise Refusal(
            f"{host}: pages are shown beyond this machine to holders of a token alone, and the store has none",
            f"{command_of(name)} token add NAME --role reader",
        )
    place = Path(name) if engine.views is not None else None
    guard = TokenGuard(gate, host, engine.log.id)
    watch = Watch(place) if place is not None else None
    verified = watch.verified if watch is not None else lambda: UNCHECKED
    site = Site(engine, Path(name).name or name, place=place, guard=guard, watch=verified)
    return HttpServer(application(site), host, port, tls, beside=watch, ending=site.close)


def warn_of_listeners(settings: Settings, host: str) -> None:
    """Say that secrets can be read on the way where the server is reached from other machines."""
    if not is_loopback(host):
        talk(
            settings,
            f"warning: tokens cross the network to {host} as they are: --tls-key and --tls-cert encrypt them",
        )


@command()
@with_settings
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, 65_535), default=0, help="Where to listen; any free port by default.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@click.option("--read-only", is_flag=True, help="Refuse every form that puts something.")
@with_tls
def ui(settings: Settings, **given: Any) -> None:
    """Show the store in the browser: runs, comparisons, lineage through time, SQL, and the evidence. Ends on Ctrl-C.

    It listens on this machine alone, and reads beside whoever puts. A running server shows the same with `evlog serve --ui PORT`.

    Examples:
    evlog ui                                     any free port, and the browser
    evlog -s STORE ui --port 8081 --no-browser   http://127.0.0.1:8081
    evlog ui --host 0.0.0.0 --tls-key K --tls-cert C

    """
    tls = tls_files(given["tls_key"], given["tls_cert"], given["tls_ca"])
    host = given["host"]
    place = find_store(settings)
    with progress_of(settings, "bringing the view up to the log") as progress:
        opened = _opened(settings, place, progress, writable=not given["read_only"])
    engine = Engine(opened)
    try:
        served = web_server(engine, str(place), host, given["port"], tls)
    except BaseException as error:
        engine.close()
        if isinstance(error, ListenError):
            raise Refusal(str(error), f"{command_of(place)} ui --port 0") from None
        raise
    if tls is None:
        warn_of_listeners(settings, host)
    try:
        with told_to_end() as wait:
            served.start()
            if settings.form == "table":
                click.echo(f"showing {place} on {served.url}")
            else:
                show_one(settings, {"store": str(place), "url": served.url, "port": served.port})
            sys.stdout.flush()  # Whoever started us waits for this line.
            if not given["no_browser"] and sys.stdout.isatty() and not webbrowser.open(served.url):
                talk(settings, f"no browser could be opened: open {served.url} in one")
            wait()
    finally:
        served.stop()
        engine.close()


def _opened(settings: Settings, place: Path, progress: object, *, writable: bool) -> Opened:
    """Open the store, for reading where it cannot be written: what is broken has to be seen."""
    if writable:
        try:
            return open_folder(place, create=False, progress=progress)  # type: ignore[arg-type] # as everywhere
        except Exception as error:  # noqa: BLE001 - the next line says what it was, and that opening raises what is worse
            talk(settings, f"for reading only: {error}")
    return open_folder(place, writable=False, progress=progress)  # type: ignore[arg-type] # as everywhere
