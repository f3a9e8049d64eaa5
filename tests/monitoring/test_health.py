"""What /healthz and /readyz say."""

from __future__ import annotations

from runtime.monitoring.health import Health


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_alive_while_the_loop_gets_on() -> None:
    """A loop that gets on within the bound is alive; one that does not is dead until it does again."""
    clock = Clock()
    health = Health(bound_s=5.0, clock=clock)
    assert health.alive_page().status == 200
    clock.now_s += 5.1
    page = health.alive_page()
    assert (page.status, page.body) == (503, b"the main loop has made no progress for 5.1 s\n")
    health.progress()
    assert health.alive_page().status == 200


def test_ready_needs_engine_and_camera() -> None:
    """Ready is: the worker has warmed up and a camera is live; it can be lost again."""
    health = Health()
    assert health.ready_page().status == 503
    health.cameras(live=1)
    assert health.ready_page().status == 503
    health.engine(ready=True)
    assert health.ready_page().status == 200
    health.cameras(live=0)
    assert health.ready_page().body == b"no camera is live\n"
    health.cameras(live=2)
    health.engine(ready=False)
    assert health.ready_page().body == b"the inference worker is not ready\n"


def test_camera_that_is_away_is_no_reason_to_be_restarted() -> None:
    """Without a camera the runtime is not ready, but alive."""
    health = Health()
    health.engine(ready=True)
    assert (health.alive_page().status, health.ready_page().status) == (200, 503)
