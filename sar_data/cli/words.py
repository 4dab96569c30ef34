"""How options are spelled: what is taken for which, and how an error's `name=value` reads at the command line."""

from __future__ import annotations

import re
import shlex

SPELLINGS = {"normalise": "normalize", "polarisation": "polarization", "license": "licence", "catalog": "catalogue"}
"""Word → the word that options are spelled with; the other one is taken, too."""
FORMER = {"compress": "compression", "on-bad": "bad-records"}
"""Options of earlier versions → what they are called now."""
CHANGE = re.compile(r"`([a-z][a-z0-9_]*)=([^`]*)`")
CALL = re.compile(r"`([a-z]+)\(([^`]*)\)`")
ANY = "…"  # the value of a change that may be anything


def spelled(name: str) -> str:
    """Return an option's name, without its dashes, as this version spells it."""
    words = "-".join(SPELLINGS.get(word, word) for word in name.replace("_", "-").split("-"))
    return FORMER.get(words, words)


def rendered(message: str) -> str:
    """Return a message of the library as who is at the command line reads it.

    `crop=512` becomes --crop 512, `rehash=True` --rehash, `seed=…` --seed, `verify(full=True)` sar-data verify --full.
    """

    def call(found: re.Match[str]) -> str:
        given = (part.partition("=") for part in found[2].split(", ") if part)
        return " ".join(["sar-data", found[1], *(_option(a, b) if equals else a for a, equals, b in given)])

    return CHANGE.sub(lambda found: _option(found[1], found[2]), CALL.sub(call, message))


def _option(name: str, value: str) -> str:
    flag = spelled(name)
    if value == "False":
        return f"--no-{flag}"
    return f"--{flag}" if value in ("True", ANY, "") else f"--{flag} {shlex.quote(value)}"
