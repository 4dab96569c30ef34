"""SHA256SUMS: the sha256 of every file of a build except the manifest and itself, in the format of sha256sum."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sar_data.errors import BuildError
from sar_data.sealed.manifest import NAME
from sar_data.sealed.opened import SUMS_NAME
from sar_data.system.paths import flaw

LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def parse_build_sums(data: bytes, where: str) -> dict[str, str]:
    """Return name → sha256 of the lines in `data`, read from `where`; raise BuildError for an invalid line."""
    sums: dict[str, str] = {}
    for number, line in enumerate(data.decode(errors="replace").removesuffix("\n").split("\n"), 1):
        match = LINE.fullmatch(line)
        if match is None:
            raise BuildError(f"{where}, line {number}: expected a sha256, two spaces and a name, found {line[:200]!r}")
        digest, name = match.groups()
        if flaw(name) or name in (NAME, SUMS_NAME):
            raise BuildError(f"{where}, line {number}: expected names below the build, found {name[:200]!r}")
        if name in sums:
            raise BuildError(f"{where}, line {number}: expected every name once, found {name[:200]!r} twice")
        sums[name] = digest
    return sums


def sum_lines(sums: Mapping[str, str]) -> bytes:
    """Return the lines of SHA256SUMS, by name."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()
