"""`mcp`."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from mlmd import __version__
from mlmd.cli.command import command, with_settings
from mlmd.cli.reading import find_store
from mlmd.cli.refusal import Refusal, refusal_of
from mlmd.errors import StatusError
from projections.errors import MissingLibraryError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server import MCPServer

    from mlmd.cli.questions import Questions
    from mlmd.cli.settings import Settings

_ABOUT: Final = (
    "A store of ML metadata: runs, artifacts, contexts, and what each was made from, in a log that is never rewritten. All tools read."
    " Every answer has `cite` (log, offset, root): quote it, and ask again with at=#offset to get the same. Where `complete` is false,"
    " `rest` says how to get what is left out: do not conclude from what is missing."
)
_NAMES: Final = ("status", "runs", "show", "lineage", "diff", "history", "sql", "prove")


@command(looks_back=True, formats=("table",))
@with_settings
def mcp(settings: Settings) -> None:
    """Serve read-only tools to agents, by the Model Context Protocol over standard input and output.

    The tools are status, runs, show, lineage, diff, history, sql and prove. Every answer cites the log, its offset and root, and says
    whether it is complete. With --at they look at the store as it was, and no later.

    Examples:
    evlog -s my-store mcp                       what an agent's configuration starts
    evlog --at 2026-03-01 -s my-store mcp       the store as it was then

    """
    try:
        from mcp.server import MCPServer  # noqa: PLC0415 - slow to import, and an extra
        from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415
    except ImportError:
        raise MissingLibraryError("mcp", extra="mcp") from None
    from mlmd.cli.questions import Questions  # noqa: PLC0415 - `evlog mcp --help` asks nothing

    place = find_store(settings)
    questions = Questions(place, settings.at)
    questions.status()  # A store that cannot be read is told now, and not to every question.
    server = MCPServer(f"evlog {place.name}", instructions=_ABOUT, version=__version__, log_level="WARNING")
    _add_tools(server, questions, ToolError)
    server.run("stdio")


def _add_tools(server: MCPServer, questions: Questions, tool_error: type[Exception]) -> None:
    from mcp.types import ToolAnnotations  # noqa: PLC0415 - as above

    reading = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    for name in _NAMES:
        tool = _told(getattr(questions, name), tool_error)
        server.add_tool(tool, name=name, annotations=reading, structured_output=True)


def _told(ask: Callable[..., dict[str, Any]], tool_error: type[Exception]) -> Callable[..., dict[str, Any]]:
    """Return a question that tells an agent what went wrong, as a person is told, and what to do."""

    @wraps(ask)
    def tool(**given: Any) -> dict[str, Any]:
        try:
            return ask(**given)
        except click.ClickException as error:
            raise tool_error(error.format_message()) from error
        except StatusError as error:  # It says itself what to do.
            raise tool_error(error.message) from error
        except Exception as error:
            refusal = error if isinstance(error, Refusal) else refusal_of(error, "evlog")
            if refusal is None:
                raise
            raise tool_error(f"{refusal.what}; try: {refusal.hint}" if refusal.hint else refusal.what) from error

    return tool
