"""Ids of new resources: https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7"""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

from app.fhir.references import is_valid_id
from app.interactions.ids import Ids


def test_they_are_uuids_of_version_7_and_fhir_ids():
    ids = Ids()
    for text in (ids() for _ in range(2000)):
        assert str(UUID(text)) == text
        assert (UUID(text).version, UUID(text).variant) == (7, RFC_4122)
        assert is_valid_id(text)


def test_none_comes_twice():
    one, other = Ids(), Ids()
    assert len({make() for _ in range(5000) for make in (one, other)}) == 10_000


def test_they_carry_the_time():
    before = time.time_ns() // 1_000_000
    made = UUID(Ids()()).int >> 80
    assert before <= made <= time.time_ns() // 1_000_000
