"""Families of cases; each module has ``cases(sizes)``."""
