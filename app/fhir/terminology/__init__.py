"""What value sets hold and which concepts subsume others, from definitions that are given as JSON.

`library.py` keeps ValueSets and CodeSystems and knows which of several versions counts; `code_systems.py` has the
concepts of one code system, their hierarchy and properties; `value_sets.py` expands; `concepts.py` is the arithmetic
of sets of concepts, `patterns.py` the regular expressions. Pure: whoever loads the definitions is elsewhere.
"""
