"""/docs in a real browser that has no network: it renders, opens an operation in little time, and its calls work."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.support.browser import Page, browsing, program
from tests.support.servers import RunningServer

pytestmark = pytest.mark.skipif(program() is None, reason="there is no Chromium: apt install chromium")

OPENED = "document.querySelectorAll('.opblock-body .execute').length === 1"
STATUS = "document.querySelector('.live-responses-table tbody td.response-col_status')?.firstChild.textContent ?? ''"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


def fill(page: Page, parameter: str, value: str) -> None:
    """Type a value into the field of a parameter."""
    field = f"document.querySelector('tr[data-param-name=\"{parameter}\"] input')"
    setter = "Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set"
    page.wait(f"{field} !== null")
    page.says(f"{setter}.call({field}, {json.dumps(value)})")
    page.says(f"{field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def test_it_renders_without_a_network(page: Page, server: RunningServer) -> None:
    page.open(f"{server.origin}/docs")
    page.wait("document.querySelectorAll('.opblock-tag').length >= 6")
    tags = page.says("[...document.querySelectorAll('.opblock-tag')].map(each => each.dataset.tag)")
    assert tags == ["clients", "assess", "plan", "refer", "monitor", "system"]
    assert page.says("[...document.querySelectorAll('.errors')].length") == 0


@pytest.mark.parametrize("operation", ["refer/referServiceRequest", "clients/createPatient", "system/postBundle"])
def test_an_operation_opens_with_its_fields_and_an_example(page: Page, server: RunningServer, operation: str) -> None:
    page.open("about:blank")
    page.open(f"{server.origin}/docs#/{operation}")
    page.wait(OPENED)
    body = page.wait("document.querySelector('.body-param__text')?.value ?? ''")
    assert json.loads(body)["resourceType"] in ("Parameters", "Patient", "Bundle")
    fields = "[...document.querySelectorAll('.parameters tr[data-param-name]')]"
    assert page.says(f"{fields}.filter(row => row.querySelector('.parameter__type').textContent === 'any').length") == 0


def test_a_call_is_answered_by_this_server(page: Page, server: RunningServer) -> None:
    made = httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient", "active": True}).json()
    page.open("about:blank")
    page.open(f"{server.origin}/docs#/clients/readPatient")
    page.wait(OPENED)
    fill(page, "id", made["id"])
    # The page takes note of what was typed a little later; until then it calls nobody.
    assert page.wait(f"document.querySelector('.execute').click(), {STATUS}") == "200"
    assert made["id"] in page.says("document.querySelector('.live-responses-table .microlight').textContent")
