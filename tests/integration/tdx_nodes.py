"""The lab's TDX nodes, with other labels for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from lab import Lab

Labels = Mapping[str, str | None]
"""None takes a label away."""

TDX_NODES = ("tdx-0", "tdx-1", "tdx-gpu-0")
"""Of the lab's nodes; the last one has a confidential GPU."""
NO_TDX: Labels = {
    "intel.feature.node.kubernetes.io/tdx": None,
    "feature.node.kubernetes.io/cpu-security.tdx.enabled": None,
}


@contextlib.contextmanager
def relabelled(lab: Lab, labels: Labels) -> Iterator[None]:
    """All of them at once; as before afterwards."""
    before = {
        node: lab.api.request("GET", f"/api/v1/nodes/{node}")["metadata"]["labels"] for node in TDX_NODES
    }
    try:
        for node in TDX_NODES:
            lab.nodes.label(node, dict(labels))
        yield
    finally:
        for node in TDX_NODES:
            lab.nodes.label(node, {label: before[node].get(label) for label in labels})
