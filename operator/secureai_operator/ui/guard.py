"""Who is answered: only a browser on this machine that was given the address with its token. Pure.

- Other users of the machine reach the port as well, but do not know the token.
- Web pages in the same browser do not know it either, and nothing allows them to read an answer; one that has its own name
  point to 127.0.0.1 (DNS rebinding) is told apart by the Host header.
- What a CR says may be hostile: besides escaping, the content security policy lets no script run but the one file of ours.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from types import MappingProxyType

from secureai_operator.cli.timeline_svg import STYLE

METHODS = frozenset({"GET", "HEAD"})
MAX_ADDRESS = 2048
"""Bytes of path and query that are answered."""
MAX_FIELD = 8190
"""Of a line that is read at all."""
MAX_FIELDS = 64
"""Of the request's headers."""


def _digest(content: str) -> str:
    return base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()


_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # The picture brings its style along: allowed by what it is, not by where it stands.
        f"style-src 'self' 'sha256-{_digest(STYLE)}'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS: Mapping[str, str] = MappingProxyType({
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # The address holds the token: no link may tell it.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "secureai",
})  # fmt: skip
"""Of every answer, refusals too."""


def refusal(method: str, host: str, path: str, *, port: int, token: str, has_body: bool) -> int | None:
    """The status of the refusal, or None if the request is answered; a refusal does not tell what is right."""
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        return 403
    if method not in METHODS:
        return 405
    if len(path) > MAX_ADDRESS:
        return 414
    if has_body:
        return 413
    given = path.partition("?")[0].split("/", 2)[1:2]
    # In constant time: the beginning of the token cannot be guessed letter by letter.
    if not given or not hmac.compare_digest(given[0].encode(), token.encode()):
        return 404
    return None
