"""Warn about options that have no effect."""

from __future__ import annotations

from edge_config.bundle.may_vary import NOTHING
from export.options import Options
from runtime.learning import unused_options


def without_effect(options: Options) -> list[str]:
    """Return a sentence for each option that differs from its default, but has no effect with the others."""
    return unused_options.without_effect(
        options,
        ("layer_dim", options.aggregation == "adaptive", "the aggregation `adaptive`"),
        ("target_dim", options.aggregation == "adaptive", "the aggregation `adaptive`"),
        (
            "test_set",
            not options.no_report or options.precision != "float32",
            "the report, and a precision below float32",
        ),
        ("tolerance_cost", options.may_vary != NOTHING, "--may-vary, by which nothing may vary"),
    )
