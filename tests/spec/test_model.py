"""Any sequence of writes to one resource, compared with what a few lines of Python say should happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.api import Fhir, Json, entry, etag, identifier, patient, statuses, success, unique

BIRTHS = st.integers(1, 3)
STEPS = st.one_of(
    st.tuples(st.just("put"), BIRTHS),
    st.tuples(st.just("put if match"), BIRTHS, st.integers(0, 4)),
    st.tuples(st.just("patch"), BIRTHS),
    st.tuples(st.just("delete")),
    st.tuples(st.just("bundled put"), st.sampled_from(["batch", "transaction"]), BIRTHS),
    st.tuples(st.just("bundled delete"), st.sampled_from(["batch", "transaction"])),
    st.tuples(st.just("create if none exist"), BIRTHS),
)


@dataclass
class Model:
    """What the server should keep for one id: a birth order per version, None for a deletion."""

    id: str
    versions: list[int | None] = field(default_factory=list)

    @property
    def current(self) -> int | None:
        return self.versions[-1] if self.versions else None

    def resource(self, birth: int) -> Json:
        return patient(id=self.id, identifier=identifier(self.id), multipleBirthInteger=birth)

    def write(self, birth: int) -> int:
        """The status of an update."""
        status = 200 if self.current is not None else 201
        if self.current != birth:
            self.versions.append(birth)
        return status

    def remove(self) -> int:
        if self.current is not None:
            self.versions.append(None)
        return 204


class Client:
    """Takes each step on the server, and returns the status it gave and the one that the model expects."""

    def __init__(self, fhir: Fhir, model: Model) -> None:
        self.fhir, self.model, self.path = fhir, model, f"Patient/{model.id}"

    async def take(self, step: tuple[Any, ...]) -> tuple[int, int]:
        name, *arguments = step
        taken: tuple[int, int] = await getattr(self, name.replace(" ", "_"))(*arguments)
        return taken

    async def put(self, birth: int) -> tuple[int, int]:
        response = await self.fhir.put(self.path, self.model.resource(birth))
        return response.status_code, self.model.write(birth)

    async def put_if_match(self, birth: int, version: int) -> tuple[int, int]:
        response = await self.fhir.put(self.path, self.model.resource(birth), if_match=etag(version))
        matches = self.model.current is not None and version == len(self.model.versions)
        return response.status_code, self.model.write(birth) if matches else self._refused(response)

    def _refused(self, response: httpx.Response) -> int:
        """A failed condition on what is not there may be told in two ways."""
        return 404 if self.model.current is None and response.status_code == 404 else 412

    async def patch(self, birth: int) -> tuple[int, int]:
        operations = [{"op": "replace", "path": "/multipleBirthInteger", "value": birth}]
        response = await self.fhir.patch(self.path, operations)
        if self.model.current is None:
            return response.status_code, 410 if self.model.versions else 404
        return response.status_code, self.model.write(birth)

    async def delete(self) -> tuple[int, int]:
        return (await self.fhir.delete(self.path)).status_code, self.model.remove()

    async def bundled_put(self, kind: str, birth: int) -> tuple[int, int]:
        return await self._bundled(kind, entry("PUT", self.path, self.model.resource(birth))), self.model.write(birth)

    async def bundled_delete(self, kind: str) -> tuple[int, int]:
        return await self._bundled(kind, entry("DELETE", self.path)), self.model.remove()

    async def _bundled(self, kind: str, item: Json) -> int:
        return statuses(success(await self.fhir.bundle(kind, item), 200)["entry"])[0]

    async def create_if_none_exist(self, birth: int) -> tuple[int, int]:
        """Only while there is a match, so that the id stays the one of the model."""
        if self.model.current is None:
            return 0, 0
        criteria = f"identifier={self.model.id}"
        response = await self.fhir.post("Patient", self.model.resource(birth), if_none_exist=criteria)
        return response.status_code, 200


async def agrees(fhir: Fhir, model: Model) -> None:
    """Read, history, every version and search tell the same story."""
    path, current = f"Patient/{model.id}", model.current
    response = await fhir.get(path)
    assert response.status_code == (200 if current is not None else 410 if model.versions else 404)
    assert await fhir.found(f"Patient?identifier={model.id}") == ([model.id] if current is not None else [])
    if not model.versions:
        return
    assert response.headers["etag"] == etag(len(model.versions))
    assert await fhir.versions(path) == [etag(n) for n in range(len(model.versions), 0, -1)]
    for number, birth in enumerate(model.versions, 1):
        version = await fhir.get(f"{path}/_history/{number}")
        assert version.status_code == (410 if birth is None else 200)
        assert birth is None or version.json()["multipleBirthInteger"] == birth


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=1, max_size=12))
async def test_any_sequence_of_writes(fhir: Fhir, steps: list[tuple[Any, ...]]):
    """http.html: every step is answered, and leaves the server, as the model says."""
    model = Model(unique())
    client = Client(fhir, model)
    for step in steps:
        told, expected = await client.take(step)
        assert told == expected, (step, model)
    await agrees(fhir, model)
