"""What the commands of evidence share: the published tree of a store, its key, files that a person names."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import click

from evlog import identity
from evlog.actors import KEYS_BYTES_MAX, parse_keys
from evlog.errors import EvidenceError
from evlog.files import RealFolder
from evlog.tlog import anchors, keys
from evlog.tlog import policy as policies
from evlog.tlog.publisher import Publisher
from evlog.tlog.shelf import FolderShelf
from mlmd.cli.progress import progress_of
from mlmd.cli.refusal import Refusal
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, acknowledged_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.note import VerifierKey
    from evlog.tlog.policy import Policy
    from evlog.tlog.review import Promise
    from mlmd.cli.settings import Settings

key_option: Final = click.option(
    "-k",
    "--key",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The signing key; else EVLOG_KEY, else one in ~/.config/evlog/keys.",
)
_Form = TypeVar("_Form")


def policy_option(about: str) -> Callable[[FC], FC]:
    """Return the option that names a policy file."""
    path = click.Path(path_type=Path, exists=True, dir_okay=False)
    return click.option("--policy", metavar="POLICY", type=path, help=about)


def _read_actors(_: click.Context, __: click.Parameter, path: Path | None) -> list[VerifierKey]:
    return _named(path, parse_keys, KEYS_BYTES_MAX) if path is not None else []


actors_option: Final = click.option(
    "--actors",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_read_actors,
    help="The keys of actors, one a line as `evlog keys show --actor NAME` tells it: who signs must be one of them.",
)


def identity_of(place: Path) -> identity.Identity:
    """Return the identity of a store's log."""
    return identity.read(RealFolder(place / LOG_FOLDER))


class Key(NamedTuple):
    """A signing key and its file."""

    path: Path
    signing: keys.Key


def key_of(place: Path, named: Path | None = None) -> Key | None:
    """Return the signing key of a store, from a file or from where it is looked for; None where there is none."""
    log_id, origin = identity_of(place)
    path = named or keys.place_of(log_id)
    return Key(path, keys.read(path, origin)) if named or path.exists() else None


def publish(settings: Settings, place: Path, key: Key) -> Signed:
    """Bring the published tree of a store up to its end; return the checkpoint over it."""
    remembered = keys.memory_of(key.path)
    known = acknowledged_by(place / VIEWS_FOLDER, RealFolder(place / LOG_FOLDER))
    with (
        closing(
            Publisher(place / LOG_FOLDER, place / TLOG_FOLDER, key.signing, remembered, acknowledged=known)
        ) as publisher,
        progress_of(settings, "reading the log again") as progress,
    ):
        return publisher.publish(progress)


def read_policy(path: Path) -> Policy:
    """Return the policy in a file. Raises EvidenceError, which names the file."""
    return _named(path, policies.parse, policies.POLICY_BYTES_MAX)


def copies_in(path: Path, place: Path) -> list[Promise]:
    """Return the checkpoints in a file or a folder of copies, all of the log of a store, the smallest first. Raises Refusal."""
    ident = identity_of(place)
    copies = [anchors.read(one, ident) for one in anchors.copies_at(path, ident)]
    if not copies:
        raise Refusal(
            f"{path}: there is no checkpoint of {ident.origin} here", f"evlog -s {place} checkpoint --copy-to {path}"
        )
    return copies


def read_file(path: Path, bytes_max: int) -> bytes:
    """Return what is in a file that a person named, one byte more than the limit at most: it may be endless."""
    with path.open("rb") as file:
        return file.read(bytes_max + 1)


def write_file(path: Path, data: bytes) -> None:
    """Write a file that a person named, whole or not at all. Raises Refusal where none can be, or something else is."""
    target = path.resolve()
    if target.exists() and not target.is_file():
        raise Refusal(f"{path}: is not a file")
    if not target.parent.is_dir():
        raise Refusal(f"{path.parent}: there is no such folder")
    FolderShelf(target.parent).write(target.name, data, durable=True)


def _named(path: Path, parse: Callable[[bytes], _Form], bytes_max: int) -> _Form:
    try:
        return parse(read_file(path, bytes_max))
    except EvidenceError as error:
        raise EvidenceError(f"{path}: {error}") from error
