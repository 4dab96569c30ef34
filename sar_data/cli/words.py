"""The spelling of options: accepted variants, and how an error's `name=value` reads at the command line."""

from __future__ import annotations

import re
import shlex

SPELLINGS = {"normalise": "normalize", "polarisation": "polarization", "license": "licence", "catalog": "catalogue"}
"""Word → the word that options use; both are accepted."""
FORMER = {"compress": "compression", "on-bad": "bad-records"}
"""Options of earlier versions → their names now."""
CHANGE = re.compile(r"`([a-z][a-z0-9_]*)=([^`]*)`")
CALL = re.compile(r"`([a-z]+)\(([^`]*)\)`")
ANY = "…"  # stands for any value of a change


def spell(name: str) -> str:
    """Return an option's name, without its dashes, as this version spells it."""
    words = "-".join(SPELLINGS.get(word, word) for word in name.replace("_", "-").split("-"))
    return FORMER.get(words, words)


def render(message: str) -> str:
    """Return a message of the library with the options of the command line.

    `crop=512` becomes --crop 512, `rehash=True` --rehash, `seed=…` --seed, `verify(full=True)` sar-data verify --full.
    """

    def call(match: re.Match[str]) -> str:
        arguments = (part.partition("=") for part in match[2].split(", ") if part)
        return " ".join(["sar-data", match[1], *(_option(a, b) if equals else a for a, equals, b in arguments)])

    return CHANGE.sub(lambda match: _option(match[1], match[2]), CALL.sub(call, message))


def _option(name: str, value: str) -> str:
    flag = spell(name)
    if value == "False":
        return f"--no-{flag}"
    return f"--{flag}" if value in ("True", ANY, "") else f"--{flag} {shlex.quote(value)}"
