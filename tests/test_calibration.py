"""Stated probabilities and the review threshold: what they promise on samples whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from annotator.calibration import needed_articles, probabilities, review_for
from annotator.metrics import reliability
from annotator.registry import Calibration

LOGITS = arrays(np.float32, st.tuples(st.integers(1, 8), st.just(4)), elements=st.floats(-30, 30, width=32))
MAPS = st.tuples(st.floats(0, 4), st.floats(0, 4), st.floats(-5, 5)) | st.just(())


@settings(deadline=None)
@given(LOGITS, st.floats(0.2, 5), MAPS)
def test_probabilities_sum_to_one_and_no_label_changes(logits, temperature, top):
    stated = probabilities(logits, Calibration(temperature=temperature, top=top))
    assert stated.shape == logits.shape
    assert np.allclose(stated.sum(axis=1), 1)
    assert (stated >= 0).all()
    plain = probabilities(logits, Calibration())
    clear = np.sort(plain, axis=1)[:, -1] - np.sort(plain, axis=1)[:, -2] > 1e-6
    assert (stated.argmax(axis=1) == plain.argmax(axis=1))[clear].all()


@settings(deadline=None)
@given(LOGITS, st.floats(0.2, 5), MAPS)
def test_the_label_is_still_the_largest_after_rounding_as_records_do(logits, temperature, top):
    plain = probabilities(logits, Calibration(temperature=temperature))
    stated = probabilities(logits, Calibration(temperature=temperature, top=top)).round(4)
    ordered = np.sort(plain, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 5e-4
    assert (stated.argmax(axis=1) == plain.argmax(axis=1))[clear].all()


def test_a_map_that_is_the_identity_changes_nothing():
    logits = np.random.default_rng(0).normal(size=(50, 4)) * 2
    assert np.allclose(probabilities(logits, Calibration(top=(1, 1, 0))), probabilities(logits, Calibration()))
    assert probabilities(np.zeros((0, 4)), Calibration(top=(1, 1, 0))).shape == (0, 4)


def draw(rng, articles, *, size=40):
    """Draw articles whose segments are right as often as they are confident, some articles harder than others."""
    groups = np.repeat(np.arange(articles), size)
    confidence = rng.beta(rng.uniform(3, 9, articles)[groups], 0.9)
    return confidence, rng.random(len(confidence)) < confidence, groups


def test_the_threshold_keeps_the_risk_on_its_sample_and_reviews_no_more_than_needed():
    confidence, right, groups = draw(np.random.default_rng(1), 200)
    found = review_for(confidence, right, groups, risk=0.05)
    stated = confidence.round(4)
    passed = stated >= found.below
    assert found.guaranteed
    assert found.share == pytest.approx(1 - passed.mean())
    assert found.error == pytest.approx(1 - right[passed].mean())
    assert found.error <= 0.05
    lower = stated >= np.unique(stated[~passed])[-1]
    losses = [(lower & ~right)[groups == i].mean() for i in range(200)]
    assert 1 - right[lower].mean() > 0.05 or (sum(losses) + 1) / 201 > 0.05


def test_conformal_risk_control_holds_over_new_articles():
    rng = np.random.default_rng(2)
    losses = []
    for _ in range(150):
        *sample, groups = draw(rng, 60)
        below = review_for(*sample, groups, risk=0.05).below
        confidence, right, _ = draw(rng, 20)
        losses.append(((confidence.round(4) >= below) & ~right).mean())
    assert np.mean(losses) <= 0.05


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.01, 0.02, 0.1]))
def test_a_lower_risk_never_reviews_less(seed, risk):
    confidence, right, groups = draw(np.random.default_rng(seed), 30)
    strict, loose = (review_for(confidence, right, groups, risk=r) for r in (risk, 2 * risk))
    assert strict.guaranteed == (needed_articles(risk) <= 30)
    if strict.guaranteed == loose.guaranteed:
        assert strict.below >= loose.below
        assert strict.share >= loose.share


def test_where_nothing_meets_the_risk_everything_is_reviewed():
    found = review_for([0.9, 0.9, 0.8], [False, True, False], [0, 0, 1], risk=0.1)
    assert (found.share, found.error, found.guaranteed) == (1.0, 0.0, False)
    assert found.below > 1
    with pytest.raises(ValueError, match="needs segments"):
        review_for([], [], [], risk=0.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        review_for([0.9], [True], [0], risk=1.0)


def squeezed(rng, n=6000):
    """Logits whose top confidence q stands for p: logit(q) = logit(p) / 2 - 0.3, as no one temperature undoes."""
    p = rng.uniform(0.5, 0.999, n)
    q = np.maximum(1 / (1 + np.exp(-(np.log(p / (1 - p)) / 2 - 0.3))), 0.26)
    best = rng.integers(0, 4, n)
    truth = np.where(rng.random(n) < p, best, (best + 1) % 4)
    logits = np.repeat(np.log((1 - q) / 3)[:, None], 4, axis=1)
    logits[np.arange(n), best] = np.log(q)
    return logits.astype(np.float32), truth


def test_beta_mends_the_ceiling_that_one_temperature_cannot():
    pytest.importorskip("torch", reason="torch is not installed (pip install 'annotator[train]')")
    from annotator.training.calibrate import HeldOut, fit_calibration  # noqa: PLC0415 -- an extra

    rng = np.random.default_rng(3)
    logits, truth = squeezed(rng)
    found = fit_calibration(HeldOut(logits=logits, truth=truth, articles=np.arange(6000) // 40), risk=0.05)
    assert found.calibration.top
    assert found.beta_loss < found.temperature_loss
    fresh, fresh_truth = squeezed(rng)
    right = fresh.argmax(axis=1) == fresh_truth

    def error(calibration):
        return reliability(probabilities(fresh, calibration).max(axis=1), right)[0]

    assert error(found.calibration) < 0.02 < error(Calibration(temperature=found.calibration.temperature))
