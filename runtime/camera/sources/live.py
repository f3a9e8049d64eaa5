"""Open a live source: a V4L2 device, a GStreamer pipeline or a stream (see `rtsp.py`)."""

from __future__ import annotations

import cv2

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address
from runtime.camera.sources.grabber import Grabber, OpenCvGrabber
from runtime.camera.sources.rtsp import open_stream

_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
"""End of a pipeline that has none: colours as OpenCV wants them, and no queue of old frames."""


def open_camera(source: int | str, transport: Transport = "tcp") -> Grabber:
    """Open a camera, stream or pipeline. Of several devices that match a pattern, the first that opens.

    Args:
        source: a device, a URL or gst:PIPELINE.
        transport: of an RTSP stream.

    Raises:
        SourceUnavailable: there is none, or it does not open.
    """
    if (plain := address.plain(source)).startswith((address.GSTREAMER, address.CSI)):
        return _open_pipeline(plain)
    if address.kind(plain) == "stream":
        return open_stream(plain, transport)
    name = f"camera {source}"
    nodes = address.devices(source)
    if not nodes:
        raise SourceUnavailable("no such device", where=name, remedy="check that it is plugged in")
    for node in nodes:
        capture = cv2.VideoCapture(node, cv2.CAP_V4L2)
        if capture.isOpened():
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return OpenCvGrabber(capture)
    raise SourceUnavailable("does not open", where=name, remedy="check that it is not in use")


def has_backend(backend: int) -> bool:
    """Return whether this OpenCV can open sources with a back end, such as `cv2.CAP_GSTREAMER`."""
    registry = cv2.videoio_registry
    try:
        return bool(registry.hasBackend(backend))  # a plug-in may be known and not there
    except AttributeError:  # of an OpenCV as old as that of a Jetson
        return backend in registry.getBackends()


def _open_pipeline(source: str) -> Grabber:
    where = address.redact(source)
    if source.startswith(address.CSI):
        remedy = "choose a profile that knows the device's pipeline, or write it as gst:PIPELINE"
        raise SourceUnavailable("no pipeline is known for this camera", where=where, remedy=remedy)
    if not has_backend(cv2.CAP_GSTREAMER):
        remedy = "use the system's OpenCV (python3-opencv, or that of JetPack); the wheels of PyPI have no GStreamer"
        raise SourceUnavailable(f"OpenCV {cv2.__version__} has no GStreamer here", where=where, remedy=remedy)
    pipeline = source.removeprefix(address.GSTREAMER).strip()
    if "appsink" not in pipeline:
        pipeline = f"{pipeline} ! {_SINK}"
    capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
    if not capture.isOpened():
        raise SourceUnavailable("does not open", where=where, remedy="try the pipeline with gst-launch-1.0")
    return OpenCvGrabber(capture)
