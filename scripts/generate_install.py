"""Write everything that `kubectl apply` needs as one file: generate_install.py FILE.

Rendered by kubectl's own kustomize, from PATH or as the lab builds it, so that it is what `kubectl apply -k` sends.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lab.binaries import kubectl_binary

ROOT = Path(__file__).resolve().parent.parent
_HEADER = "# Generated from crds/ and manifests/base: change those and run `make generate`.\n"
_SECONDS = 60


def content(kubectl: Path) -> str:
    """The CRDs as they are, then manifests/base rendered, as one YAML stream."""
    crds = [path.read_text("utf-8") for path in sorted((ROOT / "crds").glob("*.yaml"))]
    return _HEADER + "---\n".join([*crds, rendered(kubectl)])


def rendered(kubectl: Path) -> str:
    command = [str(kubectl), "kustomize", str(ROOT / "manifests" / "base")]
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout


def main() -> None:
    Path(sys.argv[1]).write_text(content(kubectl_binary()), encoding="utf-8")


if __name__ == "__main__":
    main()
