"""The page that people look at in a demonstration: which referrals came in, and how far they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from html import escape

from app.fhir.json import loads
from app.fhir.types import Json
from app.receiver.options import Options
from app.receiver.profiles import PROFILES
from app.receiver.record import moment

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_MOST = 200
_COLOURS = {
    "requested": "#8a6d00",
    "received": "#8a6d00",
    "active": "#8a6d00",
    "accepted": "#0b63b0",
    "in-progress": "#5b3fb5",
    "completed": "#1b7a3d",
    "rejected": "#b3261e",
    "cancelled": "#6b6b6b",
    "revoked": "#6b6b6b",
}
_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin: 0 } p { margin: .25rem 0 1.5rem; opacity: .75 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .5rem .75rem .5rem 0; border-bottom: 1px solid #8884; vertical-align: top }
th { font-weight: 600; opacity: .75 } td.t { white-space: nowrap; font-variant-numeric: tabular-nums }
b { color: #fff; border-radius: 1rem; padding: .1rem .7rem; font-weight: 600; font-size: .85rem; white-space: nowrap }
small { opacity: .7; display: block }
"""


def page(database: sqlite3.Connection, options: Options) -> str:
    """The whole page; it asks to be loaded again every two seconds."""
    rows = database.execute(
        "SELECT place, status, title, client, begun, "
        "(SELECT dialect FROM arrival WHERE made = place ORDER BY number LIMIT 1), "
        "(SELECT body FROM resource WHERE place = type || '/' || id) FROM plan ORDER BY begun DESC, place LIMIT ?",
        (_MOST,),
    ).fetchall()
    (messages,) = database.execute("SELECT count(*) FROM arrival").fetchone()
    listed = "".join(_row(*row) for row in rows) or '<tr><td colspan="5">Nothing has arrived yet.</td></tr>'
    head = "".join(f"<th>{name}</th>" for name in ("Arrived", "What is asked for", "For", "From", "State"))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Stand-in EHR</title><style>{_STYLE}</style></head><body><h1>Stand-in EHR: incoming referrals</h1>"
        f"<p>It plays {escape(PROFILES[options.profile].about)}. {messages} messages so far; all data is made up.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{listed}</tbody></table></body></html>"
    )


def _row(place: str, status: str, title: str, client: str, begun: int, dialect: str | None, body: bytes | None) -> str:
    resource: Json = loads(body) if body else {}
    subject = resource.get("for") or resource.get("subject") or {}
    reason = resource.get("statusReason", {}).get("text", "")
    return _cells(
        f'<td class="t">{moment(begun):%H:%M:%S}<small>{escape(dialect or "")}</small></td>',
        f"<td>{escape(title or 'A referral')}<small>{escape(place)}</small></td>",
        f"<td>{escape(client or _name(subject))}</td>",
        f"<td>{escape(_name(resource.get('requester', {})))}</td>",
        f'<td><b style="background:{_COLOURS.get(status, "#6b6b6b")}">{escape(status)}</b>'
        f"<small>{escape(reason)}</small></td>",
    )


def _cells(*cells: str) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _name(reference: Mapping[str, Json | str]) -> str:
    """Who is meant, as far as the message says so itself."""
    identifier = reference.get("identifier")
    known: Iterable[object] = (
        reference.get("display"),
        reference.get("reference"),
        identifier.get("value") if isinstance(identifier, dict) else None,
    )
    return next((str(text) for text in known if text), "")
