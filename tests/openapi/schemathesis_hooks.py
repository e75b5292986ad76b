"""Where R4 says otherwise than schemathesis expects. It is loaded by its command line (`schemathesis.toml`)."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def filter_query(context: schemathesis.HookContext, query: Any) -> bool:
    """A parameter without a value counts as absent (R4 search.html): what is empty is not wrong."""
    return not any(value in ("", [], [""], None) for value in (query or {}).values())
