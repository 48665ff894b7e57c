"""A store being shown: the ASGI application, made of the table of pages."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from contextlib import aclosing, closing
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from mlmd import errors
from mlmd.changes import UNCHANGED
from mlmd.exchange.citation import Citations, cite
from mlmd.serving.tokens import hidden
from mlmd.web import bundle, headers, plotting, tlog, words
from mlmd.web.calendar import Calendar
from mlmd.web.desk import Desk
from mlmd.web.guard import Guard, OpenGuard
from mlmd.web.live import Live
from mlmd.web.notable import Notable
from mlmd.web.openapi import description
from mlmd.web.ops import health_of
from mlmd.web.page import FORMS, rendered
from mlmd.web.pages import ACTIONS, PAGES
from mlmd.web.slow import Slowest
from mlmd.web.verified import UNCHECKED
from mlmd.web.view import COMMON, View
from projections.errors import MissingLibraryError

try:
    import jinja2
    from starlette.applications import Starlette
    from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
    from starlette.convertors import Convertor, register_url_convertor
    from starlette.middleware import Middleware
    from starlette.middleware.gzip import GZipMiddleware
    from starlette.requests import ClientDisconnect
    from starlette.responses import RedirectResponse, Response, StreamingResponse
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles
except ImportError:
    raise MissingLibraryError("starlette and jinja2", extra="ui") from None

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from starlette.requests import Request

    from evlog.author import Caller
    from mlmd.engine import Engine
    from mlmd.exchange.citation import Citation
    from mlmd.web.page import Page, Stream
    from mlmd.web.pages import Action, Entry
    from mlmd.web.verified import Verified
    from mlmd.web.view import Param

_LOG: Final = logging.getLogger(__name__)
_HERE: Final = Path(__file__).parent
_CITED_MAX: Final = 1_000
_FORM_BYTES_MAX: Final = 1 << 20
_FAULT: Final = 500
_STATUS: Final = {
    errors.INVALID_ARGUMENT: 400,
    errors.OUT_OF_RANGE: 400,
    errors.UNAUTHENTICATED: 401,
    errors.PERMISSION_DENIED: 403,
    errors.NOT_FOUND: 404,
    errors.ALREADY_EXISTS: 409,
    errors.ABORTED: 409,
    errors.FAILED_PRECONDITION: 409,
    errors.RESOURCE_EXHAUSTED: 429,
    errors.UNIMPLEMENTED: 501,
    errors.UNAVAILABLE: 503,
    errors.DEADLINE_EXCEEDED: 504,
}


class Site:
    """A store and all that is common to its pages. The engine is the caller's.

    name: what people call the store. place: its folder, None for one in memory. watch: tells how far the evidence was checked.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        *,
        place: Path | None = None,
        guard: Guard | None = None,
        watch: Callable[[], Verified] = lambda: UNCHECKED,
    ) -> None:
        self.engine, self.name, self.place, self.watch = engine, name, place, watch
        self.guard = guard or OpenGuard()
        self.notable = Notable(engine.log)
        self.slowest = Slowest()
        self._cited: OrderedDict[int, Citation] = OrderedDict()
        self._citations: Citations | None = None
        self._lock = Lock()  # Held for the two above.
        self.live = Live(engine)
        self.calendar = Calendar(engine.log)
        self.desk = Desk(engine)
        self.templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            finalize=words.harmless,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        self.templates.filters.update(words.FILTERS | plotting.FILTERS)
        self.templates.globals.update(
            navigation=[entry for entry in PAGES if entry.navigation],
            asset=_asset,
            forms_of=FORMS,
            health_of=health_of,
            unchanged=UNCHANGED,
        )

    def citation(self, offset: int) -> Citation:
        """Return the citation of the first `offset` records."""
        with self._lock:
            if offset not in self._cited:
                self._cited[offset] = self._citation(offset)
                if len(self._cited) > _CITED_MAX:
                    self._cited.popitem(last=False)
            return self._cited[offset]

    def _citation(self, offset: int) -> Citation:
        """Return a citation that was not asked for before: cheap for what was just put, a walk along one segment for what is older."""
        if self._citations is None:
            self._citations = Citations(self.engine.log, offset)
        return self._citations.cite(offset) if offset >= self._citations.tip.end else cite(self.engine.log, offset)

    def close(self) -> None:
        """End the streams that last as long as the site, and what waits for questions. To be called before its server stops, which waits for them."""
        self.live.close()
        self.desk.close()

    # Answers --------------------------------------------------------------------------------------------------------

    def shown(self, view: View, page: Page) -> Response:
        """Return a page as HTML."""
        text = self.templates.get_template(page.template).render(page.facts, page=page, view=view, site=self)
        return Response(text, page.status, media_type="text/html")

    def refused(self, request: Request, form: str, error: Exception) -> Response:
        """Return the answer to a request that failed: a page, or JSON for who asked for data. Never a traceback."""
        status_error = error if isinstance(error, errors.StatusError) else errors.status_error(error)
        status = _STATUS.get(status_error.error_code, _FAULT)
        if status == _FAULT:
            _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        next_step = words.NEXT.get(status, "")
        if form or "text/html" not in request.headers.get("accept", "text/html"):
            told = {"code": status, "message": str(status_error), "next": next_step}
            return headers.json_response(told, status)
        template = self.templates.get_template("refused.html")
        text = template.render(
            status=status, message=str(status_error), next_step=next_step, site=self, path=request.url.path
        )
        return Response(text, status, media_type="text/html")


class _Form(Convertor[str]):
    """The end of a path that asks for another form than HTML."""

    regex = rf"\.({'|'.join(FORMS)})"

    def convert(self, value: str) -> str:
        return value.removeprefix(".")

    def to_string(self, value: str) -> str:
        return f".{value}"


register_url_convertor("form", _Form())


def application(site: Site) -> Starlette:
    """Return the pages of a store as an ASGI application."""
    routes: list[Any] = [*tlog.routes(site), *bundle.routes(site)]
    acting = {action.path: _acting(site, action) for action in ACTIONS}
    for entry in PAGES:
        answer, act = _answering(site, entry), acting.pop(entry.path, None)
        path = "/index" if entry.path == "/" else entry.path
        routes.append(Route(f"{path}{{form:form}}", answer))
        routes.append(
            Route(entry.path, answer)
            if act is None
            else Route(entry.path, _either(answer, act), methods=["GET", "POST"])
        )
    routes += [Route(path, act, methods=["POST"]) for path, act in acting.items()]
    routes.append(Route("/live", _listening(site)))
    routes += [Route("/healthz", _healthy(site)), Route("/openapi.json", _described(site))]
    routes += site.guard.routes(site)
    routes.append(Mount("/static", StaticFiles(directory=_HERE / "static")))
    made = Starlette(
        routes=routes,
        middleware=[
            Middleware(headers.Headers, hosts=site.guard.hosts),
            *site.guard.middleware(),
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=6),
        ],
        exception_handlers={404: lambda request, _: site.refused(request, "", _nothing(request))},
    )
    made.state.site = site
    return made


def _nothing(request: Request) -> errors.StatusError:
    return errors.NotFoundError(f"{request.url.path}: there is no such page")


def _either(answer: Any, act: Any) -> Any:
    """Return what answers for a page and takes its form, as one: so that it says which methods there are."""

    async def endpoint(request: Request) -> Response:
        response: Response = await (act if request.method == "POST" else answer)(request)
        return response

    return endpoint


def _answering(site: Site, entry: Entry) -> Any:
    """Return what answers requests for a page."""

    def answer(request: Request, form: str, who: Caller) -> Response:
        asked = read_asked(entry.params, request.query_params.multi_items())
        named = {name: value for name, value in request.path_params.items() if name != "form"}
        path = entry.filled(named)
        with closing(View(site, path, named, entry.params, asked, who, form)) as view:
            return answered(view, entry.page(view), form, path)

    def answered(view: View, page: Page, form: str, path: str) -> Response:
        if page.to:
            return RedirectResponse(view.link(f"{page.to}.{form}" if form else page.to), 303)
        if not form:
            return site.shown(view, page)
        name = (path.strip("/").replace("/", "-") or "home") + f".{form}"
        disposition = (
            {"content-disposition": f'attachment; filename="{_ascii(name)}"'} if form in ("csv", "parquet") else {}
        )
        if form in page.streams:
            return StreamingResponse(_pieces(page.streams[form]()), page.status, disposition, FORMS[form])
        return Response(rendered(page, form, view), page.status, disposition, FORMS[form])

    async def endpoint(request: Request) -> Response:
        form = request.path_params.get("form", "")
        try:
            who = await site.guard.who(request, entry.role)
            return await run_in_threadpool(answer, request, form, who)
        except Exception as error:  # noqa: BLE001 - every failure is an answer
            return site.guard.asked_to_log_in(request, form, error) or site.refused(request, form, error)

    return _timed(site, endpoint)


def _timed(site: Site, endpoint: Any) -> Any:
    """Return an endpoint that notes how long each answer took."""

    async def timed(request: Request) -> Response:
        started = time.perf_counter()
        response: Response = await endpoint(request)
        query = f"?{request.url.query}" if request.url.query else ""
        took_s = time.perf_counter() - started
        site.slowest.note(hidden(f"{request.method} {request.url.path}{query}"), response.status_code, took_s)
        return response

    return timed


def _healthy(site: Site) -> Any:
    """Return what tells a load balancer whether the store answers: 200 or 503, and no more. Nobody has to log in for it."""

    def ask() -> None:
        site.engine.review(lambda _log, _view, end: end)

    async def endpoint(request: Request) -> Response:
        try:
            await run_in_threadpool(ask)
        except Exception:  # noqa: BLE001 - whatever it is, the answer is no
            _LOG.exception("%s: the store does not answer", request.url.path)
            return Response("the store does not answer\n", 503, media_type="text/plain")
        return Response("ok\n", 200, media_type="text/plain")

    return endpoint


def _described(site: Site) -> Any:
    """Return what describes all pages and forms, for programs."""

    async def endpoint(request: Request) -> Response:
        try:
            await site.guard.who(request, "reader")
        except Exception as error:  # noqa: BLE001 - as everywhere
            return site.refused(request, "json", error)
        return headers.json_response(description(PAGES, ACTIONS))

    return endpoint


async def _pieces(stream: Stream) -> AsyncIterator[bytes]:
    """Yield what is sent; whoever goes away, or is told to, lets go of what makes it."""
    try:
        async for piece in iterate_in_threadpool(stream.pieces):
            yield piece
    finally:
        stream.close()


def _acting(site: Site, action: Action) -> Any:
    """Return what answers a form: it acts, then sends the browser on."""

    def act(fields: Sequence[tuple[str, str]], who: Caller) -> str:
        with closing(View(site, action.path, {}, action.params, read_asked(action.params, fields), who)) as view:
            return action.act(view)

    async def endpoint(request: Request) -> Response:
        form = "" if "text/html" in request.headers.get("accept", "") else "json"
        try:
            who = await site.guard.who(request, action.role)
            fields = await read_form(request)
            site.guard.check_form(request, fields)
            to = await run_in_threadpool(act, [one for one in fields if one[0] != "csrf"], who)
        except Exception as error:  # noqa: BLE001 - as above
            return site.guard.asked_to_log_in(request, form, error) or site.refused(request, form, error)
        return RedirectResponse(to, 303)

    return _timed(site, endpoint)


def _listening(site: Site) -> Any:
    """Return what answers those who want to know when the log grows."""

    async def endpoint(request: Request) -> Response:
        async def may() -> Caller:
            return await site.guard.who(request, "reader")

        try:
            await may()
            stream = site.live.events(may)
            first = await anext(stream)  # Which refuses one listener too many.
        except Exception as error:  # noqa: BLE001 - every failure is an answer
            return site.refused(request, "json", error)

        async def parts() -> AsyncIterator[bytes]:
            async with aclosing(stream):
                yield first
                async for part in stream:
                    yield part

        return StreamingResponse(parts(), media_type="text/event-stream")

    return endpoint


async def read_form(request: Request) -> list[tuple[str, str]]:
    """Return the fields of a form that was sent. Raises InvalidArgumentError."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise errors.InvalidArgumentError("a form is application/x-www-form-urlencoded")
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > _FORM_BYTES_MAX:
                raise errors.InvalidArgumentError(f"the form is larger than {_FORM_BYTES_MAX:,} bytes")
    except ClientDisconnect:  # Nobody hears it.
        raise errors.InvalidArgumentError("the form was cut off") from None
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=1_000, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise errors.InvalidArgumentError("the form cannot be read") from None


def read_asked(params: Sequence[Param], given: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return every parameter with its value. Raises InvalidArgumentError for a value that is wrong, and for a name that is none."""
    params = (*params, *COMMON)
    known = {param.name for param in params}
    if strange := next((name for name, _ in given if name not in known), None):
        raise errors.InvalidArgumentError(f"{strange!r} is nothing to ask here: {', '.join(sorted(known))}")
    return {param.name: param.read([value for name, value in given if name == param.name]) for param in params}


def _ascii(name: str) -> str:
    return "".join(char if char.isascii() and (char.isalnum() or char in "-._") else "_" for char in name)


def _asset(name: str) -> str:
    """Return the address of a file in `static/`; it changes with the file, so that a browser may keep it."""
    try:
        stamp = (_HERE / "static" / name).stat().st_mtime_ns
    except OSError:
        stamp = 0
    return f"/static/{name}?{stamp:x}"
