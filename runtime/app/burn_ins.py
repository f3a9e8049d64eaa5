"""The burn-ins of all cameras: made from the settings and what is kept on the disk, and asked for by requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from edge_config.duration import seconds
from edge_config.settings.device import Settings
from edge_config.wire.burn_in import MAX_BURN_IN_S, MIN_BURN_IN_S, BurnIn
from runtime.app.channel import Channel
from runtime.burnin import kept as keeping
from runtime.burnin.burn_in import BurnInCamera
from runtime.burnin.disk import BurnInCounted, BurnInDisk, BurnInStored, FolderDisk
from runtime.burnin.kept import BurnInKept, BurnInPlan
from runtime.events import Asked
from runtime.messaging.control_socket import Control
from runtime.teaching.picture import learning_folder

_log = structlog.get_logger()


class BurnIns:
    """Burn-ins of all cameras. Use it from the main loop's thread."""

    def __init__(
        self, channels: Mapping[str, Channel], settings: Settings, control: Control, tell: Callable[[Any], object]
    ) -> None:
        """Go on with what is kept in the learning folder; `tell` takes events from other threads."""
        self._control = control
        folder, why = _folder(settings)
        self._disk = disk = None if folder is None else FolderDisk(folder, tell)
        self._cameras = {name: _make(channel, settings, folder, disk, why) for name, channel in channels.items()}

    def handle(self, event: Any) -> bool:
        """Take note of what a thread has done; return whether it is about burn-ins."""
        match event:
            case BurnInStored():
                self._cameras[event.camera].stored(event)
            case BurnInCounted():
                self._cameras[event.camera].counted(event)
            case _:
                return False
        return True

    def answer(self, asked: Asked) -> bool:
        """Do what is asked for, or refuse; return whether it is about burn-ins."""
        if not isinstance(asked.request, BurnIn):
            return False
        if problem := self._do(asked.request, asked.by):
            self._control.refuse(asked, problem)
        else:
            _log.info("burn-in asked for", camera=asked.request.camera, do=asked.request.do, by=asked.by)
            self._control.reply(asked, self._cameras[asked.request.camera].status())
        return True

    def _do(self, request: BurnIn, key: str) -> str:
        """Do what is asked for; return why not, empty if it is done."""
        camera = self._cameras[request.camera]
        match request.do:
            case "start":
                wanted, time_s = request.alerts_per_day, seconds(request.duration)
                return _out_of_range(request.duration) or camera.start(time_s, wanted, apply=request.apply, by=key)
            case "stop":
                return camera.stop()
            case "apply":
                return camera.apply(of_all=request.all, force=request.force, by=key)
            case "drop":
                return camera.drop()

    def turn(self) -> None:
        """Do the periodic work, once a second."""
        for camera in self._cameras.values():
            camera.turn()

    def status(self, camera: str) -> dict[str, Any]:
        """Return what the status of a camera says of its burn-in."""
        return {"burn_in": msgspec.to_builtins(self._cameras[camera].status())}

    def close(self) -> None:
        """Have written what there is."""
        for camera in self._cameras.values():
            camera.close()
        if self._disk is not None:
            self._disk.close()


def _folder(settings: Settings) -> tuple[Path | None, str]:
    """Return the learning folder, or why there is none."""
    try:
        return learning_folder(settings), ""
    except OSError as error:
        return None, error.strerror or str(error)


def _make(
    channel: Channel, settings: Settings, folder: Path | None, disk: BurnInDisk | None, why_no_disk: str
) -> BurnInCamera:
    name, camera = channel.name, channel.camera
    section = settings.cameras[name]
    kept, problem = (BurnInKept(), "") if folder is None else keeping.load(folder / name)
    if problem:
        _log.error("what is kept of a burn-in cannot be read", camera=name, problem=problem)
    burn_in = BurnInCamera(
        name,
        BurnInPlan(None if section.burn_in is None else seconds(section.burn_in), section.alerts_per_day),
        kept,
        disk,
        alerts=lambda: camera.settings,
        changed=camera.threshold_changed,
        why_no_disk=why_no_disk,
    )
    camera.watch(burn_in)
    return burn_in


def _out_of_range(duration: str) -> str:
    """Return why a burn-in cannot last for this time; empty if it can."""
    return "" if MIN_BURN_IN_S <= seconds(duration) <= MAX_BURN_IN_S else f"{duration} is not from 10min to 30d"
