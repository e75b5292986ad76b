"""The place of a page as a text."""

from __future__ import annotations

from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.search.cursor import KEY_BYTES, Place, fingerprint, read_cursor, write_cursor

KEY = bytes(range(KEY_BYTES))
SEARCH = fingerprint("Patient", ["Patient"], [("name", "a")])

keys = st.one_of(
    st.none(),
    st.text(),
    st.integers(-(2**63), 2**63 - 1),
    st.decimals(allow_nan=False),
    st.datetimes(timezones=st.just(UTC)),
)
places = st.builds(
    Place, st.lists(keys, max_size=4).map(tuple), st.integers(0, 2**63 - 1), st.booleans(), st.booleans()
)


@given(places)
def test_a_place_can_be_read_back(place: Place) -> None:
    found = read_cursor(write_cursor(place, KEY, SEARCH), KEY, SEARCH)
    assert found == place
    assert [type(key) for key in found.keys] == [type(key) for key in place.keys]


@pytest.mark.parametrize(
    "key", [Decimal("1.00"), Decimal("-Infinity"), Decimal("1E+400"), datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "s", ""]
)
def test_keys_stay_exact(key: Decimal | datetime | str) -> None:
    (found,) = read_cursor(write_cursor(Place((key,), 1), KEY, SEARCH), KEY, SEARCH).keys
    assert (found, str(found)) == (key, str(key))


@given(st.text(max_size=80))
def test_other_texts_are_no_cursors(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_cursor(text, KEY, SEARCH)


def test_no_bit_can_be_changed() -> None:
    cursor = write_cursor(Place(("Rivera",), 7), KEY, SEARCH)
    for at in range(len(cursor)):
        for character in "AQgw_-":
            changed = cursor[:at] + character + cursor[at + 1 :]
            if changed != cursor:
                with pytest.raises(ValueError, match=r".*"):
                    read_cursor(changed, KEY, SEARCH)


@pytest.mark.parametrize("spelling", ["{}=", "{}==", "{}\n", " {}", "{}A", "\u00e9{}"])
def test_a_cursor_has_one_spelling(spelling: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_cursor(spelling.format(write_cursor(Place((), 7), KEY, SEARCH)), KEY, SEARCH)


def test_another_key_reads_nothing() -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_cursor(write_cursor(Place((), 7), KEY, SEARCH), KEY[::-1], SEARCH)


def test_nothing_can_be_read_without_the_key() -> None:
    cursor = write_cursor(Place(("rivera",), 7), KEY, SEARCH)
    assert b"rivera" not in urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert write_cursor(Place(("rivera",), 7), KEY, SEARCH) != cursor


USED = [("name", "a"), ("_sort", "family")]
SAME = [*USED, ("_count", "5"), ("_cursor", "x")]
OTHERS = [
    ("Patient", ["Patient"], [("name", "b"), ("_sort", "family")]),
    ("Patient", ["Patient"], [("name", "a"), ("_sort", "-family")]),
    ("Patient", ["Patient"], USED[::-1]),
    ("Patient", ["Patient"], [*USED, ("_total", "none")]),
    ("Patient", ["Person"], USED),
    ("Patient/1/Patient", ["Patient"], USED),
    ("", ["Patient"], USED),
]


def test_the_size_of_pages_and_the_place_belong_to_no_search() -> None:
    assert fingerprint("Patient", ("Patient",), USED) == fingerprint("Patient", ["Patient"], SAME)


@pytest.mark.parametrize(("path", "types", "used"), OTHERS)
def test_each_search_has_a_fingerprint(path: str, types: list[str], used: list[tuple[str, str]]) -> None:
    ours, other = fingerprint("Patient", ["Patient"], USED), fingerprint(path, types, used)
    assert ours != other
    with pytest.raises(ValueError, match=r".*"):
        read_cursor(write_cursor(Place((), 7), KEY, ours), KEY, other)
