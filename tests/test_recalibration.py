"""Held-out logits of several sources, and when a beta map is taken for them."""

from __future__ import annotations

import numpy as np
import pytest

from annotator.calibration import probabilities
from annotator.errors import InputError
from annotator.registry import Calibration
from annotator.training.calibrate import HeldOut, facts, fit_calibration, joined, stored


def drawn(rng, articles, *, sharpness, ceiling=0.0):
    """Held-out logits whose labels are right as often as softmax(sharpness * logits) says, less a ceiling."""
    logits = rng.normal(size=(20 * articles, 4)) * 2
    stated = probabilities(logits * sharpness, Calibration()) * (1 - ceiling) + ceiling / 4
    truth = np.array([rng.choice(4, p=row) for row in stated])
    return HeldOut(logits=logits.astype(np.float32), truth=truth, articles=np.repeat(np.arange(articles), 20))


def test_samples_that_are_joined_keep_their_articles_apart_and_are_sources():
    rng = np.random.default_rng(0)
    parts = [drawn(rng, 3, sharpness=1), drawn(rng, 2, sharpness=1)]
    whole = joined(parts)
    assert np.array_equal(whole.logits, np.concatenate([part.logits for part in parts]))
    assert np.unique(whole.groups()).tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(whole.sources, np.repeat([0, 1], [60, 40]))
    assert facts(whole, fit_calibration(whole))["calibration"]["sources"] == 2


def test_a_map_must_carry_from_one_source_to_the_other():
    # In one source a part of the labels is drawn at random, so that high confidence is too high; in the other none is.
    rng = np.random.default_rng(1)
    noisy, clean = drawn(rng, 150, sharpness=2, ceiling=0.25), drawn(rng, 150, sharpness=0.8)
    whole = joined([noisy, clean])
    mixed = HeldOut(logits=whole.logits, truth=whole.truth, articles=whole.articles)
    assert fit_calibration(noisy).calibration.top
    assert fit_calibration(mixed).beta_loss < fit_calibration(mixed).temperature_loss
    assert fit_calibration(whole).beta_loss > fit_calibration(whole).temperature_loss
    assert not fit_calibration(whole).calibration.top


def test_stored_logits_that_are_none_are_one_line(tmp_path):
    (tmp_path / "other.npz").write_bytes(b"PK no archive")
    for name in ("missing.npz", "other.npz"):
        with pytest.raises(InputError, match="no held-out logits"):
            stored(tmp_path / name)
