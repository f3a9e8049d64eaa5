"""The stage `inspect`: detect frozen, dark, blurred and moved cameras, whose pictures cannot be judged."""

from __future__ import annotations

from dataclasses import dataclass

from edge_config.bundle.manifest import Scene
from runtime.frame import Image, SceneFault
from runtime.measures import Measures
from runtime.scene.frozen import Frozen
from runtime.scene.thumbnail import Placed, Shift, Thumbnail, measure, shrink, size_for

DARK_S, BLURRED_S, MOVED_S = 0.5, 1.0, 2.0
"""Time, with at least `FRAMES` frames, after which a fault is reported; for frozen see frozen.py."""
LEFT_S = 0.5
"""Time without the fault, with at least `FRAMES` frames, after which it is over."""
FRAMES = 3
"""One odd frame changes nothing."""

LOOK_EVERY_S = 0.1
"""Minimum interval between checked frames; those between count as the one before. Faults take longer anyway, and so the
cost does not grow with the frame rate."""

MOVED_EVERY_S = 0.25
"""Minimum interval between checks for displacement: a moved camera stays moved, and this measurement is the slowest."""
MIN_CORRELATION_GAIN, MIN_CORRELATION = 0.2, 0.45
"""A camera is moved if the correlation with the shifted reference is at least the second, and exceeds that with the
unshifted one by the first. Measured with people over half of the view: mostly 0.5 to 1.0 for a moved camera, and never
more than unshifted for one in place. Unrelated pictures reach 0.4 by chance."""
IN_PLACE = 0.3
"""Minimum correlation with the reference of a camera in place."""

UNKNOWN_SCENE = Scene(luminance=(4.0, 251.0), sharpness=0.0, detail=0.0, shift=None)
"""Limits if nothing was learnt: only pictures that no scene can give are faults."""
NO_CONTRAST = 0.5
"""Standard deviation in grey levels below which a thumbnail shows nothing, whatever was learnt."""


@dataclass(frozen=True, slots=True)
class CameraFault:
    """Why a frame cannot be judged: the state of its camera, and the reason in words."""

    state: SceneFault
    reason: str


class _Latch:
    """One fault with its hysteresis."""

    def __init__(self, state: SceneFault, after_s: float) -> None:
        self.state = state
        self.fault: CameraFault | None = None
        self._after_s = after_s
        self._streak = 0
        self._since_ns = 0

    def __call__(self, t_mono_ns: int, reason: str | None) -> None:
        """Update with the reason of the fault in one frame; None if there is none."""
        if (reason is None) == (self.fault is None):
            self._streak = 0
            return
        if not self._streak:
            self._since_ns = t_mono_ns
        self._streak += 1
        lasted_s = (t_mono_ns - self._since_ns) / 1e9
        if self._streak >= FRAMES and lasted_s >= (LEFT_S if reason is None else self._after_s):
            self._streak = 0
            self.fault = None if reason is None else CameraFault(self.state, reason)


class Inspect:
    """Checks each frame of one camera, in order.

    Attributes:
        seen: measures of the last frame that was checked; None before the first.
    """

    def __init__(self, scene: Scene | None, reference: Thumbnail | None) -> None:
        """Use the limits that a bundle learnt; None without any.

        Args:
            scene: section `scene` of the manifest.
            reference: thumbnail of the scene, uint8 [h, w].
        """
        self._scene = scene or UNKNOWN_SCENE
        self._reference = reference
        self._place = None if reference is None or self._scene.shift is None else Placed.of(reference)
        self._frozen = Frozen()
        self._is_dark = _Latch("dark", DARK_S)
        self._is_blurred = _Latch("blurred", BLURRED_S)
        self._is_frozen = _Latch("frozen", 0.0)
        self._is_moved = _Latch("moved", MOVED_S)
        self.seen: Measures | None = None
        self._looked_ns: int | None = None
        self._placed_ns: int | None = None

    def after(self, before: Inspect) -> Inspect:
        """Return the inspection of a camera after a change of its bundle, which keeps its faults.

        Args:
            before: the inspection with the old bundle; do not use it any more.
        """
        before._scene, before._reference, before._place = self._scene, self._reference, self._place
        if self._place is None:
            before._is_moved = self._is_moved
        return before

    def __call__(self, image: Image, t_mono_ns: int) -> CameraFault | None:
        """Return the fault of the camera, or None if the picture can be judged.

        Args:
            image: uint8 [H, W, 3] BGR.
            t_mono_ns: the frame's clock, see `Frame.clock_ns`, nanoseconds.
        """
        if self._looked_ns is None or not 0 <= t_mono_ns - self._looked_ns < LOOK_EVERY_S * 1e9:
            self._looked_ns = t_mono_ns
            self._look_at(image, t_mono_ns)
        return self._is_dark.fault or self._is_blurred.fault or self._is_frozen.fault or self._is_moved.fault

    def _look_at(self, image: Image, t_mono_ns: int) -> None:
        thumbnail = shrink(image, size_for(*image.shape[:2]) if self._reference is None else self._reference.shape)
        seen = self.seen = measure(thumbnail)
        dark, blurred = self._dark(seen), self._blurred(seen)
        self._is_dark(t_mono_ns, dark)
        self._is_blurred(t_mono_ns, blurred)
        self._is_frozen(t_mono_ns, self._frozen(image, thumbnail, t_mono_ns))
        if dark is None and blurred is None:  # else the displacement cannot be measured
            self._look_for_place(thumbnail, t_mono_ns)

    def _dark(self, seen: Measures) -> str | None:
        least, most = self._scene.luminance
        if seen.luminance < least:
            return f"dark: mean grey level {seen.luminance:.0f}, at least {least:.0f} can be judged"
        if seen.luminance > most:
            return f"too bright: mean grey level {seen.luminance:.0f}, at most {most:.0f} can be judged"
        return None

    def _blurred(self, seen: Measures) -> str | None:
        if seen.contrast < NO_CONTRAST:
            return "covered: no contrast"
        if seen.detail < self._scene.detail:
            return f"covered or defocused: detail {seen.detail:.3f}, at least {self._scene.detail:.3f} can be judged"
        if seen.sharpness < self._scene.sharpness:
            return f"defocused: sharpness {seen.sharpness:.3f}, at least {self._scene.sharpness:.3f} can be judged"
        return None

    def _look_for_place(self, thumbnail: Thumbnail, t_mono_ns: int) -> None:
        if self._place is None or self._scene.shift is None:
            return
        if self._placed_ns is not None and t_mono_ns - self._placed_ns < MOVED_EVERY_S * 1e9:
            return
        self._placed_ns = t_mono_ns
        shift = self._place.shift_of(Placed.of(thumbnail))
        if is_moved(shift, self._scene.shift):
            self._is_moved(t_mono_ns, f"shifted by {shift.share:.0%} of the width")
        elif shift.share <= self._scene.shift and shift.here >= IN_PLACE:
            self._is_moved(t_mono_ns, None)


def is_moved(shift: Shift, limit: float) -> bool:
    """Return whether a picture is displaced by more than `limit` of the width against the reference, with certainty."""
    return shift.share > limit and shift.there >= MIN_CORRELATION and shift.there - shift.here >= MIN_CORRELATION_GAIN
