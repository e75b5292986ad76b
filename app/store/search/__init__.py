"""The search compiler: a query becomes one SQL statement.

`scope.py` holds the arguments of a statement while its text is made; there is one file per datatype; `conditions.py`
puts conditions together, `page.py` runs statements. Every condition is one on a resource row named `r`, and every
subquery over resources names its own row `r` as well: what is inside never looks outside.
"""
