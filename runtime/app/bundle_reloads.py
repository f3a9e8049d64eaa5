"""Reload bundles: on request, on a signal, or when another bundle was put in place of the old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from edge_config.saving import directory_identity
from edge_config.wire.requests import Reload
from runtime.app.channel import Channel
from runtime.events import Asked, Reloaded, ReloadRefused
from runtime.frame import BundleInfo
from runtime.inference.engine import Engine
from runtime.messaging.control_socket import Control
from runtime.monitoring.metrics import Metrics
from runtime.monitoring.systemd import Notifier
from runtime.versions.keeper import VersionKeeper

_log = structlog.get_logger()


@dataclass(slots=True)
class _ReloadRequest:
    """A request that is answered when all its bundles are."""

    asked: Asked
    paths: set[str]
    errors: list[str]


class BundleReloads:
    """Reloads bundles, and answers the requests for it. Use it from the main loop's thread."""

    def __init__(
        self,
        channels: Mapping[str, Channel],
        engine: Engine,
        control: Control,
        metrics: Metrics,
        notifier: Notifier,
        versions: VersionKeeper,
    ) -> None:
        """Use these cameras, the engine that loads their bundles, the receivers of results, and learnt versions."""
        self._channels = channels
        self._engine = engine
        self._control = control
        self._metrics = metrics
        self._notifier = notifier
        self._versions = versions
        self._identities: dict[str, tuple[int, int] | None] = {}
        self._requests: list[_ReloadRequest] = []

    def ready(self, bundles: Mapping[str, BundleInfo]) -> None:
        """Take note of the bundles that a worker serves from its start."""
        for name, bundle in bundles.items():
            self._serve(name, bundle)
        self._watch_paths()

    def look(self) -> None:
        """Reload where another bundle was put in place."""
        self._watch_paths()  # where an assigned bundle serves, others than before
        if self._replaced():
            self.reload("another bundle is at its path")

    def reload(self, why: str) -> None:
        """Reload every bundle from its path; where the settings' bundle was replaced, a learnt version is dropped."""
        _log.info("reloading bundles", why=why)
        self._notifier.reloading()
        self._replaced()
        self._engine.reload()
        self._load_new_roots()

    def ask(self, asked: Asked, request: Reload) -> None:
        """Reload because of a request, which is answered later."""
        self._notifier.reloading()
        paths = self._engine.reload(request.camera, request.path)
        if request.path is None:
            paths |= self._load_new_roots(request.camera)
        self._requests.append(_ReloadRequest(asked, paths, []))

    def taken(self, event: Reloaded) -> None:
        """Take note of a bundle that is in service."""
        _log.info("bundle in service", cameras=list(event.cameras), bundle=event.info.id[:12], path=event.info.path)
        for name in event.cameras:
            self._serve(name, event.info)
        self._metrics.reloaded(taken=True)
        self._watch_paths()
        self._answer(event.info.path, "")
        self._notifier.ready()

    def refused(self, event: ReloadRefused) -> None:
        """Take note of a bundle that cannot be served."""
        _log.error("bundle refused", cameras=list(event.cameras), problem=event.error, old_one_goes_on=event.kept)
        if not event.kept and not event.instead:
            for name in event.cameras:
                self._channels[name].camera.status.fail(event.error)
        self._metrics.reloaded(taken=False)
        self._answer(event.path, event.error)
        self._notifier.ready()

    def _serve(self, name: str, bundle: BundleInfo) -> None:
        channel = self._channels[name]
        another = channel.camera.bundle.id not in {"", bundle.id}
        channel.camera.serve(bundle)
        if another:
            channel.camera.messages.send("health")  # subscribers learn of it at once
        self._metrics.bundle(name, bundle.id)
        if not channel.feed.live and channel.feed.depth != bundle.depth:
            depths = {"depth": channel.feed.depth, "of_the_bundle": bundle.depth}
            remedy = "play it again: then they are read at the depth of the bundle"
            _log.warning("pictures of 16 bits are read at another depth", camera=name, **depths, remedy=remedy)

    def _watch_paths(self) -> None:
        """Notice where another bundle is put in place; also of a camera that has none since its own was refused."""
        paths = {channel.camera.bundle.path for channel in self._channels.values()} - {""}
        paths = (paths - self._versions.assigned()) | set(self._versions.watched())
        self._identities = {path: self._identities.get(path) or directory_identity(path) for path in paths}

    def _load_new_roots(self, camera: str | None = None) -> set[str]:
        """Load the settings' bundles that were replaced below a learnt version; return their paths."""
        roots = self._versions.new_roots(camera)
        for name, path in roots.items():
            self._engine.reload(name, path)
        return set(roots.values())

    def _replaced(self) -> bool:
        """Return whether another bundle is at one of the paths than at the last call."""
        now = {path: directory_identity(path) for path in self._identities}
        changed = any(found is not None and found != self._identities[path] for path, found in now.items())
        self._identities.update({path: found for path, found in now.items() if found is not None})
        return changed

    def _answer(self, path: str, error: str) -> None:
        """Answer the requests that waited for this bundle last."""
        for request in [one for one in self._requests if path in one.paths]:
            request.paths.discard(path)
            if error:
                request.errors.append(error)
            if request.paths:
                continue
            self._requests.remove(request)
            if request.errors:
                self._control.refuse(request.asked, "; ".join(request.errors))
            else:
                self._control.reply(request.asked, {"reloaded": True})
