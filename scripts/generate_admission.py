"""Write the generated admission policies: generate_admission.py DIRECTORY."""

from __future__ import annotations

import sys
from pathlib import Path

import yaml

from secureai_operator.core import admission

FILE = "workload-authors.yaml"
_HEADER = (
    "# Generated from operator/secureai_operator/core/admission.py: change that and run `make generate`.\n"
)


def content() -> str:
    """The generated policies and their bindings, as one YAML stream."""
    return _HEADER + yaml.safe_dump_all(admission.policies(), sort_keys=False, width=110)


def main() -> None:
    (Path(sys.argv[1]) / FILE).write_text(content(), encoding="utf-8")


if __name__ == "__main__":
    main()
