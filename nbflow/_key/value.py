"""A value -> digest: the plain path, the walk over everything else, the table of types.

A digest is a published format: the first 20 bytes of the blake3 hash of one msgpack
array. Its first item is a type tag, then come plain parts. A member that is not plain
stands there as an extension value holding the member's own digest. Large buffers follow
the array, with their lengths in it.

There are two paths. *Plain* data (``str int float bool None bytes``, lists of it, dicts
of it with ``str`` keys) is encoded in one go. Everything else is walked. Which path a
value takes follows from the value alone, never from where it was made, or one value
would have two digests.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from types import CodeType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from nbflow._key.origin import is_users
from nbflow.errors import UnkeyableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    Handler: TypeAlias = Callable[["Walk", Any], bytes]
    Step: TypeAlias = tuple[str, object]

SIZE = 20
INDEX, ITEM, ATTRIBUTE = "[{}]", "[{}]", ".{}"

# Codes of msgpack extensions: a member's digest, and what msgpack itself has no form
# for.
_MEMBER, _SURROGATES, _BIG_INT = 1, 2, 3
_ROOM = 16  # nesting up to which data is plain; shared sublists cannot blow the encoding up beyond it
_MEMO = 1 << 16
_LOOKS = 50  # at a value that other threads change meanwhile

_encode = msgspec.msgpack.Encoder().encode
_Ext = msgspec.msgpack.Ext
_STR = frozenset((str,))
_ATOMS = frozenset((str, int, float, bool, type(None), bytes))
_PLAIN = (_ATOMS - {bytes}) | {
    list,
    dict,
}  # what may be plain; bytes alone are not copied into an encoding
_INLINE = frozenset((str, int, bool, type(None)))
_usual_nan = float("nan")
# A float that may be another NaN than the usual one, or by chance something else. The
# one that processors make of `inf - inf` has a sign.
_maybe_nan = re.compile(rb"\xcb(?:\x7f(?!\xf8\0{6})|\xff)[\xf0-\xff]").search


def seal(tag: str, *parts: object, buffers: Iterable[Any] = ()) -> bytes:
    """Return the digest of a tagged form; the lengths of ``buffers`` must follow from ``parts``.

    One thread hashes: a pool of threads would not survive ``os.fork``, and one does 5
    GB/s.
    """
    hasher = blake3(_pack((tag, *parts)))
    for buffer in buffers:
        hasher.update(buffer)
    return hasher.digest(SIZE)


def _pack(form: tuple[object, ...]) -> bytes:
    try:
        return _encode(form)
    except (OverflowError, UnicodeEncodeError):
        return _encode(_with_extensions(form))


def _with_extensions(value: Any) -> Any:
    """Replace the text and the ints that msgpack refuses."""
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
        return (
            value
            if data.decode("utf-8", "replace") == value
            else _Ext(_SURROGATES, data)
        )
    if kind is int:
        return (
            value
            if -(1 << 63) <= value < 1 << 64
            else _Ext(_BIG_INT, hex(value).encode())
        )
    return kind(map(_with_extensions, value)) if kind in (list, tuple) else value


def member(digest: bytes) -> object:
    """Return what stands for a member with this digest among the parts of a form."""
    return _Ext(_MEMBER, digest)


def encode_plain(wrapped: tuple[object, ...], value: object) -> bytes | None:
    """Return the bytes of ``wrapped``, a tuple around ``value``, or ``None`` if that is not plain data.

    NaN has many bit patterns and is one value, which is written in one way. Ints beyond
    64 bits and lone surrogates have no msgpack: data with any of these is walked.
    """
    if not is_plain(value):
        return None
    try:
        data: bytes = _encode(wrapped)
    except (OverflowError, ValueError):
        return None
    return _encode(_with_usual_nans(wrapped)) if _maybe_nan(data) else data


def is_plain(value: Any, room: int = _ROOM) -> bool:
    """Tell whether the value is made of exact plain types only, whatever their content."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict:
        if not _STR.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return False
    if _ATOMS.issuperset(map(type, value)):
        return room > 0
    return room > 0 and all(
        is_plain(item, room - 1) for item in value if type(item) not in _ATOMS
    )


def _with_usual_nans(value: Any) -> Any:
    kind = type(value)
    if kind is float:
        return value if value == value else _usual_nan  # noqa: PLR0124  # what NaN is known by
    if kind is dict:
        return {key: _with_usual_nans(item) for key, item in value.items()}
    return kind(map(_with_usual_nans, value)) if kind in (list, tuple) else value


class Content(NamedTuple):
    """What a value is.

    Attributes:
        digest: of everything in it but code.
        code: the functions and classes in it, and the classes of objects that have
            methods of the user's, in the order in which they are met. What they do
            follows from what they reach, which the digest does not cover.
        opaque: classes of the objects in it that have no value: clients, connections,
            locks.
        restless: is there something in it that changes by being used, as a generator of
            random numbers does?
    """

    digest: bytes
    code: tuple[object, ...] = ()
    opaque: tuple[type, ...] = ()
    restless: bool = False


class Refusal(Exception):  # noqa: N818  # a message on its way up, which no caller sees
    """A value that cannot be keyed; every level on the way up adds its part of the path."""

    def __init__(
        self,
        value: object,
        reason: str,
        advice: str | None = None,
        *,
        decisive: bool = False,
    ) -> None:
        super().__init__(reason)
        self.kind = type(value)
        self.reason = reason
        self.advice = advice
        #: Does what is in the value matter so much that not even its type can stand for
        #: it, as of an iterator?
        self.decisive = decisive
        self.path: list[Step] = []

    def error(self, where: str) -> UnkeyableError:
        """Say where it is, what it is and what to do."""
        path = where + "".join(
            form.format(_spell(step)) for form, step in reversed(self.path)
        )
        root = where.partition("[")[0].partition(".")[0]
        kind = f"{self.kind.__module__}.{self.kind.__qualname__}".removeprefix(
            "builtins."
        )
        advice = self.advice or (
            f"Pass something plain instead (the data itself, an id, a path), or leave it out of the key with "
            f'ignore=["{root}"], or say what identifies it with nf.key_by({self.kind.__qualname__}, function).'
        )
        return UnkeyableError(
            f"{path} is a {kind}, which no key can be made of: {self.reason}. {advice}"
        )


def _spell(step: object, width: int = 60) -> str:
    if isinstance(step, _Name):
        return str(step)
    try:
        text = '"' + step + '"' if isinstance(step, str) else repr(step)
    except Exception:  # of the user's, or Python's of a number with very many digits
        text = f"<{type(step).__qualname__}>"
    return text if len(text) <= width else text[: width - 3] + "..."


class _Name(str):
    """An attribute's name in a path, written without quotes."""

    __slots__ = ()


def digest(value: object, where: str = "value", *, methods: bool = True) -> bytes:
    """Return the 20-byte digest of the full content of a value, of the code in it, too.

    Two values have one digest exactly when a careful user would call them the same:
    types count, so do dtypes, names and the order of a dict; where a value lies in
    memory, how it is chunked and who shares it does not.

    Args:
        value: anything but iterators, open files and the like.
        where: what the value is to the caller, the start of the path in the error.
        methods: do the methods of the user's objects count?

    Raises:
        UnkeyableError: no key can be made of the value, or of something in it.
    """
    try:
        content = identify(value, methods=methods)
    except Refusal as refusal:
        raise refusal.error(where) from refusal.__cause__
    if not content.code:
        return content.digest
    from nbflow._key import code

    return seal(
        "with code",
        member(content.digest),
        [member(code.read(thing).digest) for thing in content.code],
    )


def identify(value: object, *, methods: bool = True) -> Content:
    """Return the digest of a value and the code in it, apart.

    Args:
        value: anything.
        methods: count the classes of objects that have methods of the user's among the
            code.

    Raises:
        Refusal: no key can be made of the value, or of something in it.
    """
    for left in reversed(range(_LOOKS)):
        try:
            return _identify(value, methods=methods)
        except RecursionError:
            raise Refusal(
                value, "it is nested too deeply for Python's stack", decisive=True
            ) from None
        except (
            RuntimeError
        ):  # another thread put something into a dict while we looked at it
            if not left:
                raise
    raise AssertionError


def _identify(value: object, *, methods: bool) -> Content:
    if (
        type(value) in _PLAIN
        and (data := encode_plain(("plain", value), value)) is not None
    ):
        return Content(blake3(data).digest(SIZE))
    walk = Walk(methods=methods)
    found = walk.not_plain(value)
    return Content(
        found, tuple(walk.code), tuple(dict.fromkeys(walk.opaque)), walk.restless
    )


class Walk:
    """One walk over a value that is not plain.

    Cycles are found as Tarjan's algorithm finds strongly connected components.
    ``_open`` holds the objects whose component is not complete, in order of entry; a
    second visit to one of them is written as the distance to it. Once a component is
    complete, other references to its objects reuse what was found: sharing an object
    and copying it give one digest, and a tangle of objects takes linear time.
    """

    __slots__ = ("_low", "_memo", "_open", "code", "methods", "opaque", "restless")

    def __init__(self, *, methods: bool = True) -> None:
        self.methods = methods
        #: What was met so far; see `Content`.
        self.code: list[object] = []
        self.opaque: list[type] = []
        self.restless = False
        self._open: dict[int, tuple[int, object]] = {}
        self._memo: dict[
            int, tuple[object, bytes]
        ] = {}  # holds the objects, or their ids would be used again
        self._low = 0

    def digest(self, value: object) -> bytes:
        """Return the digest of a value or of a member of one."""
        if (
            type(value) in _PLAIN
            and (data := encode_plain(("plain", value), value)) is not None
        ):
            return blake3(data).digest(SIZE)
        return self.not_plain(value)

    def not_plain(self, value: object) -> bytes:
        """Return the digest of a value that is not plain, or of bytes."""
        if (done := self._memo.get(id(value))) is not None:
            return done[1]
        if (entered := self._open.get(id(value))) is not None:
            self._low = min(self._low, entered[0])
            return seal("again", len(self._open) - entered[0])
        return self._enter(value, handler(type(value)))

    def _enter(self, value: object, handle: Handler) -> bytes:
        place = len(self._open)
        self._open[id(value)] = (place, value)
        outer, self._low = self._low, place
        result = handle(self, value)
        if self._low == place:
            self._close(place, result)
            self._low = outer
        else:
            self._low = min(outer, self._low)
        return result

    def _close(self, place: int, result: bytes) -> None:
        """Remember a complete component: its first object by its digest, the others by their place in it."""
        if len(self._memo) >= _MEMO:
            self._memo.clear()
        while len(self._open) > place:
            key, (entered, value) = self._open.popitem()
            self._memo[key] = (
                value,
                seal("part", result, entered - place) if entered > place else result,
            )

    def reach(self, thing: object) -> int:
        """Return the place of a function or class among the code met so far; its name says too little."""
        for place, known in enumerate(self.code):
            if known is thing:
                return place
        self.code.append(thing)
        return len(self.code) - 1

    def at(self, form: str, step: object, value: object) -> bytes:
        """Return the digest of a member; the step leads to it in the path of an error."""
        try:
            return self.digest(value)
        except Refusal as refusal:
            refusal.path.append((form, _Name(step) if form is ATTRIBUTE else step))
            raise

    def unordered(self, values: Iterable[object]) -> bytes:
        """Return the digests of members in no order, sorted and joined.

        Each member starts from the same state, or the order of a set, which follows the
        hash seed, would show in how its members refer to each other.
        """
        place, memo, code = len(self._open), self._memo, self.code
        found = []
        for value in values:
            self._memo, self.code = {}, []
            result = self.digest(value)
            found.append((result, [_rank(thing) for thing in self.code], self.code))
            while len(self._open) > place:
                self._open.popitem()
        self._memo, self.code = memo, code
        found.sort(key=lambda member: member[:2])
        for _, _, met in found:
            code.extend(met)
        return b"".join(result for result, _, _ in found)

    def members(
        self, tag: str, *head: object, items: Iterable[tuple[str, object, object]]
    ) -> bytes:
        """Seal a form with its members, given as (form of the step, step, member)."""
        return seal(tag, *head, [self._inline(*item) for item in items])

    def _inline(self, form: str, step: object, value: object) -> object:
        kind = type(value)
        if kind in _INLINE:
            return value
        if isinstance(value, float) and kind is float:
            return value if value == value else _usual_nan  # noqa: PLR0124
        return _Ext(_MEMBER, self.at(form, step, value))


def _rank(thing: Any) -> tuple[str, bytes]:
    """Return what puts functions in one order whatever the hash seed; what they reach is read elsewhere."""
    from nbflow._key.syntax import code_digest

    code = getattr(thing, "__code__", None)
    return str(
        getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
    ), code_digest(code) if isinstance(code, CodeType) else b""


_HANDLERS: dict[type, tuple[Handler, bool]] = {}
_FOUND: dict[type, Handler] = {}  # what handler() found for a type
_USERS: dict[type, Callable[[Any], object]] = {}
_FIRST = (
    "nbflow._key.types.standard",
    "nbflow._key.types.objects",
)  # they import this module, so not at the top
_LATER = {
    "numpy": "nbflow._key.types.arrays",
    "pandas": "nbflow._key.types.frames",
    "polars": "nbflow._key.types.polars_frames",
    "pyarrow": "nbflow._key.types.arrow",
    "pydantic": "nbflow._key.types.pydantic_models",
    "scipy": "nbflow._key.types.sparse",
}


def handles(*kinds: type, subclasses: bool = False) -> Callable[[Handler], Handler]:
    """Enter a function in the table: it makes the digest of values of these types.

    With ``subclasses`` it does so for subclasses too. Otherwise those are keyed by
    their class, by what the function says of the value as its base type, and by their
    attributes.
    """

    def enter(function: Handler) -> Handler:
        _HANDLERS.update(dict.fromkeys(kinds, (function, subclasses)))
        return function

    return enter


def handler(kind: type) -> Handler:
    """Return the function for values of a type: the user's, the one of the closest base, or the general one."""
    if (found := _FOUND.get(kind)) is None:
        if len(_FOUND) >= _MEMO:
            _FOUND.clear()
        found = _FOUND[kind] = _find_handler(kind)
    return found


def _find_handler(kind: type) -> Handler:
    for module in _FIRST:
        importlib.import_module(module)
    for base in kind.__mro__:
        if base in _USERS:
            return _by_user(base)
    for base in kind.__mro__:
        if later := _LATER.get(base.__module__.partition(".")[0]):
            importlib.import_module(later)
    found = _by_base(kind)
    return (
        _with_class(found) if is_users(kind) and not issubclass(kind, type) else found
    )


def _by_base(kind: type) -> Handler:
    for base in sorted(kind.__mro__[:-1], key=_takes_subclasses, reverse=True):
        if found := _HANDLERS.get(base):
            return (
                found[0] if base is kind or found[1] else _as_subclass(found[0], base)
            )
    return _HANDLERS[object][0]


def _with_class(described: Handler) -> Handler:
    """Count the class of an object with it if it has methods: a step that is given the object can call them."""
    from nbflow._key.classes import behaves

    def handle(walk: Walk, value: object) -> bytes:
        kind = type(value)
        if not walk.methods or not behaves(kind):
            return described(walk, value)
        return seal("of", walk.reach(kind), member(described(walk, value)))

    return handle


def _takes_subclasses(base: type) -> bool:
    found = _HANDLERS.get(
        base
    )  # they come first: class Colour(str, Enum) is an Enum before it is a str
    return found is not None and found[1]


def _as_subclass(base: Handler, known: type) -> Handler:
    def handle(walk: Walk, value: object) -> bytes:
        state = attributes(value, known)
        return walk.members(
            "subclass",
            type(value).__qualname__,
            member(base(walk, value)),
            list(state),
            items=steps(state),
        )

    return handle


def _by_user(kind: type) -> Handler:
    def handle(walk: Walk, value: object) -> bytes:
        if (identity := _USERS[kind](value)) is value:
            refuse(
                value,
                "the function given to nf.key_by returns the value itself",
                decisive=True,
            )
        return seal("by", kind.__qualname__, walk.digest(identity))

    return handle


def key_by(type_: type, function: Callable[[Any], object]) -> None:
    """Say what identifies values of a type and of its subclasses.

    Args:
        type_: the type.
        function: takes such a value and returns a keyable one, an id say.

    Raises:
        UsageError: ``type_`` is no class, or plain data that is keyed by its content
            anyway.
    """
    if not isinstance(type_, type) or type_ in _ATOMS or type_ in (list, dict, object):
        raise UsageError(
            f"key_by needs a class of your own or of a library, not {type_!r}"
        )
    if not callable(function):
        raise UsageError(
            f"key_by needs a function that returns what identifies a {type_.__qualname__}, not {function!r}"
        )
    _USERS[type_] = function
    _FOUND.clear()


def attributes(value: object, known: type = object) -> dict[str, object]:
    """Return the attributes an object holds, in ``__dict__`` and slots, sorted by name.

    What only remembers other attributes is no part of the value: cached properties,
    cached hashes. The slots of ``known``, a base that is keyed by a function of its
    own, are left to that.
    """
    kind = type(value)
    state = dict(getattr(value, "__dict__", ()))
    for base in kind.__mro__[: kind.__mro__.index(known)]:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            hidden = (
                f"_{base.__name__.lstrip('_')}{name}"
                if name.startswith("__") and not name.endswith("__")
                else name
            )
            slot = vars(
                base
            ).get(
                hidden
            )  # asked itself: an empty one would call `__getattr__`, which may make what it answers
            if name not in ("__dict__", "__weakref__") and isinstance(
                slot, MemberDescriptorType
            ):
                with contextlib.suppress(AttributeError):
                    state[hidden] = slot.__get__(value)
    return {
        name: state[name] for name in sorted(state) if not only_remembers(kind, name)
    }


def only_remembers(kind: type, name: str) -> bool:
    """Tell whether an attribute follows from others, or says who wrote them, who may, or where they lie."""
    if (
        name == "_attrs_cached_hash"
        or type(getattr(kind, name, None)).__name__ == "cached_property"
    ):
        return True
    return name in _NOTES and any(
        base.__name__ == _NOTES[name] for base in kind.__mro__
    )


_NOTES = {  # attribute -> the class of a library that keeps a note in it
    "_sklearn_version": "BaseEstimator",
    "_stop_words_id": "_VectorizerMixin",  # where its stop words lie in memory
    "__networkx_cache__": "Graph",
    "_readonly": "ExtensionArray",
    "_keep_empty": "_ResultBase",  # how urllib.parse is to join a URL, since Python 3.15
}


def steps(state: dict[str, object]) -> list[tuple[str, object, object]]:
    """Return attributes as the members of a form."""
    return [(ATTRIBUTE, name, item) for name, item in state.items()]


def refuse(
    value: object,
    reason: str,
    advice: str | None = None,
    cause: BaseException | None = None,
    *,
    decisive: bool = False,
) -> NoReturn:
    """Say that no key can be made of a value, and what to do if it is not what helps with most values."""
    raise Refusal(value, reason, advice, decisive=decisive) from cause
