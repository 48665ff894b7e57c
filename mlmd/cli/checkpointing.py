"""`checkpoint`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.errors import EvidenceError, ReplacedLogError
from evlog.tlog import anchors
from evlog.tlog.archive import keep_cosigned
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import Tiles
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import key_option, policy_option
from mlmd.cli.output import Row, show_one, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE, Refusal
from mlmd.opening import TLOG_FOLDER
from mlmd.places import command_of
from mlmd.publishing import identity_of, key_of, publish
from mlmd.trust import read_policy

if TYPE_CHECKING:
    from evlog.tlog.checkpoint import Signed
    from evlog.tlog.policy import Policy
    from mlmd.cli.settings import Settings


@command()
@with_settings
@key_option
@click.option(
    "--copy-to",
    "copy",
    metavar="PLACE",
    type=click.Path(path_type=Path),
    help="Also write the checkpoint into this folder, under a name of its own, or this file.",
)
@click.option(
    "--forget",
    metavar="PLACE",
    type=click.Path(path_type=Path),
    help="Compare the store no more with the copies at this place; what is there stays.",
)
@click.option("--witness", "urls", metavar="URL", multiple=True, help="Also ask this witness to sign; needs --policy.")
@policy_option("The keys of the witnesses, and how many must sign.")
def checkpoint(
    settings: Settings,
    path: Path | None,
    copy: Path | None,
    forget: Path | None,
    urls: tuple[str, ...],
    policy: Path | None,
) -> None:
    """Sign what the log holds now, after reading again, from disk, what was put since the last time.

    A copy that nobody can change who may write to the store makes every later loss and every rewriting visible. The place is remembered:
    later checkpoints go there too, at most one a minute while a store is open, and whoever opens or verifies the store compares it with
    the copies.

    Examples:
    evlog checkpoint                           by hand, or each minute by cron
    evlog checkpoint --copy-to archive         into a folder: a file for each; none is ever replaced
    evlog checkpoint --copy-to last.txt        into a file; an older checkpoint never replaces a newer one
    evlog checkpoint --forget archive          no more; `evlog verify --since archive` still can
    evlog checkpoint --witness http://localhost:8484 --policy my.policy

    """
    place = find_store(settings)
    if forget is not None:
        anchors.forget(place, forget)
    key = key_of(place, path)
    if key is None:
        raise Refusal("there is no key to sign with", f"{command_of(place)} keys new")
    if bool(urls) != (policy is not None):
        raise click.UsageError("witnesses are asked with --witness URL, and their keys stand in --policy POLICY")
    signed = publish(place, key, partial(progress_of, settings))
    if policy is not None:
        signed = _cosigned(settings, place, signed, urls, read_policy(policy))
    row: Row = {
        "records": signed.checkpoint.size,
        "root": signed.checkpoint.root.hex(),
        "origin": signed.checkpoint.origin,
        "signed_by": key.signing.verifier.vkey,
        "witnesses": [one.name for one in signed.note.signatures if one.name != key.signing.verifier.name],
        "published_in": str(place / TLOG_FOLDER),
        "copy": str(_copy(place, signed, copy)) if copy is not None else None,
    }
    for error in anchors.copy_to_all(place, signed, identity_of(place), place / TLOG_FOLDER):
        if isinstance(error, ReplacedLogError):
            raise error
        talk(settings, str(error))
    row["anchors"] = [*map(str, anchors.places_of(place))]
    show_one(settings, row)
    if not row["anchors"]:
        talk(settings, "a copy elsewhere makes it an anchor: --copy-to PLACE")


def _cosigned(settings: Settings, place: Path, signed: Signed, urls: tuple[str, ...], policy: Policy) -> Signed:
    """Ask witnesses, and keep what they signed. Raises EvidenceError where the policy's quorum is not reached."""
    from evlog.tlog.witness import cosign  # noqa: PLC0415 - an HTTP client is slow to import

    tlog, keys = place / TLOG_FOLDER, [*policy.witnesses.values()]
    node = Tiles(FolderShelf(tlog)).node(signed.checkpoint.size)
    for url in urls:
        try:
            signed = cosign(url, keys, signed, node)
        except EvidenceError as error:  # The others may be enough.
            talk(settings, str(error))
    keep_cosigned(tlog, signed)
    policy.check(signed)
    return signed


def _copy(place: Path, signed: Signed, target: Path) -> Path:
    """Write a copy that replaces nothing newer, and remember where. Raises Refusal where that is what is there."""
    if target.exists() and not (target.is_dir() or target.is_file()):
        raise Refusal(f"{target}: is not a file")
    if place.resolve() in (target.resolve(), *target.resolve().parents):
        raise Refusal(f"{target}: a copy inside its store is put back, or lost, with it", "a place elsewhere")
    if not target.resolve().parent.is_dir():
        raise Refusal(f"{target.parent}: there is no such folder")
    try:
        anchors.check_name(target)
        written = anchors.copy(signed, identity_of(place), target, place / TLOG_FOLDER)
    except ReplacedLogError as error:
        raise Refusal(error.reason, f"{command_of(place)} verify --since {target}", DAMAGE) from error
    anchors.remember(place, target)
    return written
