"""What the commands of evidence share: options for keys and policies, and the copies of checkpoints that they are given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from evlog.tlog import anchors
from mlmd.cli.refusal import Refusal
from mlmd.places import command_of
from mlmd.publishing import identity_of
from mlmd.trust import read_actors

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

    from evlog.tlog.note import VerifierKey
    from evlog.tlog.review import Promise

key_option: Final = click.option(
    "-k",
    "--key",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The signing key; else EVLOG_KEY, else one in ~/.config/evlog/keys.",
)


def policy_option(about: str) -> Callable[[FC], FC]:
    """Return the option that names a policy file."""
    path = click.Path(path_type=Path, exists=True, dir_okay=False)
    return click.option("--policy", metavar="POLICY", type=path, help=about)


def _read_actors(_: click.Context, __: click.Parameter, path: Path | None) -> list[VerifierKey]:
    return read_actors(path) if path is not None else []


actors_option: Final = click.option(
    "--actors",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    callback=_read_actors,
    help="The keys of actors, one a line as `evlog keys show --actor NAME` tells it: who signs must be one of them.",
)


def copies_in(path: Path, place: Path) -> list[Promise]:
    """Return the checkpoints in a file or a folder of copies, all of the log of a store, the smallest first. Raises Refusal."""
    ident = identity_of(place)
    copies = [anchors.read(one, ident) for one in anchors.copies_at(path, ident)]
    if not copies:
        raise Refusal(
            f"{path}: there is no checkpoint of {ident.origin} here", f"{command_of(place)} checkpoint --copy-to {path}"
        )
    return copies
