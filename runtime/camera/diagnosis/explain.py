"""Find out why a source does not open.

Of a stream the name is resolved, the port connected, and one question asked: DESCRIBE and SETUP of RTSP, or GET of
HTTP. A device is opened without OpenCV. No message contains a password, or anything that a camera answers.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from edge_config.errors import LoginRefused, SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address
from runtime.camera.diagnosis.cause import Cause
from runtime.camera.diagnosis.device import check_device
from runtime.camera.diagnosis.stream import check_url
from runtime.camera.with_timeout import with_timeout

TOTAL_S = 10.0
"""Time-out of the whole diagnosis."""

_PROPERTY = r"""\b{}\s*=\s*(?:"([^"]*)"|'([^']*)'|(\S+))"""


def explain(
    source: int | str, error: SourceUnavailable, transport: Transport = "tcp", *, opened: bool = False
) -> SourceUnavailable:
    """Return the error that says why a camera or stream does not open; the given one if no reason is found.

    Args:
        source: what was opened.
        error: what opening it ended with.
        transport: of an RTSP stream.
        opened: it did open, and gave one frame at most.
    """
    try:
        with_timeout(lambda: _check(source, transport), TOTAL_S)
    except Cause as found:
        if opened and found.by_failing:
            return error
        kind = LoginRefused if found.login else SourceUnavailable
        return kind(found.what, where=error.where, remedy=found.remedy)
    except (OSError, ValueError, LookupError, UnicodeError):  # the diagnosis failed: what is known stays
        pass
    return error


def _check(source: int | str, transport: Transport) -> None:
    name = address.plain(source)
    if name.startswith(address.GSTREAMER):
        if url := re.search(r"""(?:location|uri)\s*=\s*["']?((?:rtsps?|https?)://[^\s"']+)""", name):
            check_url(_with_login(url[1], name), transport)
    elif address.kind(name) == "stream":
        check_url(name, transport)
    else:
        for node in address.devices(name):
            check_device(node)


def _with_login(url: str, pipeline: str) -> str:
    """Return the URL of a pipeline with the login that stands beside it."""
    found = [re.search(_PROPERTY.format(name), pipeline) for name in ("user-id", "user-pw")]
    words = [one[1] or one[2] or one[3] for one in found if one]
    scheme, _, rest = url.partition("://")
    if len(words) < len(found) or "@" in rest.partition("/")[0]:
        return url
    return f"{scheme}://{':'.join(quote(word, safe='') for word in words)}@{rest}"
