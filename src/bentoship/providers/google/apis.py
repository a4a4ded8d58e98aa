"""Calls to Google's APIs over REST, with timeouts and retries."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from bentoship.errors import BentoshipError, CloudError, RegistryError
from bentoship.image.document import parse_json
from bentoship.providers.google.account import Account
from bentoship.providers.google.failures import ApiError, Caller, foreign, refusal, unreached
from bentoship.stores.http import Http
from bentoship.system.network import is_loopback, redacted
from bentoship.system.retry import retry

CALL_TIMEOUT = 20.0
"""Seconds within which a call has to be answered."""

_ATTEMPTS = 4
_LONGEST_PAUSE = 70.0
"""Seconds; enough for a per-minute quota to be available again."""

_OPERATION_TIMEOUT = 600.0
_PROPAGATION = 180.0
"""Seconds for which a newly enabled API may still claim to be disabled."""

_PAGE = 200


class Apis:
    """A client of Google's APIs with one account.

    Args:
        endpoint: the URL of the APIs, with {service} for the name of each.
        project: the id of the project.
        account: the account to use.
        http: the connections to use.
        tell: receives progress messages.
    """

    def __init__(self, endpoint: str, project: str, account: Account, http: Http, tell: Callable[[str], None]) -> None:
        proxy = http.proxy(endpoint.replace("{service}", "artifactregistry"))
        self.caller = Caller(project, account.name, account.login, redacted(proxy) if proxy else "", account.payer)
        self.enabled = False
        """Whether the API is known to be enabled; it may take a while until its servers know, too."""
        self._account = account
        self._endpoint = endpoint
        self._http = http
        self._tell = tell

    def call(self, doing: str, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call an API, and again after temporary errors.

        Args:
            doing: what is being done, for errors.
            method: the HTTP method.
            path: the API's name and the path in it, "artifactregistry/v1/projects/…".
            body: the body of the request, in Google's JSON; None for none.

        Returns: the response's JSON.

        Raises:
            ApiError: the API refused the call, or could not be reached.
            CloudError: no access token could be obtained.
        """
        return retry(lambda: self._send(doing, method, path, body), self._pause)

    def pages(
        self, doing: str, path: str, key: str, query: Mapping[str, str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of a list call, page by page. Args: key: the list's name in the response; else as `call`."""
        token: str | None = ""
        while token is not None:
            page = {**(query or {}), "pageSize": _PAGE, **({"pageToken": token} if token else {})}
            answer = self.call(doing, "GET", f"{path}?{urlencode(page)}")
            yield from answer.get(key, ())
            token = answer.get("nextPageToken") or None

    def wait(self, doing: str, service: str, operation: Mapping[str, Any]) -> None:
        """Wait for a google.longrunning.Operation to end. Raises CloudError when it fails or takes too long."""
        began = reported = time.monotonic()
        pause, name = 0.2, operation["name"]
        while not operation.get("done"):
            if time.monotonic() - began > _OPERATION_TIMEOUT:
                raise CloudError(doing, f"{name} is not done after {_OPERATION_TIMEOUT:.0f} s", "Run it again.")
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)
            if time.monotonic() - reported >= 5.0:
                reported = time.monotonic()
                self._tell(f"waiting for Google ({reported - began:.0f} s)")
            operation = self.call(doing, "GET", f"{service}/v1/{name}")
        if "error" in operation:
            raise refusal(doing, operation["error"], self.caller)

    def _send(self, doing: str, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        service, _, rest = path.partition("/")
        url = f"{self._endpoint.replace('{service}', service)}/{rest}"
        headers = {"Content-Type": "application/json", **self._account.headers}
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = self._http.exchange(doing, method, url, headers, content, CALL_TIMEOUT)
        except RegistryError as error:
            raise unreached(doing, error, self.caller, local=is_loopback(urlsplit(url).netloc)) from error
        try:
            document = parse_json(answer.data)
        except ValueError:
            document = None
        if answer.status == HTTPStatus.OK and isinstance(document, dict):
            return document
        if isinstance(document, dict) and isinstance(document.get("error"), dict):
            raise refusal(doing, {**document["error"], "code": answer.status}, self.caller)
        raise foreign(doing, urlsplit(url).netloc, answer.status, self.caller)

    def _pause(self, error: BentoshipError, attempt: int, elapsed: float) -> float | None:
        """Return the seconds after which to retry a failed call; None to give up (`retry.Policy`)."""
        if not isinstance(error, ApiError):
            return None
        # It was enabled in the configured project; a different quota project may have it disabled.
        ours = self.caller.payer in ("", self.caller.project)
        if self.enabled and ours and error.reason == "SERVICE_DISABLED" and elapsed < _PROPAGATION:
            self._tell(f"the API is enabled but not yet available ({elapsed:.0f} s)")
            return min(0.5 * attempt, 5.0)
        # Waiting for the API may have used the attempts up.
        if attempt >= _ATTEMPTS or error.retry_after is None or error.retry_after > _LONGEST_PAUSE:
            return None
        failure = f"{error.doing}: {error.why if len(error.why) <= 100 else f'{error.why[:100]}…'}"
        self._tell(f"{failure}; retrying{f' in {error.retry_after:.0f} s' if error.retry_after else ''}")
        return error.retry_after or 0.25 * (1 << attempt)
