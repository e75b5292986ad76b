"""How index rows compare with the values of ordered kinds, by prefix. https://hl7.org/fhir/R4/search.html#prefix"""

from __future__ import annotations

from app.fhir.search.values import Prefix

# A row is [lo, hi), the value [start, end). There are indexes by lo and by hi: bounds that follow from lo < hi are said
# as well, so that a scan ends where the value does.
DATE = {
    Prefix.EQ: "({lo} >= {start} AND {lo} < {end} AND {hi} > {start} AND {hi} <= {end})",
    Prefix.NE: "({lo} < {start} OR {hi} > {end})",
    Prefix.GT: "({hi} > {end})",
    Prefix.LT: "({lo} < {start})",
    Prefix.GE: "({hi} > {start} AND ({hi} > {end} OR {lo} >= {start} AND {hi} <= {end}))",
    Prefix.LE: "({lo} < {end} AND ({lo} < {start} OR {lo} >= {start} AND {hi} <= {end}))",
    Prefix.SA: "({lo} >= {end} AND {hi} > {end})",
    Prefix.EB: "({hi} <= {start} AND {lo} < {start})",
    Prefix.AP: "({lo} < {end} AND {hi} > {start})",
}

# A row is an instant.
INSTANT = {
    Prefix.EQ: "({at} >= {start} AND {at} < {end})",
    Prefix.NE: "({at} < {start} OR {at} >= {end})",
    Prefix.GT: "({at} >= {end})",
    Prefix.LT: "({at} < {start})",
    Prefix.GE: "({at} >= {start})",
    Prefix.LE: "({at} < {end})",
    Prefix.SA: "({at} >= {end})",
    Prefix.EB: "({at} < {start})",
    Prefix.AP: "({at} >= {start} AND {at} < {end})",
}

# A row is [row_lo, row_hi]; `value` is exact, [lo, hi) its implicit range. There are indexes by row_lo and by row_hi:
# bounds that follow from row_lo <= row_hi are said as well.
NUMBER = {
    Prefix.EQ: "({row_lo} >= {lo} AND {row_lo} < {hi} AND {row_hi} >= {lo} AND {row_hi} < {hi})",
    Prefix.NE: "({row_lo} < {lo} OR {row_hi} >= {hi})",
    Prefix.GT: "({row_hi} > {value})",
    Prefix.LT: "({row_lo} < {value})",
    Prefix.GE: "({row_hi} >= {value})",
    Prefix.LE: "({row_lo} <= {value})",
    Prefix.SA: "({row_lo} > {value} AND {row_hi} > {value})",
    Prefix.EB: "({row_lo} < {value} AND {row_hi} < {value})",
    Prefix.AP: "({row_lo} < {hi} AND {row_hi} >= {lo})",
}
