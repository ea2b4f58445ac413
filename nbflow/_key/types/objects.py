"""Digests of everything else: functions and classes, objects of any class, and what has no value.

An object is its class (by its qualified name, without the module: a notebook and the
job exported from it share keys) and its attributes. Clients, connections and locks are
keyed by their type alone; iterators and files, which a look would change, are refused.
"""

from __future__ import annotations

import copyreg
import functools
import io
import itertools
import types
import typing
import weakref
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any

from nbflow._core.fields import without_aside
from nbflow._key.kinds import Around, is_bound, is_librarys
from nbflow._key.origin import holds
from nbflow._key.stdlib import is_special_class, is_special_form
from nbflow._key.value import (
    ATTRIBUTE,
    INDEX,
    Walk,
    attributes,
    handles,
    member,
    only_remembers,
    refuse,
    seal,
    steps,
)

# Package and class, not module and class: libraries move their modules about.
_BY_TYPE_ALONE = frozenset(
    """
    _thread.lock _thread.RLock threading._RLock threading.Condition threading.Event threading.Semaphore
    threading.Barrier threading.Thread threading.Timer threading.local _thread._local _thread._localdummy
    asyncio.Lock asyncio.Event asyncio.Condition asyncio.Semaphore asyncio.Queue asyncio.AbstractEventLoop
    asyncio.Runner queue.Queue queue.SimpleQueue _queue.SimpleQueue concurrent.Executor multiprocessing.Pool
    multiprocessing.BaseContext multiprocessing.SemLock multiprocessing.BaseManager multiprocessing.BaseProcess
    subprocess.Popen unittest.NonCallableMock logging.Logger logging.LoggerAdapter logging.Handler
    contextvars.ContextVar _contextvars.ContextVar _contextvars.Context
    os._Environ
    socket.socket _socket.socket ssl.SSLContext _ssl._SSLContext http.HTTPConnection urllib.OpenerDirector
    smtplib.SMTP ftplib.FTP imaplib.IMAP4 select.epoll selectors.BaseSelector
    sqlite3.Connection sqlite3.Cursor dbm._Database
    requests.Session httpx.BaseClient aiohttp.ClientSession urllib3.PoolManager urllib3.HTTPConnectionPool
    websockets.Connection paramiko.SSHClient grpc.Channel botocore.BaseClient boto3.Session
    boto3.ServiceResource google.Client openai.BaseClient anthropic.BaseClient mistralai.Mistral cohere.Client
    psycopg.BaseConnection psycopg.BaseCursor psycopg_pool.BasePool psycopg2.connection psycopg2.cursor
    asyncpg.Connection asyncpg.Pool pymysql.Connection MySQLdb.Connection oracledb.Connection pyodbc.Connection
    duckdb.DuckDBPyConnection _duckdb.DuckDBPyConnection redis.Redis redis.ConnectionPool pymongo.MongoClient
    pymongo.Database pymongo.Collection elasticsearch.Elasticsearch sqlalchemy.Engine sqlalchemy.Connection
    sqlalchemy.Session sqlalchemy.sessionmaker sqlalchemy.AsyncEngine sqlalchemy.AsyncSession
    sqlalchemy.scoped_session diskcache.Cache diskcache.FanoutCache
    """.split()  # noqa: SIM905  # a table to read, not ninety lines
)

_RESTLESS = frozenset(
    ("_random.Random", "numpy.Generator", "numpy.RandomState", "numpy.BitGenerator")
)

_REFUSED = (
    (
        io.IOBase,
        "reading a file would move its position; pass its path or its content",
    ),
    (Iterator, "an iterator can be read only once; pass a list of what it yields"),
    (AsyncIterator, "an iterator can be read only once; pass a list of what it yields"),
    (Awaitable, "it is not awaited yet; pass its result"),
    (weakref.ref, "what it refers to may be gone"),
    (types.FrameType, "it is part of a running program"),
    (types.TracebackType, "it is part of a running program"),
)

#: What is lost or changed when it is read.
_USED_UP = (io.IOBase, Iterator, AsyncIterator, Awaitable)

_PLOT = "its content has no stable order or names; pass the data it is drawn from, or the bytes of the image"
_REFUSED_BY_NAME = {
    "matplotlib.Artist": _PLOT,
    "matplotlib.TransformNode": _PLOT,
    "pandas.Styler": "it is made for display and has a random name; pass the frame",
}


@handles(type, subclasses=True)
@handles(
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
)
def _code(walk: Walk, value: Any) -> bytes:
    if is_special_form(value):
        return seal("named", "typing", value.__name__)
    if is_librarys(value):
        return seal("named", type(value.__self__).__module__, value.__name__)
    if isinstance(value, types.BuiltinFunctionType) and is_bound(value):
        owner = member(walk.at(ATTRIBUTE, "__self__", value.__self__))
        return seal("bound", value.__name__, owner)
    return seal("code", walk.reach(value))


def _special_class(walk: Walk, value: Any) -> bytes:
    return (_code if is_special_class(value) else _object)(walk, value)


if not isinstance(typing.Annotated, type):  # as up to Python 3.12
    handles(type(typing.Annotated))(_special_class)


@handles(types.MethodType)
def _method(walk: Walk, value: types.MethodType) -> bytes:
    if is_librarys(value):
        return seal("named", type(value.__self__).__module__, value.__name__)
    owner = walk.at(ATTRIBUTE, "__self__", value.__self__)
    return seal("method", member(walk.digest(value.__func__)), member(owner))


@handles(property, classmethod, staticmethod, functools.cached_property)
def _descriptor(walk: Walk, value: object) -> bytes:
    return seal("code", walk.reach(value))


@handles(Around)
def _around(walk: Walk, value: Around) -> bytes:
    state = value.state()
    return walk.members("around", list(state), items=steps(state))


@handles(object)
def _object(walk: Walk, value: object) -> bytes:
    kind = type(value)
    for base in kind.__mro__:
        name = f"{base.__module__.partition('.')[0]}.{base.__name__}"
        if name in _BY_TYPE_ALONE:
            walk.opaque.append(kind)
            return seal("type alone", kind.__qualname__)
        walk.restless |= name in _RESTLESS
        if name in _REFUSED_BY_NAME:
            refuse(value, _REFUSED_BY_NAME[name], decisive=True)
    for refused, reason in _REFUSED:
        if isinstance(value, refused):
            refuse(value, reason, decisive=issubclass(refused, _USED_UP))
    if holds(value, "__wrapped__") and callable(value) and not _is_proxy(value):
        return seal("code", walk.reach(value))
    return _reduced(walk, value)


def _is_proxy(value: object) -> bool:
    # wrapt and the like pretend to be what they wrap.
    return type(value) is not value.__class__


def _reduced(walk: Walk, value: object) -> bytes:
    """Key an object by what pickle would save of it, structure only: its members are walked.

    Nothing else knows the state that a class written in C holds, and a class that says
    what its state is (``__getstate__``) is believed. Dataclasses and attrs say it for
    reasons of their own.
    """
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:
        return refuse(value, f"nbflow cannot read its content ({error})")
    if isinstance(reduced, str):
        return seal("named", type(value).__module__, reduced)
    make, args, state, items, pairs = (*reduced, None, None, None)[:5]
    kind = type(value)
    if _holds_only_attributes(kind):
        state = without_aside(kind, attributes(value))
    elif hasattr(kind, "__struct_fields__"):  # pickle forgets what else msgspec holds
        state = getattr(value, "__dict__", None) or None
    state = _without_counts(kind, state)
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        state = {} if state is None else {"__getstate__()": state}
    known = [kind, *_NEW]
    parts = [part for part in (make, *args) if not any(part is one for one in known)]
    listed = list(items or ())
    paired = list(itertools.chain.from_iterable(pairs or ()))
    names = [name for name in sorted(state) if not only_remembers(kind, name)]
    walked: list[tuple[str, object, object]] = []
    for place, part in enumerate([*parts, *listed, *paired]):
        walked.append((INDEX, place, part))
    walked += steps({name: state[name] for name in names})
    if isinstance(value, BaseException) and value.__cause__ is not None:
        walked.append((ATTRIBUTE, "__cause__", value.__cause__))
    return walk.members(
        "object", kind.__qualname__, len(parts), len(listed), names, items=walked
    )


def _without_counts(kind: type, state: Any) -> Any:
    """Return the state of a search tree of scikit-learn as it was before anybody searched in it."""
    if not any(base.__name__.startswith("BinaryTree") for base in kind.__mro__):
        return state
    return (*state[:-6], 0, 0, 0, 0, *state[-2:])


_NEW = (copyreg.__newobj__, copyreg.__newobj_ex__)  # type: ignore[attr-defined]  # typeshed leaves them out


def _holds_only_attributes(kind: type) -> bool:
    for name in ("__reduce__", "__reduce_ex__"):
        if getattr(kind, name) is not getattr(object, name):
            return False
    plain = getattr(kind, "__getstate__") is getattr(object, "__getstate__")  # noqa: B009  # new in 3.11
    return (
        plain
        or hasattr(kind, "__attrs_attrs__")
        or hasattr(kind, "__dataclass_fields__")
    )
