"""Databases that the reference wrote into MariaDB and PostgreSQL, imported: every read answers as the reference does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import servers
from click.testing import CliRunner
from mlmd_files import imported, migrate, same_store, workload, write

from mlmd.cli import cli
from mlmd.proto import metadata_store_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client import Reference


pytestmark = [pytest.mark.once, pytest.mark.slow]


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    pytest.importorskip("pymysql" if request.param == "mariadb" else "psycopg")
    try:
        with getattr(servers, request.param)() as running:
            yield running
    except servers.AbsentError as reason:
        pytest.skip(str(reason))


def config_of(server: servers.Server, name: str) -> pb.ConnectionConfig:
    config = pb.ConnectionConfig()
    if server.scheme == "mysql":
        config.mysql.host, config.mysql.port, config.mysql.database = "127.0.0.1", server.port, name
        config.mysql.user, config.mysql.password = servers.USER, servers.PASSWORD
    else:
        config.postgresql.host, config.postgresql.port, config.postgresql.dbname = "127.0.0.1", str(server.port), name
        config.postgresql.user, config.postgresql.password = servers.USER, servers.PASSWORD
    return config


# The reference's upgrade of PostgreSQL from 5 to 8 makes columns for times that are too narrow, and fails on every row.
VERSIONS = {"mysql": (10, 9, 7, 5, 4), "postgresql": (10, 9, 4)}


def test_databases_of_a_server_answer_as_the_reference_does(
    reference: Reference, server: servers.Server, tmp_path: Path
) -> None:
    for version in VERSIONS[server.scheme]:
        config, url, place = (
            config_of(server, f"metadb{version}"),
            server.url(f"metadb{version}"),
            tmp_path / f"{version}",
        )
        write(reference, config, workload(version))
        if version < 10:
            migrate(reference, config, version)
        report = imported(url, place)
        assert (report.schema_version, report.kept) == (version, {})
        assert imported(url, place).records == 0
        migrate(reference, config, None)
        assert same_store(reference, config, place) > 250


def test_a_wrong_password_and_a_missing_database_are_told(server: servers.Server, tmp_path: Path) -> None:
    for url, said in (
        (server.url("nope", "guess"), ("denied", "password authentication failed")),
        (server.url("nope"), ("nope",)),
    ):
        result = CliRunner().invoke(cli, ["-s", str(tmp_path / "store"), "import", url])
        assert result.exit_code == 1, result.output
        assert any(one in result.stderr for one in said), result.stderr
        assert "guess" not in result.stderr
        assert servers.PASSWORD not in result.stderr
        assert not list(tmp_path.iterdir())


def test_another_database_of_a_server_is_refused(server: servers.Server, tmp_path: Path) -> None:
    other = "mysql" if server.scheme == "mysql" else "postgres"
    result = CliRunner().invoke(cli, ["-s", str(tmp_path / "store"), "import", server.url(other)])
    assert result.exit_code == 1
    assert "no database of ML Metadata" in result.stderr
