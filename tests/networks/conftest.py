"""A live site, a proxy in front of it that fails on demand, and people behind that proxy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from livesite.server import serve
from livesite.visitor import Visitor
from networks.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from livesite.server import LiveSite


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveSite]:
    """The live site; nobody opens a page of it, so it needs no client."""
    with serve(tmp_path_factory.mktemp("networks"), Path("/nowhere")) as site:
        yield site


@pytest.fixture
def proxy(site: LiveSite) -> Iterator[Proxy]:
    """The way to the site."""
    with Proxy(("127.0.0.1", site.ports[0])) as proxy:
        yield proxy


@pytest.fixture
def visitor(site: LiveSite, proxy: Proxy) -> Visitor:
    """Somebody new."""
    return Visitor.log_in(site, proxy.port)
