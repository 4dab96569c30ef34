"""Where the files of a build go in a store: a worker uploads a shard, then its sums, then its proof.

Below the folder of a version NAME/ has the files of the build, as they stay, and .NAME.building/ what its builders
need: proofs/, sums/, the recipe and the lease. The manifest alone makes a build, and is written last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sar_data.builder.target import BUILDING
from sar_data.sealed.sums import sum_lines
from sar_data.system import durable
from sar_data.system.checksum import sha256
from sar_data.system.store import Store

PROOFS, SUMS = "proofs", "sums"


@dataclass(frozen=True, slots=True)
class Deposit:
    """The place of a build in a store, a URL."""

    place: str

    @property
    def name(self) -> str:
        return self.place.rpartition("/")[2]

    @property
    def working(self) -> str:
        """The folder of what builders need, beside the build."""
        return f".{self.name}{BUILDING}"

    def open(self) -> Store:
        """Return the folder that has both."""
        return Store(self.place.rpartition("/")[0])

    def put(self, work: Path, files: Iterable[str], proof: Path, stem: str) -> None:
        """Upload a shard's files, then their sums, then its proof, so that a proof means that all is there.

        Local copies of the files are removed: a disk need not have room for the build. Raises RemoteError, and
        TargetError where the store is full.
        """
        store, sums = self.open(), dict[str, str]()
        for name in dict.fromkeys(files):
            sums[name] = sha256(str(work / "build" / name))
            store.upload(work / "build" / name, f"{self.name}/{name}")
        lines = sum_lines(sums)
        store.write(f"{self.working}/{SUMS}/{stem}", lines)
        store.write(f"{self.working}/{PROOFS}/{stem}.arrow", proof.read_bytes())
        durable.write(work / SUMS / stem, lines, sync=False)
        for name in sums:
            (work / "build" / name).unlink()
