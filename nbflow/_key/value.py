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
import math
import re
import sys
from itertools import chain, compress, repeat
from types import CodeType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec
from blake3 import blake3

from nbflow._key.origin import behaves, is_users
from nbflow.errors import UnkeyableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import NoReturn

    Handler: TypeAlias = Callable[["Walk", Any], bytes]
    Step: TypeAlias = tuple[str, object]

SIZE = 20
#: Bytes of a digest that tells two inputs apart for a reader; keys have more.
SHORT = 8
INDEX, ITEM, ATTRIBUTE = "[{}]", "[{}]", ".{}"

# Codes of msgpack extensions: a member's digest, and what msgpack itself has no form
# for.
_MEMBER, _SURROGATES, _BIG_INT = 1, 2, 3
# Nesting up to which data is plain; shared sublists cannot blow the encoding up beyond
# it.
_ROOM = 16
_MEMO = 1 << 16
# Members from which it pays to look at all of them in one go, and how many at once.
_MANY, _BLOCK = 64, 1 << 12
_LOOKS = 50  # at a value that other threads change meanwhile

_encode = msgspec.msgpack.Encoder().encode
_Ext = msgspec.msgpack.Ext
_STR = frozenset((str,))
_ATOMS = frozenset((str, int, float, bool, type(None), bytes))
# What may be plain; bytes alone are not copied into an encoding.
_PLAIN = (_ATOMS - {bytes}) | {list, dict}
_INNER = frozenset((list, dict))
_INLINE = frozenset((str, int, bool, type(None)))
_usual_nan = float("nan")
# Matches any NaN but the usual one, and by chance other data. The NaN that processors
# make of `inf - inf` has a sign.
_maybe_nan = re.compile(rb"\xcb(?:\x7f(?!\xf8\0{6})|\xff)[\xf0-\xff]").search


def seal(
    tag: str, *parts: object, buffers: Iterable[Any] = (), threads: int = 1
) -> bytes:
    """Return the digest of a tagged form.

    Args:
        tag: the type of the form.
        parts: what msgpack can write, and members.
        buffers: large data that follows; its lengths must follow from ``parts``.
        threads: that hash each of the buffers; more than one pay from a megabyte on.
    """
    hasher = blake3(_pack((tag, *parts)), max_threads=threads)
    for buffer in buffers:
        hasher.update(buffer)
    return hasher.digest(SIZE)


def _pack(form: tuple[object, ...]) -> bytes:
    try:
        return _encode(form)
    except (OverflowError, UnicodeEncodeError):
        return _encode(_with_extensions(form))


def _with_extensions(value: Any) -> object:
    """Replace the text and the ints that msgpack refuses."""
    kind = type(value)
    if kind is str:
        data = value.encode("utf-8", "surrogatepass")
        if data.decode("utf-8", "replace") != value:
            return _Ext(_SURROGATES, data)
    elif kind is int:
        if not -(1 << 63) <= value < 1 << 64:
            return _Ext(_BIG_INT, hex(value).encode())
    elif kind in (list, tuple):
        return kind(map(_with_extensions, value))
    return value


def member(digest: bytes) -> object:
    """Return what stands for a member with this digest among the parts of a form."""
    return _Ext(_MEMBER, digest)


def encode_plain(wrapped: tuple[object, ...], value: object) -> bytes | None:
    """Return the bytes of a form if the value in it is plain data.

    NaN has many bit patterns and is one value, which is written in one way. Ints beyond
    64 bits and lone surrogates have no msgpack: data with any of these is walked.

    Args:
        wrapped: the form, a tuple around the value.
        value: all of the form that is not known to be plain.

    Returns:
        ``None`` if the value is not plain data.
    """
    if not is_plain(value):
        return None
    try:
        data: bytes = _encode(wrapped)
    except (OverflowError, ValueError):
        return None
    return _encode(_with_usual_nans(wrapped)) if _maybe_nan(data) else data


def is_plain(value: Any, room: int = _ROOM) -> bool:
    """Return whether a value is made of exact plain types only, whatever their content."""
    kind = type(value)
    if kind in _ATOMS:
        return True
    if kind is dict:
        if not _STR.issuperset(map(type, value)):
            return False
        value = value.values()
    elif kind is not list:
        return False
    # In one go first: most lists hold atoms alone.
    if room <= 0 or _ATOMS.issuperset(map(type, value)):
        return room > 0
    inner = [item for item in value if type(item) not in _ATOMS]
    if len(inner) >= _MANY:
        return _are_plain(inner, room - 1)
    return all(map(is_plain, inner, repeat(room - 1)))


def _are_plain(values: list[Any], room: int) -> bool:
    """Return whether `is_plain` is true of all of many lists and dicts, which it says of some at a time.

    A loop over each of them would take three times as long.
    """
    if room <= 0:
        return not values
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        kinds = set(map(type, block))
        if not kinds <= _INNER:
            return False
        dicts, lists = _sorted_out(block, kinds)
        if not _STR.issuperset(map(type, chain.from_iterable(dicts))):
            return False
        kinds = set(map(type, _members(dicts, lists)))
        if not kinds <= _ATOMS:
            if not kinds <= _ATOMS | _INNER:
                return False
            is_inner = map(_INNER.__contains__, map(type, _members(dicts, lists)))
            inner = list(compress(_members(dicts, lists), is_inner))
            if not _are_plain(inner, room - 1):
                return False
    return True


def _sorted_out(
    values: list[Any], kinds: set[type]
) -> tuple[list[dict[str, object]], list[list[object]]]:
    """Return the dicts and the lists among values that are one or the other."""
    if len(kinds) == 1:
        return (values, []) if dict in kinds else ([], values)
    dicts = [value for value in values if type(value) is dict]
    return dicts, [value for value in values if type(value) is list]


def _members(
    dicts: list[dict[str, object]], lists: list[list[object]]
) -> Iterator[object]:
    return chain.from_iterable(chain(map(dict.values, dicts), lists))


def _with_usual_nans(value: Any) -> object:
    kind = type(value)
    if kind is float:
        return _usual_nan if math.isnan(value) else value
    if kind is dict:
        return {key: _with_usual_nans(item) for key, item in value.items()}
    if kind in (list, tuple):
        return kind(map(_with_usual_nans, value))
    return value


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
        steps = [form.format(_spell(step)) for form, step in reversed(self.path)]
        path = where + "".join(steps)
        root = where.partition("[")[0].partition(".")[0]
        name = self.kind.__qualname__
        kind = f"{self.kind.__module__}.{name}".removeprefix("builtins.")
        advice = self.advice or (
            "Pass something plain instead (the data itself, an id, a path), "
            f'or leave it out of the key with ignore=["{root}"], '
            f"or say what identifies it with nf.key_by({name}, function)."
        )
        return UnkeyableError(
            f"{path} is a {kind}, which no key can be made of: {self.reason}. {advice}"
        )


def _spell(step: object, width: int = 60) -> str:
    if isinstance(step, _Name):
        return str(step)
    try:
        text = f'"{step}"' if isinstance(step, str) else repr(step)
    except Exception:  # of the user's, or Python's of a number with very many digits
        text = f"<{type(step).__qualname__}>"
    return text if len(text) <= width else text[: width - 3] + "..."


class _Name(str):
    """An attribute's name in a path, written without quotes."""

    __slots__ = ()


def plain_digest(value: object, size: int = SIZE) -> bytes | None:
    """Return the first bytes of the digest of plain data; ``None`` if `identify` has to look closer."""
    if type(value) not in _PLAIN:
        return None
    try:
        data = encode_plain(("plain", value), value)
    except RuntimeError:  # another thread put something into a dict
        return None
    return None if data is None else blake3(data).digest(size)


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
            reason = "it is nested too deeply for Python's stack"
            raise Refusal(value, reason, decisive=True) from None
        except RuntimeError:
            # Another thread put something into a dict while we looked at it.
            if not left:
                raise
    raise AssertionError


def _identify(value: object, *, methods: bool) -> Content:
    if type(value) in _PLAIN:
        data = encode_plain(("plain", value), value)
        if data is not None:
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
        #: Holds the objects too, or their ids would be used again.
        self._memo: dict[int, tuple[object, bytes]] = {}
        #: The place of the outermost object that the component of the present one
        #: leads back to.
        self._low = 0

    def digest(self, value: object) -> bytes:
        """Return the digest of a value or of a member of one."""
        if type(value) in _PLAIN:
            data = encode_plain(("plain", value), value)
            if data is not None:
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
            digest = result
            if entered > place:
                digest = seal("part", result, entered - place)
            self._memo[key] = value, digest

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
            ranks = [_rank(thing) for thing in self.code]
            found.append((result, ranks, self.code))
            while len(self._open) > place:
                self._open.popitem()
        self._memo, self.code = memo, code
        found.sort(key=lambda member: member[:2])
        for _, _, met in found:
            code.extend(met)
        return b"".join([result for result, _, _ in found])

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
            # A call of isnan for each would take twice as long.
            return value if value == value else _usual_nan  # noqa: PLR0124  # not of NaN
        return _Ext(_MEMBER, self.at(form, step, value))


def _rank(thing: object) -> tuple[str, bytes]:
    """Return what puts functions in one order whatever the hash seed; what they reach is read elsewhere."""
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "")
    code = getattr(thing, "__code__", None)
    if isinstance(code, CodeType):
        return str(name), code_digest(code)
    return str(name), b""


def code_digest(code: CodeType) -> bytes:
    """Return the digest of a code object: instructions, constants and names; not file or line."""
    constants = [member(_constant(item)) for item in code.co_consts]
    counts = [
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & 0xFFFF,  # not those of `from __future__`
    ]
    names = [
        list(code.co_names),
        list(code.co_varnames),
        list(code.co_freevars),
        list(code.co_cellvars),
    ]
    instructions = [list(sys.version_info[:2]), code.co_code, code.co_exceptiontable]
    return seal("code object", instructions, constants, counts, names)


def _constant(item: object) -> bytes:
    return code_digest(item) if isinstance(item, CodeType) else identify(item).digest


_HANDLERS: dict[type, tuple[Handler, bool]] = {}
_FOUND: dict[type, Handler] = {}  # what handler() found for a type
_USERS: dict[type, Callable[[Any], object]] = {}
# They import this module, so they are imported when they are needed.
_FIRST = ("nbflow._key.types.standard", "nbflow._key.types.objects")
# By the library: who has no value of it need not wait for its import.
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
    found = _FOUND.get(kind)
    if found is None:
        if len(_FOUND) >= _MEMO:
            _FOUND.clear()
        found = _FOUND[kind] = _find_handler(kind)
    return found


def _find_handler(kind: type) -> Handler:
    for module in _FIRST:
        importlib.import_module(module)
    identified = identified_as(kind)
    if identified is not None:
        return _by_user(identified)
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library in _LATER:
            importlib.import_module(_LATER[library])
    found = _by_base(kind)
    if is_users(kind) and not issubclass(kind, type):
        return with_class(found)
    return found


def _by_base(kind: type) -> Handler:
    # Those that take subclasses come first, as sorting is stable: `class Colour(str,
    # Enum)` is an Enum before it is a str.
    for base in sorted(kind.__mro__[:-1], key=_takes_subclasses, reverse=True):
        if base in _HANDLERS:
            found, takes_subclasses = _HANDLERS[base]
            if base is kind or takes_subclasses:
                return found
            return _as_subclass(found, base)
    general, _ = _HANDLERS[object]
    return general


def with_class(described: Handler) -> Handler:
    """Count the class of an object with it if it has methods: a step that is given the object can call them."""

    def handle(walk: Walk, value: object) -> bytes:
        kind = type(value)
        if not walk.methods or not behaves(kind):
            return described(walk, value)
        return seal("of", walk.reach(kind), member(described(walk, value)))

    return handle


def _takes_subclasses(base: type) -> bool:
    _, takes_subclasses = _HANDLERS.get(base, (None, False))
    return takes_subclasses


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
        identity = _USERS[kind](value)
        if identity is value:
            reason = "the function given to nf.key_by returns the value itself"
            refuse(value, reason, decisive=True)
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
            "key_by needs a function that returns what identifies "
            f"a {type_.__qualname__}, not {function!r}"
        )
    _USERS[type_] = function
    _FOUND.clear()


def identified_as(kind: type) -> type | None:
    """Return the class of values of a type for which `key_by` says what identifies them."""
    return next((base for base in kind.__mro__ if base in _USERS), None)


def attributes(value: object, known: type = object) -> dict[str, object]:
    """Return the attributes an object holds, in ``__dict__`` and slots, sorted by name.

    What only remembers other attributes is no part of the value: cached properties,
    cached hashes. The slots of ``known``, a base that is keyed by a function of its
    own, are left to that.
    """
    kind = type(value)
    state = dict(getattr(value, "__dict__", ()))
    for base in kind.__mro__[: kind.__mro__.index(known)]:
        if "__slots__" not in base.__dict__:
            continue
        for name, slot in _slots(base):
            # The slot is asked, not the object: for an empty one that would call
            # `__getattr__`, which may make what it returns.
            with contextlib.suppress(AttributeError):
                state[name] = slot.__get__(value)
    names = [name for name in sorted(state) if not only_remembers(kind, name)]
    return {name: state[name] for name in names}


def _slots(kind: type) -> Iterator[tuple[str, MemberDescriptorType]]:
    """Yield the slots that a class itself declares, by the names that they have in it."""
    names = vars(kind)["__slots__"]
    if isinstance(names, str):
        names = (names,)
    for written in names:
        if written in ("__dict__", "__weakref__"):
            continue
        name = written
        if written.startswith("__") and not written.endswith("__"):
            name = f"_{kind.__name__.lstrip('_')}{written}"  # as the compiler does
        slot = vars(kind).get(name)
        if isinstance(slot, MemberDescriptorType):
            yield name, slot


def only_remembers(kind: type, name: str) -> bool:
    """Return whether an attribute follows from others, or says who wrote them, who may, or where they lie."""
    if name == "_attrs_cached_hash":
        return True
    if type(getattr(kind, name, None)).__name__ == "cached_property":
        return True
    library_classes = _NOTES.get(name)
    if library_classes is None:
        return False
    return any(base.__name__ in library_classes for base in kind.__mro__)


_NOTES = {  # attribute -> the classes of a library that keep a note in it
    "_sklearn_version": ("BaseEstimator",),
    "_stop_words_id": ("_VectorizerMixin",),  # where its stop words lie in memory
    "_deprecated_key_to_warnings": ("Bunch",),
    "__networkx_cache__": ("Graph",),
    "_readonly": ("ExtensionArray",),
    # What pandas has grouped so far.
    "_cache": ("PandasObject", "BaseGrouper", "Grouping", "BaseWindow"),
    "_keep_empty": (
        "_ResultBase",
    ),  # how urllib.parse is to join a URL, since Python 3.15
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
