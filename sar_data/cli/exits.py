"""Exit codes: those of every command, and what some mean in a command of their own."""

from __future__ import annotations

from collections.abc import Mapping

FAILURE, USAGE, BY_HAND = 1, 2, 3
EVERY: Mapping[int, str] = {
    0: "done",
    FAILURE: "failed: the last line on stderr says why",
    USAGE: "wrong usage: nothing was begun",
    130: "stopped by Ctrl-C (SIGINT)",
    143: "stopped by SIGTERM",
}
OWN: Mapping[str, Mapping[int, str]] = {
    "diff": {FAILURE: "the builds differ"},
    "doctor": {FAILURE: "something is broken"},
    "fetch": {FAILURE: "a download failed", BY_HAND: "none failed, but files are missing that a person must get"},
    "leakage": {FAILURE: "a figure is above its limit, or not known"},
    "scenes find": {FAILURE: "some scenes have no product"},
    "verify": {FAILURE: "the build has problems; after --repair: some are left"},
}
"""Command → code → what it means beside a failure."""
