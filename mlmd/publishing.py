"""The signing key of a store, and its published tree brought up to its end: what a checkpoint and a proof are made with."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from evlog import identity
from evlog.files import RealFolder
from evlog.tlog import keys
from evlog.tlog.publisher import Publisher
from evlog.upkeep.backup import silent
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, acknowledged_by

if TYPE_CHECKING:
    from pathlib import Path

    from evlog.tlog.checkpoint import Signed
    from evlog.upkeep.backup import Stage


class Key(NamedTuple):
    """A signing key and its file."""

    path: Path
    signing: keys.Key


def identity_of(place: Path) -> identity.Identity:
    """Return the identity of a store's log."""
    return identity.read(RealFolder(place / LOG_FOLDER))


def key_of(place: Path, named: Path | None = None) -> Key | None:
    """Return the signing key of a store, from a file or from where it is looked for; None where there is none."""
    log_id, origin = identity_of(place)
    path = named or keys.place_of(log_id)
    return Key(path, keys.read(path, origin)) if named or path.exists() else None


def publish(place: Path, key: Key, stage: Stage = silent) -> Signed:
    """Bring the published tree of a store up to its end; return the checkpoint over it."""
    remembered = keys.memory_of(key.path)
    known = acknowledged_by(place / VIEWS_FOLDER, RealFolder(place / LOG_FOLDER))
    with (
        closing(
            Publisher(place / LOG_FOLDER, place / TLOG_FOLDER, key.signing, remembered, acknowledged=known)
        ) as publisher,
        stage("reading the log again", "records") as progress,
    ):
        return publisher.publish(progress)
