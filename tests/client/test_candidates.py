"""Requests about candidates through real sockets, to a fake device that follows a script: what an agent relies on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_config.errors import RequestError
from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    GoBack,
    ReadStaged,
    RootChanged,
    ShadowBundle,
    StageBundle,
)
from runtime.client.control_client import ControlClient
from tests.support.fakes.answering import Device
from tests.support.fakes.candidates import SETTINGS_BUNDLE


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a fake device."""
    with Device(tmp_path) as device:
        yield device


def test_candidate_is_staged_shadowed_activated_and_taken_back(device: Device) -> None:
    """The states follow each other as on a real device, and the replies are typed."""
    with ControlClient(device.control) as client:
        states = [client.request(StageBundle(camera="a", path="/fleet/new.bundle"), CandidateNow).state]
        staged = [client.request(ReadStaged(camera="a"), CandidateNow) for _ in range(2)]
        states += [one.state for one in staged]
        states.append(client.request(ShadowBundle(camera="a", seconds=5), CandidateNow).state)
        done = [client.request(ReadStaged(camera="a"), CandidateNow) for _ in range(2)]
        activated = client.request(ActivateBundle(camera="a", bundle=staged[-1].id), RootChanged)
        root = client.request(ReadStaged(camera="a"), CandidateNow)
        back = client.request(GoBack(camera="a"), RootChanged)
    assert states == ["checking", "checking", "ready", "shadow"]
    assert [one.state for one in done] == ["shadow", "ready"]
    assert done[-1].shadow is not None
    assert done[-1].shadow.frames > 0
    assert (activated.bundle, activated.before) == (staged[-1].id, SETTINGS_BUNDLE)
    assert (root.root, root.before) == (staged[-1].id, SETTINGS_BUNDLE)
    assert (back.bundle, back.before) == (SETTINGS_BUNDLE, staged[-1].id)


def test_refused_candidate_says_why_and_cannot_be_activated(device: Device) -> None:
    """A candidate that fails its check is `refused` with the reason."""
    device.candidates.refusal, device.candidates.checking = "golden frames differ", 0
    with ControlClient(device.control) as client:
        client.request(StageBundle(camera="a", path="/fleet/new.bundle"), CandidateNow)
        found = client.request(ReadStaged(camera="a"), CandidateNow)
        assert (found.state, found.reason) == ("refused", "golden frames differ")
        with pytest.raises(RequestError, match="no candidate"):
            client.request(ActivateBundle(camera="a", bundle=found.id), RootChanged)
