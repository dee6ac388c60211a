"""Classifiers and regressions of arrays."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy
import pytest

import ptsm

STEPS = numpy.arange(32)


def waves(count: int = 40) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Slow and fast waves of two channels."""
    cases = []
    for number in range(count):
        speed = 0.2 if number % 2 else 1.1
        wave = numpy.sin(speed * STEPS + number)
        cases.append(numpy.stack([wave, 0.5 * wave[::-1]]))
    return numpy.stack(cases), numpy.arange(count) % 2


@pytest.fixture(scope="module")
def classifier() -> ptsm.Classifier:
    """Three networks for slow and fast waves."""
    cases, slow = waves()
    labels = numpy.where(slow == 1, 3, 11)
    return ptsm.Classifier(budget=1).fit(cases, labels)


def test_classes_are_those_that_were_given(classifier: ptsm.Classifier) -> None:
    cases, slow = waves()
    labels = numpy.where(slow == 1, 3, 11)
    # As texts 11 comes before 3.
    assert classifier.classes_.tolist() == [3, 11]
    chances = classifier.predict_proba(cases)
    assert chances.shape == (40, 2)
    assert numpy.allclose(chances.sum(axis=1), 1)
    assert classifier.score(cases, labels) > 0.9
    assert classifier.evaluate(cases, labels)["accuracy"] == classifier.score(cases, labels)
    assert (classifier.predict(cases) == classifier.classes_[chances.argmax(axis=1)]).all()


def test_a_classifier_comes_back(classifier: ptsm.Classifier, tmp_path: Path) -> None:
    cases, _ = waves(10)
    wanted = classifier.predict_proba(cases)
    back = pickle.loads(pickle.dumps(classifier))
    assert (back.predict_proba(cases) == wanted).all()
    classifier.save_pretrained(tmp_path)
    loaded = ptsm.Classifier.from_pretrained(tmp_path)
    assert (loaded.predict_proba(cases) == wanted).all()
    assert loaded.classes_.tolist() == [3, 11]
    with pytest.raises(ptsm.InvalidConfig, match="is a classifier"):
        ptsm.Regressor.from_pretrained(tmp_path)


def test_cases_may_differ_in_length_and_miss_points(classifier: ptsm.Classifier) -> None:
    cases, _ = waves(4)
    shorter = [case[:, number:] for number, case in enumerate(cases)]
    assert classifier.predict(shorter).shape == (4,)
    cases[0, 0, 5] = numpy.nan
    assert numpy.isfinite(classifier.predict_proba(cases)).all()
    with pytest.raises(ptsm.InvalidInput, match="channels"):
        classifier.predict(cases[:, :1])
    with pytest.raises(ptsm.InvalidInput, match=r"wanted cases as \[n, C, L\]"):
        classifier.predict(numpy.zeros(3))


def test_the_default_searches_settings() -> None:
    cases, slow = waves(16)
    classifier = ptsm.Classifier(budget=1, seed=1).fit(cases[:, 0], slow)
    assert "cross-validated accuracy" in classifier.notes_[0]
    assert classifier.predict(cases[:, 0]).shape == (16,)


def test_values_are_learnt() -> None:
    heights = numpy.linspace(1, 4, 40)
    cases = heights[:, None, None] * numpy.sin(0.4 * STEPS)
    regressor = ptsm.Regressor(budget=1).fit(cases, heights)
    assert regressor.predict(cases).shape == (40,)
    assert regressor.score(cases, heights) > 0.5
    assert regressor.evaluate(cases, heights)["cases"] == 40
    both = numpy.stack([heights, -heights], axis=1)
    two = ptsm.Regressor(budget=1, epochs=2).fit(cases, both)
    assert two.predict(cases).shape == (40, 2)
    assert pickle.loads(pickle.dumps(two)).predict(cases).shape == (40, 2)
