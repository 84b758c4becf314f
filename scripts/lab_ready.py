"""Find or build the lab's binaries where everybody sees the progress, before a test run swallows it."""

from __future__ import annotations

import os
import sys

from lab import LabError, external
from lab.binaries import cluster_binaries, kubectl_binary, kwok_binary, vault_binaries
from lab.start import Source, chosen_source


def main() -> int:
    try:
        prepare(chosen_source())
    except LabError as error:
        print(f"secureai: no lab can be had: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(source: Source) -> None:
    """Have every binary that a lab from this source needs; raises LabError."""
    look = source is not Source.BUILD
    kwok_binary(look_on_path=look)
    if source in {Source.USER, Source.KIND}:
        kubectl_binary()
    else:
        cluster_binaries(look_on_path=look)
    if source is not Source.USER or not os.environ.get(external.VAULT_ADDRESS):
        vault_binaries(look_on_path=look)


if __name__ == "__main__":
    sys.exit(main())
