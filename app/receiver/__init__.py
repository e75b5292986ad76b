"""A stand-in EHR: a program of its own that takes referrals, answers them as people would, and misbehaves on demand."""
