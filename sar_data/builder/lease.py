"""A lease on a prefix of a store, which has no locks: one builder at a time, also of several machines.

The objects `lease-000001`, `lease-000002`, … say who has it: the highest. Each is created only where it is not there
yet, so that one of two builders gets it. Its owner writes it again and again; one that was not written for `LIFE`
seconds, by the clock of the store, is of a builder that died. No clock of a builder counts.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from dataclasses import dataclass, field

from sar_data.errors import BuildError, SarDataError, TargetError
from sar_data.system.store import Store

LIFE, RENEWAL = 120.0, 20.0  # seconds
PREFIX = "lease-"


@dataclass(slots=True)
class Lease:
    """The lease on the working objects below `folder` of a store, of the build at `place`."""

    store: Store
    folder: str
    place: str
    number: int | None = None
    _lost: bool = False
    _end: threading.Event = field(default_factory=threading.Event)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def acquire(self, owner: str) -> None:
        """Take the lease for `owner`, which names the local folder that a builder has locked.

        Who has that folder's lock goes on where its predecessor died. Raises TargetError while another one builds.
        """
        numbers = self._numbers()
        last = numbers[-1] if numbers else 0
        if last and self._owner(last).get("owner") != owner and (age := self._age(last)) < LIFE:
            raise self._busy(last, f"it was renewed {max(age, 0):.0f} s ago")
        facts = {"owner": owner, "pid": os.getpid(), "host": os.uname().nodename}
        if not self.store.create(self._path(last + 1), json.dumps(facts).encode()):
            raise self._busy(last + 1, "it took the lease at the same time")
        self.number, self._lost = last + 1, False
        self.store.remove(map(self._path, numbers))
        self._end.clear()
        threading.Thread(target=self._renew, args=(json.dumps(facts).encode(),), daemon=True).start()

    def check(self) -> None:
        """Raise TargetError where another builder has taken over."""
        if self.number is not None and (self._lost or self._numbers()[-1:] != [self.number]):
            raise TargetError(
                f"{self.place}: another builder has taken over, since this one did not renew its lease for {LIFE:.0f} "
                "s. Nothing is lost: let the other one finish, or run the same command again afterwards."
            )

    def release(self) -> None:
        """Give the lease back; what cannot be removed ends by itself."""
        self._end.set()
        number, self.number = self.number, None
        if number is not None and not self._lost:
            with self._turn:
                try:
                    self.store.remove([self._path(number)])
                except SarDataError:
                    return

    def is_own(self, name: str) -> bool:
        """Say whether an object of the folder is the lease that is held here."""
        return self.number is not None and name == f"{PREFIX}{self.number:06d}"

    def is_free(self) -> bool:
        """Say whether no living builder has the lease."""
        numbers = self._numbers()
        return not numbers or self._age(numbers[-1]) >= LIFE

    def _renew(self, facts: bytes) -> None:
        while not self._end.wait(RENEWAL):
            with self._turn:
                number = self.number
                if number is None:
                    return
                try:
                    if self._numbers()[-1:] != [number]:
                        self._lost = True
                        return
                    self.store.write(self._path(number), facts)
                except SarDataError:
                    continue  # the store may answer again before the lease ends

    def _path(self, number: int) -> str:
        return f"{self.folder}/{PREFIX}{number:06d}"

    def _numbers(self) -> list[int]:
        names = [name.removeprefix(PREFIX) for name in self.store.sizes(self.folder) if name.startswith(PREFIX)]
        return sorted(int(name) for name in names if name.isdecimal())

    def _owner(self, number: int) -> dict[str, object]:
        try:
            facts = json.loads(self.store.read(self._path(number)))
        except (BuildError, ValueError):  # given back meanwhile, or written by something else
            return {}
        return facts if isinstance(facts, dict) else {}

    def _age(self, number: int) -> float:
        """Return the seconds since a lease was written, by the store's clock: that of an object written now."""
        clock = f"{self.folder}/clock-{secrets.token_hex(8)}"
        self.store.write(clock, b"")
        try:
            return (self.store.time_of(clock) - self.store.time_of(self._path(number))).total_seconds()
        except BuildError:  # given back meanwhile
            return LIFE
        finally:
            self.store.remove([clock])

    def _busy(self, number: int, what: str) -> TargetError:
        facts = self._owner(number)
        who = f"process {str(facts.get('pid'))[:20]} on {str(facts.get('host'))[:80]}" if facts else "unknown"
        return TargetError(
            f"{self.place}: another build is making it ({who}; {what}). Wait for it, or stop it: {LIFE:.0f} s after "
            "its last sign of life the same command continues its work."
        )
