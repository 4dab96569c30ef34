"""The Data Space's short-lived tokens: one login, renewed before it ends and whenever a host refuses it.

OpenID Connect as https://documentation.dataspace.copernicus.eu/APIs/Token.html describes it: a form with user and
password gives an access token of about ten minutes and a refresh token of about an hour. Each password login counts as
a session, of which few are allowed, so that the refresh token is used as long as it is taken.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from sar_data.download.http import Authorise, is_secure
from sar_data.download.response import PASSING, Retry
from sar_data.download.retry import Patience, requested_delay
from sar_data.errors import FetchError, UsageError
from sar_data.sources.scenes.catalogue import check_url
from sar_data.system import strict_json

IDENTITY = "https://identity.dataspace.copernicus.eu/auth/realms/CDSE/protocol/openid-connect/token"
CLIENT = "cdse-public"
DOMAIN = ".copernicus.eu"
SPARE_S = 60.0  # a token is renewed so long before its end: a request may wait that long

Account = Callable[[str], tuple[str, str] | None]
"""Host of the identity service → user and password, None for none."""


class Login:
    """Gives hosts of copernicus.eu, and the one of another `identity`, a bearer token; others what `otherwise` does.

    Safe to use from many threads. A host that takes tokens gets what `otherwise` has for it where there is no account.
    """

    def __init__(
        self, account: Account, otherwise: Authorise, *, identity: str = IDENTITY, patience: Patience | None = None
    ) -> None:
        if not is_secure(check_url(identity)):
            raise UsageError(f"{identity}: expected an https address, since a password is sent there")
        self._account = account
        self._otherwise = otherwise
        self._identity = identity
        self._host = urlsplit(identity).hostname or ""
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._access = self._refresh = ""
        self._until = 0.0

    def __call__(self, host: str, refused: bool) -> str | None:
        """Return the Authorization header for a host; raise FetchError where a token is wanted and none is given."""
        if not host.endswith(DOMAIN) and host != self._host:
            return self._otherwise(host, refused)
        account = self._account(self._host)
        if account is None:
            if header := self._otherwise(host, refused):
                return header
            raise FetchError(
                f"{host}: expected an account of the Data Space, found none. Register at dataspace.copernicus.eu and "
                f"put `machine {self._host} login USER password PASSWORD` into ~/.netrc, or set "
                "SAR_DATA_USER_HOST and SAR_DATA_PASSWORD_HOST (HOST in capitals, _ for dots)"
            )
        with self._lock:
            if refused or time.monotonic() >= self._until:
                self._renew(*account)
            return f"Bearer {self._access}"

    def _renew(self, user: str, password: str) -> None:
        answer = self._request_token(grant_type="refresh_token", refresh_token=self._refresh) if self._refresh else None
        answer = answer or self._request_token(grant_type="password", username=user, password=password)
        if answer is None:
            raise FetchError(f"{self._host}: user or password were refused. Correct them where they are kept")
        try:
            if not math.isfinite(lasts_s := float(answer["expires_in"])):
                raise ValueError
            self._access, self._refresh = str(answer["access_token"]), str(answer.get("refresh_token", ""))
        except (KeyError, TypeError, ValueError):
            raise FetchError(f"{self._host}: expected access_token and expires_in, found {sorted(answer)}") from None
        self._until = time.monotonic() + lasts_s - min(SPARE_S, lasts_s / 4)

    def _request_token(self, **grant: str) -> dict[str, Any] | None:
        """Return the identity service's answer to a grant, None where it refuses it. Raises Again, FetchError."""
        timeout = httpx.Timeout(self._patience.read_s, connect=self._patience.connect_s)
        response = httpx.post(self._identity, data={"client_id": CLIENT, **grant}, timeout=timeout)
        status = response.status_code
        if status in PASSING:
            headers = response.headers
            raise Retry(
                f"{self._host}: status {status}", requested_delay(headers.get("retry-after"), headers.get("date"))
            )
        if status in (400, 401):
            return None
        try:
            answer = strict_json.loads(response.content)
        except ValueError:
            answer = None
        if status != httpx.codes.OK or not isinstance(answer, dict):
            # Not its text, which may repeat the request.
            raise FetchError(f"{self._host}: expected a token, found status {status} and no JSON of one")
        return answer
