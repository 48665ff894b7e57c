"""The grammar of the command as data: what `completing` needs of a command without importing it, and the document is made of.

`grammar.json` is made from the commands by `make command`, and a test checks that it is theirs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd.cli.command import Command
from mlmd.cli.settings import offer

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).with_name("grammar.json")


def described(command: Command) -> dict[str, Any]:
    """Return a command as data: its own parameters, formats, and whether it looks back."""
    return {
        "looks_back": command.looks_back,
        "lists": command.lists,
        "formats": list(command.formats),
        "params": [_described(param) for param in command.own_params],
    }


def _described(param: click.Parameter) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": param.param_type_name, "words": [*param.opts, *param.secondary_opts]}
    if param.metavar:
        told["metavar"] = param.metavar
    if param.nargs != 1:
        told["nargs"] = param.nargs
    if isinstance(param, click.Option):
        told |= {key: True for key, holds in (("flag", param.is_flag), ("hidden", param.hidden)) if holds}
        if param.help:
            told["help"] = param.help
    if isinstance(param.type, click.Choice):
        told["choices"] = [str(choice) for choice in param.type.choices]
    if isinstance(param.type, click.Path):
        told["path"] = "file" if param.type.file_okay else "dir"
    return told


def sketch(name: str) -> Command | None:
    """Return a command with the parameters that it has, and nothing behind them; None where the grammar does not know it."""
    try:
        told: Mapping[str, Any] | None = json.loads(FILE.read_text(encoding="utf-8")).get(name)
    except (OSError, ValueError):
        return None
    if told is None:
        return None
    return Command(
        name,
        looks_back=told["looks_back"],
        lists=told["lists"],
        formats=told["formats"],
        params=[_param(one) for one in told["params"]],
        text="",
        callback=None,
    )


def _param(told: Mapping[str, Any]) -> click.Parameter:
    form: click.ParamType | None = None  # type: ignore[type-arg] # As in `settings`.
    if "choices" in told:
        form = click.Choice(told["choices"])
    elif "path" in told:
        form = click.Path(file_okay=told["path"] == "file")
    metavar, nargs = told.get("metavar"), told.get("nargs", 1)
    offered = offer if form is None else None
    if told["kind"] == "argument":
        return click.Argument(
            told["words"], type=form, metavar=metavar, nargs=nargs, required=False, shell_complete=offered
        )
    flag = told.get("flag", False)
    return click.Option(
        told["words"],
        type=None if flag else form,
        metavar=metavar,
        nargs=nargs,
        is_flag=flag,
        multiple=not flag,  # Whether it may be repeated or not, a shell may ask after the second one.
        hidden=told.get("hidden", False),
        help=told.get("help"),
        shell_complete=offered,
    )
