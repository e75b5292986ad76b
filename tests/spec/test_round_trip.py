"""What was sent is what is read, decimal text included: https://hl7.org/fhir/R4/json.html, datatypes.html#decimal"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.api import Fhir, exact, observation, unique, without_server_elements
from tests.spec.datatypes import DATATYPES

URL = '"url":"https://example.org/e"'


async def read_back(fhir: Fhir, raw: bytes) -> Any:
    """Create what is given as text, and read it with every number as text."""
    kind = exact(raw)["resourceType"]
    response = await fhir.post(kind, raw)
    assert response.status_code == 201, response.text
    again = await fhir.get(f"{kind}/{response.json()['id']}")
    assert again.content == response.content
    return exact(again.content)


@pytest.mark.parametrize("name", DATATYPES)
async def test_every_datatype_keeps_its_text(fhir: Fhir, name: str):
    """datatypes.html: precision, zone, fraction, case and escapes are content."""
    items = ",".join(f'{{{URL},"{name}":{text}}}' for text in DATATYPES[name])
    raw = f'{{"resourceType":"Basic","extension":[{items}],"code":{{"text":"x"}}}}'.encode()
    assert without_server_elements(await read_back(fhir, raw)) == without_server_elements(exact(raw))


async def test_elements_keep_their_order(fhir: Fhir):
    """json.html: order of elements has no meaning, but a server that keeps it lets others compare."""
    raw = b'{"gender":"other","resourceType":"Patient","active":true,"birthDate":"1970","photo":[{"title":"x"}]}'
    names = [name for name in await read_back(fhir, raw) if name not in ("id", "meta")]
    assert names == list(json.loads(raw)) or names[1:] == [n for n in json.loads(raw) if n != "resourceType"]


DIV = '<div xmlns="http://www.w3.org/1999/xhtml">\n <b>a</b>&amp;&#233;<br/>  </div>'
PRIMITIVE_EXTENSIONS = [
    '"_birthDate":{"extension":[{"url":"https://e.org","valueCode":"x"}]}',
    '"birthDate":"1970","_birthDate":{"id":"b"}',
    '"name":[{"given":["a",null,"c"],"_given":[null,{"extension":[{"url":"https://e.org","valueCode":"x"}]},null]}]',
    '"name":[{"_given":[{"extension":[{"url":"https://e.org","valueCode":"x"}]}]}]',
    '"_active":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"unknown"}]}',
    '"modifierExtension":[{"url":"https://e.org/unknown","valueBoolean":true}]',
    '"contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}',
    f'"text":{{"status":"generated","div":{json.dumps(DIV)}}}',
]


@pytest.mark.parametrize("inner", PRIMITIVE_EXTENSIONS)
async def test_extensions_of_primitives_narrative_and_contained_resources_are_kept(fhir: Fhir, inner: str):
    """json.html#primitive: `_name` beside `name`, also without it; unknown extensions of either kind."""
    raw = b'{"resourceType":"Patient",' + inner.encode() + b"}"
    assert without_server_elements(await read_back(fhir, raw)) == exact(raw)


async def test_every_way_to_read_gives_the_same_bytes(fhir: Fhir):
    """datatypes.html#decimal: search, history and transactions keep the text too."""
    code = unique()
    raw = json.dumps(observation(code)).encode()[:-1] + b',"valueQuantity":{"value":1.00}}'
    made = await fhir.created(raw)
    path = f"Observation/{made['id']}"
    transaction = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"%s"}}]}' % path.encode()
    )
    for content in (
        (await fhir.get(path)).content,
        (await fhir.get(f"{path}/_history/1")).content,
        (await fhir.get(f"{path}/_history")).content,
        (await fhir.get(f"Observation?code={code}")).content,
        (await fhir.post("", transaction)).content,
    ):
        assert b'"value":1.00' in content


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,20})?([eE][+-]?(1[0-9]|[1-9]))?", fullmatch=True)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n\r"), min_size=1, max_size=40
).filter(lambda text: text.strip())


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(numbers=st.lists(NUMBERS, min_size=1, max_size=5), texts=st.lists(TEXTS, min_size=1, max_size=5))
async def test_any_number_and_any_text(fhir: Fhir, numbers: list[str], texts: list[str]):
    """datatypes.html#decimal, #string: whatever the digits and characters."""
    items = [f'{{{URL},"valueDecimal":{number}}}' for number in numbers]
    items += [f'{{{URL},"valueString":{json.dumps(text)}}}' for text in texts]
    raw = f'{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{",".join(items)}]}}'.encode()
    assert without_server_elements(await read_back(fhir, raw)) == exact(raw)
