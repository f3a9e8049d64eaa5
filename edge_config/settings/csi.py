"""CSI cameras: from `csi://0` to the GStreamer pipeline that opens it on this kind of device."""

from __future__ import annotations

import re

from edge_config.errors import SettingsError
from edge_config.settings.sections import Capture

SCHEME = "csi://"

_SOURCE = re.compile(r"csi://(?P<sensor>[0-9]{1,2})/?(\?(?P<query>[a-z]+=[0-9]{1,5}(&[a-z]+=[0-9]{1,5})*))?\Z")
_WORDS = ("width", "height", "fps")


def pipeline(source: int | str, capture: Capture, where: str = "settings") -> int | str:
    """Return the source that stands for a csi:// one; any other as it is.

    Args:
        source: of a camera.
        capture: how such cameras are opened here.
        where: named in the errors.

    Raises:
        SettingsError: it is not such a source, or no pipeline is known.
    """
    name = str(source)
    if not name.lower().startswith(SCHEME):
        return source
    name = name.lower()
    found = _SOURCE.match(name)
    given = dict(word.split("=") for word in (found["query"] or "").split("&") if word) if found else {}
    if found is None or not set(given) <= set(_WORDS):
        raise SettingsError(
            f"source `{name}` is none", where=where, remedy="write csi://0?width=1280&height=720&fps=30"
        )
    if not capture.csi:
        remedy = "set the profile of the device, or capture.csi, or write the pipeline as gst:PIPELINE"
        raise SettingsError(f"no pipeline is known for the source `{name}`", where=where, remedy=remedy)
    filled = capture.csi
    if "{sensor}" not in filled and int(found["sensor"]):
        remedy = "give its camera-name in a pipeline of your own, gst:PIPELINE"
        raise SettingsError(f"the pipeline of this device knows csi://0 only, not `{name}`", where=where, remedy=remedy)
    for word in _WORDS:
        filled = filled.replace(f"{{{word}}}", given.get(word, str(getattr(capture, word))))
    return "gst:" + " ".join(filled.replace("{sensor}", found["sensor"]).split())
