"""Batches and transactions. https://hl7.org/fhir/R4/http.html#transaction

A batch performs its entries one by one, each like a request of its own. A transaction prepares all its writes, looks up
what they depend on, lets their links find each other, and stores them with one call; then it reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from urllib.parse import parse_qsl

from app.errors import Invalid, Issue, Malformed, Problem
from app.fhir import bundles, links, outcomes, transactions
from app.fhir.findings import MOST
from app.fhir.transactions import Entry
from app.fhir.types import FhirRequest, FhirResult, Interaction, Json
from app.fhir.validation import check
from app.interactions import conditional_references, criteria, governance
from app.interactions.commit import BREATH, Prepare, located, result, save
from app.interactions.conditional import decide
from app.interactions.context import Context
from app.interactions.faults import told
from app.interactions.writes import Write
from app.store.connections import Connection
from app.store.errors import TryAgain

Execute = Callable[[Context, FhirRequest], Awaitable[FhirResult]]
Prepares = Mapping[Interaction, Prepare]


async def process(context: Context, request: FhirRequest, *, execute: Execute, prepares: Prepares) -> FhirResult:
    bundle = request.content()
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise Malformed(issues=[Issue("invalid", "Only a Bundle can be posted here.", "resourceType")])
    entries = transactions.read_entries(bundle, context.server.max_bundle_entries, base_url=context.server.base_url)
    faults = transactions.envelope(bundle)
    common = _entry_preference(request)
    if bundle["type"] == "batch":
        if faults:
            raise Invalid(issues=faults)
        responses = [await _batch_entry(context, entry, common, execute) for entry in entries]
        return _answer(context, "batch", responses)
    faults += transactions.repeated_full_urls(entries)
    responses = await _Transaction(context, faults, entries, common, execute, prepares).run()
    return _answer(context, "transaction", responses)


def _answer(context: Context, kind: str, responses: Sequence[bundles.Response]) -> FhirResult:
    made = bundles.batch_response(
        "batch" if kind == "batch" else "transaction", responses, id=context.new_id(), last_updated=context.now
    )
    return FhirResult(200, made)


def _entry_preference(request: FhirRequest) -> dict[str, str]:
    """The headers of every entry: it returns its resource only when the bundle's sender prefers so in words."""
    prefer = request.headers.get("prefer", "")
    return {"prefer": prefer if "return" in prefer else f"{prefer}, return=minimal"}


def _request(entry: Entry, common: dict[str, str]) -> FhirRequest:
    """The entry as a request of its own."""
    if entry.route is None:
        raise Malformed(issues=[entry.fault("request", "This entry cannot be understood.")])
    return FhirRequest(
        entry.method,
        entry.route.interaction,
        entry.type,
        entry.id,
        entry.version,
        tuple(parse_qsl(entry.query, keep_blank_values=True)) if entry.query else (),
        common | entry.headers if entry.headers else common,
        body=entry.body,
        patch=entry.patch,
        member=entry.member,
    )


def _response(result: FhirResult, full_url: str | None = None) -> bundles.Response:
    return bundles.Response(
        result.status, result.location, result.version, result.last_updated, result.body, result.outcome, full_url
    )


async def _batch_entry(context: Context, entry: Entry, common: dict[str, str], execute: Execute) -> bundles.Response:
    """The answer to one entry, also where the server fails: what the others did is stored, and must be told."""
    try:
        if entry.problem is not None:
            raise entry.problem
        return _response(await execute(context, _request(entry, common)))
    except TryAgain:
        raise
    except Exception as error:
        problem = told(error, context.request_id)
        return bundles.Response(problem.status, outcome=outcomes.of_problem(problem))


class _Transaction:
    """One attempt at a transaction; its state is thrown away with it."""

    def __init__(
        self,
        context: Context,
        faults: Sequence[Issue],
        entries: Sequence[Entry],
        common: dict[str, str],
        execute: Execute,
        prepares: Prepares,
    ) -> None:
        self._context = context
        self._faults = faults
        self._entries = transactions.processing_order(entries)
        self._execute = execute
        self._prepares = prepares
        self._requests = {entry.index: _request(entry, common) for entry in entries if not entry.problem}
        self._repeated: dict[int, int] = {}
        self._full_urls = {entry.index: entry.full_url for entry in entries if entry.full_url}
        self._writes: dict[int, Write] = {}
        self._searches: dict[tuple[str, str], list[tuple[Json, Write]]] = {}
        self._results: dict[int, FhirResult] = {}

    async def run(self) -> list[bundles.Response]:
        await self._prepare()
        async with self._context.server.connections.transaction() as connection:
            inner = replace(self._context, connection=connection)
            await governance.lock(inner, connection, list(self._writes.values()))
            await self._write(inner, connection)
            await self._read(inner)
        return [_response(self._results[index]) for index in sorted(self._results)]

    async def _prepare(self) -> None:
        """Everything that needs no database. Raises one problem with all that is wrong, of the least status."""
        problems: list[Problem] = [Malformed(issues=self._faults)] if self._faults else []
        count = len(self._faults)
        full_urls = set(self._full_urls.values())
        for number, entry in enumerate(self._entries):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            try:
                self._prepare_entry(entry, full_urls)
            except Problem as problem:
                problems.append(problem)
                count += len(problem.issues)
            if count >= MOST:
                break
        meanings = {index: write.criteria.meaning for index, write in self._writes.items() if write.criteria}
        if overlaps := transactions.overlaps(self._entries, meanings):
            problems.append(Malformed(issues=overlaps))
        if problems:
            issues = list(islice((issue for problem in problems for issue in problem.issues), MOST))
            first = min(problems, key=lambda problem: problem.status)
            raise type(first)(issues=issues, headers=first.headers)
        self._repeated = transactions.repeated_creates(self._entries, meanings)

    def _prepare_entry(self, entry: Entry, full_urls: Container[str]) -> None:
        if entry.problem is not None:
            raise Malformed(issues=[*entry.problem.issues, *_resource_faults(entry)])
        request = self._requests[entry.index]
        try:
            self._context.authorize(request)
            prepare = self._prepares.get(request.interaction)
            if prepare is None:
                return
            write = prepare(self._context, request)
        except Problem as problem:
            raise located(problem, _place(entry, problem)) from None
        write.location = f"{entry.location}.resource"
        self._writes[entry.index] = write
        self._note_links(write, full_urls)

    def _note_links(self, write: Write, full_urls: Container[str]) -> None:
        """Remember the references that are searches; refuse those to entries that there are not."""
        if write.resource is None or write.checked is None:
            return
        outside = links.outside(write.checked, full_urls)
        if not outside:
            return
        if issues := links.unresolved(write.resource, outside, full_urls, write.location or ""):
            raise Invalid(issues=issues)
        for reference, type_name, query in links.conditional_references(outside):
            self._searches.setdefault((type_name, query), []).append((reference, write))

    async def _write(self, context: Context, connection: Connection) -> None:
        await self._decide(context, connection)
        rewrite = await self._resolve(context, connection)
        saved = await save(context, connection, list(self._writes.values()), before=rewrite)
        for (index, write), one in zip(self._writes.items(), saved, strict=True):
            self._results[index] = result(write, one)
        for index, original in self._repeated.items():
            self._results[index] = replace(self._results[original], status=200)

    async def _decide(self, context: Context, connection: Connection) -> None:
        queries = [write.criteria for write in self._writes.values() if write.criteria is not None]
        if queries:
            await criteria.lock(connection, queries)
        leaving = self._leaving()
        full_urls = set(self._full_urls.values())
        for index, write in self._writes.items():
            if write.depends:
                try:
                    await decide(context, connection, write, () if write.deletes else leaving)
                except Problem as problem:
                    raise located(problem, f"Bundle.entry[{index}]") from None
            if write.deletes and write.id:
                leaving.add((write.type, write.id))
            if write.request.patch:
                self._note_links(write, full_urls)
        if issues := transactions.overlapping(self._identities()):
            raise Malformed(issues=issues)

    def _identities(self) -> Iterator[tuple[int, str, Hashable]]:
        """What each entry writes. What is made because nothing matches is also known by what its criteria mean."""
        for index, write in self._writes.items():
            if write.id and not write.settled:
                yield index, write.type, write.id
                if write.criteria is not None and write.match is None and index not in self._repeated:
                    yield index, write.type, write.criteria.meaning

    def _leaving(self) -> set[tuple[str, str]]:
        """What this transaction deletes, as far as it is known."""
        return {(write.type, write.id) for write in self._writes.values() if write.deletes and write.id}

    async def _resolve(self, context: Context, connection: Connection) -> Callable[[Write], None]:
        """What lets references, uris and narrative links of a resource name what the entries became."""
        for index in self._repeated:
            del self._writes[index]
        mapping = {
            full_url: f"{write.type}/{write.match.id if write.match else write.id}"
            for index, full_url in self._full_urls.items()
            if (write := self._writes.get(self._repeated.get(index, index)))
        }
        writes = list(self._writes.values())
        await conditional_references.resolve(context, connection, self._searches, writes, self._leaving())
        resolver = links.Resolver(mapping, context.server.base_url)
        full_urls = {id(write): self._full_urls.get(index) for index, write in self._writes.items()}

        def rewrite(write: Write) -> None:
            if write.resource is not None and write.checked is not None:
                resolver.rewrite(write.resource, write.checked, full_urls[id(write)])

        return rewrite

    async def _read(self, context: Context) -> None:
        for entry in self._entries:
            if entry.index not in self._results:
                try:
                    self._results[entry.index] = await self._execute(context, self._requests[entry.index])
                except Problem as problem:
                    raise located(problem, f"{entry.location}.request.url") from None


def _resource_faults(entry: Entry) -> Sequence[Issue]:
    """What is wrong with the resource of an entry that cannot be understood."""
    try:
        if entry.resource is not None:
            check(entry.resource)
    except Invalid as invalid:
        return located(invalid, f"{entry.location}.resource").issues
    return ()


def _place(entry: Entry, problem: Problem) -> str:
    return f"{entry.location}.resource" if isinstance(problem, Invalid) else entry.location
