"""`checkpoint`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from evlog.errors import EvidenceError
from evlog.tlog.archive import keep_cosigned
from evlog.tlog.shelf import FolderShelf
from evlog.tlog.tiles import Tiles
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import (
    COPY_SUFFIX,
    identity_of,
    key_of,
    key_option,
    policy_option,
    publish,
    read_checkpoint,
    read_policy,
    write_file,
)
from mlmd.cli.output import show_one, talk
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE, Refusal
from mlmd.opening import TLOG_FOLDER

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
@click.option("--witness", "urls", metavar="URL", multiple=True, help="Also ask this witness to sign; needs --policy.")
@policy_option("The keys of the witnesses, and how many must sign.")
def checkpoint(
    settings: Settings, path: Path | None, copy: Path | None, urls: tuple[str, ...], policy: Path | None
) -> None:
    """Sign what the log holds now, after reading again, from disk, what was put since the last time.

    A copy that nobody can change who may write to the store makes every later loss and every rewriting visible:
    `evlog verify --since PLACE`.

    Examples:
    evlog checkpoint                           by hand, or each minute by cron
    evlog checkpoint --copy-to archive         into a folder: a file for each; none is ever replaced
    evlog checkpoint --copy-to last.txt        into a file; an older checkpoint never replaces a newer one
    evlog checkpoint --witness http://localhost:8484 --policy my.policy

    """
    place = find_store(settings)
    key = key_of(place, path)
    if key is None:
        raise Refusal("there is no key to sign with", f"evlog -s {place} keys new")
    if bool(urls) != (policy is not None):
        raise click.UsageError("witnesses are asked with --witness URL, and their keys stand in --policy POLICY")
    signed = publish(settings, place, key)
    if policy is not None:
        signed = _cosigned(settings, place, signed, urls, read_policy(policy))
    row = {
        "records": signed.checkpoint.size,
        "root": signed.checkpoint.root.hex(),
        "origin": signed.checkpoint.origin,
        "signed_by": key.signing.verifier.vkey,
        "witnesses": [one.name for one in signed.note.signatures if one.name != key.signing.verifier.name],
        "published_in": str(place / TLOG_FOLDER),
        "copy": str(_copy(place, signed, copy)) if copy is not None else None,
    }
    show_one(settings, row)
    if copy is None:
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
    """Write a copy that replaces nothing newer. Raises Refusal where that is what is there."""
    one = signed.checkpoint
    if target.is_dir():
        target = target / f"{identity_of(place).log_id.hex()}-{one.size:020d}{COPY_SUFFIX}"
    if target.is_file():
        there = read_checkpoint(target).checkpoint
        if there.origin != one.origin:
            raise Refusal(f"{target}: holds a checkpoint of the log {there.origin}, and stays", "another file")
        if there.size > one.size or (there.size == one.size and there.root != one.root):
            what = f"{target}: holds a checkpoint over {there.size:,} records with another history than this log of {one.size:,}"
            raise Refusal(what, f"evlog -s {place} verify --since {target}", DAMAGE)
    write_file(target, signed.data)
    return target
