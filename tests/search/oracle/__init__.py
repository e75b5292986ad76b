"""A second opinion on searches: FHIRPath by another implementation, and the rules of R4 search written once more.

Nothing here shares code with `app`. It is slow and small on purpose.
"""
