"""Requests that change the settings of a running camera: checked as a whole, applied between two frames, and kept.

A change goes through these steps, and each of them can refuse it before anything has changed:

    main loop         alerts and polygons are checked
    thread            with `keep`: the new content of the settings file is made, parsed and compared
    inference worker  with `keep`: is anything seen in the regions?
    thread            with `keep`: the file is written
    inference worker  takes the new regions between two frames
    main loop         takes the new alert settings with the same frame, and answers
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import msgspec
import structlog
from msgspec import UNSET

from edge_config.errors import SettingsError
from edge_config.settings.parse import with_changes
from edge_config.settings.sections import Alerts, Camera
from edge_config.settings.settings_file import PlannedChange
from edge_config.wire.configure import Configure, InForce, ListChanges, SettingsChange, Undo
from edge_config.wire.requests import name_of
from runtime.app.channel import Channel
from runtime.app.configure.change_file import ChangeFile, FilePlanned, FileWritten
from runtime.app.configure.settings_change import ChangeUnderWay, Outlines, named_keys, what_changes
from runtime.events import Asked, Reviewed, ReviewRefused, SettingsRead
from runtime.frame import BundleInfo
from runtime.inference.camera_views import CameraViews
from runtime.journal.audit_log import Order
from runtime.journal.journal_thread import Recorder
from runtime.messaging.control_socket import Control

_BUSY = "too many requests: another change of settings is being made; retry"
_NO_WORKER = "the inference worker is not ready, so that regions cannot be checked; retry later"

_log = structlog.get_logger()


class SettingsRequests:
    """Changes the settings of cameras, one change at a time. Use it from the main loop's thread."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        sections: Mapping[str, Camera],
        views: CameraViews,
        file: ChangeFile,
        control: Control,
        recorder: Recorder,
    ) -> None:
        """Take the parts that a change goes through.

        Args:
            channels: the cameras, by name.
            sections: their settings.
            views: what the inference worker judges of their frames.
            file: changes the settings file.
            control: the socket that answers go to.
            recorder: takes notes for the audit log.
        """
        self._channels = channels
        self._outlines = {name: Outlines.of(section) for name, section in sections.items()}
        self._views = views
        self._file = file
        self._control = control
        self._recorder = recorder
        self._change: ChangeUnderWay | None = None
        self._reread: dict[int, Outlines] = {}  # reviews because of a file that was read again

    def answer(self, asked: Asked) -> bool:
        """Begin a change, or list earlier ones; return whether that is what is asked for."""
        match asked.request:
            case Configure() as request:
                self._configure(asked, request)
            case Undo(camera=camera):
                if self._begin(asked, camera, self._channels[camera].camera.settings, self._outlines[camera]):
                    self._file.plan_undo(asked.number, camera)
            case ListChanges(camera=camera):
                self._file.tell_list(
                    self._in_force(camera),
                    lambda reply: self._control.reply(asked, reply),
                    lambda error: self._control.refuse(asked, error),
                )
            case _:
                return False
        return True

    def handle(self, event: Any) -> bool:
        """Go on with a change; return whether the event is about one."""
        change = self._change
        match event:
            case FilePlanned() if change is not None and change.asked.number == event.number:
                self._planned(change, event)
            case FileWritten() if change is not None and change.asked.number == event.number:
                self._written(change, event)
            case Reviewed() if change is not None and change.review == event.number:
                if change.step == "check":
                    self._write(change)
                else:
                    self._apply(change, event.info)
            case ReviewRefused() if change is not None and change.review == event.number:
                self._review_refused(change, event)
            case Reviewed() | ReviewRefused():
                self._reread_reviewed(event)
            case SettingsRead():
                self._read_again(event)
            case _:
                return isinstance(event, FilePlanned | FileWritten)
        return True

    def turn(self) -> None:
        """There is no periodic work."""

    def close(self) -> None:
        """Finish what the thread does, for a short while."""
        self._file.close()

    def _configure(self, asked: Asked, request: Configure) -> None:
        camera, before = self._channels[request.camera].camera, self._outlines[request.camera]
        try:
            alerts = with_changes(camera.settings, request.alerts)
        except SettingsError as error:
            self._control.refuse(asked, str(error))
            return
        regions = before.regions if request.regions is UNSET else request.regions
        ignore = before.ignore if request.ignore is UNSET else request.ignore
        outlines, named = Outlines(regions, ignore), named_keys(request)
        if request.is_question or ((alerts, outlines) == (camera.settings, before) and not request.keep):
            self._control.reply(asked, self._in_force(request.camera))
        elif self._begin(asked, request.camera, alerts, outlines):
            if request.keep:
                self._file.plan(asked.number, request.camera, named)
            elif self._change is not None:
                self._take(self._change)

    def _begin(self, asked: Asked, camera: str, alerts: Alerts, outlines: Outlines) -> bool:
        """Begin a change, if none is being made; return whether it has begun."""
        if self._change is not None:
            self._control.refuse(asked, _BUSY)
            return False
        self._change = ChangeUnderWay(asked, camera, alerts, outlines)
        return True

    def _planned(self, change: ChangeUnderWay, event: FilePlanned) -> None:
        """Check the regions of a change of the file, before it is written."""
        if event.planned is None:
            self._refuse(change, event.error)
            return
        change.planned, change.undoes = event.planned, event.undoes
        if event.undoes is not None:
            self._go_back(change, event.planned)
        if change.outlines.view == self._outlines[change.camera].view:
            self._write(change)
            return
        change.step = "check"
        if not self._review(change, check_only=True):
            self._refuse(change, _NO_WORKER)

    def _go_back(self, change: ChangeUnderWay, planned: PlannedChange) -> None:
        """Take the values of an undone change from the file; what was changed without `keep` stays."""
        section, keys = planned.settings.cameras[change.camera], {one.key for one in planned.what}
        alerts = {
            name: value for name, value in msgspec.structs.asdict(section.alerts).items() if f"alerts.{name}" in keys
        }
        change.alerts = msgspec.structs.replace(change.alerts, **alerts)
        change.outlines = Outlines(
            section.regions if "regions" in keys else change.outlines.regions,
            section.ignore if "ignore" in keys else change.outlines.ignore,
        )

    def _write(self, change: ChangeUnderWay) -> None:
        """Have the file written, if it does not say so already."""
        assert change.planned is not None  # noqa: S101 - it is checked before it is written
        if not change.planned.what:
            self._take(change)
            return
        change.step = "write"
        noted = SettingsChange(
            number=0,
            camera=change.camera,
            at_ms=time.time_ns() // 1_000_000,
            by=change.asked.key,
            user=change.asked.request.user,
            what=change.planned.what,
        )
        self._file.write(change.asked.number, change.planned, noted, change.undoes)

    def _written(self, change: ChangeUnderWay, event: FileWritten) -> None:
        if event.error:
            self._refuse(change, event.error)
            return
        change.kept = event.change
        self._take(change)

    def _take(self, change: ChangeUnderWay) -> None:
        """Have the worker take the regions, and the main loop the alert settings with the same frame."""
        change.step = "take"
        if change.outlines.view == self._outlines[change.camera].view:
            self._apply(change, None)
        elif not self._review(change):
            if change.kept is None:
                self._refuse(change, _NO_WORKER)
            else:  # the next worker begins with them
                self._apply(change, None)

    def _review(self, change: ChangeUnderWay, *, check_only: bool = False) -> bool:
        """Ask the worker; return whether it is there."""
        frame_hw = self._channels[change.camera].frame_hw
        insist = change.kept is not None
        change.review = self._views.review(
            change.camera, change.outlines.view, frame_hw, check_only=check_only, insist=insist
        )
        return change.review is not None

    def _review_refused(self, change: ChangeUnderWay, event: ReviewRefused) -> None:
        if change.step == "take" and change.kept is not None and event.lost:
            self._apply(change, None)  # the next worker begins with them
        elif change.step == "take" and change.kept is not None:
            self._refuse(change, f"kept in {self._file.path}, but not in service: {event.error}")
        else:
            self._refuse(change, f"{event.error}; retry" if event.lost else event.error)

    def _apply(self, change: ChangeUnderWay, info: BundleInfo | None) -> None:
        """Take the settings over, from the next frame on, and answer."""
        name, asked = change.camera, change.asked
        camera, before = self._channels[name].camera, self._outlines[name]
        what = what_changes(camera.settings, before, change.alerts, change.outlines)
        self._outlines[name] = change.outlines
        if info is not None:
            camera.serve(info)
        if change.alerts != camera.settings:
            camera.configure(change.alerts)
        if what or change.kept is not None:
            said = {one.key: one.after for one in what if one.key.startswith("alerts.")}
            outlined = [one.key for one in what if not one.key.startswith("alerts.")]
            _log.info("settings changed", camera=name, by=asked.by, kept=change.kept, regions=outlined, **said)
            noted = {"camera": name, "of": name_of(asked.request), "kept": change.kept, "what": what}
            self._recorder.note(Order.of_change(asked, noted))
        self._change = None
        self._control.reply(asked, self._in_force(name, change.kept))

    def _refuse(self, change: ChangeUnderWay, error: str) -> None:
        self._change = None
        self._control.refuse(change.asked, error)

    def _in_force(self, name: str, kept: int | None = None) -> InForce:
        channel = self._channels[name]
        camera, outlines = channel.camera, self._outlines[name]
        return InForce(
            camera=name,
            threshold=camera.threshold,
            alerts=msgspec.to_builtins(camera.settings),
            bundle_threshold=camera.bundle.threshold,
            regions=outlines.regions,
            ignore=outlines.ignore,
            frame_hw=channel.frame_hw,
            regions_of=camera.bundle.regions_of.get(name, ""),
            change=kept,
            file="" if kept is None else self._file.path,
        )

    def _read_again(self, event: SettingsRead) -> None:
        """Take over the regions of a settings file that was read again."""
        for name, section in event.sections.items():
            outlines = Outlines.of(section)
            if outlines.view == self._outlines[name].view:
                continue
            number = self._views.review(name, outlines.view, self._channels[name].frame_hw)
            if number is None:
                _log.error("the regions of the settings were not taken over", camera=name, problem=_NO_WORKER)
            else:
                self._reread[number] = outlines

    def _reread_reviewed(self, event: Reviewed | ReviewRefused) -> None:
        outlines = self._reread.pop(event.number, None)
        if outlines is None:
            return
        if isinstance(event, ReviewRefused):
            _log.error("the regions of the settings were not taken over", camera=event.camera, problem=event.error)
            return
        self._outlines[event.camera] = outlines
        self._channels[event.camera].camera.serve(event.info)
        _log.info("regions of the settings taken over", camera=event.camera, regions_of=event.info.regions_of)
