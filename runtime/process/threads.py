"""Limit the threads of ONNX Runtime, OpenCV, BLAS and hnswlib together: they compete for few cores."""

from __future__ import annotations

import os

import cv2
from threadpoolctl import threadpool_limits


def limit_threads(wanted: int, *, blas: int | None = None) -> int:
    """Limit the process-wide thread pools of OpenCV and BLAS; return the limit for ONNX Runtime and hnswlib.

    Args:
        wanted: number of threads; 0 means all cores that this process may use.
        blas: threads of BLAS, if fewer. A device uses one: its products are small, and OpenBLAS's idle threads
            spin for longer than a frame takes, on the cores that ONNX Runtime needs.

    Returns:
        The limit, at least 1.
    """
    count = wanted or len(os.sched_getaffinity(0))
    cv2.setNumThreads(count)
    threadpool_limits(limits=blas or count)
    return count
