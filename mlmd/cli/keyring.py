"""`keys`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from evlog.tlog import keys as signing
from evlog.tlog.agent import key_named
from evlog.tlog.note import is_name
from mlmd.cli.command import command, with_settings
from mlmd.cli.evidence import key_option
from mlmd.cli.output import show_one, talk
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal
from mlmd.places import command_of
from mlmd.publishing import identity_of, key_of

if TYPE_CHECKING:
    from pathlib import Path

    from mlmd.cli.settings import Settings


@command()
@with_settings
@click.argument("action", metavar="new|show|policy", type=click.Choice(["new", "show", "policy"]))
@key_option
@click.option(
    "--actor",
    metavar="NAME",
    help="The key of an actor, who signs records with it; needs no store. `policy` is for keys of logs.",
)
@click.option(
    "--agent", metavar="COMMENT", help="For `new`: the Ed25519 key that the ssh-agent holds under this comment."
)
def keys(settings: Settings, action: str, path: Path | None, actor: str | None, agent: str | None) -> None:
    """Make the key that signs checkpoints of a store, or an actor's, or tell its public half. Keys stay outside the store.

    Whoever writes to a store and has its key signs checkpoints as it goes. Keep a copy of the key apart from the store, and give
    the policy, once, to those who will check proofs. An actor who is named by EVLOG_ACTOR_KEY, the file of a key, signs each record that
    is put; give the public half to those who will check: a file of such lines is what --actors takes.

    Examples:
    evlog keys new                     a key for the store here
    evlog keys new -k my.key           the same, in a file of your choice: name it in EVLOG_KEY
    evlog keys new --agent evlog       the key stays in the ssh-agent, which signs: ssh-add -L lists them
    evlog keys show                    where the key is, and its public half
    evlog keys policy > my.policy      what `evlog check --policy` needs
    evlog keys new --actor ana         a key of ana: then EVLOG_ACTOR_KEY=FILE, or store.acting(key=FILE)

    """
    if agent is not None and action != "new":
        raise click.UsageError("--agent is for `keys new`")
    if actor is not None:
        _key_of_actor(settings, action, path, actor, agent)
        return
    place = find_store(settings)
    log_id, origin = identity_of(place)
    file = path or signing.place_of(log_id)
    if action == "new":
        key = _new(origin, file, agent)
        talk(settings, f"keep a copy of {file} apart from the store; next: {command_of(place)} checkpoint")
    else:
        found = key_of(place, path)
        if found is None:
            raise Refusal(f"{file}: there is no signing key for this store", f"{command_of(place)} keys new")
        key = found.signing
    if action == "policy":
        click.echo(f"log {key.verifier.vkey}\nquorum none")
    else:
        show_one(settings, {"key": str(file), "origin": origin, "public": key.verifier.vkey})


def _new(name: str, file: Path, agent: str | None) -> signing.Key:
    key: signing.Key = signing.new(name) if agent is None else key_named(name, agent)
    signing.write(key, file)
    return key


def _key_of_actor(settings: Settings, action: str, path: Path | None, actor: str, agent: str | None) -> None:
    if action == "policy":
        raise click.UsageError("a policy names the key of a log; of an actor, `keys show --actor NAME` tells the key")
    if not is_name(actor):
        raise click.UsageError(f"{actor!r}: the name of a key has no space and no plus in it")
    file = path or signing.place_of_actor(actor)
    if action == "new":
        key = _new(actor, file, agent)
        talk(settings, f"next: EVLOG_ACTOR_KEY={file}, and {actor} signs every record that is put")
    elif not file.exists():
        raise Refusal(f"{file}: there is no key of {actor}", f"evlog keys new --actor {actor}")
    else:
        key = signing.read(file, actor)
    show_one(settings, {"key": str(file), "actor": actor, "public": key.verifier.vkey})
