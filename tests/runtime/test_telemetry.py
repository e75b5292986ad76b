"""Log lines: one JSON object each, and nothing in them that could be a person's."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from app import telemetry

PERSON = "Zebulon Quimby"


@pytest.fixture
def lines() -> Iterator[Any]:
    """What is logged, as a function that returns the objects so far."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    telemetry.configure("info", requests=True)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(telemetry.JsonLines())
    root.handlers[:] = [handler]
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_request_is_one_line_with_its_route(lines: Any) -> None:
    telemetry.request("GET", "/fhir/{type}/{id}", 200, 1.26, "abc")
    (line,) = lines()
    expected = {
        "event": "request",
        "method": "GET",
        "route": "/fhir/{type}/{id}",
        "status": 200,
        "ms": 1.3,
        "id": "abc",
    }
    assert {name: line[name] for name in expected} == expected


def test_requests_are_not_logged_unless_asked_for(lines: Any) -> None:
    logging.getLogger("careloop.request").disabled = True
    telemetry.request("GET", "/fhir/{type}", 200, 1, "abc")
    assert lines() == []


def fail() -> None:
    try:
        raise KeyError(PERSON)
    except KeyError as error:
        raise ValueError(f"bad name {PERSON}") from error


def test_a_failure_tells_where_and_of_which_class_but_not_its_message(lines: Any) -> None:
    with pytest.raises(ValueError, match="bad name") as failed:
        fail()
    telemetry.failure(failed.value, "abc")
    (line,) = lines()
    assert PERSON not in json.dumps(line)
    assert [error["type"] for error in line["errors"]] == ["builtins.ValueError", "builtins.KeyError"]
    assert any(place.endswith(" fail") for place in line["errors"][0]["at"])


def test_values_in_messages_of_libraries_are_left_out(lines: Any) -> None:
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <%s>", PERSON)
    logging.getLogger("asyncpg").warning("row %s", PERSON)
    assert [line["event"] for line in lines()] == ["Task exception was never retrieved", "row %s"]


def test_errors_that_cause_each_other_end(lines: Any) -> None:
    first, second = ValueError(), ValueError()
    first.__cause__, second.__cause__ = second, first
    telemetry.failure(first, "abc")
    assert len(lines()[0]["errors"]) == 2


def test_a_level_below_the_chosen_one_is_not_logged(lines: Any) -> None:
    telemetry.event("detail", logging.DEBUG, number=1)
    telemetry.event("news", number=2)
    assert [(line["event"], line["number"]) for line in lines()] == [("news", 2)]
