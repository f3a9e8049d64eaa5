"""Say in the log what is odd about the provider of a bundle."""

from __future__ import annotations

import structlog

from runtime.frame import BundleInfo


def say_what_is_odd(info: BundleInfo) -> None:
    """Log, where that is so, that it is not the provider that was wanted."""
    for line in info.passed_over:
        structlog.get_logger().warning("provider passed over", path=info.path, problem=line, computes=info.provider)
