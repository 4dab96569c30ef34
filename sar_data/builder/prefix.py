"""A prefix of an object store as the place of builds: nothing is renamed there, and the manifest is written last."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from sar_data.builder.deposit import PROOFS, SUMS, Deposit
from sar_data.builder.lease import Lease
from sar_data.builder.target import discard, lock_folder
from sar_data.errors import BuildError
from sar_data.sealed.files import cache_folder
from sar_data.sealed.manifest import NAME
from sar_data.sealed.sums import parse_build_sums
from sar_data.system import durable, locks
from sar_data.system.store import Store

OWNER, RECIPE = "owner", "recipe"
PROOF = re.compile(rf"{PROOFS}/([a-z]+-[0-9]{{6,}})\.arrow")


@dataclass(slots=True)
class PrefixTarget:
    """A prefix `place` of a store, kept by a lease; shards are made in a local folder and uploaded one by one."""

    place: str
    store: Store = field(init=False)
    lease: Lease = field(init=False)
    lock: int | None = None

    def __post_init__(self) -> None:
        self.store = self.deposit.open()
        self.lease = Lease(self.store, self.deposit.working, self.place)

    @property
    def deposit(self) -> Deposit:
        return Deposit(self.place)

    @property
    def work(self) -> Path:
        return cache_folder() / "building" / hashlib.sha256(self.place.encode()).hexdigest()[:32]

    def exists(self) -> bool:
        return self.store.size(f"{self.deposit.name}/{NAME}") is not None

    def hold(self, recipe: str) -> None:
        """Lock the local folder, take the lease, and learn which shards are in the store already."""
        self.lock = lock_folder(self.work, self.place, recipe)
        try:
            with durable.explain_errors(self.work):
                for folder in (PROOFS, SUMS):
                    (self.work / folder).mkdir(exist_ok=True)
                owner = self.work / OWNER
                if not owner.exists():
                    durable.write(owner, secrets.token_hex(16).encode())
            self.lease.acquire(owner.read_text())
            self._clear(recipe)
            self._mirror()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        self.lease.release()
        if self.lock is not None:
            locks.release(self.lock)
            self.lock = None

    def confirm(self) -> None:
        self.lease.check()

    def check_space(self, need: int) -> None:
        """A store does not say how much room it has: a full one is met, and named, when it is written."""

    def set_aside(self) -> str:
        self.store.remove([f"{self.deposit.name}/{NAME}"])
        return "Its manifest is removed, and its files are replaced one by one"

    def sums(self) -> dict[str, str]:
        sums: dict[str, str] = {}
        for path in sorted((self.work / SUMS).iterdir()):
            sums |= parse_build_sums(path.read_bytes(), str(path))
        return sums

    def publish(self, build: Path) -> None:
        """Upload what is not there yet, then the manifest; raise TargetError where another builder took over."""
        name = self.deposit.name
        local = {path.relative_to(build).as_posix(): path for path in build.rglob("*") if path.is_file()}
        manifest = local.pop(NAME)
        self.store.each(lambda file: self.store.upload(local[file], f"{name}/{file}"), local)
        extra = self.store.sizes(name).keys() - local.keys() - self.sums().keys()
        self.lease.check()
        self.store.remove(f"{name}/{file}" for file in extra)
        self.store.upload(manifest, f"{name}/{NAME}")

    def discard(self) -> None:
        """Remove what the builders needed, here and in the store, unless another one works; the lease goes last."""
        working = self.deposit.working
        if self.lease.number is None and not self.lease.is_free():
            return
        self.store.remove(f"{working}/{name}" for name in self.store.sizes(working) if not self.lease.is_own(name))
        self.lease.release()
        discard(self.work)

    def remove_rest(self) -> bool:
        """Remove what a stopped builder left, uploads that were cut included; return False while one is at work."""
        name, working = self.deposit.name, self.deposit.working
        if not self.lease.is_free():
            return False
        if not self.exists():
            self.store.abort_uploads(name)
            self.store.remove(f"{name}/{file}" for file in self.store.sizes(name))
        self.store.remove(f"{working}/{file}" for file in self.store.sizes(working))
        discard(self.work)
        return True

    def _clear(self, recipe: str) -> None:
        """Remove what a builder of another recipe left under the same short name; sign what is ours."""
        name, working = self.deposit.name, self.deposit.working
        signature = f"{working}/{RECIPE}"
        if self.store.size(signature) is None or self.store.read(signature) != recipe.encode():
            old = [f"{working}/{file}" for file in self.store.sizes(working) if "/" in file]
            if not self.exists():
                old += [f"{name}/{file}" for file in self.store.sizes(name)]
            self.store.remove(old)
            self.store.write(signature, recipe.encode())

    def _mirror(self) -> None:
        """Let the local folder have the proofs and sums of just those shards whose files are all in the store."""
        name, working = self.deposit.name, self.deposit.working
        there, files = self.store.sizes(working), self.store.sizes(name)
        stems = {match[1] for match in map(PROOF.fullmatch, there) if match and f"{SUMS}/{match[1]}" in there}
        for path in [*(self.work / SUMS).iterdir(), *(self.work / PROOFS).iterdir()]:
            if path.name.removesuffix(".arrow") not in stems:
                path.unlink()

        def bring(stem: str) -> None:
            for path in (f"{SUMS}/{stem}", f"{PROOFS}/{stem}.arrow"):
                if not (self.work / path).exists():
                    durable.write(self.work / path, self.store.read(f"{working}/{path}"), sync=False)

        self.store.each(bring, sorted(stems))
        for stem in stems:
            path = self.work / SUMS / stem
            try:
                whole = parse_build_sums(path.read_bytes(), str(path)).keys() <= files.keys()
            except BuildError:
                whole = False
            if not whole:
                path.unlink()
