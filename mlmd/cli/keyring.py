"""`keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evlog.tlog import keys as signing
from evlog.tlog.agent import key_named
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import identity_of, key_of, key_option
from mlmd.cli.output import show_one, talk
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


@command()
@with_settings
@click.argument("action", metavar="new|show|policy", type=click.Choice(["new", "show", "policy"]))
@key_option
@click.option(
    "--agent", metavar="COMMENT", help="For `new`: the Ed25519 key that the ssh-agent holds under this comment."
)
def keys(settings: Settings, action: str, path: Path | None, agent: str | None) -> None:
    """Make the key that signs checkpoints of a store, or tell its public half. The key stays outside the store.

    Whoever writes to a store and has its key signs checkpoints as it goes. Keep a copy of the key apart from the store, and give
    the policy, once, to those who will check proofs.

    Examples:
    evlog keys new                     a key for the store here
    evlog keys new -k my.key           the same, in a file of your choice: name it in EVLOG_KEY
    evlog keys new --agent evlog       the key stays in the ssh-agent, which signs: ssh-add -L lists them
    evlog keys show                    where the key is, and its public half
    evlog keys policy > my.policy      what `evlog check --policy` needs

    """
    place = find_store(settings)
    log_id, origin = identity_of(place)
    file = path or signing.place_of(log_id)
    if agent is not None and action != "new":
        raise click.UsageError("--agent is for `keys new`")
    if action == "new":
        key: signing.Key = signing.new(origin) if agent is None else key_named(origin, agent)
        signing.write(key, file)
        talk(settings, f"keep a copy of {file} apart from the store; next: evlog -s {place} checkpoint")
    else:
        found = key_of(place, path)
        if found is None:
            raise Refusal(f"{file}: there is no signing key for this store", f"evlog -s {place} keys new")
        key = found.signing
    if action == "policy":
        click.echo(f"log {key.verifier.vkey}\nquorum none")
    else:
        show_one(settings, {"key": str(file), "origin": origin, "public": key.verifier.vkey})
