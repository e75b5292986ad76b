"""The guard: which addresses may be called, and that no path leads out of an endpoint's address."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.delivery.dialects.base import Misconfigured
from app.delivery.outbound.address import parse
from app.delivery.outbound.guard import Guard, is_public, networks

PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.255.255.254",
    "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1",
    "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::10.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::10.0.0.1", "64:ff9b:1:a00:0:100::",
    "64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:0:a00:1:0:0:f5ff:fffe", "2001:10::1", "2001:db8::1",
    "2002:a00:1::", "2002:7f00:1::1", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254",
    "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
          "2002:808:808::"]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_the_internets_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Guard().admits(ip_address(address), encrypted=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_may_be_called_with_encryption_only(address: str) -> None:
    assert Guard().admits(ip_address(address), encrypted=True)
    assert not Guard().admits(ip_address(address), encrypted=False)


@given(st.ip_addresses())
def test_nothing_is_public_that_python_knows_to_be_private(address) -> None:
    if is_public(address):
        assert address.is_global
        assert not any((address.is_multicast, address.is_unspecified, address.is_link_local))


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:{}", "64:ff9b::{}"]))
def test_an_address_that_carries_another_is_judged_as_the_other(inner, form: str) -> None:
    assert is_public(ip_address(form.format(inner))) == is_public(inner)


def test_what_operators_allow_is_exactly_what_they_name() -> None:
    guard = Guard(networks("10.1.0.0/16, 127.0.0.1/32"))
    for allowed in ("10.1.2.3", "127.0.0.1", "::ffff:127.0.0.1"):
        assert guard.admits(ip_address(allowed), encrypted=False)
    for other in ("10.2.0.1", "127.0.0.2", "::1", "64:ff9b::10.1.2.3", "2002:a01:203::"):
        assert not guard.admits(ip_address(other), encrypted=True)


@pytest.mark.parametrize("text", ["10.0.0.1/8", "hospital", "10.0.0.0/33", "10.0.0.0-10.0.0.9"])
def test_networks_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        networks(text)


@pytest.mark.parametrize(
    "url",
    [
        "", "ehr.example.org/fhir", "//ehr.example.org", "ftp://ehr.example.org", "file:///etc/passwd", "https://",
        "https://user@ehr.example.org/", "https://user:secret@ehr.example.org/", "https://@ehr.example.org/",
        "https://ehr.example.org/fhir#x", "https://ehr.example.org/a b", "https://ehr.example.org\\@evil.example/",
        "https://ehr.example.org/\r\nx", "https://ehr.example.org:0/", "https://ehr.example.org:99999/",
        "https://[::1", "https://ehr.example.org/a/../b", "https://ehr.example.org/a%2f..%2fb", "https://ehr..org/",
        "https://ehr.example.org/%2e%2e/", "https://ehr.example.org//evil", "https://bücher.example/",
        "https://-x.example/", "javascript:alert(1)", "https:ehr.example.org",
    ],
)  # fmt: skip
def test_an_address_that_is_not_plain_is_refused(url: str) -> None:
    with pytest.raises(Misconfigured) as refusal:
        parse(url)
    assert "secret" not in str(refusal.value)


def test_a_target_lies_below_the_address() -> None:
    address = parse("https://EHR.example.org:8443/fhir/r4/")
    base = "https://ehr.example.org:8443/fhir/r4"
    assert address.target() == base
    assert address.target("Task/1") == f"{base}/Task/1"
    assert address.target("ServiceRequest/1/$refer") == f"{base}/ServiceRequest/1/$refer"
    assert address.target("Task", [("identifier", "a|b&c")]) == f"{base}/Task?identifier=a%7Cb%26c"
    assert address.target(f"{base}/Task/1") == f"{base}/Task/1"
    assert address.target(f"{base}?_getpages=1&x=a|b") == f"{base}?_getpages=1&x=a|b"
    assert parse("https://hook.example/in?key=1").target("", [("a", "b")]) == "https://hook.example/in?key=1&a=b"
    assert parse("https://hook.example").target() == "https://hook.example/"
    assert parse("https://[2606:4700::1]:444/x").target("y") == "https://[2606:4700::1]:444/x/y"


@pytest.mark.parametrize(
    "path",
    [
        "..", "../x", "Task/../../x", "Task/..", "./x", "/Task", "//evil.example/Task", "Task//1", "Task/%2e%2e/x",
        "Task%2f..%2f..%2fx", "Task%5c..", "Task\\..", "Task/..;/x", "Task/..;a=b/x", "Task?x=1", "Task#x", "Task/ 1",
        "Task/1\r\nx: y", "Task/%00", "Task/%252e%252e", "Task/é", "Task%",
        "https://evil.example/fhir/Task/1", "http://ehr.example.org/fhir/Task/1", "https://ehr.example.org:444/fhir/x",
        "https://ehr.example.org/fhirx/Task/1", "https://ehr.example.org/fhirxTask/1", "https://ehr.example.org/", "https://ehr.example.org/fhir/../x",
        "https://user@ehr.example.org/fhir/Task/1", "https://ehr.example.org.evil.example/fhir/Task",
        "https://ehr.example.org@evil.example/fhir/Task", "ftp://ehr.example.org/fhir/x",
    ],
)  # fmt: skip
def test_a_path_that_would_leave_the_address_is_refused(path: str) -> None:
    with pytest.raises(Misconfigured):
        parse("https://ehr.example.org/fhir").target(path)


@given(st.text(st.sampled_from("ab./%2eEfF5cC\\;:?#@ "), max_size=20))
def test_whatever_the_path_the_target_stays_below_the_address(path: str) -> None:
    address = parse("https://ehr.example.org/fhir")
    try:
        target = address.target(path)
    except Misconfigured:
        return
    again = parse(target)
    assert (again.origin, again.path == "/fhir" or again.path.startswith("/fhir/")) == (address.origin, True)
