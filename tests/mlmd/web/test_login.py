"""Who may see and do what on the pages: every page and form by every role, sessions, forged forms, and what is on record."""

from __future__ import annotations

import http.client
import re
import ssl
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from authority import Authority
from commands import run
from serving import Process
from shown import Client

from mlmd.engine import Engine
from mlmd.opening import open_folder, open_memory
from mlmd.serving import access, tokens
from mlmd.serving.admission import gate_of
from mlmd.web import site as site_module
from mlmd.web.login import TokenGuard
from mlmd.web.pages import PAGES, Action
from mlmd.web.site import Site, application
from mlmd.web.view import Param

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.testclient import TestClient

    from mlmd.serving.tokens import Role
    from mlmd.web.view import View

BROWSER = {"accept": "text/html"}
DONE: list[tuple[str, str, str]] = []


def do(view: View) -> str:
    DONE.append((view.who.actor, view.who.auth, view["said"]))
    return "/done"


ACTIONS = tuple(
    Action(f"/do-{role}", do, "Does nothing.", (Param("said", "anything"),), role=role) for role in tokens.ROLES
)


@pytest.fixture
def shop(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A site with a form for each role."""
    DONE.clear()
    monkeypatch.setattr(site_module, "ACTIONS", ACTIONS)
    return Site(engine, "store", guard=TokenGuard(gate_of(engine), "127.0.0.1", engine.log.id))


def asking(site: Site, secret: str | None = None, base: str = "http://127.0.0.1") -> TestClient:
    """Return one who asks, a browser, or with a secret a program that sends it along."""
    headers = dict(BROWSER) if secret is None else {"authorization": f"Bearer {secret}"}
    return Client(application(site), base, raise_server_exceptions=False, follow_redirects=False, headers=headers)


def logged_in(site: Site, secret: str, **more: Any) -> TestClient:
    browser = asking(site, **more)
    answer = browser.post("/login", data={"token": secret, "next": "/"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return browser


def csrf_in(browser: TestClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/").text)
    assert found is not None
    return found[1]


def secret_of(engine: Engine, name: str = "ana", role: Role = "reader", **more: Any) -> str:
    return tokens.add(engine, name, role, **more).secret


def uses(engine: Engine, site: Site) -> list[tuple[str | None, str, str]]:
    gate = site.guard._gate
    gate.close()
    folder = gate._tokens.store
    return [(use.actor, use.what, use.result) for use in reversed(access.last_uses(folder, 1_000).uses)]


# Every page and form by every role -----------------------------------------------------------------------------------


def paths() -> list[tuple[str, str]]:
    return [(re.sub(r"\{\w+\}", "1", entry.path), entry.role) for entry in PAGES]


def test_every_page_is_for_those_whose_role_reaches_it_and_for_nobody_else(shop: Site, engine: Engine) -> None:
    secrets = {role: secret_of(engine, role, role) for role in tokens.ROLES}
    stranger = asking(shop)
    for path, needed in paths():
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["location"].partition("=")[0]) == (303, "/login?next"), path
        data = "/index.json" if path == "/" else f"{path}.json"
        refused = stranger.get(data)
        assert (refused.status_code, refused.json()["code"]) == (401, 401)
        assert refused.headers["www-authenticate"] == "Bearer"
        assert asking(shop, "evlog_wrong").get(data).status_code == 401
        for role, secret in secrets.items():
            status = asking(shop, secret).get(data).status_code
            assert (status == 403) == (needed not in tokens.REACHES[role]), (path, role, status)
            assert status != 401


def test_every_address_of_the_site_asks_who_calls_also_those_that_are_no_page(shop: Site, engine: Engine) -> None:
    secret_of(engine)
    stranger = asking(shop)
    asked = 0
    for route in application(shop).routes:
        path = re.sub(r"\{\w+(:path)?\}", "1", route.path.replace("{form:form}", ".json"))
        for method in getattr(route, "methods", None) or ():
            if path not in ("/login", "/logout", "/healthz"):
                answer = stranger.request(method, path, data={"a": "b"} if method == "POST" else None)
                assert answer.status_code in (303, 401), (method, path)
                assert not answer.headers.get("location", "/login").removeprefix("/login").startswith("/"), path
                asked += 1
    assert asked > 2 * len(PAGES)


def test_what_a_form_puts_is_put_by_the_holder_of_the_token(engine: Engine) -> None:
    site = Site(engine, "store", guard=TokenGuard(gate_of(engine), "127.0.0.1", engine.log.id))
    browser = logged_in(site, secret_of(engine, "ana", "writer"))
    form = {"name": "release-4", "csrf": csrf_in(browser)}
    assert browser.post("/mark", data=form).status_code == 303
    envelope = next(engine.log.read(engine.log.end - 1)).record.envelope
    assert (envelope.api, envelope.actor, envelope.auth) == ("PutContexts", "ana", "token")


def test_every_form_is_for_those_whose_role_reaches_it(shop: Site, engine: Engine) -> None:
    for role in tokens.ROLES:
        secret = secret_of(engine, role, role)
        browser = logged_in(shop, secret)
        csrf = csrf_in(browser)
        for needed in tokens.ROLES:
            lets_in = needed in tokens.REACHES[role]
            said = {"said": f"{role}-{needed}"}
            assert browser.post(f"/do-{needed}", data={**said, "csrf": csrf}).status_code == (303 if lets_in else 403)
            program = asking(shop, secret).post(f"/do-{needed}", data=said)
            assert program.status_code == (303 if lets_in else 403)
    assert {(actor, auth) for actor, auth, _ in DONE} == {(role, "token") for role in tokens.ROLES}
    assert len(DONE) == 2 * (1 + 2 + 2 + 4)


def test_files_and_the_page_to_log_in_are_for_everybody(shop: Site, engine: Engine) -> None:
    secret_of(engine)
    browser = asking(shop)
    assert browser.get("/static/style.css").status_code == 200
    page = browser.get("/login")
    assert page.status_code == 200
    assert "<script" not in page.text
    assert 'type="password"' in page.text


# Sessions ------------------------------------------------------------------------------------------------------------


def test_a_browser_logs_in_comes_to_where_it_wanted_and_logs_out(shop: Site, engine: Engine) -> None:
    secret = secret_of(engine)
    browser = asking(shop)
    sent_on = browser.get("/?at=%232").headers["location"]
    assert "next=/%3Fat%3D%25232" in sent_on
    assert 'value="/?at=%232"' in browser.get(sent_on).text
    answer = browser.post("/login", data={"token": f" {secret}\n", "next": "/?at=%232"})
    assert answer.headers["location"] == "/?at=%232"
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert secret not in cookie
    assert "ana" in browser.get("/").text
    kept = dict(browser.cookies)
    assert browser.post("/logout", data={"csrf": csrf_in(browser)}).headers["location"] == "/login"
    assert browser.get("/").status_code == 303
    browser.cookies.update(kept)
    assert browser.get("/").status_code == 303  # What was kept of it is over as well.


def test_a_cookie_is_for_tls_alone_where_there_is_tls(shop: Site, engine: Engine) -> None:
    browser = asking(shop, base="https://127.0.0.1")
    answer = browser.post("/login", data={"token": secret_of(engine)})
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_a_session_ends_with_its_token_also_when_that_expires(
    shop: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_ms = tokens.now_ms() + 60_000
    ana, bob = logged_in(shop, secret_of(engine, "ana")), logged_in(shop, secret_of(engine, "bob", expires_ms=ends_ms))
    assert (ana.get("/").status_code, bob.get("/").status_code) == (200, 200)
    tokens.remove(engine, "ana")
    assert (ana.get("/").status_code, bob.get("/").status_code) == (303, 200)
    secret_of(engine, "ana", "admin")  # Another token of the same name.
    assert ana.get("/").status_code == 303
    monkeypatch.setattr(tokens, "now_ms", lambda: ends_ms)
    assert bob.get("/").status_code == 303


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\nb", ""]
)
def test_a_login_leads_nowhere_else(shop: Site, engine: Engine, to: str) -> None:
    browser = asking(shop)
    answer = browser.post("/login", data={"token": secret_of(engine), "next": to})
    assert answer.headers["location"] == "/"


def test_a_login_that_fails_says_why_and_who_fails_too_often_waits(shop: Site, engine: Engine) -> None:
    secret = secret_of(engine)
    browser = asking(shop)
    assert "no token was given" in browser.post("/login", data={"token": ""}).text
    for _ in range(9):
        answer = browser.post("/login", data={"token": "evlog_guess"})
        assert answer.status_code == 401
        assert "no token of this store" in answer.text
        assert "evlog_guess" not in answer.text
    answer = browser.post("/login", data={"token": secret})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert asking(shop, secret).get("/index.json").status_code == 200  # A program that has a token never guesses.


# Forged forms --------------------------------------------------------------------------------------------------------


def test_a_form_that_no_page_of_the_session_sent_does_nothing(shop: Site, engine: Engine) -> None:
    ana, bob = (logged_in(shop, secret_of(engine, name, "writer")) for name in ("ana", "bob"))
    for csrf in (
        {},
        {"csrf": ""},
        {"csrf": "x"},
        {"csrf": "é"},
        {"csrf": csrf_in(bob)},
        {"csrf": shop.guard._sessions.csrf("")},
    ):
        assert ana.post("/do-writer", data={"said": "x", **csrf}).status_code == 403
        assert ana.post("/logout", data={"said": "x", **csrf}).status_code == 403
    good = {"said": "x", "csrf": csrf_in(ana)}
    for header in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert ana.post("/do-writer", data=good, headers=header).status_code == 403
    assert DONE == []
    assert ana.post("/do-writer", data=good, headers={"origin": "http://127.0.0.1"}).status_code == 303
    assert len(DONE) == 1


def test_no_other_site_logs_a_browser_in(shop: Site, engine: Engine) -> None:
    secret = secret_of(engine)
    answer = asking(shop).post("/login", data={"token": secret}, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_secret_in_an_address_opens_nothing(shop: Site, engine: Engine) -> None:
    secret = secret_of(engine)
    for query in (f"token={secret}", f"access_token={secret}", f"authorization=Bearer%20{secret}"):
        assert asking(shop).get(f"/index.json?{query}").status_code == 401
        told = asking(shop, secret_of(engine, query[:5], "reader")).get(f"/do-admin?{query}").text
        assert secret not in told
    assert "GET /index.json?token=evlog_..." in {what for _, what, _ in uses(engine, shop)}
    assert all(secret not in what for _, what, _ in uses(engine, shop))


# Without tokens ------------------------------------------------------------------------------------------------------


def test_without_tokens_the_person_at_the_machine_may_do_all_and_forms_of_others_do_nothing(shop: Site) -> None:
    browser = asking(shop)
    assert browser.get("/").status_code == 200
    csrf = shop.guard.csrf_of(_who(shop, browser))
    assert browser.post("/do-admin", data={"said": "x", "csrf": csrf}).status_code == 303
    assert DONE == [("local", "asserted", "x")]
    assert browser.post("/do-admin", data={"said": "x"}).status_code == 403
    foreign = browser.post("/do-admin", data={"said": "x", "csrf": csrf}, headers={"origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert browser.get("/login").headers["location"] == "/"
    assert asking(shop, base="http://evil.example").get("/").status_code == 421  # A name that was made to point here.


def _who(site: Site, browser: TestClient) -> Any:
    import asyncio

    from starlette.requests import Request

    scope = {
        "type": "http",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "method": "GET",
        "path": "/",
        "query_string": b"",
    }
    return asyncio.run(site.guard.who(Request(scope), "admin"))


def test_the_first_token_closes_a_site_that_runs(shop: Site, engine: Engine) -> None:
    browser = asking(shop)
    assert browser.get("/").status_code == 200
    secret = secret_of(engine)
    assert browser.get("/").status_code == 303
    assert logged_in(shop, secret).get("/").status_code == 200


def test_tokens_that_are_damaged_let_nobody_in(shop: Site, engine: Engine) -> None:
    secret = secret_of(engine, "ana", "admin")
    browser = logged_in(shop, secret)
    file = shop.guard._gate._tokens.file
    data = file.read_bytes()
    for damage in (b"", data[:40], None):
        file.unlink(missing_ok=True) if damage is None else file.write_bytes(damage)
        for one in (browser, asking(shop), asking(shop, secret)):
            assert one.get("/index.json").status_code == 503
            assert one.post("/do-admin", data={"said": "x"}).status_code == 503
    file.write_bytes(data)
    assert browser.get("/").status_code == 200


def test_a_site_beyond_this_machine_answers_nobody_without_tokens(engine: Engine) -> None:
    for gate in (gate_of(engine), None):
        site = Site(engine, "store", guard=TokenGuard(gate, "0.0.0.0", engine.log.id))
        assert asking(site).get("/").status_code == 403


def test_a_store_in_memory_is_shown_to_this_machine() -> None:
    with closing(Engine(open_memory())) as engine:
        site = Site(engine, "memory", guard=TokenGuard(gate_of(engine), "localhost", engine.log.id))
        assert asking(site).get("/").status_code == 200


@pytest.mark.parametrize("command", [["ui", "--no-browser"], ["serve", "--grpc", "0", "--ui", "0"]])
def test_pages_beyond_this_machine_are_refused_without_tokens_with_the_command_that_makes_one(
    tmp_path: Path, command: list[str]
) -> None:
    place = str(tmp_path / "store")
    assert run("init", place).exit_code == 0
    result = run("-s", place, *command, "--host", "0.0.0.0")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == f"try: evlog -s {place} token add NAME --role reader"


@pytest.mark.once
def test_a_server_shows_pages_beyond_this_machine_to_holders_of_a_token(tmp_path: Path) -> None:
    import urllib.error
    import urllib.request

    place = tmp_path / "store"
    with closing(Engine(open_folder(place, create=True))) as engine:
        secret = secret_of(engine)
    server = Process(place, "--host", "0.0.0.0", "--ui", "0")
    try:
        assert server.process.stdout is not None
        port = server.process.stdout.readline().strip().rstrip("/").rpartition(":")[2]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/index.json")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(request)
        request.add_header("authorization", f"Bearer {secret}")
        assert urllib.request.urlopen(request).status == 200
    finally:
        status, said = server.end()
    assert status == 0
    assert secret not in said
    assert [use.result for use in access.last_uses(place, 10).uses] == ["200", "UNAUTHENTICATED"]


@pytest.mark.once
def test_pages_are_shown_over_tls_to_who_trusts_the_certificate_and_a_cookie_is_for_that_alone(tmp_path: Path) -> None:
    authority = Authority()
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    for path, data in zip((key, certificate), authority.issue("localhost"), strict=True):
        path.write_bytes(data)
    with closing(Engine(open_folder(tmp_path / "store", create=True))) as engine:
        secret = secret_of(engine)
    words = ["-s", str(tmp_path / "store"), "ui", "--no-browser", "--tls-key", str(key), "--tls-cert", str(certificate)]
    with subprocess.Popen([sys.executable, "-m", "mlmd.cli", *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rpartition(" ")[2]
        assert url.startswith("https://127.0.0.1:")
        port = int(url.rstrip("/").rpartition(":")[2])
        trust = ssl.create_default_context(cadata=authority.pem.decode())
        try:
            with closing(http.client.HTTPSConnection("localhost", port, context=trust)) as browser:
                form = {"content-type": "application/x-www-form-urlencoded"}
                browser.request("POST", "/login", f"token={secret}", form)
                answer = browser.getresponse()
                assert answer.status == 303
                assert "Secure" in (answer.headers["set-cookie"] or "").split("; ")
        finally:
            process.terminate()


@pytest.mark.parametrize("given", [["--tls-key", "k"], ["--tls-cert", "c"], ["--tls-ca", "a"]])
def test_half_of_what_tls_needs_is_refused(tmp_path: Path, given: list[str]) -> None:
    place = str(tmp_path / "store")
    assert run("init", place).exit_code == 0
    result = run("-s", place, "ui", "--no-browser", *given)
    assert result.exit_code == 1
    assert "TLS needs both --tls-key and --tls-cert" in result.stderr
    result = run("-s", place, "ui", "--no-browser", "--tls-key", "/nowhere", "--tls-cert", "/nowhere")
    assert result.exit_code == 1
    assert "Traceback" not in result.output


# On record -----------------------------------------------------------------------------------------------------------


def test_the_chip_of_an_open_page_fills_no_access_record(shop: Site, engine: Engine) -> None:
    asker = asking(shop, secret_of(engine))
    assert asker.get("/verified.json").status_code == asker.get("/index.json").status_code == 200
    assert uses(engine, shop) == [("ana", "GET /index.json", "200")]


def test_every_use_is_noted_with_how_it_ended(shop: Site, engine: Engine) -> None:
    ana, secret = logged_in(shop, secret_of(engine)), secret_of(engine, "bob", "writer")
    ana.get("/?at=%231")
    ana.get("/nowhere")
    ana.get("/runs/999")
    ana.post("/do-writer", data={"said": "x"})
    asking(shop, secret).post("/do-writer", data={"said": "x"})
    asking(shop).get("/")
    assert uses(engine, shop) == [
        ("ana", "POST /login", "303"),
        ("ana", "GET /?at=%231", "200"),
        ("ana", "GET /runs/999", "404"),
        ("ana", "POST /do-writer", "PERMISSION_DENIED"),
        ("bob", "POST /do-writer", "303"),
        (None, "GET /", "UNAUTHENTICATED"),
    ]


def test_no_secret_is_on_a_page_or_in_a_record(shop: Site, engine: Engine, tmp_path: Path) -> None:
    secret = secret_of(engine)
    browser = logged_in(shop, secret)
    session = next(iter(browser.cookies.values()))
    told = [browser.get("/").text, browser.get("/index.json").text, browser.post("/do-admin").text]
    uses(engine, shop)
    for path in tmp_path.rglob("*"):
        if path.is_file():
            told.append(path.read_bytes().decode("latin-1"))
    assert all(secret not in text and session not in text for text in told)
