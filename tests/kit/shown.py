"""A site asked through its application, as a browser asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from mlmd.engine import Engine
    from mlmd.recorder.store import Store


class Client(TestClient):
    """Asks under the address of this machine, as the site is to be had there alone."""

    def __init__(self, application: Any, base: str = "http://127.0.0.1", **rest: Any) -> None:
        super().__init__(application, base, **rest)


def asking(site: Site) -> TestClient:
    """Return what asks for the pages of a site as a browser does."""
    return Client(
        application(site), raise_server_exceptions=False, follow_redirects=False, headers={"accept": "text/html"}
    )


@dataclass
class Demo:
    """The store that `evlog demo` makes, on show."""

    engine: Engine
    store: Store
    site: Site
    browser: TestClient

    def facts(self, path: str, **query: Any) -> dict[str, Any]:
        """Return what a page of data says."""
        answer = self.browser.get(path, params=query)
        assert answer.status_code == 200, answer.text
        facts: dict[str, Any] = answer.json()["facts"]
        return facts
