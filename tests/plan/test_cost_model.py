"""The cost model: its traffic and memory are those of the product's own messages, and its simulation adds up."""

from __future__ import annotations

import numpy as np
import pytest

from runtime.learning.bank.chosen import Chosen, Entries, Old, next_block
from runtime.learning.bank.in_slices import workers
from tests.programs.bench.cluster_model import Cost, Law, Machines, Rates, Work, blocks, memory, simulate

RATES = Rates(compare=1e-10, decide=1e-10)
LAW = Law(log_scale=0.0, by_candidates=0.5, by_points=0.0, by_count=0.5, compared=0.3)
WORK = Work(pictures=40, patches=100, dimension=16, projected=8, entries=400, learnt=1.0)
SCHEDULED_S = 1e-3


def _run(**more: float) -> Cost:
    machines = {"workers": 2, "threads": 1, "bytes_s": 1e9, "message_s": SCHEDULED_S, **more}
    return simulate(WORK, RATES, LAW, Machines(**machines))


def test_bytes_of_messages() -> None:
    """A block weighs what the arrays of real offers and entries do."""
    random = np.random.default_rng(0)
    machines = Machines(workers=2, message_s=SCHEDULED_S)
    sizes = np.array_split(np.arange(WORK.candidates), machines.parts)
    with workers() as pool:
        old = Old(WORK.entries, WORK.projected)
        points = np.rint(1000 * random.standard_normal((WORK.candidates, WORK.projected))).astype(np.float32)
        parts = [Chosen(points[some], some, old, pool) for some in sizes]
        for one in parts:
            one.add(Entries(np.array([0]), points[:1]), machines.of_a_part)
        offers = [one.offer(machines.of_a_part) for one in parts]
        new = next_block(offers, 5)
    offered = sum(len(one.rows) for one in offers)
    received = sum(one.rows.nbytes + one.points.nbytes + one.distances.nbytes for one in offers)
    sent = machines.workers * (new.rows.nbytes + new.points.nbytes)
    _, candidates, _ = next(blocks(WORK, LAW, machines))
    assert candidates == offered
    cost = _run()
    assert received * cost.blocks == cost.received
    assert sent / len(new.rows) * (WORK.entries - 1) == cost.sent


def test_every_entry_once() -> None:
    """The blocks add up to the bank, and each begins where the one before ended."""
    count = 1
    for at, _, new in blocks(WORK, LAW, Machines()):
        assert at == count
        assert new >= 1
        count += new
    assert count == WORK.entries


def test_alone_there_is_no_network() -> None:
    """One process sends nothing, and takes the time of its work."""
    cost = simulate(WORK, RATES, LAW, Machines())
    assert (cost.sent, cost.received, cost.network_s) == (0, 0, 0)
    assert cost.seconds == pytest.approx(cost.workers_s + cost.decide_s)


def test_a_cluster_takes_all_of_its_parts() -> None:
    """The time of a block is that of the decision, the work, the messages and the waiting, and of nothing else."""
    cost = _run(spread=0.3, pause=0.1)
    assert cost.seconds == pytest.approx(cost.decide_s + cost.workers_s + cost.network_s + cost.waiting_s)
    assert cost.waiting_s > 0


def test_slower_is_not_faster() -> None:
    """A slower network, slower workers and pauses each cost time."""
    quiet = _run().seconds
    assert _run(bytes_s=1e6).seconds > quiet
    assert _run(spread=0.5).seconds > quiet
    assert _run(pause=0.5).seconds > quiet


def test_memory_of_a_share() -> None:
    """A worker holds its share of the points, and all entries."""
    alone, share = memory(WORK, Machines()), memory(WORK, Machines(workers=4))
    entries = WORK.entries * (4 * WORK.projected + 8)
    assert share - entries == pytest.approx((alone - entries) / 4)
