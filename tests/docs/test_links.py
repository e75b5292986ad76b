"""Every link of every page leads somewhere, and every guide can be found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.docs.pages import fence
from tests.support.servers import ROOT

_SKIPPED = {"data", "dist", "build", "node_modules"}
_inline = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^()\s>]+(?:\([^()\s]*\)[^()\s>]*)?)>?(?:\s+\"[^\"]*\")?\s*\)"
)
_defined = re.compile(r"^ {0,3}\[[^\]]+\]:\s+<?([^\s>]+)", re.MULTILINE)
_tagged = re.compile(r"<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=[\"']([^\"']+)", re.IGNORECASE)
_heading = re.compile(r"^ {0,3}#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_anchored = re.compile(r"<a\b[^>]*?\b(?:id|name)=[\"']([^\"']+)", re.IGNORECASE)
_elsewhere = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE).match


def every_page() -> list[Path]:
    """All Markdown of the repository, but not of what is installed or made."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in _SKIPPED for part in path.relative_to(ROOT).parts)
    )


def prose(text: str) -> str:
    """A page without its code."""
    kept: list[str] = []
    marks = ""
    for line in text.splitlines():
        opened = fence(line)
        if marks:
            if line.strip().startswith(marks):
                marks = ""
        elif opened is not None:
            marks = opened[2]
        else:
            kept.append(line)
    return "\n".join(kept)


def links(text: str) -> Iterator[str]:
    plain = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "`code`", prose(text))
    for pattern in (_inline, _defined, _tagged):
        yield from pattern.findall(plain)


@cache
def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    text = prose(page.read_text())
    seen: Counter[str] = Counter()
    found = set(_anchored.findall(text))
    for heading in _heading.findall(text):
        words = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def target(page: Path, link: str) -> tuple[Path, str]:
    """The file and the anchor that a link of a page leads to."""
    path, _, anchor = unquote(link).partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


def broken(page: Path, link: str) -> str | None:
    """Why a link does not lead anywhere. What is on another server is not asked."""
    if _elsewhere(link):
        return None
    path, anchor = target(page, link)
    if link.startswith("/") or not path.is_relative_to(ROOT):
        return "leads out of the repository"
    if not path.exists():
        return "there is no such file"
    if anchor and path.suffix == ".md" and anchor not in anchors(path):
        return "there is no such heading"
    return None


@pytest.mark.parametrize("page", every_page(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = {link: why for link in links(page.read_text()) if (why := broken(page, link))}
    assert not wrong, f"{page.relative_to(ROOT)}: {wrong}"


def test_every_guide_is_found_from_the_index() -> None:
    index = ROOT / "docs" / "README.md"
    found, waiting = {index}, [index]
    while waiting:
        page = waiting.pop()
        near = {target(page, link)[0] for link in links(page.read_text()) if not _elsewhere(link)}
        new = {path for path in near if path.suffix == ".md" and path.is_file()} - found
        found |= new
        waiting += new
    lost = [str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md") if path not in found]
    assert not lost
    assert index in {target(ROOT / "README.md", link)[0] for link in links((ROOT / "README.md").read_text())}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[x](missing.md)", "there is no such file"),
        ("![x](missing.png)", "there is no such file"),
        ("[x](README.md#no-such-heading)", "there is no such heading"),
        ("[x](../README.md)", "leads out of the repository"),
        ("[x]: missing.md", "there is no such file"),
        ("[x](/README.md)", "leads out of the repository"),
        ("[x](README.md#settings) [y](https://example.org/missing) `[z](missing.md)`", None),
        ("```text\n[x](missing.md)\n```", None),
    ],
)
def test_a_broken_link_is_seen(text: str, why: str | None) -> None:
    assert next((why for link in links(text) if (why := broken(ROOT / "PAGE.md", link))), None) == why
