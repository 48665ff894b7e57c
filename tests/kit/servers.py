"""MariaDB and PostgreSQL of a test's own, on loopback, from whatever the machine has installed; gone with the test.

Each takes a user `mlmd` with the password `secret`, who may make databases.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USER: Final = "mlmd"
PASSWORD: Final = "secret"
_START_S: Final = 120
_PROGRAMS: Final = ("/usr/sbin", "/usr/libexec", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin"))))
_PATH: Final = os.pathsep.join([os.environ.get("PATH", ""), *_PROGRAMS])


class AbsentError(Exception):
    """A server is not installed here; the text is the reason to skip."""


class Server(NamedTuple):
    """A running server. scheme: of its URLs."""

    scheme: str
    port: int

    def url(self, database: str, password: str = PASSWORD) -> str:
        """Return the URL of a database."""
        return f"{self.scheme}://{USER}:{password}@127.0.0.1:{self.port}/{database}"


def _program(*names: str) -> str:
    for name in names:
        if found := shutil.which(name, path=_PATH):
            return found
    raise AbsentError(f"{' or '.join(names)} is not installed")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _lets_in(server: Server) -> bool:
    if server.scheme == "mysql":
        import pymysql

        try:
            pymysql.connect(host="127.0.0.1", port=server.port, user=USER, password=PASSWORD).close()
        except pymysql.MySQLError:
            return False
        return True
    import psycopg

    try:
        psycopg.connect(server.url("postgres")).close()
    except psycopg.Error:
        return False
    return True


@contextlib.contextmanager
def _running(command: Sequence[str], folder: Path, server: Server) -> Iterator[Server]:
    """Run a server until the block ends. It may listen before it lets anybody in."""
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder)
    try:
        until = time.monotonic() + _START_S
        while True:
            if _lets_in(server):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError((folder / "said").read_text(errors="replace")[-2_000:])
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that a server's own user may enter, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="evlog-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def mariadb() -> Iterator[Server]:
    """Run MariaDB. Raises AbsentError."""
    server, install = _program("mariadbd", "mysqld"), _program("mariadb-install-db", "mysql_install_db")
    user = [f"--user={pwd.getpwuid(os.getuid()).pw_name}"]
    with _folder() as folder:
        data, first = folder / "data", folder / "first.sql"
        first.write_text(  # A statement a line.
            f"create user {USER}@'127.0.0.1' identified by '{PASSWORD}';\ngrant all on *.* to {USER}@'127.0.0.1';\n"
        )
        # Nobody needs the data to last, and small pages of log are made faster.
        options = [f"--datadir={data}", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0"]
        subprocess.run(
            [install, "--no-defaults", *user, f"--datadir={data}", "--skip-test-db"], check=True, capture_output=True
        )
        port = _free_port()
        listen = [f"--port={port}", "--bind-address=127.0.0.1", "--skip-name-resolve", f"--socket={folder / 'socket'}"]
        command = [server, "--no-defaults", *user, *options, *listen, f"--init-file={first}"]
        with _running(command, folder, Server("mysql", port)) as running:
            yield running


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """Run PostgreSQL. Raises AbsentError."""
    server, init = _program("postgres"), _program("initdb")
    with _folder() as folder:
        data, password = folder / "data", folder / "password"
        password.write_text(PASSWORD)
        become: list[str] = []
        if os.getuid() == 0:  # It refuses to run as root.
            become = [_program("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(folder, "postgres")
        subprocess.run(
            [*become, init, "-D", data, "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        port = _free_port()
        listen = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-k", str(folder), "-F"]
        with _running([*become, server, "-D", str(data), *listen], folder, Server("postgresql", port)) as running:
            yield running
