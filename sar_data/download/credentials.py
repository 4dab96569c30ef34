"""Credentials of a user for a host: from the environment, a netrc file or the keyring, never from a command line."""

from __future__ import annotations

import base64
import netrc
import re
from collections.abc import Mapping
from pathlib import Path

from sar_data.errors import FetchError


class Credentials:
    """Gives each host the Authorization header stored for it by name; other hosts get none.

    Sources in this order: SAR_DATA_TOKEN_HOST, or SAR_DATA_USER_HOST with SAR_DATA_PASSWORD_HOST, in `environ`, where
    HOST is the host in capitals with _ for anything but letters and digits; then `machine HOST` in the netrc file,
    whose `default` is not used. A keyring may ask to be unlocked, so it is used only after a host has refused.
    """

    def __init__(self, environ: Mapping[str, str], netrc_file: Path | None) -> None:
        self._environ = environ
        self._netrc_file = netrc_file

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Credentials:
        """Return the credentials of a user: the netrc file is NETRC, or .netrc in HOME."""
        return cls(environ, Path(environ.get("NETRC") or Path(environ.get("HOME", "/")) / ".netrc"))

    def __call__(self, host: str, refused: bool) -> str | None:
        """Return the header for a host, None for none; `refused` says that the host refused the last one."""
        if refused and (pair := _from_keyring(host)):
            return _basic(*pair)
        if token := self._environ.get(f"SAR_DATA_TOKEN_{_to_upper(host)}"):
            return f"Bearer {token}"
        pair = self.pair(host)
        return _basic(*pair) if pair else None

    def pair(self, host: str) -> tuple[str, str] | None:
        """Return user and password for a host from the environment or the netrc file, for a login of another kind."""
        user, password = (self._environ.get(f"SAR_DATA_{kind}_{_to_upper(host)}") for kind in ("USER", "PASSWORD"))
        if user and password:
            return user, password
        return self._from_netrc(host)

    def login(self, host: str) -> tuple[str, str] | None:
        """Return user and password for a host that needs them; the keyring is asked as well."""
        return self.pair(host) or _from_keyring(host)

    def places(self) -> list[str]:
        """Return where credentials are: names of variables of the environment, and hosts of the netrc file."""
        variables = re.compile(r"SAR_DATA_(TOKEN|USER|PASSWORD)_|AWS_(ACCESS_KEY_ID|PROFILE)$")
        names = sorted(name for name, value in self._environ.items() if value and variables.match(name))
        return [*names, *(f"{host} in {self._netrc_file}" for host in sorted(self._hosts()))]

    def _from_netrc(self, host: str) -> tuple[str, str] | None:
        entry = self._hosts().get(host)
        return (entry[0], entry[2] or "") if entry else None

    def _hosts(self) -> Mapping[str, tuple[str, str | None, str | None]]:
        """Return what the netrc file has; raise FetchError for one that cannot be read."""
        if self._netrc_file is None or not self._netrc_file.is_file():
            return {}
        try:
            return netrc.netrc(str(self._netrc_file)).hosts
        except netrc.NetrcParseError as error:
            # Its message quotes what it could not read, which may be a password.
            where = f"{self._netrc_file}, line {error.lineno}"
            raise FetchError(f"{where}: expected a netrc entry, found another line: correct it") from None
        except UnicodeDecodeError:
            raise FetchError(
                f"{self._netrc_file}: expected a netrc file in UTF-8, found other bytes: correct it"
            ) from None
        except OSError as error:
            raise FetchError(f"{self._netrc_file}: expected a netrc file: {error.strerror}") from error


def _from_keyring(host: str) -> tuple[str, str] | None:
    """Return what the system's keyring has under the host's name; None without the optional package keyring."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return None
    try:
        credential = keyring.get_credential(host, None)
    except KeyringError:
        return None
    return (credential.username, credential.password) if credential else None


def _to_upper(host: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", host.upper())


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
