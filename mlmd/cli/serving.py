"""`serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from mlmd.cli.browsing import warn_of_listeners, web_server
from mlmd.cli.command import command, with_settings
from mlmd.cli.encrypting import check_tls, tls_files, with_tls
from mlmd.cli.output import show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal
from mlmd.cli.settings import Number
from mlmd.engine import Engine
from mlmd.opening import open_config, open_folder
from mlmd.places import command_of, is_loopback
from mlmd.serving.life import ListenError, told_to_end
from mlmd.serving.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlmd.cli.settings import Settings
    from mlmd.opening import Opened
    from mlmd.proto import metadata_store_pb2 as pb
    from mlmd.serving.http import HttpServer
    from mlmd.serving.server import Options, Tls

# Flags of the published server that choose what is not here. Given, they are refused: nobody should wonder where the data went.
_FOREIGN: Final = (
    *(f"mysql_config_{name}" for name in ("host", "port", "database", "user", "password")),
    *(
        f"postgres_config_{name}"
        for name in (
            *("host", "hostaddr", "port", "user", "password", "passfile", "dbname", "skip_db_creation"),
            *("sslmode", "sslcert", "sslkey", "sslpassword", "sslrootcert"),
        )
    ),
)
_HARMLESS: Final = ("metadata_store_connection_retries", "enable_database_upgrade")
_SOURCES: Final = ("default", "config_file")
_NO_DOWNGRADE: Final = "-1"


def _published_flags(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags of the published server that need no more than a word."""
    for name in (*_FOREIGN, *_HARMLESS, "downgrade_db_schema_version", "metadata_source_config_type"):
        function = click.option(f"--{name}", name, hidden=True)(function)
    return function


@command()
@with_settings
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 for all addresses.")
@click.option(
    "--grpc",
    "--grpc_port",
    "port",
    type=Number(0, 65_535),
    default=8080,
    show_default=True,
    help="0: any free.",
)
@click.option(
    "--openlineage",
    "events_port",
    type=Number(0, 65_535),
    metavar="PORT",
    help="Take events of OpenLineage too, over HTTP, as Marquez does; 0: any free port.",
)
@click.option(
    "--ui",
    "ui_port",
    type=click.IntRange(0, 65_535),
    metavar="PORT",
    help="Show the store in a browser too; 0: any free port.",
)
@click.option("--read-only", is_flag=True, help="Refuse every put.")
@click.option("--workers", type=Number(1, 1_000), default=32, show_default=True, help="Calls at a time.")
@click.option(
    "--max-message-bytes", type=Number(1, 2**31 - 1), default=100_000_000, show_default=True, help="Of a call."
)
@with_tls
@click.option(
    "--metadata_store_server_config_file",
    "config_file",
    type=click.Path(path_type=Path),
    help="Of the published server: names store and certificates.",
)
@click.option("--grpc_channel_arguments", "channel", default="", help="Of the published server: k=v,k=v for gRPC.")
@_published_flags
def serve(settings: Settings, **given: Any) -> None:
    """Serve a store over gRPC: any client of ML Metadata, unchanged. Ends on SIGTERM or Ctrl-C, after the calls that run.

    With --openlineage it is also what Airflow, Spark or dbt report to: POST http://HOST:PORT/api/v1/lineage.

    Examples:
    evlog -s STORE serve                                       on 127.0.0.1:8080
    evlog -s STORE serve --openlineage 5000                    then OPENLINEAGE_URL=http://127.0.0.1:5000
    evlog -s STORE serve --ui 8081                             and http://127.0.0.1:8081 in a browser
    evlog -s STORE serve --host 0.0.0.0 --tls-key K --tls-cert C
    evlog serve --metadata_store_server_config_file F --grpc_port 8080

    """
    # Imported here: a wrong flag should not wait for gRPC.
    from mlmd.serving import server_config  # noqa: PLC0415
    from mlmd.serving.server import Server  # noqa: PLC0415

    _refuse_foreign(settings, given)
    if given["read_only"] and given["events_port"] is not None:
        raise click.UsageError("--openlineage puts events into the store, and --read-only refuses every put")
    try:
        config = server_config.read(given["config_file"]) if given["config_file"] else None
        options = _options(given, config)
    except server_config.ServerConfigError as error:
        raise Refusal(str(error), "evlog serve --help") from None
    name, opened = _open(settings, config, writable=not given["read_only"])
    engine = Engine(opened)
    http: dict[str, HttpServer] = {}
    try:
        for what in _HTTP:
            if given[what.parameter] is not None:
                http[what.option] = _listening(what, engine, name, given, options)
        server = Server(engine, options)
        _warn_of_strangers(settings, name, engine, options)
        server.start()
    except BaseException as error:
        for one in http.values():
            one.stop()
        engine.close()
        if isinstance(error, ListenError):
            raise Refusal(str(error), f"{command_of(name)} serve --grpc 0") from None
        raise
    try:
        with told_to_end() as wait:  # Before anybody knows that the server is there to be ended.
            for one in http.values():
                one.start()
            _tell(settings, name, server.host, server.port, http)
            wait()
    finally:
        talk(settings, "draining")
        for one in http.values():
            one.stop()
        server.stop()
        engine.close()


class _Http(NamedTuple):
    """What is served over HTTP beside gRPC: by which option, and what is said of it."""

    option: str
    parameter: str
    said: str


_HTTP: Final = (
    _Http("openlineage", "events_port", "taking events of OpenLineage on"),
    _Http("ui", "ui_port", "showing it on"),
)


def _listening(what: _Http, engine: Engine, name: str, given: dict[str, Any], options: Options) -> HttpServer:
    """Return what was asked for, listening. Raises Refusal."""
    # Imported here: most serve none, and each needs an extra.
    from mlmd.serving.http import HttpServer  # noqa: PLC0415

    tls = tls_files(given["tls_key"], given["tls_cert"], given["tls_ca"])
    if tls is None and options.tls is not None:
        raise Refusal(
            f"--{what.option}: name the certificates by --tls-key and --tls-cert, not in a configuration file"
        )
    try:
        if what.option == "ui":
            return web_server(engine, name, options.host, given[what.parameter], tls)
        from mlmd.exchange.openlineage.endpoint import application  # noqa: PLC0415 - as above

        return HttpServer(application(engine), options.host, given[what.parameter], tls)
    except ListenError as error:
        raise Refusal(f"--{what.option}: {error}", f"evlog serve --{what.option} 0") from None


def _warn_of_strangers(settings: Settings, name: str, engine: Engine, options: Options) -> None:
    """Say who can reach the store where that is not this machine alone. ML Metadata's users expect to be served nevertheless."""
    if is_loopback(options.host):
        return
    tokens = tokens_of(engine)
    if tokens is not None and tokens.known() is not None:
        if options.tls is None:
            warn_of_listeners(settings, options.host)
    elif options.tls is None or options.tls.ca is None:
        ask = "" if tokens is None else f"; to ask who calls: {command_of(name)} token add NAME --role writer"
        talk(settings, f"warning: whoever reaches {options.host} may read and put{ask}")


def _tell(settings: Settings, name: str, host: str, port: int, http: dict[str, HttpServer]) -> None:
    if settings.form == "table":
        click.echo(f"evlog serving {name} on {host}:{port}")
        for what in _HTTP:
            if what.option in http:
                served = http[what.option]
                click.echo(f"{what.said} {served.url if what.option == 'ui' else f'{host}:{served.port}'}")
    else:
        show_one(
            settings,
            {"store": name, "host": host, "port": port} | {option: one.port for option, one in http.items()},
        )
    sys.stdout.flush()  # Whoever started us waits for this line.


def _refuse_foreign(settings: Settings, given: dict[str, Any]) -> None:
    for name in _FOREIGN:
        if given[name] is not None:
            raise Refusal(f"--{name}: there is no such backend here, a store is a folder", "evlog -s FOLDER serve")
    source = given["metadata_source_config_type"]
    if source is not None and source not in _SOURCES:
        raise Refusal(f"--metadata_source_config_type {source}: no such backend here", "evlog -s FOLDER serve")
    if source == "config_file" and given["config_file"] is None:
        raise Refusal("--metadata_source_config_type config_file needs --metadata_store_server_config_file")
    if given["downgrade_db_schema_version"] not in (None, _NO_DOWNGRADE):
        raise Refusal(
            "--downgrade_db_schema_version: a store is never rewritten, so it cannot be downgraded",
            "evlog serve, without it",
        )
    for name in _HARMLESS:
        if given[name] is not None:
            talk(settings, f"--{name} has no effect here")


def _options(given: dict[str, Any], config: pb.MetadataStoreServerConfig | None) -> Options:
    from mlmd.serving import server_config  # noqa: PLC0415
    from mlmd.serving.server import Options  # noqa: PLC0415

    tls = _tls(given)
    if config is not None:
        of_file = server_config.tls_of(config, given["config_file"])
        if tls is not None and of_file is not None:
            raise Refusal("certificates both in the flags and in the configuration file: name them once")
        tls = tls or of_file
    channel = server_config.channel_arguments(given["channel"])
    return Options(given["host"], given["port"], given["workers"], given["max_message_bytes"], tls, channel)


def _tls(given: dict[str, Any]) -> Tls | None:
    from mlmd.serving.server import Tls  # noqa: PLC0415

    key, certificate, ca = given["tls_key"], given["tls_cert"], given["tls_ca"]
    if not check_tls(key, certificate, ca):
        return None
    return Tls(key.read_bytes(), certificate.read_bytes(), ca.read_bytes() if ca is not None else None)


def _open(settings: Settings, config: pb.MetadataStoreServerConfig | None, *, writable: bool) -> tuple[str, Opened]:
    """Return the store's name and the open store: that of the configuration file, else that of all commands."""
    if config is not None and config.connection_config.WhichOneof("config") is not None:
        if settings.store is not None:
            raise Refusal("a store both by -s and in the configuration file: name it once")
        connection = config.connection_config
        if connection.WhichOneof("config") == "sqlite" and not writable:
            connection.sqlite.connection_mode = connection.sqlite.READONLY
        return connection.sqlite.filename_uri or "memory", open_config(connection)
    place = find_store(settings)
    with progress_of(settings, "bringing the view up to the log") as progress:
        return str(place), open_folder(place, writable=writable, progress=progress)
