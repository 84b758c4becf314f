"""Take the pictures of the web page for docs/: ui_screenshots.py DIRECTORY. Sample data, the real views, headless Chromium."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from secureai_operator.ui.server import UiServer
from tests.unit.ui.chromium import Chromium, installed
from tests.unit.ui.samples import PlainSource, showcase

PICTURES = (
    ("ui-fleet.png", "", 1520, 760),
    ("ui-workload.png", "workloads/team-b/ranker", 1180, 1180),
)
MAX_BYTES = 200_000


async def take(folder: Path, chromium: Chromium) -> None:
    async with UiServer(PlainSource(showcase())) as server:
        for name, path, width, height in PICTURES:
            await asyncio.to_thread(chromium.picture, server.url + path, folder / name, width, height)


def main(folder: Path) -> int:
    program = installed()
    if program is None:
        print("there is no Chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 1
    asyncio.run(take(folder.resolve(), Chromium(program)))
    for name, *_ in PICTURES:
        size = (folder / name).stat().st_size
        print(f"{folder / name}: {size} bytes")
        if size > MAX_BYTES:
            print(f"{name} is larger than {MAX_BYTES} bytes", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
