"""Databases to read from: a SQLite file, MySQL or MariaDB, PostgreSQL. Each in one read-only transaction, so one moment of it.

SQL is the same for all: names are not quoted, because MLMD gives them as they are to each; a value is `?`.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from mlmd.exchange.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

    Row = tuple[Any, ...]

_INSTALL: Final = "pip install 'evlog-mlmd[import]'"
_CONNECT_S: Final = 10
_LOCKED_S: Final = 5.0
_NOT_UTF8: Final = "Could not decode to UTF-8"
_MYSQL: Final = ("mysql", "mariadb")
_POSTGRES: Final = ("postgresql", "postgres")


class Source(Protocol):
    """An open database.

    name: what a person calls it, without its password. proto_in_base64: whether a proto is stored as text. physical: the column that
    tells in which order rows were inserted, "" where rows come in that order.
    """

    name: str
    proto_in_base64: bool
    physical: str

    def tables(self) -> set[str]:
        """Return the names of all tables, in lower case."""
        ...

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query. Raises SourceError."""
        ...

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def open_source(text: str) -> Source:
    """Open the database that a path or URL names. Raises SourceError."""
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise SourceError(f"no database can be named so: {error}") from error
    if parts.scheme in _MYSQL:
        return MySqlSource(parts)
    if parts.scheme in _POSTGRES:
        return PostgresSource(text, parts)
    if parts.scheme and "://" in text and parts.scheme != "sqlite":
        raise SourceError(
            f"{parts.scheme}://: no such kind of database: name a SQLite file, a mysql:// or postgresql:// URL"
        )
    return SqliteSource(Path(text.removeprefix("sqlite://")))


class SqliteSource:
    """A SQLite file, opened for reading only."""

    proto_in_base64 = True
    physical = "rowid"

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        if path.is_dir():
            raise SourceError(f"{path}: a folder; a database of ML Metadata is a file")
        if not path.is_file():
            raise SourceError(f"{path}: there is no such file")
        try:
            # Autocommit, because the one transaction is ours to begin.
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_LOCKED_S, isolation_level=None
            )
        except sqlite3.Error as error:
            raise SourceError(f"{path}: {error}") from error
        try:
            self.rows("begin")
        except SourceError:
            self.close()
            raise

    def tables(self) -> set[str]:
        """Return the names of all tables, in lower case."""
        return {name.lower() for (name,) in self.rows("select name from sqlite_master where type = 'table'")}

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        return {name.lower() for (name,) in self.rows("select name from pragma_table_info(?)", (table,))}

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query. Raises SourceError."""
        try:
            return self._connection.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as error:
            reason = str(error)
            if _NOT_UTF8 in reason and self._connection.text_factory is str:
                self._connection.text_factory = _text  # Slow, so only where it is needed.
                return self.rows(sql, values)
            if "locked" in reason:
                reason = "another process holds it locked: end that, or import a copy of the file"
            elif "readonly" in reason or "unable to open" in reason:
                reason += (
                    ": its last writer did not close it, and its folder must be writable to mend that: import a copy"
                )
            raise SourceError(f"{self.name}: {reason}") from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _text(data: bytes) -> str | bytes:
    """Return a text, or its bytes where they are no UTF-8: SQLite checks nothing."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


class _ServerSource:
    """What the servers share: a connection of Python's database API."""

    def __init__(self, parts: SplitResult) -> None:
        self.name = _without_password(parts)
        self._connection: Any = None
        self._errors: type[Exception] = Exception

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query. Raises SourceError."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), tuple(values))
                return list(cursor.fetchall()) if cursor.description else []
        except self._errors as error:
            raise SourceError(f"{self.name}: {_last_line(error)}") from error

    def columns(self, table: str) -> set[str]:
        """Return the names of a table's columns."""
        with self._connection.cursor() as cursor:
            cursor.execute(f"select * from {table} limit 0")
            return {column[0].lower() for column in cursor.description}

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class MySqlSource(_ServerSource):
    """A MySQL or MariaDB database: mysql://user:password@host:port/database, or ?unix_socket=PATH, ?ssl_ca=FILE."""

    proto_in_base64 = True
    physical = ""

    def __init__(self, parts: SplitResult) -> None:
        super().__init__(parts)
        try:
            import pymysql  # noqa: PLC0415 - needed for this alone
        except ImportError as error:
            raise SourceError("to read MySQL takes PyMySQL, which is not installed", _INSTALL) from error
        self._errors = pymysql.MySQLError
        asked: dict[str, Any] = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if unknown := asked.keys() - {"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"}:
            raise SourceError(f"{self.name}: no such option: {', '.join(sorted(unknown))}")
        database = unquote(parts.path.lstrip("/"))
        if not database:
            raise SourceError(f"{self.name}: names no database: mysql://USER@HOST/DATABASE")
        try:
            self._connection = pymysql.connect(
                host=parts.hostname or "localhost",
                port=parts.port or 3306,
                user=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password or "") or os.environ.get("MYSQL_PWD", ""),
                database=database,
                charset="utf8mb4",
                connect_timeout=_CONNECT_S,
                **asked,
            )
        except (pymysql.MySQLError, RuntimeError, OSError, ValueError) as error:
            raise SourceError(f"{self.name}: {_last_line(error)}") from error
        self.rows("set session transaction isolation level repeatable read")
        self.rows("start transaction with consistent snapshot, read only")

    def tables(self) -> set[str]:
        """Return the names of all tables, in lower case."""
        sql = "select table_name from information_schema.tables where table_schema = database()"
        return {name.lower() for (name,) in self.rows(sql)}

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """Return the rows of a query. Raises SourceError."""
        return [
            tuple([as_written(one) if one.__class__ is str and not one.isascii() else one for one in row])
            for row in super().rows(sql, values)
        ]


def _latin1() -> dict[str, int]:
    """Return the bytes of MySQL's latin1: Windows-1252, and its five holes filled with the control characters there."""
    return {bytes((code,)).decode("cp1252", "ignore") or chr(code): code for code in range(256)}


_BYTES: Final = _latin1()


def as_written(text: str) -> str:
    """Return a text as MLMD wrote it.

    Its client says that it speaks latin1 and sends UTF-8, so the server keeps each byte as a character. A text that is no such
    misunderstanding was written by somebody else, and is what it says.
    """
    try:
        return bytes([_BYTES[character] for character in text]).decode()
    except (KeyError, UnicodeDecodeError):
        return text


class PostgresSource(_ServerSource):
    """A PostgreSQL database: any URL that its own tools take."""

    proto_in_base64 = False
    physical = "ctid"

    def __init__(self, text: str, parts: SplitResult) -> None:
        super().__init__(parts)
        try:
            import psycopg  # noqa: PLC0415 - needed for this alone
        except ImportError as error:
            raise SourceError("to read PostgreSQL takes psycopg, which is not installed", _INSTALL) from error
        self._errors = psycopg.Error
        try:
            self._connection = psycopg.connect(text, connect_timeout=_CONNECT_S, client_encoding="utf8")
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
        except (psycopg.Error, ValueError) as error:
            raise SourceError(f"{self.name}: {_last_line(error)}") from error

    def tables(self) -> set[str]:
        """Return the names of all tables, in lower case."""
        sql = "select table_name from information_schema.tables where table_schema = any(current_schemas(false))"
        return {name.lower() for (name,) in self.rows(sql)}


def _without_password(parts: SplitResult) -> str:
    host = parts.netloc.rpartition("@")[2]
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit((parts.scheme, user + host, parts.path, "", ""))


def _last_line(error: Exception) -> str:
    """Return what a driver says was wrong, in one line."""
    words = error.args[-1] if error.args else type(error).__name__
    return " ".join(str(words).split())
