"""Sources of frames, as the capture process opens them: RTSP and HTTP streams, V4L2, GStreamer, recordings."""

import os

# Read by cv2 when it is imported, and when it loads FFmpeg: its complaints would stand beside our own line.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
