"""The narrative of a resource: strict XML with the harmless part of XHTML (R4 narrative.html, txt-1, txt-2).

What is not allowed is refused, never removed: a record is kept as it was given, or not at all. The text is read as XML
here but may be shown by a browser that reads HTML, so whatever the two read differently is refused as well: CDATA,
processing instructions, and comments that HTML ends earlier than XML.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.parsers import expat

from app.fhir.findings import Finding, Outcome
from app.fhir.primitives import string

_XHTML = "http://www.w3.org/1999/xhtml"
_XML_LANG = "http://www.w3.org/XML/1998/namespace lang"

_ELEMENTS = frozenset(
    """
    a abbr acronym address b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6
    hr i img kbd li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var
    """.split()  # noqa: SIM905 - one line an element would fill the page
)
_ATTRIBUTES = frozenset(
    """
    abbr accesskey align alt axis bgcolor border cellpadding cellspacing char charoff charset class colspan compact
    coords dir frame headers height hreflang hspace id lang name nowrap rel rev rowspan rules scope shape span start
    style summary tabindex title type valign value vspace width
    """.split()  # noqa: SIM905
)

_LINK_SCHEMES = frozenset({None, "ftp", "http", "https", "mailto", "sms", "tel", "urn"})
_IMAGE_SCHEMES = frozenset({None, "http", "https", "urn"})
_scheme = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):").match
_is_image_data = re.compile(r"data:image/[a-z+.\-]+[;,]", re.IGNORECASE).match
_passive_url = re.compile(r"""url\((["']?)(?:data:image/[a-z+.\-]+[;,][a-z0-9+/=;,%]*|#?[\w.\-]+)\1\)""", re.IGNORECASE)
_is_active = re.compile(
    r"\\|/\*|@|url\s*\(|image\s*\(|image-set|expression|behaviou?r|-moz-binding|script:", re.IGNORECASE
).search


class _Refused(Exception):
    """The first thing that is not allowed."""


def _scheme_of(url: str) -> str | None:
    """As browsers see it, who skip spaces and control characters in front of and within the scheme."""
    match = _scheme("".join(character for character in url if character > " "))
    return match[1].lower() if match else None


def _is_link(url: str) -> bool:
    return _scheme_of(url) in _LINK_SCHEMES


def _is_image(url: str) -> bool:
    """Of this server or elsewhere on the web, or the image itself; `urn:` until a transaction gives it an address."""
    return _scheme_of(url) in _IMAGE_SCHEMES or _is_image_data(url) is not None


def _is_passive(style: str) -> bool:
    """Whether a style stays inside: no other server's address, nothing that old browsers ran, no hidden spelling."""
    return _is_active(_passive_url.sub("", style)) is None


_VALUES: Mapping[tuple[str, str], Callable[[str], object]] = {
    ("a", "href"): _is_link,
    ("blockquote", "cite"): _is_link,
    ("q", "cite"): _is_link,
    ("img", "longdesc"): _is_link,
    ("img", "src"): _is_image,
}


class _Reader:
    """Listens to the XML parser. `has_content` is txt-2: some text, or an image."""

    def __init__(self) -> None:
        self.has_content = False
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition(" ")
        if self._depth == 0 and tag != "div":
            raise _Refused("The narrative is one div element")
        if namespace != _XHTML or tag not in _ELEMENTS:
            raise _Refused(f"The narrative has an element that is not allowed, or is not of the namespace {_XHTML},")
        for attribute, value in attributes.items():
            _check_attribute(tag, attribute, value)
        self._depth += 1
        self.has_content = self.has_content or tag == "img"

    def end(self, _: str) -> None:
        self._depth -= 1

    def text(self, data: str) -> None:
        self.has_content = self.has_content or not data.isspace()

    def comment(self, data: str) -> None:
        if "<" in data or ">" in data:
            raise _Refused("The narrative has a comment with markup inside")

    def refuse(self, *_: Any) -> None:
        raise _Refused("The narrative has a document type, CDATA or a processing instruction")


def _check_attribute(tag: str, attribute: str, value: str) -> None:
    is_right = _VALUES.get((tag, attribute))
    if is_right is not None:
        if not is_right(value):
            raise _Refused("The narrative has a link or an image whose address is not allowed")
    elif attribute not in _ATTRIBUTES and attribute != _XML_LANG:
        raise _Refused("The narrative has an attribute that is not allowed")
    elif attribute == "style" and not _is_passive(value):
        raise _Refused("The narrative has a style that loads or runs something")


def narrative(value: Mapping[str, Any], _: object) -> Outcome:
    """The check of a Narrative as a whole. A div that is no string is refused elsewhere."""
    div = value.get("div")
    if not isinstance(div, str) or string(div, None):
        return None
    return problem(div)


def problem(div: str) -> Outcome:
    """What is wrong with the text of a div."""
    reader = _Reader()
    parser = _parser(reader)
    try:
        parser.Parse(div, True)
    except expat.ExpatError as error:
        text = f"The narrative is not well-formed XML at line {error.lineno}, column {error.offset + 1}."
        return (Finding("structure", text, ".div"),)
    except _Refused as refused:
        place = f"line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1}"
        return (Finding("invariant", f"txt-1: {refused} at {place}.", ".div"),)
    if not reader.has_content:
        return (Finding("invariant", "txt-2: The narrative has no content.", ".div"),)
    return None


def _parser(reader: _Reader) -> expat.XMLParserType:
    """A parser that resolves nothing: there is no DTD, so there are no entities but the five of XML."""
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.CommentHandler = reader.comment
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.StartCdataSectionHandler = reader.refuse
    parser.ProcessingInstructionHandler = reader.refuse
    parser.XmlDeclHandler = reader.refuse
    return parser


_INLINE = frozenset("a abbr acronym b bdo big cite code dfn em i kbd q samp small span strong sub sup tt var".split())  # noqa: SIM905


def text_of(div: str) -> str:
    """What a reader sees of the text of a div; empty when it is not well-formed."""
    found: list[str] = []

    def border(name: str, *_: Any) -> None:
        if name not in _INLINE:
            found.append(" ")

    parser = expat.ParserCreate()
    parser.StartElementHandler = parser.EndElementHandler = border
    parser.CharacterDataHandler = found.append
    try:
        parser.Parse(div, True)
    except expat.ExpatError:
        return ""
    return "".join(found)
