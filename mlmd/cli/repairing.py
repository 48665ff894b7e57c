"""`repair` and `accept-loss`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from evlog import segment
from evlog.author import Author
from evlog.errors import EvidenceError, LackingError
from evlog.files import RealFolder
from evlog.records import LossAccepted
from evlog.tlog import anchors, review
from evlog.tlog.committed import Published, believed
from evlog.tlog.shelf import FolderShelf
from evlog.upkeep import repair as repairs
from evlog.upkeep.repair import Means
from mlmd.cli.command import command, with_settings
from mlmd.cli.copies import note_copy
from mlmd.cli.evidence import policy_option
from mlmd.cli.output import show_one, show_rows, talk
from mlmd.cli.progress import progress_of
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import DAMAGE, USAGE, Refusal
from mlmd.cli.settings import Number
from mlmd.engine import Engine
from mlmd.lost import LOST_FOLDER, set_aside
from mlmd.opening import LOG_FOLDER, TLOG_FOLDER, VIEWS_FOLDER, open_folder
from mlmd.places import command_of
from mlmd.trust import read_policy
from projections.sqlite.view import peek

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.decorators import FC

    from evlog.identity import Identity
    from evlog.records import Mended
    from evlog.tlog.checkpoint import Checkpoint
    from evlog.tlog.note import VerifierKey
    from mlmd.cli.output import Row
    from mlmd.cli.settings import Settings

_COLUMNS = ("file", "reason", "start", "stop", "source", "committed", "quarantine")


class _Damaged(NamedTuple):
    """A store that may be damaged, and what there is to mend it with."""

    place: Path
    folder: RealFolder
    ident: Identity
    means: Means


def _sources(function: FC) -> FC:
    """Give a command the options that name copies and checkpoints."""
    path = click.Path(path_type=Path, exists=True, file_okay=False)
    options: list[Callable[[FC], FC]] = [
        click.option(
            "--from",
            "places",
            metavar="COPY",
            multiple=True,
            type=path,
            help="A backup, another copy of the store, or a folder of segments; again for more.",
        ),
        click.option(
            "--checkpoint",
            "anchor",
            metavar="FILE",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            help="A checkpoint kept elsewhere: what it is over is committed.",
        ),
        policy_option("The keys that sign checkpoints; else the policy beside the store's tiles."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@command()
@with_settings
@_sources
@click.option("--dry-run", is_flag=True, help="Tell what would be taken from where, and change nothing.")
@click.option("--reason", metavar="TEXT", help="Why, for the record; else EVLOG_REASON.")
def repair(
    settings: Settings,
    places: tuple[Path, ...],
    anchor: Path | None,
    policy: Path | None,
    dry_run: bool,
    reason: str | None,
) -> None:
    """Make a damaged log whole: what is damaged or gone is taken from copies, frame by frame.

    A frame of a copy is taken only if something that the copy has no part in says that it is the one that was lost: a published tile, a
    checkpoint, the seal of a segment, the frame that follows it. What was there stays in log/quarantine. Exit 3 where records are
    missing that no copy has; nothing is changed then.

    Examples:
    evlog repair --from copy --dry-run     what would be taken
    evlog repair --from copy --from my-store --reason "disk 3 replaced"
    evlog repair                           what needs no copy: identity, HEAD, headers, seals
    evlog repair --from copy --checkpoint last.txt --policy my.policy

    """
    store = _damaged(settings, places, anchor, policy)
    with progress_of(settings, "looking at the log") as progress:
        means = store.means._replace(progress=progress)
        if dry_run:
            mended = repairs.foreseen(store.folder, repairs.look(store.folder, means))
        else:
            done = repairs.repair(store.folder, means, Author(reason=reason))
            mended = done.mended if done is not None else []
    rows = [row for one in mended for row in _rows(one)]
    show_rows(settings, rows, _COLUMNS)
    if not rows:
        talk(settings, "the log is whole: there is nothing to repair; `evlog replay` makes a damaged view anew")
    elif dry_run:
        talk(settings, "nothing was changed: the same without --dry-run does it")
    else:
        _make_views(settings, store.place)
        talk(settings, f"repaired, and on record; next: {command_of(store.place)} verify")


def _rows(mended: Mended) -> list[Row]:
    """Return what was done to a file: a row for each stretch of records that was taken, at least one."""
    row: Row = {"file": mended.file, "reason": mended.reason}
    rest: Row = {"quarantine": mended.quarantine or None}
    taken = [{"start": t.start, "stop": t.stop, "source": t.source, "committed": t.committed} for t in mended.taken]
    return [row | one | rest for one in taken or [dict.fromkeys(("start", "stop", "source", "committed"))]]


@command(name="accept-loss")
@with_settings
@click.option("--offset", metavar="N", type=Number(min=0), help="How many records are left: where the log will end.")
@click.option("--reason", metavar="TEXT", help="Why; else EVLOG_REASON. It must be given.")
@_sources
def accept_loss(
    settings: Settings,
    offset: int | None,
    reason: str | None,
    places: tuple[Path, ...],
    anchor: Path | None,
    policy: Path | None,
) -> None:
    """Let a log go on without records that are lost for good: cut it where they begin, and put that on record.

    Only the end of a log can be given up: the tree knows no gaps, so whole records behind the first lost one go too, into log/quarantine.
    The offset must be typed in; without it the command tells what is lost. Views and checkpoints that say more are moved to STORE/lost.
    Checkpoints kept elsewhere stay what they are, and every comparison with one tells of the loss; so does every `evlog verify`.

    Examples:
    evlog accept-loss                                   what is lost, and from which record on
    evlog accept-loss --offset 31907 --reason "no copy of segment 12, ticket 81"
    evlog accept-loss --offset 31907 --reason "ticket 81" --from copy

    """
    store = _damaged(settings, places, anchor, policy)
    if offset is None:
        raise _loss_of(store)
    author = Author(reason=reason)
    if author.reason is None:
        raise Refusal("why is the loss accepted?", f"evlog accept-loss --offset {offset} --reason TEXT", USAGE)
    with progress_of(settings, "looking at the log") as progress:
        repairs.accept_loss(store.folder, store.means._replace(progress=progress), offset)
    aside = set_aside(store.place, store.ident, offset)
    note_copy(settings, store.place, "", store.place / LOST_FOLDER / str(offset))  # It may hold what is erased later.
    loss = next(one for one in repairs.finish(store.folder, author) if isinstance(one, LossAccepted))
    _make_views(settings, store.place)
    row = {
        "records": loss.end,
        "root": loss.root.hex(),
        "lost": loss.known - loss.end,
        "why": loss.why,
        "broken_checkpoint": loss.promised or None,
        "quarantine": loss.quarantine,
        "set_aside": [str(path) for path in aside],
    }
    show_one(settings, row)
    if loss.promised:
        talk(
            settings,
            "checkpoints over more records than are left are broken from now on, wherever there are copies of them",
        )


def _loss_of(store: _Damaged) -> Refusal:
    """Return what is told of a loss that nobody accepted yet."""
    command_line = command_of(store.place)
    begun = repairs.read_intent(store.folder)
    loss = begun.loss if begun is not None else None
    try:
        repairs.look(store.folder, store.means)
    except LackingError as error:
        if loss is None or error.offset < loss.end:
            what = (
                f"the log can be made whole up to offset {error.offset}; {error.known} records were acknowledged, so at least"
                f" {error.known - error.offset} are lost: {error.file}: {error.reason}"
            )
            return Refusal(what, f"{command_line} accept-loss --offset {error.offset} --reason TEXT", DAMAGE)
    if loss is not None:
        what = "accepting a loss was interrupted"
        return Refusal(what, f"{command_line} accept-loss --offset {loss.end} --reason TEXT", DAMAGE)
    return Refusal("no record is lost: there is no loss to accept", f"{command_line} verify")


def _damaged(settings: Settings, places: Sequence[Path], anchor: Path | None, policy: Path | None) -> _Damaged:
    """Return the store that is asked for, and what there is to mend it with. Raises Refusal, EvidenceError."""
    place = find_store(settings)
    folder, tlog = RealFolder(place / LOG_FOLDER), place / TLOG_FOLDER
    copies = [repairs.Copy(str(path), RealFolder(_log_in(path, place))) for path in places]
    keys = read_policy(policy).logs if policy is not None else _keys_of(settings, place)
    own = believed(review.promises_of(tlog)[0], keys)
    means = Means(copies, Published(FolderShelf(tlog), []), origin=own[-1].origin if own else None)
    ident = repairs.identify(folder, means)
    promised = [one for one in own if one.origin == ident.origin]
    promised += _anchored(settings, place, keys, ident)
    if anchor is not None:
        promised.append(_given(settings, anchor, policy, keys, ident))
    seen = peek(place / VIEWS_FOLDER)
    acknowledged = seen[1] if seen is not None and seen[0] == ident.log_id else 0
    means = means._replace(committed=Published(FolderShelf(tlog), promised), acknowledged=acknowledged)
    return _Damaged(place, folder, ident, means)


def _keys_of(settings: Settings, place: Path) -> list[VerifierKey]:
    try:
        return review.keys_of(place / TLOG_FOLDER)
    except EvidenceError as error:
        talk(settings, f"{error}: the store's own checkpoints are not believed; name the keys with --policy")
        return []


def _anchored(settings: Settings, place: Path, keys: Sequence[VerifierKey], ident: Identity) -> list[Checkpoint]:
    """Return the newest copy at each anchor, where a key that is known signed it: who may write there need not be believed."""
    promises, unread = anchors.newest_of(place, ident)
    found = believed(promises, keys)
    for reason in unread:
        talk(settings, reason)
    for one in promises:
        if one.signed.checkpoint not in found:
            talk(
                settings, f"{one.file}: no key that is known signed it: it is not believed; name the key with --policy"
            )
    return found


def _given(
    settings: Settings, path: Path, policy: Path | None, keys: Sequence[VerifierKey], ident: Identity
) -> Checkpoint:
    """Return the checkpoint that a person gave. Raises EvidenceError where it is another log's, or a signature is wrong."""
    signed = anchors.read(path, ident).signed
    if policy is not None:
        read_policy(policy).check(signed)
    elif not signed.note.signers(keys):
        talk(settings, f"who signed {path} was not checked: name the key with --policy")
    return signed.checkpoint


def _log_in(path: Path, place: Path) -> Path:
    """Return the folder of segments in a copy. Raises Refusal where there is none."""
    found = next((one for one in (path / LOG_FOLDER, path) if segment.bases(RealFolder(one))), None)
    if found is None:
        raise Refusal(f"{path}: there is no segment of a log here", f"{command_of(place)} repair --from COPY")
    if found.resolve() == (place / LOG_FOLDER).resolve():
        raise Refusal(f"{path}: this is the store itself", f"{command_of(place)} repair --from COPY")
    return found


def _make_views(settings: Settings, place: Path) -> None:
    """Bring the view up to what the log is now, so that whoever reads finds one."""
    with progress_of(settings, "making a view") as progress:
        Engine(open_folder(place, progress=progress)).close()
