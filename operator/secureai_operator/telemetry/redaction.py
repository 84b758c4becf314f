"""The last line of defence against secrets in logs and events: what looks like one is taken out.

Nothing may rely on it: no code hands a secret to a log. It is for the mistake that nobody has seen yet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"

_SECRET = re.compile(
    r"""
      -----BEGIN\ [A-Z0-9 ]*PRIVATE\ KEY-----        # PEM; an end that was cut off does not help it out
        .*? (?: -----END\ [A-Z0-9 ]*PRIVATE\ KEY----- | \Z )
    | \b hv[sbr] \. [A-Za-z0-9_-]{8,}                # Vault's service, batch and recovery tokens
    | \b [sbr] \. [A-Za-z0-9]{24,}                   # the same before Vault 1.10
    | \b vault:v[0-9]+:[A-Za-z0-9+/=_-]+             # transit ciphertext, and wrapped keys
    | \b eyJ[A-Za-z0-9_-]{6,} \. [A-Za-z0-9_-]+ (?: \. [A-Za-z0-9_-]* )?    # JSON web tokens
    | (?i: \b (?: bearer | x-vault-token:? ) ) [\ =:]+ [^\s"',]{8,}
    """,
    re.VERBOSE | re.DOTALL,
)

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "client_token",
        "data",
        "jwt",
        "key_material",
        "password",
        "plaintext",
        "private_key",
        "secret",
        "secret_id",
        "stringdata",
        "tls_key",
        "token",
        "x-vault-token",
    }
)
"""Names whose values are never shown, whatever they look like."""

_MAX_DEPTH = 4
_MAX_ITEMS = 32
_MAX_TEXT = 8192


def redacted(text: str) -> str:
    """Return the text without what looks like a secret."""
    return _SECRET.sub(REDACTED, text)


def redacted_value(value: Any, depth: int = 0) -> Any:
    """Return the value as JSON can hold it, without secrets and of bounded size."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        # Cut after the search: half a token would not be recognised.
        return _cut(redacted(value))
    if depth >= _MAX_DEPTH or isinstance(value, bytes | bytearray):
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        return redacted_fields(value, depth + 1)
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted_value(item, depth + 1) for item in list(value)[:_MAX_ITEMS]]
    return _cut(redacted(str(value)))


def redacted_fields(fields: Mapping[Any, Any], depth: int = 0) -> dict[str, Any]:
    """Return the fields without secrets: neither in a value nor under a name that stands for one."""
    return {
        redacted(str(name)): REDACTED if str(name).lower() in _SECRET_KEYS else redacted_value(value, depth)
        for name, value in list(fields.items())[:_MAX_ITEMS]
    }


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
