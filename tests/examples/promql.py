"""Metrics, labels and values that PromQL expressions name, looked up in the text that a device serves.

It knows what the examples use, and no more: selectors with matchers, `by (...)`, and labels in legends.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import yaml
from prometheus_client.parser import text_string_to_metric_families

_SELECTOR = re.compile(r"\b(?P<metric>up|patchedge_\w+)\b(?:\{(?P<matchers>[^}]*)\})?")
_MATCHER = re.compile(r'(?P<label>\w+)(?P<sign>=~|!~|!=|=)"(?P<value>[^"]*)"')
_BY = re.compile(r"\bby \(([^)]*)\)")
_IN_TEXT = re.compile(r"\{\{ ?(?:\$labels\.)?([a-z]\w*) ?\}\}")
_OF_A_VARIABLE = re.compile(r"label_values\((?P<selector>.*), (?P<label>\w+)\)")

OF_PROMETHEUS = {"job": {"patchedge"}, "instance": set[str]()}
"""Labels that Prometheus adds: the job of prometheus.yml, the address of the device."""

Samples = Mapping[str, Mapping[str, set[str]]]
"""Metric -> label -> its values."""


class Expression(NamedTuple):
    """An expression of a dashboard or rule: where it is, and the texts that show its labels."""

    where: str
    query: str
    texts: tuple[str, ...] = ()


def samples(text: str) -> Samples:
    """Return what a device serves, and `up`, which Prometheus makes."""
    found: dict[str, dict[str, set[str]]] = {"up": {}}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            values = found.setdefault(sample.name, defaultdict(set))
            for label, value in sample.labels.items():
                values[label].add(value)
    return found


def expressions(folder: Path) -> Iterator[Expression]:
    """Return every expression of the dashboard and of the rules."""
    for group in yaml.safe_load((folder / "rules.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield Expression(rule["alert"], rule["expr"], tuple(rule["annotations"].values()))
    dashboard = json.loads((folder / "dashboards/patchedge.json").read_text())
    for variable in dashboard["templating"]["list"]:
        parts = _OF_A_VARIABLE.fullmatch(variable["query"]["query"])
        assert parts
        yield Expression(f"${variable['name']}", parts["selector"], (f"{{{{{parts['label']}}}}}",))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield Expression(panel["title"], target["expr"], (target["legendFormat"],))


def problems(expression: Expression, served: Samples) -> Iterator[str]:
    """Return a line for each metric, label and value of an expression that a device does not have."""
    labels = set(OF_PROMETHEUS)
    selectors = list(_SELECTOR.finditer(expression.query))
    if not selectors:
        yield f"{expression.where}: no metric in {expression.query}"
    for selector in selectors:
        if (values := served.get(selector["metric"])) is None:
            yield f"{expression.where}: no metric {selector['metric']}"
            continue
        labels |= values.keys()
        for matcher in _MATCHER.finditer(selector["matchers"] or ""):
            known = {**OF_PROMETHEUS, **values}.get(matcher["label"])
            if known is None:
                yield f"{expression.where}: {selector['metric']} has no label {matcher['label']}"
            elif not matcher["value"].startswith("$"):
                wanted = set(matcher["value"].split("|")) if "~" in matcher["sign"] else {matcher["value"]}
                yield from (f"{expression.where}: {matcher['label']} is never {one}" for one in sorted(wanted - known))
    named = [name.strip() for by in _BY.findall(expression.query) for name in by.split(",")]
    named += [name for text in expression.texts for name in _IN_TEXT.findall(text)]
    yield from (f"{expression.where}: no label {name}" for name in named if name not in labels)
