"""What the numbers were measured on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from lab import Lab

_PACKAGES = ("kopf", "kubernetes", "aiohttp", "pydantic")


def machine() -> dict[str, Any]:
    """Processor, memory and how busy they are."""
    return {
        "processor": _first("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memoryGiB": round(int(_first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "loadAverage": [round(value, 2) for value in os.getloadavg()],
    }


def versions(lab: Lab) -> dict[str, str]:
    """Of everything that takes part."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "kube-apiserver": lab.api.request("GET", "/version")["gitVersion"],
        "vault": lab.vault_request("GET", "sys/health", token="")["version"],
        "lab": lab.source,
    }


def _first(file: str, key: str) -> str:
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
