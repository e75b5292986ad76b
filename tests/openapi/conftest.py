"""The description as the running server gives it, and validators of its schemas."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import httpx
import jsonschema
import pytest

from tests.support.servers import RunningServer

Document = dict[str, Any]


@pytest.fixture(scope="session")
def document(server: RunningServer) -> Document:
    answer = httpx.get(f"{server.origin}/openapi.json", timeout=30)
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.fixture(scope="session")
def errors_of(document: Document) -> Callable[[Any, dict[str, Any]], list[str]]:
    """What is wrong with a value, by a schema of the document."""
    components = {"components": document["components"]}

    @cache
    def validator(reference: str) -> jsonschema.Draft202012Validator:
        return jsonschema.Draft202012Validator({"$ref": reference, **components})

    def errors(value: Any, schema: dict[str, Any]) -> list[str]:
        found = (
            validator(schema["$ref"])
            if set(schema) == {"$ref"}
            else jsonschema.Draft202012Validator({**schema, **components})
        )
        return [f"{error.json_path}: {error.message[:200]}" for error in found.iter_errors(value)]

    return errors
