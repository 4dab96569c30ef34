"""How long a test waits for what must come: what hangs is ended, and nothing that is only slow."""

from __future__ import annotations

HANG_S = 600.0
