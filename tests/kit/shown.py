"""A site asked through its application, as a browser asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.testclient import TestClient

from mlmd.web.site import Site, application

if TYPE_CHECKING:
    from mlmd.engine import Engine
    from mlmd.recorder.store import Store


def asking(site: Site) -> TestClient:
    """Return what asks for the pages of a site as a browser does."""
    return TestClient(
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
