"""Evidence that normal frames score higher than learnt, against scipy and simulated calibrations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import beta

from edge_config.bundle.held_out import p_value
from runtime.drift.evidence import BET, BLOCK_S, BLOCKS_A_YEAR, SHARE, Evidence, upper_rate

SECOND = 1_000_000_000
N = 100
ALPHA = 1 / (N + 1)
HIGH, LOW = 2 / (N + 1), 0.5
ROUNDING = 1e-9
"""Relative: both sides are float64, and a bisection goes to the last bits."""


def blocks(evidence: Evidence, p_values: list[float], frames: int = 1, begin: int = 0) -> None:
    """Play blocks of frames with the same p-value, and begin another, so that the last is closed."""
    step_ns = round(BLOCK_S * SECOND / frames)
    for block, p in enumerate([*p_values, LOW]):
        for number in range(frames if block < len(p_values) else 1):
            at_ns = begin + block * round(BLOCK_S * SECOND) + number * step_ns
            evidence(at_ns, at_ns, p)


@pytest.mark.parametrize(("n", "rank"), [(9, 1), (20, 2), (75, 3), (100, 5), (100, 100), (5000, 250), (1, 1)])
def test_upper_rate_is_the_quantile_of_beta(n: int, rank: int) -> None:
    """The bound is the 95 % quantile of Beta(rank, n + 1 - rank), as scipy computes it."""
    assert upper_rate(n, rank) == pytest.approx(beta.ppf(0.95, rank, n + 1 - rank), rel=ROUNDING)


def test_factors_have_an_expectation_of_one_at_most_at_the_bound() -> None:
    """Betting on blocks that are high as often as the bound allows wins nothing on average."""
    evidence = Evidence(N, ALPHA)
    blocks(evidence, [HIGH])
    win, lose = math.exp(evidence.value), 1 - BET
    often = beta.ppf(0.95, 10, N - 9) / SHARE
    assert often * win + (1 - often) * lose == pytest.approx(1, rel=ROUNDING)


def test_drift_is_noticed_in_two_minutes_and_dated_to_its_beginning() -> None:
    """Frames like the highest held-out ones are drift after more than 6 blocks and at most 12, since the first."""
    quiet = round(20 * BLOCK_S * SECOND)
    for high, noticed in ((6, False), (12, True)):
        evidence = Evidence(N, ALPHA)
        blocks(evidence, [LOW] * 20 + [HIGH] * high)
        assert evidence.is_drift == noticed
        assert evidence.since_ns == quiet


def test_drift_ends_after_as_much_evidence_against_it() -> None:
    """Normal frames end it after minutes; a single normal block does not."""
    evidence = Evidence(N, ALPHA)
    blocks(evidence, [HIGH] * 20)
    assert evidence.is_drift
    blocks(evidence, [LOW], begin=round(30 * BLOCK_S * SECOND))
    assert evidence.is_drift
    blocks(evidence, [LOW] * 12, begin=round(40 * BLOCK_S * SECOND))
    assert not evidence.is_drift
    assert evidence.value == 0


def test_some_high_frames_in_each_block_are_no_drift() -> None:
    """Half of the frames high, in every block for a day: what does not last is no drift."""
    evidence = Evidence(N, ALPHA)
    for number in range(int(86_400 / BLOCK_S) * 4):
        evidence(round(number * BLOCK_S / 4 * SECOND), 0, HIGH if number % 2 else LOW)
    assert not evidence.is_drift
    assert evidence.value == 0


def test_many_frames_of_a_block_are_one_value() -> None:
    """A second of strange frames is no more evidence at 1000 frames a second than at 10."""
    few, many = Evidence(N, ALPHA), Evidence(N, ALPHA)
    blocks(few, [HIGH] * 3, frames=2)
    blocks(many, [HIGH] * 3, frames=500)
    assert few.value == many.value


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_clock_that_jumps_begins_another_block(jump: int) -> None:
    """A clock that goes back or far ahead costs a block at most."""
    evidence = Evidence(N, ALPHA)
    begin = 7200 * SECOND
    blocks(evidence, [HIGH] * 20, begin=begin)
    blocks(evidence, [HIGH], begin=begin + jump * SECOND)
    assert evidence.is_drift


@pytest.mark.parametrize("held_out", [1, 2, 3])
def test_few_held_out_scores_are_never_evidence(held_out: int) -> None:
    """With hardly any held-out scores nothing is known of how high normal frames score: no flag."""
    evidence = Evidence(held_out, 1 / (held_out + 1))
    blocks(evidence, [1 / (held_out + 1)] * 2000)
    assert not evidence.is_drift


def test_stationary_frames_raise_no_flag_over_calibrations() -> None:
    """Frames exchangeable with the held-out ones: none of 30 calibrations flags, with a block for each frame."""
    for seed in range(30):
        random = np.random.default_rng(seed)
        held_out = np.sort(random.normal(size=N)).tolist()
        evidence = Evidence(N, ALPHA)
        for number, score in enumerate(random.normal(size=3000).tolist()):
            if score <= held_out[-1]:
                evidence(round(number * 1.01 * BLOCK_S * SECOND), 0, p_value(score, N, held_out) or 1.0)
            assert not evidence.is_drift


def test_limit_is_a_year_of_blocks() -> None:
    """The mean number of blocks between false flags is those of a year."""
    assert pytest.approx(365.25 * 24 * 3600) == BLOCKS_A_YEAR * BLOCK_S
    assert Evidence.limit == pytest.approx(math.log(BLOCKS_A_YEAR))
