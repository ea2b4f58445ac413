"""Setting up: statements that set what the whole kernel has in common, such as ``pd.set_option(...)``.

A cell that comes from disk runs them all the same. They are known by what they are done
to, a module or what is imported from one, and by their name: most libraries say ``set``.
"""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Calls that set up, whatever they are called on.
_SETTING = frozenset(
    (
        *("set_option", "reset_option", "set_theme", "set_style", "set_palette", "set_context"),
        *("filterwarnings", "simplefilter", "set_printoptions", "seterr", "basicConfig", "captureWarnings"),
        *("setLevel", "setlocale", "disable_max_rows", "load_dotenv", "seed", "manual_seed", "set_seed"),
        *("set_random_seed", "chdir", "set_matplotlib_formats", "register_matplotlib_converters"),
    ),
)  # fmt: skip
_SETTING_DOTTED = re.compile(
    r"^(sys\.path\.(append|insert|extend|remove)"
    r"|os\.environ\.(update|setdefault|pop)"
    r"|(.+\.)?rcParams\.update"
    r"|(.+\.)?style\.use"
    r"|(mpl|matplotlib)\.use"
    r"|(.+\.)?config\.update"
    r"|(pl|polars)\.Config(\.set_\w+)?"
    r"|nest_asyncio\.apply"
    r"|tqdm\.pandas)$"
)
#: Calls that set up if they are called on a module, by their name. `set_cmap` and `setp`
#: of matplotlib change the figure under way, and make one where there is none;
#: `set_trace` is a breakpoint, `register_model` of MLflow an upload.
_VERBS = re.compile(
    r"^((re)?set(?!_cmap$|p$|_trace$)|(en|dis)able|(un)?register(?!_model$)|(re)?configure|use(_|$))"
    r"|^(rc|rcdefaults|rc_file|ion|ioff|switch_backend|extension|go_offline|initjs"
    r"|init_notebook_mode|install|patch_sklearn|addfont|add_type|addLevelName"
    r"|dictConfig|fileConfig|putenv|unsetenv|umask|tzset|freeze_support)$"
)
#: Calls that change nothing and take no time, which may stand where something is
#: imported, defined or set up.
_HARMLESS = frozenset(
    (
        *("hasattr", "isinstance", "issubclass", "callable", "find_spec", "str", "int", "float", "bool"),
        *("list", "dict", "tuple", "set", "len", "Path", "join", "abspath", "dirname", "resolve", "cwd"),
        *("getcwd", "get", "getLogger", "getcontext", "Context", "cycler", "items", "range", "zip", "enumerate"),
    ),
)  # fmt: skip
#: Verbs of calls that change the object on which they are called.
_CHANGES = re.compile(
    r"^(add|append|clear|disable|enable|extend|insert|pop|(re)?set|(un)?register|remove|update)(?=_|[A-Z]|$)"
)
#: Calls that return an object which a module holds.
_GETTERS = frozenset(("getcontext", "getLogger", "get_logger", "get_ipython"))


def sets_up(node: ast.stmt, modules: frozenset[str] = frozenset()) -> bool:
    """Return whether a statement only sets up: a call, or what sets or deletes in a module.

    Where the result is bound, ``data = helpers.setup()``, the verb alone says too little.

    Args:
        node: the statement.
        modules: names of modules and of what is imported from them.
    """
    if isinstance(node, ast.Expr):
        call = node.value
        return isinstance(call, ast.Call) and _call_sets_up(call, modules)
    value = getattr(node, "value", None)
    if isinstance(value, ast.Call) and (names := _bound(node)):
        return _first_name(value.func) in modules and _call_sets_up(
            value, modules if names == {"_"} else frozenset()
        )
    changed = sets_in(node)
    return bool(changed) and changed <= modules and (value is None or not acts(value))


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that an assignment binds, empty if it binds something else as well."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    return names if len(names) == len(targets) else set()


def _call_sets_up(call: ast.Call, modules: frozenset[str]) -> bool:
    if _arguments_act(call):
        return False
    name, function = last_name(call.func), ast.unparse(call.func)
    if name in _SETTING or _SETTING_DOTTED.match(function):
        return True
    if function == "setattr" and call.args:
        return _first_name(call.args[0]) in modules
    return _VERBS.match(name) is not None and _dotted_root(call.func) in modules


def _arguments_act(call: ast.Call) -> bool:
    return any(map(acts, [*call.args, *(word.value for word in call.keywords)]))


def changes_left_out(body: list[ast.stmt], modules: frozenset[str]) -> Iterator[str]:
    """Yield what a hit does not repeat of changes to what modules hold: ``ctx = getcontext(); ctx.prec = 9``."""
    held: set[str] = set()
    for node in body:
        if _changes(node, held, modules) and not sets_up(node, modules):
            yield ast.unparse(node)
        held -= _bound(node)
        if _is_held(getattr(node, "value", None), modules):
            held |= _bound(node)


def _changes(node: ast.stmt, held: set[str], modules: frozenset[str]) -> bool:
    """Return whether a statement changes an object that a module holds, by one of these names or by its own."""
    call = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return not held.isdisjoint(sets_in(node))
    if not _CHANGES.match(call.func.attr):
        return False
    changed = call.func.value
    return _first_name(changed) in held or _is_held(changed, modules)


def _is_held(value: ast.expr | None, modules: frozenset[str]) -> bool:
    """Return whether an expression is an object that a module holds: ``logging.getLogger("x")``, ``pd.options``."""
    if isinstance(value, ast.Call) and last_name(value.func) in _GETTERS:
        return _dotted_root(value.func) in modules
    return isinstance(value, ast.Attribute) and _dotted_root(value) in modules


def left_out(
    body: list[ast.stmt], modules: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Yield what a hit does not repeat and may have set up: the function of a module, and the call."""
    for node in body:
        call = node.value if isinstance(node, ast.Expr) else None
        if not isinstance(call, ast.Call) or sets_up(node, modules):
            continue
        is_setting = last_name(call.func) in _SETTING
        if _dotted_root(call.func) in modules and (
            is_setting or not _arguments_act(call)
        ):
            yield ast.unparse(call.func), ast.unparse(call)


def sets_in(node: ast.stmt) -> set[str]:
    """Return the first names of what a statement sets or deletes attributes and items of.

    That is ``plt`` of ``plt.rcParams["font.size"] = 9``.
    """
    targets: list[ast.expr] = []
    if isinstance(node, ast.AugAssign):
        targets = [node.target]
    elif isinstance(node, (ast.Assign, ast.Delete)):
        targets = node.targets
    parts = [part for target in targets for part in _parts(target)]
    inner = [part for part in parts if isinstance(part, (ast.Attribute, ast.Subscript))]
    return {name for name in map(_first_name, inner) if name}


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _first_name(node: ast.expr) -> str:
    """Return the name at which a chain begins; a call in it must be one that only gets: ``getcontext().prec``."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        if not isinstance(node, ast.Call):
            node = node.value
        elif last_name(node.func) in _HARMLESS:
            node = node.func
        else:
            return ""
    return node.id if isinstance(node, ast.Name) else ""


def _dotted_root(node: ast.expr) -> str:
    """Return the first name of a dotted name."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def acts(node: ast.expr) -> bool:
    """Return whether an expression may change something or take time."""
    for part in ast.walk(node):
        if isinstance(part, (ast.Await, ast.NamedExpr)):
            return True
        if isinstance(part, ast.Call) and last_name(part.func) not in _HARMLESS:
            return True
    return False


def last_name(function: ast.expr) -> str:
    """Return the last part of a dotted name."""
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""
