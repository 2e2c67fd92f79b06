"""The bootstrap: as wide as theory says, paired, and by origin."""

import numpy as np
import pytest

pytest.importorskip("torch")

from accelsim.accuracy.spread import bootstrap, rounded

pytestmark = pytest.mark.torch


def test_an_interval_is_as_wide_as_the_normal_one() -> None:
    scores = np.random.default_rng(1).standard_normal(400) + 3
    low, high = bootstrap(scores, scores, seed=0, of="samples").dense
    deviation = scores.std() / 20
    assert low == pytest.approx(scores.mean() - 1.96 * deviation, abs=0.15 * deviation)
    assert high == pytest.approx(scores.mean() + 1.96 * deviation, abs=0.15 * deviation)


def test_the_difference_is_of_the_same_samples() -> None:
    scores = np.random.default_rng(2).standard_normal(50)
    spread = bootstrap(scores, scores - 0.5, seed=0, of="samples")
    assert spread.difference == (-0.5, -0.5)
    assert spread.dense[1] - spread.dense[0] > 0.3


def test_samples_of_one_origin_count_once() -> None:
    origins = np.repeat(np.arange(5), 40)
    scores = np.repeat(np.array([0.0, 1.0, 0.0, 1.0, 1.0]), 40)
    clustered = bootstrap(scores, scores, seed=0, of="origins", origins=origins)
    loose = bootstrap(scores, scores, seed=0, of="samples")
    assert "over 5 origins" in clustered.method
    assert np.diff(clustered.dense) > 3 * np.diff(loose.dense)


def test_a_figure_is_taken_of_every_mean() -> None:
    scores = np.random.default_rng(3).standard_normal(30)
    plain = bootstrap(scores, scores, seed=4, of="samples").dense
    raised = bootstrap(scores, scores, seed=4, of="samples", figure=np.exp).dense
    assert raised == pytest.approx(np.exp(plain), rel=1e-4)


def test_figures_have_six_digits() -> None:
    assert rounded(1234.56789) == 1234.57
    assert rounded(0.123456789) == 0.123457
