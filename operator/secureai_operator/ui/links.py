"""The addresses of the pages; all begin with the token, without which nothing is answered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from secureai_operator.ui.fleet import Query


@dataclass(frozen=True)
class Links:
    """Where everything is, below `root` ("/TOKEN")."""

    root: str

    def fleet(self, query: Query | None = None) -> str:
        asked = {} if query is None else query.words()
        return f"{self.root}/" + (f"?{urlencode(asked, errors='replace')}" if asked else "")

    @property
    def keys(self) -> str:
        return f"{self.root}/keys"

    @property
    def history(self) -> str:
        return f"{self.root}/history"

    def workload(self, namespace: str, name: str) -> str:
        return f"{self.root}/workloads/{_segment(namespace)}/{_segment(name)}"

    def asset(self, name: str) -> str:
        return f"{self.root}/static/{name}"


def _segment(value: str) -> str:
    # Half a pair of surrogates can stand in JSON, and in no address.
    return quote(value, safe="", errors="replace")
