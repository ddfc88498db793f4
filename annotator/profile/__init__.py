"""Profiles: what an article or an outlet does with its sources and its own voice, in figures with intervals.

A profile states evidence and no verdict: there is no overall score (docs/profile.md).
"""

from __future__ import annotations

from annotator.profile.build import profile_article, profile_facts, profile_files, profile_outlets
from annotator.profile.error import ErrorModel, errors_in
from annotator.profile.facts import ArticleFacts, article_facts, record_facts
from annotator.profile.output import write_profiles
from annotator.profile.values import SIGNALS, Figure, Profile, SourceCount

__all__ = [
    "SIGNALS",
    "ArticleFacts",
    "ErrorModel",
    "Figure",
    "Profile",
    "SourceCount",
    "article_facts",
    "errors_in",
    "profile_article",
    "profile_facts",
    "profile_files",
    "profile_outlets",
    "record_facts",
    "write_profiles",
]
