"""From a source to frames in shared memory, in a process of its own; `sources/` opens RTSP, V4L2 and recordings."""
