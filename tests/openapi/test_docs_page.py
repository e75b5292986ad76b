"""The page at /docs needs nobody but this server, and lets scripts of nobody else run."""

from __future__ import annotations

import re

import httpx
import pytest

from app.routers.docs.routes import ASSETS
from tests.support.servers import RunningServer

OURS = ("start.js", "page.css")
LINKED = re.compile(r"""(?:src|href)="([^"]+)\"""")


async def test_the_page_may_load_and_ask_its_own_server_only(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    rules = dict(rule.strip().split(" ", 1) for rule in page.headers["content-security-policy"].split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == "'self'"
    assert rules["connect-src"] == "'self'"
    assert not any(re.search(r"https?:|\*", rule) for rule in rules.values())


async def test_everything_that_the_page_names_is_served_here(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        page = (await client.get("/docs")).text
        links = [link for link in LINKED.findall(page) if link != "data:,"]
        assert {f"docs/{name}" for name in ASSETS} <= set(links)
        for link in links:
            assert ":" not in link
            assert not link.startswith("/")
            answer = await client.get(f"/{link}")
            assert answer.status_code == 200, link
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "<script>" not in page
        assert not re.search(r"\son\w+=", page)


@pytest.mark.parametrize("name", OURS)
async def test_what_is_ours_names_no_other_host(server: RunningServer, name: str) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        text = (await client.get(f"/docs/{name}")).text
    assert "//" not in re.sub(r"^//.*$", "", text, flags=re.MULTILINE)


async def test_the_style_sheet_loads_nothing_from_elsewhere(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        style = (await client.get("/docs/swagger-ui.css")).text
    assert all(url.startswith(("data:", "#")) for url in re.findall(r"""url\(["']?([^"')]{1,80})""", style))
    assert "@import" not in style


@pytest.mark.parametrize("name", ["page.html", "routes.py", "..%2froutes.py", "swagger-ui.js", ""])
async def test_nothing_else_is_served(server: RunningServer, name: str) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        assert (await client.get(f"/docs/{name}")).status_code in (307, 404)


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect", "/openapi"])
async def test_the_pages_of_the_framework_are_not_there(server: RunningServer, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.origin) as client:
        assert (await client.get(path)).status_code == 404
