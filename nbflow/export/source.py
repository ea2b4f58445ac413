"""Source: what a job says, as Python source text for targets whose file is Python.

Data stays data, whatever it holds.
"""

from __future__ import annotations

import math
from pathlib import PurePath
from string import Template
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nbflow.export.spec import Job, JsonSchema, Setting

#: Names that a parameter cannot have where pydantic holds them.
TAKEN = frozenset((
    "model_config", "model_dump", "model_dump_json", "model_extra", "model_fields_set",
    "model_validate", "model_validate_json", "model_validate_strings",
))  # fmt: skip
_CALL = """
    arguments = [part for name, value in values.items()$unless for part in ("-p", f"{name}={value}")]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=FOLDER, env=ENVIRONMENT, stdout=subprocess.PIPE, \
stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    said = ""
    try:
        for line in map(plain, process.stdout):
            $log(line)
            said = line if line.startswith(("exit ", "nbflow: ")) else said
    except BaseException:
        process.terminate()  # the notebook notes where it stood
        process.wait()
        raise
    said = said or f"nbflow run ended with {process.wait()}\""""
_CONSTANTS = r"""
FOLDER = $folder
COMMAND = $command
ENVIRONMENT = {$environment}


def plain(line):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).rstrip()  # colours, if FORCE_COLOR asks for them"""
_NULL = {"type": "null"}
_TYPES = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "array": "list",
    "object": "dict",
    "null": "None",
}


def filled(template: str, **texts: str) -> str:
    """``template`` with its ``$name`` replaced, and two dollars for one."""
    return Template(template.removeprefix("\n")).substitute(texts)


def printable(text: str) -> str:
    """Any text as words of one line."""
    return "".join(one if one.isprintable() else " " for one in text)


def literal(value: object) -> str:
    """A JSON value as a literal, in double quotes where that needs no escapes."""
    if isinstance(value, str) and value.isprintable() and '"' not in value:
        return '"' + value.replace("\\", "\\\\") + '"'
    if isinstance(value, dict):
        items = (f"{literal(key)}: {literal(item)}" for key, item in value.items())
        return "{" + ", ".join(items) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def block(items: Iterable[str], brackets: str, indent: int) -> str:
    """Source texts between brackets, one a line; ``indent`` is that of the first line."""
    inner = "".join(f"{' ' * (indent + 4)}{text},\n" for text in items)
    if not inner:
        return brackets
    return f"{brackets[0]}\n{inner}{' ' * indent}{brackets[1]}"


def constants(job: Job) -> str:
    """Where the job is, what it calls, with which environment, and how its lines are read.

    The environment is the platform's, but with the job's own programs first.
    """
    programs = literal(str(PurePath(job.program).parent))
    path = f'os.pathsep.join([{programs}, os.environ.get("PATH", os.defpath)])'
    environment = ["**os.environ", f'"PATH": {path}']
    for name, value in job.environment.items():
        environment.append(f"{literal(name)}: {literal(value)}")
    return filled(
        _CONSTANTS,
        folder=literal(str(job.folder)),
        command=literal(job.command_of(job.program, job.store, ())),
        environment=", ".join(environment),
    )


def call(job: Job, log: str) -> str:
    """The part of a function that calls `nbflow run` with ``values`` and logs each line.

    It needs `os`, `re`, `subprocess` and `constants`, and leaves the ended ``process`` and
    the last sentence, ``said``.

    Args:
        job: the job.
        log: the function that is called with each line, as source.
    """
    # What nobody gave the notebook works out itself.
    left = [one.name for one in job.settings if is_open(one)]
    unless = f" if value is not None or name not in {literal(left)}" if left else ""
    return filled(_CALL, log=log, unless=unless)


def refusals(job: Job, taken: Iterable[str]) -> list[str]:
    """A sentence for each parameter whose name the platform has in use."""
    reserved = TAKEN.union(taken)
    return [
        f"This platform reserves the parameter name {one.name}; rename it in the "
        "notebook."
        for one in job.settings
        if one.name in reserved
    ]


def is_open(setting: Setting) -> bool:
    """Whether the notebook works the value out when it runs, unless it is given."""
    has_value = setting.given is not None or setting.value is not None
    return not has_value and "default" not in setting.schema


def offer(setting: Setting) -> tuple[JsonSchema, object]:
    """What a platform may ask for.

    Returns:
        A JSON Schema, and the value that stands there before anybody changes it: text,
        which `nbflow run` reads, for what JSON has no type for; null for a value that
        is open.
    """
    schema = dict(setting.schema)
    schema.pop("default", None)
    schema.pop("description", None)
    value = setting.value
    if not _is_plain(value):
        schema = {"type": "string"}
        value = setting.given or repr(value)
    parts = list(schema.get("anyOf", [schema]))
    if is_open(setting) and schema:
        parts.append(_NULL)
    if len(parts) > 1:
        is_simple = all(part.keys() == {"type"} for part in parts)
        types = [part.get("type") for part in parts]
        schema = {"type": types} if is_simple else {"anyOf": parts}
    return schema, value


def annotation(schema: JsonSchema) -> str:
    """The type that a JSON Schema describes, as Python says it."""
    if "enum" in schema:
        return f"Literal[{', '.join(map(literal, schema['enum']))}]"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(annotation, schema["anyOf"])))
    if isinstance(schema.get("type"), list):
        return " | ".join(_TYPES[name] for name in dict.fromkeys(schema["type"]))
    name = _TYPES.get(schema.get("type", ""), "Any")
    inner = schema.get("items", schema.get("additionalProperties"))
    if not inner:
        return name
    keys = "str, " if name == "dict" else ""
    return f"{name}[{keys}{annotation(inner)}]"


def _is_plain(value: object) -> bool:
    """Whether JSON has a type for a value."""
    if isinstance(value, dict):
        keys = all(isinstance(key, str) for key in value)
        return keys and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | int | None)
