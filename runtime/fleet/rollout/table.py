"""Roll-outs and devices as tables of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_config.duration import in_words
from runtime.fleet.rollout.status import FleetCamera, FleetDevice, FleetRollout, FleetStatus

SHORT = 12
"""Number of digits of an id that are shown."""

_ROLLOUTS = ("ROLL-OUT", "STATE", "STAGE", "IN PLACE", "FOR", "WHAT", "BY", "SINCE")
_NO_CAMERA: Sequence[FleetCamera | None] = (None,)
_DEVICES = ("DEVICE", "REPORT", "PHASE", "CAMERA", "STATE", "SHOULD RUN", "RUNS", "ALERTS/H", "MS")


def lines(status: FleetStatus) -> Iterator[str]:
    """Yield the lines of both tables; below a row is what else there is to say about it."""
    if status.rollouts:
        rollouts = [(_of_rollout(one, status.at_ms), list(_notes_of_rollout(one))) for one in status.rollouts]
        yield from _table(_ROLLOUTS, rollouts)
        yield ""
    if not status.devices:
        yield "no device has ever reported"
        return
    rows = [
        (_of_camera(device, camera, status.at_ms), [*_notes_of_device(device, camera), *_notes_of_camera(camera)])
        for device in status.devices
        for camera in (device.cameras or _NO_CAMERA)
    ]
    yield from _table(_DEVICES, rows)


def _table(head: Sequence[str], rows: Sequence[tuple[list[str], list[str]]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in (head, *(cells for cells, _ in rows))) for column in range(len(head))]
    for cells, notes in [([*head], []), *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        yield from (f"    {note}" for note in notes)


def _of_rollout(rollout: FleetRollout, now_ms: int) -> list[str]:
    count = sum(map(len, rollout.stages))
    who = f"group {rollout.group}" if rollout.group else f"{count} device{'s' * (count != 1)}"
    what = [rollout.root[:SHORT], "settings" if rollout.settings else ""]
    return [
        rollout.id,
        rollout.state,
        f"{rollout.stage} of {len(rollout.stages)}",
        f"{rollout.in_place} of {rollout.told}",
        f"{who}, camera {rollout.camera}" if rollout.camera else who,
        " + ".join(filter(None, what)),
        rollout.by,
        _ago(rollout.since_ms, now_ms),
    ]


def _notes_of_rollout(rollout: FleetRollout) -> Iterator[str]:
    if rollout.reason:
        yield rollout.reason
    going = [name for name in rollout.back if name not in rollout.came_back]
    for what, names in (("going back", going), ("went back", rollout.came_back)):
        if names:
            yield f"{what}: {', '.join(names)}"


def _of_camera(device: FleetDevice, camera: FleetCamera | None, now_ms: int) -> list[str]:
    first = [device.device, _ago(device.at_ms, now_ms) + ("" if device.on else " (off)"), device.phase]
    if camera is None:
        return [*first, *6 * ["-"]]
    learnt = f" +{camera.round}" if camera.round else ""
    return [
        *first,
        camera.camera,
        camera.state,
        (camera.wanted[:SHORT] or "-") + ("" if camera.in_place else " !"),
        f"{camera.root[:SHORT] or '-'}{learnt}",
        f"{round(camera.alerts_per_hour, 1):g}",
        f"{round(camera.frame_ms_p95, 1):g}",
    ]


def _notes_of_device(device: FleetDevice, camera: FleetCamera | None) -> Iterator[str]:
    if camera is not None and camera is not device.cameras[0]:
        return
    if device.reason:
        yield f"{device.phase}: {device.reason}"
    if device.counter_wanted > device.counter:
        yield f"has assignment {device.counter or 'none'} of {device.counter_wanted}"


def _notes_of_camera(camera: FleetCamera | None) -> Iterator[str]:
    if camera is None:
        return
    if camera.round:
        pictures = f"{camera.learnt} picture{'' if camera.learnt == 1 else 's'}"
        rounds = f"{camera.round} round{'s' * (camera.round > 1)}"
        runs = f"runs {camera.active[:SHORT]}, which learnt {pictures} in {rounds} on the device"
        yield f"{runs}; what is assigned would drop them" if camera.would_drop else runs
    if camera.settings_changed:
        yield f"changed on the device: {', '.join(camera.settings_changed)}"
    if camera.drift:
        yield f"drift: {camera.drift}"
    if camera.bundle_problem:
        yield f"bundle: {camera.bundle_problem}"


def _ago(at_ms: int, now_ms: int) -> str:
    return in_words((now_ms - at_ms) / 1000)
