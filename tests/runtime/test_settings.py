"""Settings: what they accept, how they refuse, and that the README tells the truth about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from app.settings import PREFIX, BadSetting, Settings, is_loopback, read_settings, unknown_variables
from tests.support.servers import ROOT


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def shown_default(field: FieldInfo) -> str:
    match field.default:
        case bool(value):
            return "`on`" if value else "`off`"
        case None | "":
            return ""
        case float(value):
            return f"`{value:g}`"
        case value:
            return f"`{value}`"


def test_the_readme_lists_every_setting_with_its_default() -> None:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {shown_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    listed = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"| `{PREFIX}")]
    assert listed == rows


def test_a_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_MAX_COUNT", "77")
    monkeypatch.setenv("CARELOOP_REFERENTIAL_INTEGRITY", "off")
    monkeypatch.setenv("CARELOOP_BASE_URL", "")
    settings = read_settings()
    assert (settings.max_count, settings.referential_integrity, settings.base_url) == (77, False, "")


def test_an_option_wins_over_the_environment_and_none_is_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_PORT", "9001")
    assert read_settings(port=9002).port == 9002
    assert read_settings(port=None).port == 9001


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"port": "http"}, ["CARELOOP_PORT"]),
        ({"port": 70000, "workers": 0}, ["CARELOOP_PORT", "CARELOOP_WORKERS"]),
        ({"auth": "basic"}, ["CARELOOP_AUTH"]),
        ({"base_url": "fhir.example.org"}, ["CARELOOP_BASE_URL"]),
        ({"database_url": "mysql://secret@db/x"}, ["CARELOOP_DATABASE_URL"]),
        ({"default_count": 20, "max_count": 10}, ["CARELOOP_DEFAULT_COUNT", "CARELOOP_MAX_COUNT"]),
        ({"body_timeout": 0}, ["CARELOOP_BODY_TIMEOUT"]),
        ({"host": "0.0.0.0"}, ["CARELOOP_HOST", "CARELOOP_INSECURE_BIND"]),
    ],
)
def test_a_bad_setting_is_named_on_one_line_without_its_value(given: dict[str, Any], names: list[str]) -> None:
    with pytest.raises(BadSetting) as refusal:
        read_settings(**given)
    message = str(refusal.value)
    assert all(name in message for name in names)
    assert "\n" not in message
    assert "secret" not in message


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_no_permission(host: str) -> None:
    assert read_settings(host=host).host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.4", "example.org", "localhost.example.org", ""])
def test_an_address_that_others_reach_needs_permission(host: str) -> None:
    with pytest.raises(BadSetting):
        read_settings(host=host)
    assert read_settings(host=host, insecure_bind="yes").insecure_bind


@given(st.ip_addresses())
def test_only_loopback_addresses_are_loopback(address: Any) -> None:
    assert is_loopback(str(address)) == address.is_loopback


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ({}, "http://127.0.0.1:8123/fhir"),
        ({"host": "::1"}, "http://[::1]:8123/fhir"),
        ({"host": "0.0.0.0", "insecure_bind": True}, "http://127.0.0.1:8123/fhir"),
        ({"base_url": "https://fhir.example.org/r4/"}, "https://fhir.example.org/r4"),
    ],
)
def test_the_base_url_follows_from_the_address_unless_it_is_set(given: dict[str, Any], base: str) -> None:
    assert read_settings(**given).bound(8123).base_url == base


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(read_settings(database_url="postgresql://u:secret@db/x"))


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARELOOP_MAXCOUNT", "5")
    monkeypatch.setenv("CARELOOP_SAMPLE_DATA", str(Path.cwd()))
    assert unknown_variables() == ["CARELOOP_MAXCOUNT"]
