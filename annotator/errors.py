"""Errors of the library: one line each, naming the item, the value found and the remedy."""

from __future__ import annotations


class AnnotatorError(Exception):
    """Base of every error that the library raises on purpose; its text is one clear line."""


class InputError(AnnotatorError):
    """A page, file or record that cannot be read or is not what it claims to be."""


class RecordError(InputError):
    """A record that breaks the schema: a missing key, an offset outside the text, an unknown label."""


class ModelError(AnnotatorError):
    """A model folder that is missing, incomplete, or whose files do not match its manifest."""


class MissingExtraError(AnnotatorError):
    """A feature whose optional dependencies are not installed."""

    def __init__(self, feature: str, extra: str, module: str) -> None:
        """State which feature needs which extra, and the command that installs it."""
        super().__init__(
            f"{feature} needs the package '{module}', which is not installed: run  pip install 'annotator[{extra}]'"
        )
        self.extra = extra


def reason(error: Exception) -> str:
    """Return what is wrong with a value, in words: a KeyError by itself is only the key."""
    return f"no key {error}" if isinstance(error, KeyError) else str(error)
