"""Source: what a job says, as Python source text for targets whose file is Python. Data stays data, whatever it holds."""

from __future__ import annotations

import math
from pathlib import PurePath
from string import Template
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nbflow.export.spec import Job, Setting

#: Names that a parameter cannot have where pydantic holds them.
TAKEN = frozenset(
    (
        "model_config",
        "model_dump",
        "model_dump_json",
        "model_extra",
        "model_fields_set",
        "model_validate",
        "model_validate_json",
        "model_validate_strings",
    )
)
_CALL = """
    arguments = [part for name, value in values.items()$unless for part in ("-p", f"{name}={value}")]
    process = subprocess.Popen([*COMMAND, *arguments], cwd=FOLDER, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    said = ""
    try:
        for line in process.stdout:
            $log(line.rstrip())
            said = line.strip() if line.startswith(("exit ", "nbflow: ")) else said
    except BaseException:
        process.terminate()  # the notebook notes where it stood
        process.wait()
        raise
    said = said or f"nbflow run ended with {process.wait()}\""""
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


def literal(value: Any) -> str:
    """A value of JSON as a literal, in double quotes where that needs no escapes."""
    if isinstance(value, str) and value.isprintable() and '"' not in value:
        return '"' + value.replace("\\", "\\\\") + '"'
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(
                f"{literal(key)}: {literal(item)}" for key, item in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def block(items: Iterable[str], brackets: str, indent: int) -> str:
    """Source texts between brackets, one a line, in a line that is indented so far."""
    inner = "".join(f"{' ' * (indent + 4)}{text},\n" for text in items)
    return f"{brackets[0]}\n{inner}{' ' * indent}{brackets[1]}" if inner else brackets


def constants(job: Job) -> str:
    """Where the job is, what it calls, and with which environment: that of the platform, but its own programs first."""
    path = (
        f"os.pathsep.join([{literal(str(PurePath(job.program).parent))}, "
        f'os.environ.get("PATH", os.defpath)])'
    )
    environment = [
        "**os.environ",
        f'"PATH": {path}',
        *(
            f"{literal(name)}: {literal(value)}"
            for name, value in job.environment.items()
        ),
    ]
    return (
        f"FOLDER = {literal(str(job.folder))}\nCOMMAND = "
        f"{literal(job.command_of(job.program, job.store, ()))}\nENVIRONMENT = "
        f"{{{', '.join(environment)}}}"
    )


def call(job: Job, log: str) -> str:
    """The part of a function that calls `nbflow run` with ``values`` and tells ``log`` each line.

    It needs `os`, `subprocess` and `constants`, and leaves the ended ``process`` and
    the last sentence, ``said``.
    """
    # What nobody said the notebook works out itself.
    left = [one.name for one in job.settings if is_open(one)]
    return filled(
        _CALL,
        log=log,
        unless=f" if value is not None or name not in {literal(left)}" if left else "",
    )


def refusals(job: Job, taken: Iterable[str]) -> list[str]:
    """A sentence for each parameter whose name the platform has in use."""
    return [
        (
            f"It has the name of the parameter {one.name} in use: give it another one in "
            f"the notebook."
        )
        for one in job.settings
        if one.name in {*TAKEN, *taken}
    ]


def is_open(setting: Setting) -> bool:
    """Does the notebook work the value out when it runs, unless somebody says?"""
    return (
        setting.given is None
        and setting.value is None
        and "default" not in setting.schema
    )


def offer(setting: Setting) -> tuple[dict[str, Any], Any]:
    """What a platform may ask for, as JSON Schema, and the value that stands there before anybody changes it.

    It is text, which `nbflow run` reads, for what JSON has no type for; null for a
    value that is open.
    """
    schema, value = (
        {
            name: part
            for name, part in setting.schema.items()
            if name not in ("default", "description")
        },
        setting.value,
    )
    if not _is_plain(value):
        schema, value = {"type": "string"}, setting.given or repr(value)
    parts = [
        *schema.get("anyOf", [schema]),
        *([_NULL] if is_open(setting) and schema else []),
    ]
    if len(parts) > 1:
        simple = all(part.keys() == {"type"} for part in parts)
        schema = (
            {"type": [part["type"] for part in parts]} if simple else {"anyOf": parts}
        )
    return schema, value


def annotation(schema: Mapping[str, Any]) -> str:
    """The type that a JSON Schema describes, as Python says it."""
    if "enum" in schema:
        return f"Literal[{', '.join(map(literal, schema['enum']))}]"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(map(annotation, schema["anyOf"])))
    if isinstance(schema.get("type"), list):
        return " | ".join(_TYPES[name] for name in dict.fromkeys(schema["type"]))
    inner = schema.get("items", schema.get("additionalProperties"))
    name = _TYPES.get(schema.get("type", ""), "Any")
    return (
        f"{name}[{'str, ' if name == 'dict' else ''}{annotation(inner)}]"
        if inner
        else name
    )


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(
            isinstance(key, str) and _is_plain(item) for key, item in value.items()
        )
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, str | int | None) or (
        isinstance(value, float) and math.isfinite(value)
    )
