"""Write docs/attacks.md from the attacks."""

from __future__ import annotations

from tests.security.catalogue import DOCUMENT, document

if __name__ == "__main__":
    DOCUMENT.write_text(document())
