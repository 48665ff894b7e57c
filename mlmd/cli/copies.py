"""Where a store was published: remembered, so that an erasure finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evlog import identity
from evlog.errors import StorageError
from evlog.files import RealFolder
from evlog.subject_keys import Published, SubjectKeys
from mlmd.cli.output import talk
from mlmd.opening import LOG_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


def note_copy(settings: Settings, place: Path, kind: str, path: Path) -> None:
    """Remember that a store is being copied, if it seals anything. kind: see `replay.erasure`."""
    folder = RealFolder(place / LOG_FOLDER)
    try:
        SubjectKeys(folder, identity.read(folder).log_id).note_published(Published(kind, str(path.absolute())))
    except StorageError as error:
        talk(settings, f"an erasure will not know of {path}, name it then with --copy: {error}")
