"""Profiles: what an article or an outlet does with its sources and its own voice, in figures with intervals.

A profile states evidence and no verdict: there is no overall score (docs/profile.md).
"""

from __future__ import annotations

from annotator.profile.values import SIGNALS, Figure, Profile, SourceCount

__all__ = ["SIGNALS", "Figure", "Profile", "SourceCount"]
