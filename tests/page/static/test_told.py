"""What a device says in English is known to the page, so that it can say it in German."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import runtime.page
from runtime.drift import watch

ROOT = Path(runtime.page.__file__).parents[2]
WORDS = Path(runtime.page.__file__).parent / "static" / "words"

MADE_BY = {"CaptureOver": 1, "SourceUnavailable": 0, "SourceLost": 0, "Cause": 0, "StateChange": 1, "lost": 1,
           "Ended": 1, "starve": 0, "connect": 1, "end": 0, "_change": 1, "_is_moved": 1, "lose": 0}  # fmt: skip
"""What takes the reason of a state, and as which of its arguments."""

FILES = [
    "runtime/alerts/camera_state.py",
    "runtime/app/main_loop.py",
    "runtime/app/monitor.py",
    "runtime/app/serve.py",
    "runtime/camera/capture_process.py",
    "runtime/camera/capture_run.py",
    "runtime/camera/feed.py",
    "runtime/camera/supervisor.py",
    "runtime/camera/sources/in_process.py",
    "runtime/camera/sources/live.py",
    "runtime/camera/sources/rtsp.py",
    "runtime/inference/engine.py",
    "runtime/inference/worker_handle.py",
    "runtime/page/devices/link.py",
    *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("runtime/camera/diagnosis/*.py")),
]
RETURNED_BY = ["runtime/scene/frozen.py", "runtime/scene/inspect.py", "runtime/page/devices/live.py"]
"""Files whose functions return the reason, or None, or a tuple that has it."""


def sentences(node: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the sentences that an expression can be; what is filled in is {}."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.IfExp():
            yield from (*sentences(node.body, names), *sentences(node.orelse, names))
        case ast.BoolOp(values=several) | ast.Tuple(elts=several):
            yield from (text for one in several for text in sentences(one, names))
        case ast.Name(id=name):
            yield from (text for one in names.get(name, []) for text in sentences(one, {}))
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else filled(part, names) for part in parts)
        case ast.Call():  # such as self._hide(...)
            yield from (text for one in node.args for text in sentences(one, names))


def filled(part: ast.expr, names: dict[str, list[ast.expr]]) -> str:
    """Return {}, or the text that is always filled in."""
    assert isinstance(part, ast.FormattedValue)
    values = names.get(part.value.id, []) if isinstance(part.value, ast.Name) else []
    if len(values) != 1 or not isinstance(values[0], ast.Constant | ast.JoinedStr):
        return "{}"
    return next(sentences(values[0], {}))


def assigned(node: ast.AST) -> list[tuple[ast.expr, ast.expr]]:
    """Return what a statement assigns, one by one."""
    if not isinstance(node, ast.Assign):
        return []
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return list(zip(target.elts, value.elts, strict=True))
    return [(target, value)]


def said(path: str) -> Iterator[str]:
    """Yield the reasons that a file can give."""
    for function in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            yield from said_by(function, returned=path in RETURNED_BY)


def said_by(function: ast.FunctionDef, *, returned: bool) -> Iterator[str]:
    """Yield the reasons that a function gives to others, or that it returns."""
    nodes = [*ast.walk(function)]
    names: dict[str, list[ast.expr]] = {}
    for target, value in (pair for node in nodes for pair in assigned(node)):
        if isinstance(target, ast.Name):
            names.setdefault(target.id, []).append(value)
        elif isinstance(target, ast.Attribute) and target.attr == "reason":
            yield from sentences(value, {})
    for node in nodes:
        if isinstance(node, ast.Return) and node.value is not None and returned:
            yield from (text for text in sentences(node.value, names) if " " in text)
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            for reason in node.args[MADE_BY[called] :][:1] if called in MADE_BY else []:
                yield from sentences(reason, names)


def test_every_reason_of_a_device_is_known() -> None:
    """The table has each reason that the code gives, and no other; an English page shows it as it was said."""
    english = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    known = {re.sub(r"\{\w+\}", "{}", text) for key, text in english.items() if key.startswith("told.")}
    given = {text for path in [*FILES, *RETURNED_BY] for text in said(path)}
    given |= {text for path in ["runtime/page/api/devices.py"] for text in notices(path)}
    assert (given - known, known - given) == (set(), set())


def notices(path: str) -> Iterator[str]:
    """Yield what the page says of itself."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "notice":
            yield from sentences(node.value, {})


def test_every_drift_is_known() -> None:
    """The page has words for each thing that drift can be."""
    english = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    assert not {f"drift.{text.replace(' ', '_')}" for text in watch._SAID.values()} - english.keys()


def test_every_step_of_learning_is_known() -> None:
    """The page has words for each step that the learner names."""
    english = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    learner = (ROOT / "runtime" / "learning" / "grow" / "learn_on.py").read_text(encoding="utf-8")
    steps = re.findall(r'(?:told|_tell)\("([^"]+)"', learner)
    assert len(steps) >= 7, "they are told in another way now"
    assert not {f"learn.step.{step.replace(' ', '_')}" for step in steps} - english.keys()
