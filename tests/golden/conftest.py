"""Hypothesis without its time limit per example: a busy machine is not a wrong result."""

from hypothesis import settings

settings.register_profile("golden", deadline=None)
settings.load_profile("golden")
