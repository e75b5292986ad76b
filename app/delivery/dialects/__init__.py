"""The shapes in which endpoints accept referrals: one file each. A new dialect is a new file and a line in DIALECTS."""
