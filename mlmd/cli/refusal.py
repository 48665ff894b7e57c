"""What went wrong, as a person is told: what and where, then the next command. Never a traceback.

| exit | means                                                     |
| 0    | fine                                                      |
| 1    | refused: what was asked for cannot be done, nothing broke |
| 2    | usage: the command was not understood                     |
| 3    | damage: the log or a view is not what it was promised to be |
"""

from __future__ import annotations

from typing import Final

OK: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
DAMAGE: Final = 3
INTERRUPTED: Final = 130  # 128 + SIGINT and 128 + SIGPIPE, as a shell says it.
BROKEN_PIPE: Final = 141
UPGRADE: Final = "pip install --upgrade evlog-mlmd"
# What to do next about a status code of MLMD's, by its number (mlmd.errors); {command} names the store.
_NEXT: Final = {
    4: "the same again",  # DEADLINE_EXCEEDED
    5: "{command} artifacts, or {command} executions",  # NOT_FOUND
    6: "{command} artifacts, or {command} types",  # ALREADY_EXISTS
    7: "evlog -s FOLDER token add NAME --role writer, on the machine of the store",  # PERMISSION_DENIED
    8: "{command} doctor",  # RESOURCE_EXHAUSTED
    9: "{command} status",  # FAILED_PRECONDITION
    10: "the same again",  # ABORTED
    11: "{command} log -n 1",  # OUT_OF_RANGE
    12: "the same on the machine of the store: evlog -s FOLDER",  # UNIMPLEMENTED
    14: "evlog -s FOLDER serve, on the machine of the store",  # UNAVAILABLE
    15: "{command} verify",  # DATA_LOSS
    16: "EVLOG_TOKEN=SECRET {command} status",  # UNAUTHENTICATED
}


class Refusal(Exception):  # noqa: N818 - not every exit is an error
    """Ends a command. what: one line; hint: the next command, without `try:`; its help where none is better."""

    def __init__(self, what: str, hint: str | None = None, code: int = REFUSED) -> None:
        super().__init__(what)
        self.what, self.hint, self.code = what, hint, code


def refusal_of(error: Exception, command: str) -> Refusal | None:
    """Return what a person is told of an error from a lower layer, None for one that nobody expected.

    command: how this store is named in a hint, `evlog -s STORE`.
    """
    # Imported here, because `evlog --help` meets no error.
    from evlog import errors as log_errors  # noqa: PLC0415
    from mlmd.errors import DATA_LOSS, INVALID_ARGUMENT, StatusError  # noqa: PLC0415
    from mlmd.files import who_may  # noqa: PLC0415
    from mlmd.opening import OpenError  # noqa: PLC0415
    from mlmd.serving.tokens import LostTokensError, TokensError  # noqa: PLC0415
    from projections.errors import BusyViewError, FullViewError, MissingLibraryError, QueryError, ViewError  # noqa: PLC0415

    match error:
        case Refusal():
            return error
        case log_errors.CorruptLogError():
            where = f"{error.file}: byte {error.position} (offset {error.offset})"
            hint = f"{command} verify, then {command} repair --from COPY"
            return Refusal(f"{where}: {error.reason}; nothing was changed", hint, DAMAGE)
        case log_errors.LackingError():
            what = f"{error.file}: {error.reason}; nothing was changed: a copy that has them (--from) or a checkpoint over them (--checkpoint) is lacking"
            return Refusal(what, f"{command} accept-loss, which tells what is lost", DAMAGE)
        case log_errors.RepairError():
            return Refusal(str(error), f"{command} accept-loss, which tells what is lost, if anything is")
        case log_errors.ReplacedLogError() | log_errors.SealedValueError() | log_errors.BrokenKeysError():
            return Refusal(str(error), f"{command} verify", DAMAGE)
        case log_errors.NoLogError():
            return Refusal(f"{error.place}: there is no log here", "evlog init FOLDER")
        case log_errors.FormatVersionError() | log_errors.UnknownTagError():
            return Refusal(str(error), UPGRADE)
        case log_errors.FutureError():
            what = f"{_asked(error.asked)} is a moment that the log has not reached: it ends at #{error.end:,}"
            return Refusal(what, f"{command} log -n 1")
        case log_errors.BackupError():
            damaged = isinstance(error, log_errors.DivergedError | log_errors.DamagedBackupError)
            return Refusal(str(error), f"{command} backup NEW-FOLDER", DAMAGE if damaged else REFUSED)
        case log_errors.WorkerDiedError():
            return Refusal(str(error), f"{command} verify --jobs 1")
        case log_errors.EvidenceError():
            return Refusal(str(error))
        case log_errors.DiskFullError() | FullViewError():
            return Refusal(str(error), "the same again, once there is room")
        case log_errors.StorageError() if error.errno in log_errors.FORBIDDEN:
            return Refusal(str(error), who_may(error.file))
        case log_errors.LogError():
            return Refusal(str(error), f"{command} status")
        case MissingLibraryError():
            return Refusal(f"this needs {error.library}, which is not installed", error.install)
        case QueryError():  # The question's fault, not the view's.
            return Refusal(str(error))
        case BusyViewError():
            return Refusal(str(error), "the same again, once the other has finished")
        case ViewError():
            return Refusal(str(error), f"{command} replay")
        case OpenError() | StatusError() if isinstance(error.__cause__, OSError | log_errors.StorageError):
            return refusal_of(error.__cause__, command)
        case OpenError():
            code = DAMAGE if error.error_code == DATA_LOSS else REFUSED
            return Refusal(str(error), f"{command} verify" if code == DAMAGE else "evlog init FOLDER", code)
        case LostTokensError():
            return Refusal(str(error), f"{command} token add NAME --role reader", DAMAGE)
        case TokensError():
            return Refusal(str(error), f"rm {error.file}, then {command} token add", DAMAGE)
        case StatusError():
            code = {DATA_LOSS: DAMAGE, INVALID_ARGUMENT: USAGE}.get(error.error_code, REFUSED)
            return Refusal(str(error), _NEXT.get(error.error_code, "").format(command=command), code)
        case RuntimeError() if "Symlink loop" in str(error):  # So pathlib calls it, up to 3.12.
            return Refusal(str(error), "evlog -s FOLDER status")
        case FileNotFoundError() if not error.filename and not _here():
            return Refusal("the folder that this runs in is gone", "cd, into one that is there")
        case OSError() if error.strerror:
            if not error.filename:
                return Refusal(error.strerror, f"{command} status")
            return Refusal(f"{error.filename}: {error.strerror}", who_may(str(error.filename)))
    return None


def _here() -> bool:
    """Tell whether the folder that this runs in is there."""
    from pathlib import Path  # noqa: PLC0415 - as above

    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _asked(moment: object) -> str:
    return f"#{moment:,}" if isinstance(moment, int) else str(moment)
