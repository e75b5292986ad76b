"""The routes of the description, and of the page that shows it."""

from __future__ import annotations

import asyncio
from functools import cache, lru_cache
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from app.errors import Malformed
from app.fhir import outcomes
from app.fhir.json import dumps
from app.fhir.openapi import document
from app.fhir.openapi.bodies import FHIR_JSON
from app.fhir.openapi.tags import CASE_MANAGEMENT
from app.interactions.context import Server
from app.routers.docs.kept import Kept, answer, keep

_SWAGGER, _HERE = "fastapi_swagger.resources", "app.routers.docs"
ASSETS = {
    "swagger-ui-bundle.js": (_SWAGGER, "text/javascript"),
    "swagger-ui.css": (_SWAGGER, "text/css"),
    "start.js": (_HERE, "text/javascript"),
    "page.css": (_HERE, "text/css"),
}
_PAGE = "page.html"
# The page may load from this server only, and talk to this server only.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {"Content-Security-Policy": _POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}
_HOUR = {"Cache-Control": "public, max-age=3600"}
_FRESH = {"Cache-Control": "no-cache"}
_DESCRIBED: dict[str, Any] = {
    "operationId": "openapi",
    "parameters": [
        {
            "name": "types",
            "in": "query",
            "description": "Resource types of R4 to describe instead, joined by commas: `Medication,Device`.",
            "schema": {"type": "string"},
        },
        {
            "name": "If-None-Match",
            "in": "header",
            "description": "The ETag of the document that is known already.",
            "schema": {"type": "string"},
        },
    ],
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "An OpenAPI 3.1 document.", "content": {"application/json": {"schema": {"type": "object"}}}},
    304: {"description": "It has not changed."},
    400: {
        "description": "One of the types is none of R4.",
        "content": {FHIR_JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}},
    },
}


def add_docs(app: FastAPI, server: Server) -> None:
    """Serve the description of the FHIR base and of the other routes that `app` has, and a page that shows it."""

    @lru_cache(maxsize=8)
    def written(types: tuple[str, ...]) -> Kept:
        made = document.document(types, base_url=server.base_url, version=server.version)
        _add_others(made, app.openapi()["paths"], server.base_url)
        return keep(dumps(made), "application/json")

    @app.get(
        "/openapi.json",
        tags=["system"],
        summary="This description",
        response_class=Response,
        responses=_ANSWERS,
        openapi_extra=_DESCRIBED,
    )
    async def openapi(request: Request) -> Response:
        """The OpenAPI document: the types of case management, or others when they are named."""
        types = request.query_params.get("types", "")
        names = document.known(types) if types else CASE_MANAGEMENT
        if names is None:
            problem = Malformed("The parameter 'types' takes resource types of R4, joined by commas.")
            return Response(dumps(outcomes.of_problem(problem)), 400, media_type=FHIR_JSON)
        return answer(request, await asyncio.to_thread(written, names), _FRESH)

    async def page(request: Request) -> Response:
        return answer(request, _file(_HERE, _PAGE, "text/html"), _PAGE_HEADERS)

    async def asset(request: Request) -> Response:
        package, media_type = ASSETS[request.url.path.rpartition("/")[2]]
        name = request.url.path.rpartition("/")[2]
        return answer(request, await asyncio.to_thread(_file, package, name, media_type), _HOUR)

    app.router.routes += [Route("/docs", page), *(Route(f"/docs/{name}", asset) for name in ASSETS)]


@cache
def _file(package: str, name: str, media_type: str) -> Kept:
    return keep(resources.files(package).joinpath(name).read_bytes(), media_type)


def _add_others(made: dict[str, Any], others: dict[str, Any], base_url: str) -> None:
    """What is not FHIR stands at the origin: health, keys, this description."""
    url = urlsplit(base_url)
    origin = [{"url": f"{url.scheme}://{url.netloc}", "description": "Beside the FHIR base"}]
    for path, operations in others.items():
        made["paths"][path] = {"servers": origin, **operations}
