"""Redact secrets in source addresses and in texts.

Everything not known to be harmless is hidden: cameras take passwords as user info, as parameters of many names, as
parts of the path and as properties of GStreamer, and some take a token as the whole path.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote

HIDDEN = "***"
"""Replaces hidden text."""

PIPELINE = "gst:"
"""Prefix of a source that is a GStreamer pipeline."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HARMLESS = _words(
    """
    action audio bitrate buffer cam camera ch channel channelid chid chn clock cmd codec color compression encode
    encoding enablesrtp format fps framerate h height imagesize latency live media mirror mode multicast preset
    profile proto protocol q quality rate real_stream res resolution rotation rtsp_transport sensor size snapshot
    stream streamtype subtype substream tcp timeout track trackid transport transportmode type udp unicast vcodec
    video videobitrate videocodec view w width
    """
)
"""Names of parameters that are shown, with a value that is short and plain."""

_SECRET = _words(
    """
    access_key access_token accesskey account api_key apikey auth authorization code cookie cookies credential
    credentials extra-headers hash headers http-headers id jwt key location-password login loginpas loginuse pass
    passphrase passwd password pin proxy-id proxy-pw psw pw pwd secret session sessionid sid sig signature token
    user user-id user-pw username usr
    """
)
"""Names that are shown, without their values. A name that is in neither list is hidden too."""

_SECRET_WORDS = _SECRET - {"code", "hash", "id", "pin", "headers"}
_NUMBER = re.compile(r"[0-9]{1,6}(?:[x*:.-][0-9]{1,6})?")
_WORD = re.compile(r"[0-9A-Za-z][A-Za-z0-9._-]{0,15}")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[\w.-]*)(?::[0-9]{0,5})?", flags=re.ASCII)
_PLACEHOLDER = re.compile(r"(?:[A-Z]+|\*|[\w.-]+):(?:PORT|\*)|\*:[0-9]{1,5}", flags=re.ASCII)  # of ours, or of ZeroMQ
_STRONG_HOST = re.compile(r"(?:\[.*\]|localhost|[\w-]+(?:\.[\w-]+)+)(?::[0-9]{0,5})?", flags=re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://")
_BOUNDARY = re.compile(r"(?<=[0-9])(?=[A-Za-z])|(?<=[A-Za-z])(?=[0-9])|(?<=[a-z])(?=[A-Z])")
_PAIR_IN_PATH = re.compile(r"(?:^|[_&;,!?])([^_&;,!?=]*)=")
_SECRET_IN_PATH = re.compile(rf"(?i)(^|[_,.!~ -])({'|'.join(sorted(_SECRET_WORDS))})([_,.!~ -]).+")
_PROPERTY = re.compile(
    r"""([A-Za-z_][\w-]*)(\s*=\s*)("(?:[^"\\]|\\.)*(?:"|$)|'(?:[^'\\]|\\.)*(?:'|$)|(?:\\.|\S)+)""", flags=re.DOTALL
)
_ASSIGNMENT = re.compile(
    r"""(?i)(?:(?<![\w])((?:\w+[-_.])?(?:password|passwd|passphrase|pwd|psw|token|secret|api[-_]?key|signature|user-pw|"""
    r"""user-id|proxy-pw|proxy-id)\s*=\s*)|((?<=[/?&;_])(?:user|username|usr|login|pass|pw|auth|key|sig)=))"""
    r"""("[^"]*"|'[^']*'|[^\s&;,'"]+)"""
)
_AUTHORIZATION = re.compile(r"""(?i)(authorization\s*[:=]\s*)[^\s"'][^\r\n"']*""")
_BEHIND = """]'"`.,:;!)}>\r\n"""  # of a URL in a sentence
_SPACE = re.compile(r"\s")
_MAX_URL = 8192  # longer than any
_MAX_ROUNDS = 3  # of percent-decoding
_MIN_TOKEN = 6
_TOKEN_SHARE = 0.25  # of boundaries between digits, small and capital letters; `h264Preview` has 0.18
_MIN_HEXADECIMAL = 16


def redact(source: str) -> str:
    """Return the name of a source without what could be a secret: a URL, a pipeline, or anything else.

    Shown are the scheme, the host, the parts of the path that are words, and parameters that are known to be harmless.
    """
    if source[: len(PIPELINE)].lower() == PIPELINE:
        return scrub(_PROPERTY.sub(_property, source))
    scheme = _SCHEME.match(source)
    return f"{scheme[0]}{_behind_scheme(source[scheme.end() :])}" if scheme else scrub(source)


def scrub(text: str) -> str:
    """Return a text, such as that of an error or a traceback, with the URLs in it as of `redact`.

    Where a URL ends is a guess in a text, so a caller that knows the source should hide it by `without` first.
    """
    if "=" not in text and ":" not in text:
        return text
    lines = map(_line, text.splitlines(keepends=True)) if "://" in text else [_assignments(text)]
    return _AUTHORIZATION.sub(rf"\1{HIDDEN}", "".join(lines))


def without(source: str, text: str) -> str:
    """Return a text about a source that is known, without the secrets of either."""
    return scrub(text.replace(source, redact(source)) if source else text)


def _line(line: str) -> str:
    shown, at = [], 0
    while scheme := _SCHEME.search(line, at):
        end = _end_of_url(line, scheme.end())
        shown += [_assignments(line[at : scheme.end()]), _behind_scheme(line[scheme.end() : end])]
        at = end
    return "".join([*shown, _assignments(line[at:])])


def _end_of_url(line: str, start: int) -> int:
    """Guess where a URL ends whose scheme ends at `start`: before a space, and what a sentence may have behind it."""
    end = _end_of_word(line, start)
    authority = re.split(r"[/?#]", line[start:end], maxsplit=1)[0]
    if "@" not in line[start:end] and not _HOST.fullmatch(authority.rstrip(_BEHIND)):
        at = line.rfind("@", start)  # a password with a space in it
        end = _end_of_word(line, at) if at > 0 else end
    return start + len(line[start:end].rstrip(_BEHIND))


def _end_of_word(line: str, start: int) -> int:
    space = _SPACE.search(line, start)
    return space.start() if space else len(line)


def _assignments(text: str) -> str:
    return _ASSIGNMENT.sub(lambda found: f"{found[1] or found[2]}{HIDDEN}", text)


def _behind_scheme(rest: str) -> str:
    """Return user info, host, path, query and fragment without secrets."""
    if len(rest) > _MAX_URL:
        return HIDDEN
    authority, tail = _split(rest)
    _, at, host = authority.rpartition("@")
    if "@" in tail:
        in_query = tail.rfind("@") > len(re.split(r"[?#]", tail, maxsplit=1)[0])
        if not (in_query and _STRONG_HOST.fullmatch(host)):  # a password with a / or ? in it, it seems
            _, at, rest = rest.rpartition("@")
            host, tail = _split(rest)
            if not _STRONG_HOST.fullmatch(host):
                return HIDDEN
    shown = host if _HOST.fullmatch(host) or _PLACEHOLDER.fullmatch(host) else HIDDEN
    return f"{HIDDEN}@{shown}{_tail(tail)}" if at else f"{shown}{_tail(tail)}"


def _split(rest: str) -> tuple[str, str]:
    end = re.search(r"[/?#]", rest)
    return (rest[: end.start()], rest[end.start() :]) if end else (rest, "")


def _tail(tail: str) -> str:
    """Return path, query and fragment without secrets."""
    path, *_ = re.split(r"[?#]", tail, maxsplit=1)
    parameters = re.split(r"([?#&;])", tail[len(path) :])
    return _path(path) + "".join(
        part if index % 2 else (_parameter(part) if part else "") for index, part in enumerate(parameters)
    )


def _path(path: str) -> str:
    return "/".join(_segments(path.split("/")))


def _segments(segments: list[str]) -> Iterator[str]:
    behind_a_secret = False
    for segment in segments:
        plain = _decode(segment)
        yield HIDDEN if behind_a_secret and segment else _segment(plain)
        behind_a_secret |= plain.lower() in _SECRET_WORDS


def _segment(plain: str) -> str:
    if "/" in plain and "=" not in plain:  # an encoded one
        return HIDDEN
    if ";" in plain:
        first, *others = plain.split(";")
        return ";".join([_segment(first), *map(_parameter, others)])
    if "=" in plain:
        return _pairs_in_path(plain)
    scheme = plain.endswith(":") and plain[:-1].isalnum()  # of a URL in the path
    if _is_token(plain) or not (plain.isprintable() and (scheme or not set(plain) & set(":@%?#&"))):
        return HIDDEN
    return _SECRET_IN_PATH.sub(rf"\1\2\3{HIDDEN}", plain)


def _pairs_in_path(text: str) -> str:
    """Return a part of a path such as `user=admin_password=xyz_channel=1` without secrets; a password may hold a _."""
    found = list(_PAIR_IN_PATH.finditer(text))
    ends = [pair.start() for pair in found[1:]] + [len(text)]
    first = HIDDEN if text[: found[0].start()] else ""
    shown = [
        (text[pair.start()] if pair.start() < pair.start(1) else "") + _parameter(f"{pair[1]}={text[pair.end() : end]}")
        for pair, end in zip(found, ends, strict=True)
    ]
    return first + "".join(shown)


def _parameter(text: str) -> str:
    """Return NAME=VALUE, or a word alone, without a secret."""
    name, is_pair, value = (_decode(part) for part in text.partition("="))
    known = name.lower()
    plain = _NUMBER.fullmatch(value) or (_WORD.fullmatch(value) and not _is_token(value))
    if known in _HARMLESS and plain:
        return f"{name}={value}"
    if known in _HARMLESS and not is_pair:
        return name
    return f"{name}={HIDDEN}" if is_pair and known in _HARMLESS | _SECRET else HIDDEN


def _property(found: re.Match[str]) -> str:
    name, equals, value = found.groups()
    quote = value[0] if value[0] in "\"'" else ""
    inner = value.strip(quote) if quote else value
    words = set(re.split(r"[-_]", name.lower()))
    if name.lower() in _SECRET or (words & (_SECRET_WORDS | {"headers"}) and name != "user-agent"):
        inner = HIDDEN
    elif scheme := _SCHEME.match(inner):
        inner = f"{scheme[0]}{_behind_scheme(inner[scheme.end() :])}"
    elif "@" in inner or (name == "location" and "=" in inner):
        inner = _path(inner) if "@" not in inner else HIDDEN
    elif _is_token(inner):
        inner = HIDDEN
    return f"{name}{equals}{quote}{inner}{quote}"


def _decode(text: str) -> str:
    for _ in range(_MAX_ROUNDS):
        text, before = unquote(text), text
        if text == before:
            break
    return text


def _is_token(text: str) -> bool:
    """Return whether a word looks like one that no person has chosen."""
    return any(map(_is_random, re.split(r"[._,/ -]", text))) or (
        len(text.replace("-", "")) >= _MIN_HEXADECIMAL and re.fullmatch(r"[0-9A-Fa-f-]+", text) is not None
    )


def _is_random(word: str) -> bool:
    return len(word) >= _MIN_TOKEN and len(_BOUNDARY.findall(word)) >= _TOKEN_SHARE * len(word)
