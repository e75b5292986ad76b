"""Searches between writes agree with a search in memory: fhirpathpy and the rules of R4 search, written once more."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.search.corpus import TAG_SYSTEM, key, tagged
from tests.search.oracle import drawing
from tests.search.oracle.evaluate import PARAMETERS, parameters
from tests.search.oracle.memory import Memory, Query
from tests.spec.api import FHIR_JSON, JSON_PATCH, unique
from tests.support.servers import RunningServer

KINDS_AT_START = [kind for kind in drawing.KINDS for _ in range(4)]
QUERIES_AT_ONCE = 25
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RANDOM = st.integers(0, 2**32 - 1).map(Random)


class Machine(RuleBasedStateMachine):
    """Writes to a server and to memory alike, and asks both. The base URL and the client belong to a subclass."""

    base: str
    http: httpx.Client

    @initialize(random=RANDOM)
    def start(self, random: Random) -> None:
        self.tag = unique("m")
        self.memory = Memory(self.base)
        self.gone: list[str] = []
        for kind in KINDS_AT_START:
            self.create_one(kind, random)

    # -- writes

    @rule(kind=st.sampled_from(drawing.KINDS), random=RANDOM)
    def create(self, kind: str, random: Random) -> None:
        self.create_one(kind, random)

    def create_one(self, kind: str, random: Random) -> None:
        body = tagged(drawing.resource(random, kind, self.memory), self.tag)
        self.remember(self.send("POST", kind, body), 201)

    @precondition(lambda self: self.memory.resources)
    @rule(random=RANDOM)
    def update(self, random: Random) -> None:
        self.put(random, self.choose(random), 200)

    @precondition(lambda self: self.gone)
    @rule(random=RANDOM)
    def bring_back(self, random: Random) -> None:
        name = random.choice(self.gone)
        self.gone.remove(name)
        self.put(random, name, 201)

    def put(self, random: Random, name: str, status: int) -> None:
        kind, _, id_ = name.partition("/")
        body = tagged(drawing.resource(random, kind, self.memory) | {"id": id_}, self.tag)
        self.remember(self.send("PUT", name, body), status)

    @precondition(lambda self: self.memory.resources)
    @rule(random=RANDOM)
    def patch(self, random: Random) -> None:
        """Take an element away, or write it."""
        name = self.choose(random)
        patch = drawing.patch(random, self.memory.resources[name], self.memory)
        self.remember(self.send("PATCH", name, patch), 200)

    @precondition(lambda self: self.memory.resources)
    @rule(random=RANDOM)
    def delete(self, random: Random) -> None:
        """What another resource refers to stays, and the server says so; a reference to a version does not count."""
        name = self.choose(random)
        answer = self.send("DELETE", name)
        others = {other: body for other, body in self.memory.resources.items() if other != name}
        if re.search(rf'"reference": "[^"]*{name}"', json.dumps(others)):
            assert answer.status_code == 409, (name, answer.status_code, answer.text)
        else:
            assert answer.status_code in (200, 204), (name, answer.text)
            self.memory.resources = others
            self.gone.append(name)

    # -- searches

    @rule(kind=st.sampled_from(drawing.KINDS), random=RANDOM)
    def search(self, kind: str, random: Random) -> None:
        for _ in range(QUERIES_AT_ONCE):
            self.compare(kind, drawing.query(random, kind, self.memory))

    def teardown(self) -> None:
        """At the end every parameter is asked who has a value."""
        if hasattr(self, "memory") and self.memory.resources:
            for kind in drawing.KINDS:
                for code in drawing.codes(kind):
                    self.compare(kind, [(f"{code}:missing", "false")])

    def compare(self, kind: str, query: Query) -> None:
        form = urlencode([*query, ("_tag", f"{TAG_SYSTEM}|{self.tag}"), ("_count", "1000")])
        answer = self.http.post(f"{self.base}/{kind}/_search", content=form.encode(), headers=FORM)
        assert answer.status_code == 200, (query, answer.text)
        found = [entry["resource"]["id"] for entry in answer.json().get("entry", ())]
        wanted = self.memory.search(kind, query)
        bodies = [self.memory.resources[f"{kind}/{id_}"] for id_ in wanted ^ set(found)]
        assert set(found) == wanted, f"{kind} {query}: found {found}, should be {wanted}; they differ in {bodies}"
        assert len(found) == len(wanted) == answer.json()["total"], query

    # -- both

    def choose(self, random: Random) -> str:
        return random.choice(list(self.memory.resources))

    def send(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {
            "Content-Type": JSON_PATCH if isinstance(body, list) else FHIR_JSON,
            "Prefer": "return=representation",
        }
        content = None if body is None else json.dumps(body).encode()
        return self.http.request(method, f"{self.base}/{path}", content=content, headers=headers)

    def remember(self, answer: httpx.Response, status: int) -> None:
        assert answer.status_code == status, answer.text
        self.memory.resources[key(answer.json())] = answer.json()


def run(server: RunningServer, **options: Any) -> None:
    with httpx.Client(timeout=30) as http:
        machine = type("SearchMachine", (Machine,), {"base": server.base, "http": http})
        checks = settings(deadline=None, suppress_health_check=list(HealthCheck), database=None, **options)
        run_state_machine_as_test(machine, settings=checks)


def test_searches_agree_with_memory(server: RunningServer) -> None:
    """A few runs, always the same. What fails is told as it is: making it smaller takes minutes."""
    run(server, max_examples=15, stateful_step_count=30, derandomize=True, phases=[Phase.generate])


@pytest.mark.slow
def test_searches_agree_with_memory_for_long(server: RunningServer) -> None:
    """Many runs, other ones each time."""
    run(server, max_examples=150, stateful_step_count=60)


@pytest.mark.samples
def test_the_expressions_are_those_of_hl7(samples: Path) -> None:
    """The excerpt says what the published search parameters say."""
    source = samples.parent / "fhir-r4" / "search-parameters.json"
    if not source.exists():
        pytest.skip("the published search parameters are not beside the sample data")
    published = json.loads(source.read_text())
    for kind in drawing.KINDS:
        for code, parameter in parameters(kind).items():
            row = next(row for row in published if row["code"] == code and kind in row["base"])
            parts = [part.strip() for part in row["expression"].split("|")]
            own = " | ".join(part for part in parts if re.match(rf"\(?{kind}\b", part))
            assert (parameter.kind, parameter.expression) == (row["type"], own), (kind, code)
    assert PARAMETERS.exists()
