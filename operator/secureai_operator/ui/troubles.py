"""Why a page cannot be shown, in words of our own: nothing that the API server answered is in them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from secureai_operator import names
from secureai_operator.errors import KubeForbidden, KubeNotFound, KubeUnavailable, OperatorError

_ASKED = re.compile(r"(get|list) ([a-z]+)\b")
_UNAUTHORIZED = re.compile(r": 401\b")
_GROUPS = {"secureaiworkloads": names.GROUP, "keyrotationpolicies": names.GROUP}


@dataclass(frozen=True)
class Trouble:
    """What a page says instead of what was asked for; `status` is the page's own HTTP status."""

    status: int
    title: str
    message: str
    steps: tuple[str, ...] = ()
    """What one does about it; `words in backticks` are code."""


class Unanswered(Exception):
    """There is no page, for this reason."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.title)
        self.trouble = trouble


BUSY = Trouble(
    503,
    "Too many pages at once",
    "Earlier questions to the API server still wait.",
    ("Try again in a moment.",),
)
NO_SUCH_PAGE = Trouble(404, "There is no such page", "The address names no page of this server.")
NOT_SHOWN = Trouble(
    404,
    "Not shown here",
    "This page shows one namespace only.",
    ("Start `secureai ui` without `-n` to see all.",),
)
BROKEN = Trouble(
    500,
    "This page could not be made",
    "Something in it is not as this version expects.",
    ("Look with `secureai status` and `secureai tree`.", "Is `secureai` as new as the operator?"),
)
STRANGE = Trouble(
    502,
    "No answer of an API server",
    "What answered is no Kubernetes API server, or its answer is too long.",
    ("Run `secureai check`.",),
)


def absent(message: str) -> Trouble:
    return Trouble(404, "Not found", message)


def trouble_of(error: OperatorError, namespace: str | None) -> Trouble:
    """What an error of the client means to the person who looks; `namespace` is where it was asked, None for everywhere."""
    if isinstance(error, KubeForbidden):
        return _forbidden(error, namespace)
    if isinstance(error, KubeNotFound):
        step = "Install `crds/`, or run `secureai check`."
        return Trouble(502, "The cluster does not know this kind", error.message, (step,))
    if isinstance(error, KubeUnavailable):
        steps = ("Is the cluster reachable? Run `secureai check`.", "The page can be loaded again as it is.")
        return Trouble(503, "The API server does not answer", error.message, steps)
    return Trouble(
        502, "The API server refuses", f"{error.message} ({error.reason})", ("Run `secureai check`.",)
    )


def _forbidden(error: KubeForbidden, namespace: str | None) -> Trouble:
    if _UNAUTHORIZED.search(error.message):
        steps = ("Log in again, then load the page again; if that does not help start `secureai ui` anew.",)
        return Trouble(403, "Your credentials are not accepted", "They may have expired.", steps)
    asked = _ASKED.match(error.message)
    if asked is None:
        return Trouble(403, "A right is missing", error.message)
    verb, plural = asked.groups()
    resource = f"{plural}.{_GROUPS[plural]}" if plural in _GROUPS else plural
    where, flag = (
        ("all namespaces", "-A") if namespace is None else (f"namespace {namespace}", f"-n {namespace}")
    )
    advice = [f"Ask for it; `kubectl auth can-i {verb} {resource} {flag}` tells whether you have it."]
    if namespace is None:
        advice.append("Or look at one namespace: `secureai ui -n NAMESPACE`.")
    return Trouble(403, "A right is missing", f"You may not {verb} {resource} in {where}.", tuple(advice))
