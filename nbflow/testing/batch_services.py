"""Batch services: files and batches as OpenAI has them, and message batches as Anthropic has.

They answer with a status and a body.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from nbflow.testing.batch_jobs import Line
from nbflow.testing.writing_protocols import error_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow.testing.batch_jobs import Batches, BatchJob, File
    from nbflow.testing.writing_protocols import Json

    #: A status and a body: JSON, or the bytes of a file.
    Answer: TypeAlias = tuple[int, Any]

_OPENAI = re.compile(r"/v1/(files|batches)(?:/([\w-]+))?(?:/(content|cancel))?")
_ANTHROPIC = re.compile(r"/v1/messages/batches(?:/([\w-]+))?(?:/(results|cancel))?")
#: The batches of one page of a list.
_PAGE = 20
#: When everything happens here, in seconds since 1970 and as Anthropic writes it.
_CREATED, _AT = 1_800_000_000, "2027-01-15T08:00:00Z"
_DAY = 86_400


class Asked(NamedTuple):
    """A request for files or batches.

    Attributes:
        method: ``"POST"``, ``"GET"`` or ``"DELETE"``.
        route: the path without its query.
        query: what follows the question mark.
        kind: of the data, with the edge of its parts.
        data: as it came.
        body: parsed.
        key: of the account.
        root: the address of the server.
        batches: its files and batches.
        answer: of a line of a batch, the status and the body.
    """

    method: str
    route: str
    query: Mapping[str, str]
    kind: str
    data: bytes
    body: Json
    key: str
    root: str
    batches: Batches
    answer: Callable[[BatchJob, Line], tuple[int, Json]]


def answer(asked: Asked) -> Answer | None:
    """The answer to a request for files or batches; ``None`` for one that is for something else."""
    found = _ANTHROPIC.fullmatch(asked.route)
    if found is not None:
        return _of_anthropic(asked, found[1], found[2])
    found = _OPENAI.fullmatch(asked.route)
    if found is None:
        return None
    kind, name, what = found.groups()
    if kind == "files":
        return _files(asked, name, what)
    return _of_openai(asked, name, what)


def _missing(asked: Asked, what: str) -> Answer:
    return 404, error_body(asked.route, 404, f"There is no {what}.", "not_found")


# OpenAI.


def _files(asked: Asked, name: str | None, what: str | None) -> Answer:
    batches = asked.batches
    if name is None and asked.method == "POST":
        purpose, content = _uploaded(asked)
        return 200, _file(batches.add_file(content, purpose))
    if name is None:
        kept = [each for each in batches.files.values() if not each.is_gone]
        return 200, {"object": "list", "data": [*map(_file, kept)], "has_more": False}
    file = batches.files.get(name)
    if file is None or file.is_gone:
        return _missing(asked, f"file {name}")
    if asked.method == "DELETE":
        file.is_gone = True
        return 200, {"id": name, "object": "file", "deleted": True}
    return 200, file.content if what == "content" else _file(file)


def _file(file: File) -> Json:
    return {
        "id": file.id,
        "object": "file",
        "bytes": len(file.content),
        "created_at": _CREATED,
        "filename": "batch.jsonl",
        "purpose": file.purpose,
        "status": "processed",
    }


def _uploaded(asked: Asked) -> tuple[str, bytes]:
    """The purpose and the content of a form with a file."""
    edge = b"--" + asked.kind.partition("boundary=")[2].strip('"').encode()
    purpose, content = "", b""
    for part in asked.data.split(edge):
        head, _, body = part.partition(b"\r\n\r\n")
        body = body.removesuffix(b"\r\n")
        if b'name="purpose"' in head:
            purpose = body.decode()
        elif b'name="file"' in head:
            content = body
    return purpose, content


def _of_openai(asked: Asked, name: str | None, what: str | None) -> Answer:
    batches = asked.batches
    if name is None and asked.method == "POST":
        return _created(asked)
    if name is None:
        return 200, _page(asked, batches.of("openai", asked.key), _batch)
    job = batches.jobs.get(name)
    if job is None or job.kind != "openai" or job.key != asked.key:
        return _missing(asked, f"batch {name}")
    _look(asked, job, what)
    if job.is_hidden:
        return _missing(asked, f"batch {name}")
    return 200, _batch(job)


def _created(asked: Asked) -> Answer:
    file = asked.batches.files.get(asked.body.get("input_file_id", ""))
    if file is None or file.is_gone:
        return 400, error_body(
            asked.route, 400, "There is no such input file.", "invalid"
        )
    lines = [json.loads(line) for line in file.content.splitlines() if line.strip()]
    job = asked.batches.add(
        "openai",
        [Line(line["custom_id"], line["url"], line["body"]) for line in lines],
        asked.body,
        asked.key,
    )
    return 200, _batch(job)


def _look(asked: Asked, job: BatchJob, what: str | None) -> None:
    """Move a batch on, or cancel it."""
    if what == "cancel":
        job.is_cancelled = True
        if not job.is_over:
            job.state = "cancelling"
        return
    was_over = job.is_over
    job.look(lambda line: asked.answer(job, line))
    if job.is_over and not was_over and job.kind == "openai":
        _write_files(asked, job)


def _write_files(asked: Asked, job: BatchJob) -> None:
    """The output and error files of a batch that has ended."""
    batches = asked.batches
    good = [line for line in job.results() if line.fate == "succeeded"]
    bad = [line for line in job.results() if line.fate != "succeeded"]
    if job.state == "failed":
        bad = []
    for name, lines in (("output_file_id", good), ("error_file_id", bad)):
        if lines:
            content = "\n".join(json.dumps(_output_line(line)) for line in lines)
            file = batches.add_file(content.encode(), "batch_output")
            file.is_gone = job.script.gone
            job.files[name] = file.id


def _output_line(line: Line) -> Json:
    found: Json = {"id": f"batch_req_{line.custom_id}", "custom_id": line.custom_id}
    if line.fate in ("expired", "canceled"):
        code = "batch_expired" if line.fate == "expired" else "batch_cancelled"
        said = {"code": code, "message": "This request was not executed."}
        return found | {"response": None, "error": said}
    response = {"status_code": line.status, "request_id": "r", "body": line.answer}
    return found | {"response": response, "error": None}


def _batch(job: BatchJob) -> Json:
    counts = job.counts()
    errors = None
    if job.state == "failed":
        said = {"code": job.script.code, "message": job.script.code, "line": None}
        errors = {"object": "list", "data": [said]}
    return {
        "id": job.id,
        "object": "batch",
        "endpoint": job.asked.get("endpoint", "/v1/responses"),
        "errors": errors,
        "input_file_id": job.asked.get("input_file_id"),
        "completion_window": job.asked.get("completion_window", "24h"),
        "status": job.state,
        "output_file_id": job.files.get("output_file_id"),
        "error_file_id": job.files.get("error_file_id"),
        "created_at": _CREATED,
        "expires_at": _CREATED + _DAY,
        "metadata": job.asked.get("metadata"),
        "request_counts": {
            "total": 0 if job.state == "failed" else len(job.lines),
            "completed": counts["succeeded"],
            "failed": counts["errored"],
        },
    }


def _page(asked: Asked, jobs: list[BatchJob], shown: Any) -> Json:
    """A page of a list: after the one that the request names."""
    after = asked.query.get("after") or asked.query.get("after_id")
    ids = [job.id for job in jobs]
    start = ids.index(after) + 1 if after in ids else 0
    size = int(asked.query.get("limit", _PAGE))
    page = [shown(job) for job in jobs[start : start + size]]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": start + size < len(jobs),
    }


# Anthropic.


def _of_anthropic(asked: Asked, name: str | None, what: str | None) -> Answer:
    batches = asked.batches
    if name is None:
        return _all_of_anthropic(asked)
    job = batches.jobs.get(name)
    if job is None or job.kind != "anthropic" or job.key != asked.key:
        return _missing(asked, f"message batch {name}")
    if what == "results":
        return _results(asked, job)
    if asked.method == "DELETE":
        del batches.jobs[name]
        return 200, {"id": name, "type": "message_batch_deleted"}
    _look(asked, job, what)
    if job.is_hidden:
        return _missing(asked, f"message batch {name}")
    return 200, _message_batch(asked, job)


def _all_of_anthropic(asked: Asked) -> Answer:
    """A new batch, or the list of all."""
    if asked.method != "POST":
        jobs = asked.batches.of("anthropic", asked.key)
        return 200, _page(asked, jobs, lambda job: _message_batch(asked, job))
    lines = [
        Line(line["custom_id"], "/v1/messages", line["params"])
        for line in asked.body["requests"]
    ]
    job = asked.batches.add("anthropic", lines, {}, asked.key)
    return 200, _message_batch(asked, job)


def _message_batch(asked: Asked, job: BatchJob) -> Json:
    waiting = 0 if job.is_over else len(job.lines)
    state = "in_progress"
    if job.is_over:
        state = "ended"
    elif job.is_cancelled:
        state = "canceling"
    results = f"{asked.root}/v1/messages/batches/{job.id}/results"
    return {
        "id": job.id,
        "type": "message_batch",
        "processing_status": state,
        "request_counts": {"processing": waiting, **job.counts()},
        "created_at": _AT,
        "expires_at": _AT.replace("15T", "16T"),
        "ended_at": _AT if job.is_over else None,
        "cancel_initiated_at": _AT if job.is_cancelled else None,
        "archived_at": _AT if job.script.gone else None,
        "results_url": results if job.is_over and not job.script.gone else None,
    }


def _results(asked: Asked, job: BatchJob) -> Answer:
    if not job.is_over or job.script.gone:
        return _missing(asked, f"result of {job.id}")
    lines = [
        json.dumps({"custom_id": line.custom_id, "result": _result(line)})
        for line in job.results()
    ]
    return 200, "\n".join(lines).encode()


def _result(line: Line) -> Json:
    if line.fate == "succeeded":
        return {"type": "succeeded", "message": line.answer}
    if line.fate == "errored":
        return {"type": "errored", "error": line.answer}
    return {"type": line.fate}
