"""Log in over HTTP and RTSP: Basic and Digest authentication (RFC 7617, RFC 7616)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Sequence

_PAIR = re.compile(r'([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^\s,]+))')
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def authorization(challenges: Sequence[str], user: str, password: str, method: str, uri: str) -> str | None:
    """Return the value of the header Authorization; Digest, where a server offers both.

    Args:
        challenges: the values of WWW-Authenticate.
        user: name.
        password: of the user.
        method: of the request, such as DESCRIBE.
        uri: as in the request's first line.

    Returns:
        None if neither is offered, or only with an unknown hash.
    """
    offered = {one.split(None, 1)[0].lower(): one for one in challenges if one.strip()}
    if "digest" in offered and (digest := _digest(offered["digest"], user, password, method, uri)):
        return digest
    if "basic" in offered:
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    return None


def _digest(challenge: str, user: str, password: str, method: str, uri: str) -> str | None:
    given = {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(challenge)}
    algorithm = given.get("algorithm", "MD5")
    make = _HASHES.get(algorithm.upper().removesuffix("-SESS"))
    realm, nonce = given.get("realm", ""), given.get("nonce", "")
    if make is None or any('"' in text for text in (user, realm, nonce)):
        return None

    def hashed(*words: str) -> str:
        return make(":".join(words).encode(), usedforsecurity=False).hexdigest()

    ours, count = os.urandom(8).hex(), "00000001"
    secret = hashed(user, realm, password)
    if algorithm.upper().endswith("-SESS"):
        secret = hashed(secret, nonce, ours)
    quality = "auth" if "auth" in re.split(r"[\s,]+", given.get("qop", "")) else ""
    middle = [nonce, count, ours, quality] if quality else [nonce]
    said = {"username": user, "realm": realm, "nonce": nonce, "uri": uri}
    said["response"] = hashed(secret, *middle, hashed(method, uri))
    said |= {name: given[name] for name in ("opaque",) if name in given}
    line = ", ".join(f'{name}="{value}"' for name, value in said.items())
    line += f", algorithm={algorithm}" if "algorithm" in given else ""
    return f"Digest {line}" + (f', qop={quality}, nc={count}, cnonce="{ours}"' if quality else "")
