"""What each way to fail means for a request: not sent, in doubt, or wrong until somebody changes something."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from app.delivery.dialects.base import Answer, DeliveryProblem, InDoubt, Misconfigured, NotSent
from app.delivery.outbound import client as client_module
from app.delivery.outbound import tls
from app.delivery.outbound.credentials import Credentials
from app.store.connections import Connections
from tests.support.certificates import Authority
from tests.support.outbound import endpoint, give, outbound_over, shared_database
from tests.support.peers import Peer, Say, answer, raw, reset, silence

CREATED = answer(201, {"resourceType": "Task"}, location="Task/1", content_type="application/fhir+json")


@pytest.fixture(scope="module")
async def connections(postgres: str, template: str) -> AsyncIterator[Connections]:
    async with shared_database(postgres, template) as made:
        yield made


async def post(connections: Connections, address: str, body: bytes = b"{}", **settings: Any) -> Answer:
    async with outbound_over(connections, **settings) as outbound, outbound.exchange(endpoint(address)) as exchange:
        return await exchange.send("POST", "Task", body=body)


async def test_a_request_arrives_as_fhir_and_its_answer_comes_back(connections: Connections) -> None:
    async with Peer(CREATED) as peer:
        found = await post(connections, f"{peer.base}/fhir/", b'{"a":1}')
    assert (found.status, found.headers["location"], found.json()) == (201, "Task/1", {"resourceType": "Task"})
    [seen] = peer.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/fhir/Task", b'{"a":1}')
    assert seen.headers["accept"] == seen.headers["content-type"] == "application/fhir+json"
    assert seen.headers["user-agent"].startswith("CareLoop/")
    assert seen.headers["host"] == f"127.0.0.1:{peer.port}"
    assert "authorization" not in seen.headers


async def test_headers_and_queries_of_a_dialect_are_sent(connections: Connections) -> None:
    async with (
        Peer(CREATED) as peer,
        outbound_over(connections) as outbound,
        outbound.exchange(endpoint(peer.base)) as exchange,
    ):
        assert exchange.address == peer.base
        headers = {"If-None-Exist": "identifier=a|b", "Content-Type": "application/json"}
        await exchange.send("POST", "", query=[("identifier", "a|b")], headers=headers, body=b"[]")
        await exchange.send("GET", f"{peer.base}/Task?page=2")
    first, second = peer.seen
    assert (first.target, second.target) == ("/?identifier=a%7Cb", "/Task?page=2")
    assert first.headers["if-none-exist"] == "identifier=a|b"
    assert first.headers["content-type"] == "application/json"
    assert "content-type" not in second.headers


async def test_connections_are_kept_between_attempts_and_cookies_are_not(connections: Connections) -> None:
    async with Peer(answer(200, set_cookie="session=1")) as peer, outbound_over(connections) as outbound:
        for _ in range(3):
            async with outbound.exchange({"id": "same", "address": peer.base}) as exchange:
                await exchange.send("GET", "metadata")
    assert peer.connections == 1
    assert not any("cookie" in seen.headers for seen in peer.seen)


@pytest.mark.parametrize("status", [200, 202, 304, 400, 404, 409, 410, 412, 422, 429, 500, 503])
async def test_any_complete_answer_is_an_answer(connections: Connections, status: int) -> None:
    says = raw(f"HTTP/1.1 {status} Said\r\ncontent-length: 0\r\nRetry-After: 5\r\n\r\n".encode())
    async with Peer(says) as peer:
        found = await post(connections, peer.base)
    assert (found.status, found.headers["retry-after"]) == (status, "5")


DRIP = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", *[b"x"] * 1000, pause=0.05)
HUGE = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n", *[b"x" * 2**18] * 4000)
HEADERS = raw(b"HTTP/1.1 200 OK\r\n", *[b"x-more: " + b"y" * 1000 + b"\r\n"] * 100_000)
INTERIM = raw(*[b"HTTP/1.1 103 Early Hints\r\nx-more: " + b"y" * 1000 + b"\r\n\r\n"] * 100_000)
CUT = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this")
CUT_CHUNKS = raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n")
BOMB = answer(200, gzip.compress(b"\0" * 2**26), content_encoding="gzip")
CUT_GZIP = answer(200, gzip.compress(b"some text of a length" * 99)[:-12], content_encoding="gzip")


@pytest.mark.parametrize(
    "says",
    [
        pytest.param(reset(), id="reset before any byte"),
        pytest.param(reset(b"HTTP/1.1 200 OK\r\ncontent-le"), id="reset in the headers"),
        pytest.param(reset(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx"), id="reset in the body"),
        pytest.param(raw(), id="closed without an answer"),
        pytest.param(CUT, id="cut off"),
        pytest.param(CUT_CHUNKS, id="cut off between chunks"),
        pytest.param(raw(b"SSH-2.0-OpenSSH\r\n"), id="not HTTP"),
        pytest.param(raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n"), id="another protocol"),
        pytest.param(silence(), id="no answer"),
        pytest.param(DRIP, id="drip feed"),
        pytest.param(HUGE, id="a body of 1 GB"),
        pytest.param(HEADERS, id="endless headers"),
        pytest.param(INTERIM, id="endless interim answers"),
        pytest.param(BOMB, id="a bomb"),
        pytest.param(CUT_GZIP, id="compressed and cut off"),
        pytest.param(answer(200, b"\x00", content_encoding="br"), id="compressed in an unknown way"),
    ],
)
async def test_what_was_sent_and_has_no_complete_answer_is_in_doubt(connections: Connections, says: Say) -> None:
    async with Peer(says) as peer:
        began = time.monotonic()
        with pytest.raises(InDoubt):
            await post(connections, peer.base, attempt_timeout=1.0)
        assert time.monotonic() - began < 3
    assert len(peer.seen) == 1


@pytest.mark.parametrize("says", [pytest.param(HUGE, id="body"), pytest.param(INTERIM, id="interim answers")])
async def test_no_more_is_read_than_an_answer_may_have(connections: Connections, says: Say) -> None:
    async with Peer(says) as peer:
        with pytest.raises(InDoubt, match="larger"):
            await post(connections, peer.base, attempt_timeout=30.0)


async def test_a_large_request_arrives_whole(connections: Connections) -> None:
    body = bytes(range(256)) * 4000
    async with Peer(CREATED) as peer:
        assert (await post(connections, peer.base, body)).status == 201
    assert peer.seen[0].body == body


async def test_who_refuses_a_large_request_before_it_has_ended_is_heard(connections: Connections) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        while await reader.read(2**16):
            pass
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await post(connections, address, b"x" * 2**21)).status == 413


async def test_a_reader_that_stops_in_the_middle_of_the_request_leaves_it_in_doubt(connections: Connections) -> None:
    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        await asyncio.sleep(1.5)
        writer.close()

    server = await asyncio.start_server(stop, "127.0.0.1", 0, limit=1024)
    async with server:
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        with pytest.raises(InDoubt):
            await post(connections, address, b"x" * 2**25, attempt_timeout=1.0)
    await asyncio.sleep(0.6)


async def test_a_modest_compressed_answer_is_read(connections: Connections) -> None:
    async with Peer(answer(200, gzip.compress(b'{"a":1}'), content_encoding="gzip")) as peer:
        assert (await post(connections, peer.base)).json() == {"a": 1}
    assert peer.seen[0].headers["accept-encoding"] == "identity"


async def test_a_refused_connection_means_that_nothing_was_sent(connections: Connections) -> None:
    async with Peer() as peer:
        pass
    with pytest.raises(NotSent):
        await post(connections, f"http://127.0.0.1:{peer.port}")


async def test_a_name_without_address_means_that_nothing_was_sent(connections: Connections) -> None:
    with pytest.raises(NotSent, match=r"nowhere\.invalid"):
        await post(connections, "https://nowhere.invalid/fhir")


async def test_a_full_pool_means_that_nothing_was_sent(connections: Connections) -> None:
    async with (
        Peer(silence()) as peer,
        outbound_over(connections, endpoint_connections=1, attempt_timeout=0.6) as outbound,
    ):
        where = endpoint(peer.base)
        async with outbound.exchange(where) as waiting:
            await asyncio.sleep(0.2)
            async with outbound.exchange(where) as sending:
                sent = asyncio.create_task(sending.send("POST", "Task", body=b"{}"))
                await asyncio.sleep(0.1)
                with pytest.raises(NotSent):
                    await waiting.send("POST", "Task", body=b"{}")
                with pytest.raises(InDoubt):
                    await sent
    assert len(peer.seen) == 1


async def test_connections_that_failed_make_room_for_others(connections: Connections) -> None:
    async with (
        Peer(silence()) as peer,
        outbound_over(connections, endpoint_connections=2, attempt_timeout=0.3) as outbound,
    ):
        where = endpoint(peer.base)

        async def send() -> int:
            async with outbound.exchange(where) as exchange:
                return (await exchange.send("POST", "Task", body=b"{}")).status

        for _ in range(3):
            results = await asyncio.gather(*(send() for _ in range(6)), return_exceptions=True)
            assert all(isinstance(result, NotSent | InDoubt) for result in results)
        peer.says = answer(200)
        assert await asyncio.gather(send(), send(), send()) == [200] * 3


async def test_the_time_of_an_attempt_is_shared_by_its_requests(connections: Connections) -> None:
    async with (
        Peer(answer(200)) as peer,
        outbound_over(connections, attempt_timeout=0.4) as outbound,
        outbound.exchange(endpoint(peer.base)) as exchange,
    ):
        await exchange.send("GET", "metadata")
        await asyncio.sleep(0.5)
        with pytest.raises(NotSent):
            await exchange.send("GET", "metadata")
    assert len(peer.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(connections: Connections, status: int) -> None:
    async with Peer() as other, Peer(answer(status, location=f"{other.base}/latest/meta-data")) as peer:
        with pytest.raises(Misconfigured, match="redirect"):
            await post(connections, peer.base)
    assert (len(peer.seen), len(other.seen)) == (1, 0)


async def test_proxies_of_the_environment_are_not_used(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(answer(599)) as proxy, Peer(CREATED) as peer:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base)
        assert (await post(connections, peer.base)).status == 201
    assert not proxy.seen


# Names


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_this_machine_is_refused_however_it_is_written(connections: Connections, scheme: str, host: str) -> None:
    async with Peer() as peer:
        with pytest.raises(Misconfigured):
            await post(connections, f"{scheme}://{host}:{peer.port}/fhir", allow="")
    assert peer.connections == 0


def names(*answers: list[str]) -> Callable[..., Any]:
    """A resolver that gives one answer after the other, and the last one for ever."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


async def test_one_forbidden_address_among_many_refuses_the_name(connections: Connections) -> None:
    async with Peer() as peer:
        resolve = names(["127.0.0.1", "10.0.0.1"])
        with pytest.raises(Misconfigured, match=r"ehr\.example \(10\.0\.0\.1\)"):
            await post(connections, f"http://ehr.example:{peer.port}", resolve=resolve)
    assert peer.connections == 0


async def test_a_name_that_points_elsewhere_later_is_refused_then(
    connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Peer(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")) as peer:
        resolve = names(["127.0.0.1"], ["169.254.169.254"])
        async with (
            outbound_over(connections, resolve=resolve) as outbound,
            outbound.exchange(endpoint(f"http://ehr.example:{peer.port}")) as exchange,
        ):
            assert (await exchange.send("GET", "metadata")).ok
            with pytest.raises(Misconfigured, match=r"169\.254\.169\.254"):
                await exchange.send("GET", "metadata")


async def test_a_name_is_resolved_once_for_a_connection_and_asked_for_by_name(connections: Connections) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.9.9.9"]

    async with Peer(CREATED) as peer:
        assert (await post(connections, f"http://EHR.example:{peer.port}/", resolve=resolve)).status == 201
    assert asked == ["ehr.example"]
    assert peer.seen[0].headers["host"] == f"ehr.example:{peer.port}"


async def test_an_address_that_does_not_answer_does_not_hide_the_next(connections: Connections) -> None:
    async with Peer(CREATED) as peer:
        resolve = names(["127.0.0.2", "127.0.0.1"])  # nobody listens at the first
        address = f"http://ehr.example:{peer.port}"
        assert (await post(connections, address, resolve=resolve, allow="127.0.0.0/8")).status == 201


async def test_an_endpoint_may_lie_where_its_operator_allows(connections: Connections) -> None:
    async with Peer(CREATED) as peer, outbound_over(connections, allow="") as outbound:
        where, other = endpoint(peer.base), endpoint(peer.base)
        await give(connections, where, "none", allow="127.0.0.0/8")
        async with outbound.exchange(where) as exchange:
            assert (await exchange.send("POST", "Task", body=b"{}")).status == 201
        async with outbound.exchange(other) as exchange:
            with pytest.raises(Misconfigured, match="encryption"):
                await exchange.send("POST", "Task", body=b"{}")


@pytest.mark.parametrize("address", ["", "ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://127.0.0.1/#x"])
async def test_an_address_that_cannot_be_called_is_refused_at_once(connections: Connections, address: str) -> None:
    with pytest.raises(Misconfigured):
        await post(connections, address)


async def test_a_path_that_leaves_the_address_is_not_sent(connections: Connections) -> None:
    async with (
        Peer() as peer,
        Peer() as other,
        outbound_over(connections) as outbound,
        outbound.exchange(endpoint(f"{peer.base}/fhir")) as exchange,
    ):
        for path in ("../admin", "Task/%2e%2e/%2e%2e/admin", f"{peer.base}/admin", f"{other.base}/fhir/Task/1"):
            with pytest.raises(Misconfigured):
                await exchange.send("GET", path)
    assert peer.seen == other.seen == []


# TLS


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def test_a_certificate_is_asked_of_the_name_while_the_number_is_called(
    connections: Connections, authority: Authority, tmp_path: Path
) -> None:
    async with Peer(CREATED, authority.identity("ehr.example").context(tmp_path)) as peer:
        where = endpoint(f"https://ehr.example:{peer.port}/fhir")
        await give(connections, where, "none", authorities=authority.pem)
        async with (
            outbound_over(connections, resolve=names(["127.0.0.1"])) as outbound,
            outbound.exchange(where) as exchange,
        ):
            assert (await exchange.send("POST", "Task", body=b"{}")).status == 201


@pytest.mark.parametrize(
    ("name", "days", "trusted"),
    [
        pytest.param("ehr.example", -1, True, id="expired"),
        pytest.param("other.example", 30, True, id="of another host"),
        pytest.param("ehr.example", 30, False, id="of an unknown authority"),
    ],
)
async def test_a_wrong_certificate_is_somebodys_mistake_and_nothing_is_sent(
    connections: Connections, authority: Authority, tmp_path: Path, name: str, days: int, trusted: bool
) -> None:
    async with Peer(CREATED, authority.identity(name, days=days).context(tmp_path)) as peer:
        where = endpoint(f"https://ehr.example:{peer.port}/fhir")
        trust = authority.pem if trusted else Authority().pem
        await give(connections, where, "header", authorities=trust, headers={"authorization": "Bearer secret"})
        async with (
            outbound_over(connections, resolve=names(["127.0.0.1"])) as outbound,
            outbound.exchange(where) as exchange,
        ):
            with pytest.raises(Misconfigured, match="certificate"):
                await exchange.send("POST", "Task", body=b"{}")
    assert peer.seen == []


@pytest.mark.parametrize("says", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_that_does_not_speak_tls_gets_nothing(connections: Connections, says: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(2000))
        writer.write(says)
        writer.close()

    heard: list[bytes] = []
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        with pytest.raises(NotSent):
            await post(connections, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", b"of a client")
    assert b"of a client" not in b"".join(heard)


@pytest.mark.parametrize(
    ("version", "meant"),
    [
        # The end of the connection may overtake what it was ended for; in 1.3 the request has left by then.
        (ssl.TLSVersion.TLSv1_2, (Misconfigured, NotSent)),
        (ssl.TLSVersion.TLSv1_3, (Misconfigured, InDoubt)),
    ],
)
async def test_who_wants_a_client_certificate_and_gets_none_does_not_get_the_request(
    connections: Connections, authority: Authority, tmp_path: Path, version: ssl.TLSVersion, meant: Any
) -> None:
    context = authority.identity().context(tmp_path, clients=authority)
    context.maximum_version = version
    async with Peer(CREATED, context) as peer:
        where = endpoint(peer.base)
        await give(connections, where, "none", authorities=authority.pem)
        async with outbound_over(connections) as outbound, outbound.exchange(where) as exchange:
            with pytest.raises(meant):
                await exchange.send("POST", "Task", body=b"{}")
    assert peer.seen == []


def test_a_server_that_is_not_content_with_our_certificate_is_understood(authority: Authority, tmp_path: Path) -> None:
    server = authority.identity().context(tmp_path, clients=authority)
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    us = tls.context(Credentials(authorities=authority.pem)).wrap_bio(to_us, to_them, server_hostname="127.0.0.1")
    them = server.wrap_bio(to_them, to_us, server_side=True)
    for side in (us, them, us, them):
        with suppress(ssl.SSLError):
            side.do_handshake()
    with pytest.raises(ssl.SSLError) as refusal:
        us.do_handshake()
    assert "our certificate" in (tls.complaint(refusal.value) or "")


# Keeping


async def test_endpoints_that_were_not_used_for_long_are_let_go(connections: Connections) -> None:
    async with Peer(CREATED) as peer, outbound_over(connections, most_endpoints=2) as outbound:
        for _ in range(5):
            async with outbound.exchange(endpoint(peer.base)) as exchange:
                await exchange.send("POST", "Task", body=b"{}")
        assert len(outbound._links) == 2


async def test_an_exchange_under_way_ends_in_peace_when_all_is_closed(connections: Connections) -> None:
    async def slowly(seen: Any, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        CREATED(seen, writer)

    async with (
        Peer(slowly) as peer,
        outbound_over(connections) as outbound,
        outbound.exchange(endpoint(peer.base)) as exchange,
    ):
        sending = asyncio.create_task(exchange.send("POST", "Task", body=b"{}"))
        await asyncio.sleep(0.1)
        await outbound.aclose()
        assert (await sending).status == 201


async def test_a_change_of_access_is_noticed(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "RECHECK_SECONDS", 0.0)
    async with Peer(CREATED) as peer, outbound_over(connections) as outbound:
        where = endpoint(peer.base)
        for value in ("one", "two"):
            await give(connections, where, "header", headers={"X-Api-Key": value})
            async with outbound.exchange(where) as exchange:
                await exchange.send("POST", "Task", body=b"{}")
    assert [seen.headers["x-api-key"] for seen in peer.seen] == ["one", "two"]


async def test_a_problem_says_nothing_of_what_was_sent(connections: Connections) -> None:
    async with (
        Peer(reset()) as peer,
        outbound_over(connections) as outbound,
        outbound.exchange(endpoint(peer.base)) as exchange,
    ):
        with pytest.raises(DeliveryProblem) as problem:
            await exchange.send("POST", "Task", query=[("identifier", "of-a-client")], body=b"of-a-client")
    assert "of-a-client" not in repr(problem.value) + str(problem.value.__cause__)
