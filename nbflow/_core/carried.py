"""Carried: what the exceptions of well-known clients carry, read without importing any.

A client may wrap what happened in an error of its own, and a user in another one. So
each question goes to the error and to those that it wraps, from the outside in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENT_ERROR, _BEYOND = 400, 600
_PAYMENT_REQUIRED, _TOO_MANY_REQUESTS = 402, 429
#: Wrapped errors that are looked at.
_DEEP = 12
#: Characters of an answer that are searched.
_LONG = 10_000
#: A 429 that says so does not pass by waiting: the account has nothing left to spend.
_EMPTY_ACCOUNT = re.compile(
    r"insufficient_(quota|balance|funds|credits?)|billing_(not_active|hard_limit)|"
    r"exceeded_current_quota"
)
#: What AWS calls a 429, whatever status it has, most often 400; "RequestTimeout" passes
#: as well.
_THROTTLED = re.compile(
    r"Throttl|SlowDown|TooManyRequests|(Throughput|Limit)Exceeded|RequestTimeout|"
    r"PriorRequestNotComplete|TransactionInProgress"
)

# Errors that no waiting mends, by the first part of their module: an address that is
# none, a certificate that is refused, a call without what it needs.
_MISTAKES = frozenset(
    """
    ssl.SSLCertVerificationError
    http.InvalidURL
    httpx.InvalidURL httpx.UnsupportedProtocol httpx.LocalProtocolError
    httpx2.InvalidURL httpx2.UnsupportedProtocol httpx2.LocalProtocolError
    httpcore.UnsupportedProtocol httpcore.LocalProtocolError
    requests.MissingSchema requests.InvalidSchema requests.InvalidURL
    requests.InvalidHeader requests.URLRequired
    urllib3.LocationValueError urllib3.InvalidHeader
    aiohttp.InvalidURL aiohttp.NonHttpUrlClientError
    botocore.ParamValidationError botocore.NoCredentialsError
    botocore.PartialCredentialsError botocore.NoRegionError
    botocore.InvalidRegionError botocore.UnknownServiceError botocore.ProfileNotFound
    botocore.UnauthorizedSSOTokenError botocore.SSOTokenLoadError
    google.DefaultCredentialsError
    sqlalchemy.ArgumentError sqlalchemy.CompileError sqlalchemy.NoSuchTableError
    """.split()  # noqa: SIM905  # a table to read
)
#: The same, but classes derived from them are of other kinds: the first says that a key
#: is missing.
_MISTAKES_THEMSELVES = frozenset(
    {"openai.OpenAIError", "sqlalchemy.InvalidRequestError"}
)
#: Classes of well-known clients for a request that got no answer, and for one that was
#: not even sent.
_UNANSWERED = frozenset(
    """
    APIConnectionError APITimeoutError ChunkedEncodingError ClientPayloadError
    ClientOSError ConnectionClosedError ConnectionError IncompleteRead NetworkError
    ProtocolError ReadTimeout ReadTimeoutError RemoteProtocolError Timeout
    ServerDisconnectedError TimeoutError TimeoutException
    """.split()  # noqa: SIM905  # a table to read
)
_UNSENT = frozenset(
    """
    ClientConnectorError ConnectError ConnectTimeout ConnectTimeoutError
    ConnectionRefusedError EndpointConnectionError InvalidSchema InvalidURL
    LocalProtocolError MissingSchema NewConnectionError PoolTimeout ProxyError SSLError
    UnsupportedProtocol gaierror
    """.split()  # noqa: SIM905  # a table to read
)
#: PEP 249: an error of the program, in whatever database's module.
_PROGRAM = frozenset({"ProgrammingError", "NotSupportedError"})
#: SQL states that stay: a feature, cardinality, data, constraint, login, name or syntax.
#: But a foreign key may come later, and another connection may not know the statement.
_SQL = re.compile(r"(?!23503|42P05)(0A|21|22|23|28|3D|3F|42)")
_SQLITE = re.compile(
    r"SQLITE_(ERROR|MISMATCH|MISUSE|AUTH|RANGE|NOTADB|READONLY|TOOBIG|"
    r"CONSTRAINT(?!_FOREIGNKEY))"
)


def wrapped(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that it wraps: its cause, or what it was made of.

    Not its context: that is what was handled already, by a fallback, when it came.
    """
    found, seen = [error], {id(error)}
    while found and len(seen) <= _DEEP:
        each = found.pop(0)
        yield each
        parts = _of(each, "kwargs")  # of botocore
        named = parts.values() if isinstance(parts, dict) else ()
        inside = (_of(each, name) for name in ("__cause__", "orig", "reason"))
        for inner in (*inside, *(_of(each, "args") or ()), *named):
            if isinstance(inner, BaseException) and id(inner) not in seen:
                seen.add(id(inner))
                found.append(inner)


def http_status(error: BaseException) -> int | None:
    """The HTTP status of one error, as it is meant.

    As httpx, requests, aiohttp, urllib, openai, botocore and others attach it. An account
    without money is 402, and a throttle 429, whatever the server says.
    """
    response = _of(error, "response")
    status = _status(error) or _status(response) or _status_of_aws(response)
    if status == _TOO_MANY_REQUESTS and _EMPTY_ACCOUNT.search(_told(error, response)):
        return _PAYMENT_REQUIRED
    return status


def headers(error: BaseException) -> Any:
    """The headers of the answer that an error is about, if it has them."""
    response = _of(error, "response")
    if isinstance(response, Mapping):
        return _part(response, "ResponseMetadata", "HTTPHeaders")
    return _of(response, "headers") or _of(error, "headers")


def is_mistake(error: BaseException) -> bool:
    """Whether one error says, by its kind or what a database tells, that it stays."""
    state = _of(error, "sqlstate") or _of(error, "pgcode")
    if isinstance(state, str):
        return _SQL.match(state) is not None
    named = _of(error, "sqlite_errorname")
    if isinstance(named, str):
        return _SQLITE.match(named) is not None
    if _name(type(error)) in _MISTAKES_THEMSELVES:
        return True
    kinds = type(error).__mro__
    if any(_name(kind) in _MISTAKES for kind in kinds):
        return True
    if _of(error, "orig") is not None:
        return False  # what it wraps says more than its class
    return any(kind.__name__ in _PROGRAM for kind in kinds) or _is_no_address(error)


def is_unanswered(error: BaseException) -> bool:
    """Whether a request was sent and got no answer, by the kinds of what an error wraps."""
    kinds = {kind.__name__ for each in wrapped(error) for kind in type(each).__mro__}
    return bool(kinds & _UNANSWERED) and not kinds & _UNSENT


def _is_no_address(error: BaseException) -> bool:
    """Whether urllib could not even begin: it gives a text as the reason then."""
    return _name(type(error)) == "urllib.URLError" and isinstance(
        _of(error, "reason"), str
    )


def _name(kind: type) -> str:
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def _status(holder: object) -> int | None:
    for name in ("status_code", "status", "code", "http_status"):
        status = _of(holder, name)
        is_number = isinstance(status, int) and not isinstance(status, bool)
        if is_number and _CLIENT_ERROR <= status < _BEYOND:
            return int(status)
    return None


def _status_of_aws(response: object) -> int | None:
    """The status that botocore puts into a dict in a dict."""
    if _THROTTLED.search(str(_part(response, "Error", "Code") or "")):
        return _TOO_MANY_REQUESTS
    status = _part(response, "ResponseMetadata", "HTTPStatusCode")
    return status if isinstance(status, int) and status >= _CLIENT_ERROR else None


def _told(error: BaseException, response: object) -> str:
    """What the server said about an error, as text. Nothing is fetched for it."""
    content = getattr(response, "__dict__", {}).get("_content")
    said = [_of(error, name) for name in ("code", "type", "body", "details")]
    if isinstance(content, bytes):
        said.append(content[:_LONG].decode(errors="replace"))
    texts = [str(part) for part in said if isinstance(part, str | dict)]
    return " ".join(text[:_LONG] for text in texts)


def _part(mapping: object, *names: str) -> Any:
    for name in names:
        mapping = mapping.get(name) if isinstance(mapping, Mapping) else None
    return mapping


def _of(holder: object, name: str) -> Any:
    """An attribute, ``None`` if there is none, or if reading it fails."""
    try:
        return getattr(holder, name, None)
    except Exception:
        return None
