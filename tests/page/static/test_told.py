"""What a device says in English is known to the page, so that it can say it in German."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import runtime.page
from runtime.app.upkeep.doctor_run import NOT_CHECKED
from runtime.drift import watch
from tests.support.said import texts_of_calls, texts_returned

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


DOCTOR = {
    "beside.py": (),
    "cameras.py": ("wanted", "_open"),
    "clock.py": (),
    "examine.py": (),
    "finding.py": (),
    "fleet.py": (),
    "heat.py": (),
    "inference.py": ("with_bundle", "_chosen", "explain", "_blind", "_started", "_failed"),
    "ports_and_folders.py": ("ports", "journal"),
    "processor.py": (),
    "software.py": (),
    "vision.py": (),
}
"""Files with checks of doctor, and their functions that are not called beside a running device."""

NOT_BESIDE = {"search_speed.py", "__init__.py"}
"""Files of which no check is called there."""

REFUSALS: dict[str, dict[str, tuple[int | str, ...]]] = {
    "runtime/page": {"Refused": (1,), "UnavailableError": (0,), "AddressUnavailable": (0,), "UsageError": (0,)},
    "runtime/client/requester.py": {"AddressUnavailable": (0,)},
    "runtime/messaging/control_socket.py": {"RequestError": (0,)},
    "runtime/teaching": {"refuse": (1,), "RequestError": (0,)},
    "runtime/versions": {"refuse": (1,), "Ending": ("reason",), "_move": ("reason",), "stop": (1,), "discard": (1,)},
    "runtime/learning/grow": {"UsageError": (0,)},
    "runtime/app/answer_requests.py": {"refuse": (1,)},
    "runtime/app/answer_beside.py": {"refuse": (1,)},
    "runtime/app/picture_requests.py": {"refuse": (1,)},
    "runtime/app/configure": {"refuse": (1,), "RequestError": (0,)},
    "runtime/app/upkeep": {"refuse": (1,), "ValueError": (0,)},
}
"""Where what a person wants is refused, or how something that was begun ends: which calls take the sentence."""

RETURNED = {
    "runtime/versions/activations.py": ("why_busy", "_why_not"),
    "runtime/versions/learning_on.py": ("ask", "_queue_task"),
    "runtime/messaging/control_socket.py": ("_deny",),
    "runtime/app/picture_requests.py": ("_how",),
    "runtime/process/out_of_memory.py": ("killed_for_memory",),
    "runtime/page/media/films.py": ("_how",),
    "runtime/camera/diagnosis/device.py": ("join_group",),
}
"""Functions that return such a sentence."""

AT_A_SHELL = ("runtime/page/users/", "runtime/page/serve.py", "runtime/page/uploads/", "inspect.py")
"""Where nobody in a browser is told: commands, and what only programs ask for."""

OF_PROGRAMS = (
    "Content-Length", "`from_ms`", "`before`", "invalid ", "parameter ", "name pictures", "name one camera", "name the",
    "the body is longer", "this token", "only the API", "X-Forwarded-Proto", "the request has no valid Host",
    "several devices", "a message of ", "the device has no section", "this page shows no fleet", "not a job",
    "the learner takes", "the network gives", "an alert {} ", "the parts of", "there is no such {}",
)  # fmt: skip
"""How sentences begin that only a program can provoke: the page's own scripts never ask like this."""

OF_OTHERS = {"told.disk_full", "told.no_rights", "told.read_only", "told.cannot_write", "told.nothing_here",
             "told.page_failed", "told.see_above", "told.report_line", "told.learner_often", "told.folder_used",
             "told.other_bundle", "told.doctor_late",
             "told.login_often_minutes", "told.cpu_avx2", "told.cpu_dot"}  # fmt: skip
"""Known sentences that this test does not find: of the system, or put together elsewhere."""

FILLED = "Q7"
"""Stands for what is filled in."""

NO_WORDS = re.compile(rf"(?:{FILLED}|MiB|MHz|°C|glibc|patchedge|/dev/|[\W\d])*")
"""Text that is the same in all languages."""


def translated(text: str, patterns: dict[str, re.Pattern[str]]) -> set[str] | None:
    """Return the sentences of the table that a text consists of, as the page finds them; None: one is not known."""
    parts = text.split("; ")
    for count in range(len(parts), 0, -1):
        begin = "; ".join(parts[:count])
        without = re.sub(r"^\S+: ", "", begin)
        key = next((name for one in (begin, without) for name, found in patterns.items() if found.match(one)), None)
        rest = "; ".join(parts[count:])
        if key is not None or (count == 1 and NO_WORDS.fullmatch(begin)):
            more = translated(rest, patterns) if rest else set()
            return None if more is None else more | ({key} if key else set())
    return None


def table() -> dict[str, re.Pattern[str]]:
    """Return the sentences that the page knows, those with the most letters first."""
    english: dict[str, str] = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    told = {key: text for key, text in english.items() if key.startswith("told.")}
    ordered = sorted(told.items(), key=lambda pair: -len(re.sub(r"\{\w+\}", "", pair[1])))
    return {key: re.compile(pattern(text) + r"\Z", re.DOTALL) for key, text in ordered}


def pattern(text: str) -> str:
    """Return what matches a sentence of the table: `why` may be several sentences, all else is within one."""
    parts = re.split(r"\{(\w+)\}", text)
    held = ["" if name == "why" else "(?!; )" for name in parts[1::2]]
    return re.escape(parts[0]) + "".join(
        f"(?:{one}.)*?{re.escape(then)}" for one, then in zip(held, parts[2::2], strict=True)
    )


def of_doctor() -> Iterator[str]:
    """Yield what doctor can say beside a running device, and its remedies."""
    for name, left_out in DOCTOR.items():
        found = texts_of_calls(ROOT / "runtime" / "doctor" / name, {"Finding": (2, 3)})
        yield from (text for function, text in found if function not in left_out)


def refusals() -> Iterator[str]:
    """Yield why something can be refused that a person wants, and why learning can fail."""
    for place, wanted in REFUSALS.items():
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = file.relative_to(ROOT).as_posix()
            if not any(name.startswith(one) or name.endswith(one) for one in AT_A_SHELL):
                yield from (text for _, text in texts_of_calls(file, wanted) if not text.startswith(OF_PROGRAMS))
    for place, functions in RETURNED.items():
        yield from texts_returned(ROOT / place, functions)


def all_texts() -> set[str]:
    """Return what devices and the page's process can say in a browser, with something filled in."""
    states = {text for path in [*FILES, *RETURNED_BY] for text in said(path)} | {*NOT_CHECKED}
    states |= {*notices("runtime/page/api/devices.py")}
    return {text.replace("{}", FILLED) for text in {*states, *of_doctor(), *refusals()}}


def test_every_text_has_both_languages() -> None:
    """The table has each sentence of devices, of doctor, of learning and of the page's process, and no other."""
    patterns = table()
    found = {text: translated(text, patterns) for text in all_texts()}
    unknown = {text for text, keys in found.items() if keys is None}
    used = {key for keys in found.values() for key in keys or ()}
    assert not unknown
    assert not {key for key in patterns.keys() - used - OF_OTHERS if not key.startswith("told.os_")}


def test_every_check_of_doctor_has_a_name() -> None:
    """The page has words for what each check beside a running device is about, but names of programs."""
    english = json.loads((WORDS / "en.json").read_text(encoding="utf-8"))
    files = {path.name for path in (ROOT / "runtime" / "doctor").glob("*.py")}
    assert files == {*DOCTOR, *NOT_BESIDE}, "sort the new file into DOCTOR or NOT_BESIDE"
    abouts = set()
    for name, left_out in DOCTOR.items():
        found = texts_of_calls(ROOT / "runtime" / "doctor" / name, {"Finding": (0,)})
        abouts |= {text for function, text in found if function not in left_out}
    assert len(abouts) > len(DOCTOR)
    assert not {f"doctor.about.{about}" for about in abouts} - english.keys()


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
