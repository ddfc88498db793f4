"""The model's known error on gate pages, and figures that take it into account (docs/profile.md, "Method").

Everything here is closed-form: a figure depends on the counts and the stored error alone.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from annotator.errors import ModelError
from annotator.profile.counting import QUESTIONS, Counts
from annotator.profile.values import Figure
from annotator.registry import find_version, read_metrics

logger = logging.getLogger(__name__)

ERROR_FORMAT = 1
NORMAL = 1.959964  # of the 95 % interval of a normal variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far figures were off on gate pages.

    The variance of an error is the binomial one of one segment times ``segment``/n + ``article``/articles +
    ``outlet``; ``z`` times its root is what 95 % of the errors did not exceed.
    """

    segment: float
    article: float
    outlet: float
    z: float

    def size(self, n: float, articles: float) -> float:
        """Return how many segments labelled without error would say as much as ``n`` of the model's."""
        return 1 / (self.segment / n + self.article / articles + self.outlet)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareError:
    """The error on one question: ``counts`` [K][K] of segments (row: true state, column: what the model says).

    ``tuning`` is how much of the correction by these counts is made, 0 (none) to 1 (all).
    """

    counts: tuple[tuple[int, ...], ...]
    tuning: float
    spread: Spread

    def correct(self, weights: Sequence[float]) -> list[float]:
        """Return the weights [K] of the true states, from those [K] of the states that the model says."""
        size = len(weights)
        columns = [sum(self.counts[true][said] for true in range(size)) for said in range(size)]
        result = [(1 - self.tuning) * weight for weight in weights]
        for said, (weight, column) in enumerate(zip(weights, columns, strict=True)):
            for true in range(size):
                share = self.counts[true][said] / column if column else float(true == said)
                result[true] += self.tuning * weight * share
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class CountError:
    """The error on the number of distinct sources: true over counted, as a factor.

    ``factor`` is the mean one; the variance of its logarithm is ``source``/(number + 1) + ``unit``.
    """

    factor: float
    source: float
    unit: float
    z: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorModel:
    """What gate pages say about a model's error; ``data`` is the digest of those pages.

    ``shares`` has the questions on which it is known; ``distinct`` and ``top`` may be None.
    """

    pages: int
    outlets: int
    data: str
    shares: Mapping[str, ShareError]
    distinct: CountError | None
    top: Spread | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which metrics.json holds under ``error``."""
        return {
            "format": ERROR_FORMAT,
            "pages": self.pages,
            "outlets": self.outlets,
            "data": self.data,
            "shares": {
                name: {
                    "states": list(QUESTIONS[name].states),
                    "counts": [list(row) for row in error.counts],
                    "tuning": error.tuning,
                    "spread": asdict(error.spread),
                }
                for name, error in self.shares.items()
            },
            "distinct": None if self.distinct is None else asdict(self.distinct),
            "top": None if self.top is None else asdict(self.top),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, where: str = "error") -> ErrorModel:
        """Read the JSON form.

        Raises:
            ModelError: a key is missing or of the wrong kind, or the states are not those of this version.
        """
        try:
            if data["format"] != ERROR_FORMAT:
                raise ModelError(f"{where}: format {data['format']!r}, this version reads {ERROR_FORMAT}")
            shares = {}
            for name, item in data["shares"].items():
                if tuple(item["states"]) != QUESTIONS[name].states:
                    raise ModelError(f"{where}: states of {name!r} are not those of this version: measure again")
                counts = tuple(tuple(int(cell) for cell in row) for row in item["counts"])
                if [len(row) for row in counts] != [len(item["states"])] * len(item["states"]):
                    raise ModelError(f"{where}: counts of {name!r} are not a square of its states")
                shares[name] = ShareError(counts=counts, tuning=float(item["tuning"]), spread=Spread(**item["spread"]))
            return cls(
                pages=data["pages"],
                outlets=data["outlets"],
                data=data["data"],
                shares=shares,
                distinct=None if data["distinct"] is None else CountError(**data["distinct"]),
                top=None if data["top"] is None else Spread(**data["top"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{where}: not the error of a model (format {ERROR_FORMAT}): {error!r}") from error


def read_error(folder: Path, *, fast: bool = False) -> ErrorModel | None:
    """Read the error of the model in ``folder`` (or of its fast one) from metrics.json; None where it was not measured.

    Raises:
        ModelError: the file is damaged.
    """
    key = "error_fast" if fast else "error"
    data = read_metrics(folder).get(key)
    return None if data is None else ErrorModel.from_dict(data, where=f"{folder / 'metrics.json'}: {key}")


def errors_in(models: Path) -> Callable[[str], ErrorModel | None]:
    """Return what finds the error of a model version in a folder of models, each version once.

    A version that is not there gives None and a warning: figures are not corrected then.
    """

    @functools.cache
    def error_of(version: str) -> ErrorModel | None:
        try:
            folder, fast = find_version(models, version)
        except ModelError as error:
            logger.warning("figures are not corrected for the model's error: %s", error)
            return None
        return read_error(folder, fast=fast)

    return error_of


def share_figures(name: str, counts: Counts, model: ErrorModel | None) -> dict[str, Figure]:
    """Return the figures of a question from its counts."""
    question = QUESTIONS[name]
    error = None if model is None else model.shares.get(question.error or name)
    if not counts.n:
        nothing = Figure(value=None, low=None, high=None, n=0, observed=None, corrected=error is not None)
        return dict.fromkeys(question.figures, nothing)
    observed = _shares(counts.weights)
    values, size, z = observed, counts.size, NORMAL
    if error is not None:
        values = _shares(error.correct(counts.weights)) or observed
        size, z = error.spread.size(counts.size, counts.articles), error.spread.z
    return {
        figure: make_share(value, size, z, n=counts.n, observed=seen, corrected=error is not None)
        for figure, value, seen in zip(question.figures, values, observed, strict=False)
    }


def top_figure(most: int, n: int, articles: float, model: ErrorModel | None) -> Figure:
    """Return the share of the most quoted source, ``most`` of ``n`` attributions."""
    spread = None if model is None else model.top
    if not n:
        return Figure(value=None, low=None, high=None, n=0, observed=None, corrected=spread is not None)
    size, z = (float(n), NORMAL) if spread is None else (spread.size(n, articles), spread.z)
    return make_share(most / n, size, z, n=n, observed=most / n, corrected=spread is not None)


def distinct_figure(number: int, n: int, model: ErrorModel | None) -> Figure:
    """Return the number of distinct sources among ``n`` attributions; without a known error it has no interval."""
    error = None if model is None else model.distinct
    if error is None:
        return Figure(value=number, low=None, high=None, n=n, observed=number, corrected=False)
    value = max(0.0, (number + 0.5) * error.factor - 0.5)
    reach = math.exp(error.z * math.sqrt(error.source / (number + 1) + error.unit))
    low, high = max(0.0, (value + 0.5) / reach - 0.5), (value + 0.5) * reach - 0.5
    return Figure(value=round(value, 4), low=round(low, 4), high=round(high, 4), n=n, observed=number, corrected=True)


def make_share(value: float, size: float, z: float, *, n: int, observed: float, corrected: bool) -> Figure:
    """Return a share with its interval: ``z`` standard errors of a share of ``size``, cut at 0 and 1."""
    reach = z * deviation(value, size)
    return Figure(
        value=round(value, 4),
        low=round(max(0.0, value - reach), 4),
        high=round(min(1.0, value + reach), 4),
        n=n,
        observed=round(observed, 4),
        corrected=corrected,
    )


def deviation(value: float, size: float) -> float:
    """Return the standard error of a share, four pseudo-observations added (Agresti and Coull 1998).

    They keep it from 0 where the share is 0 or 1.
    """
    padded = (size * value + 2) / (size + 4)
    return math.sqrt(padded * (1 - padded) / size)


def _shares(weights: Sequence[float]) -> list[float]:
    """Return the shares of all states but the last; none at all where they weigh nothing."""
    inside = weights[:-1]
    total = sum(inside)
    return [weight / total for weight in inside] if total > 0 else []
