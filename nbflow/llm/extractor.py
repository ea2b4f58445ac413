"""Extractor: a pydantic model and a language model -> a step that fills the one by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nbflow.errors import UsageError
from nbflow.llm.asking import OFFLINE, Asking, text_of
from nbflow.llm.long_text import LONG
from nbflow.llm.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from pydantic import BaseModel

    from nbflow._step import Step
    from nbflow.llm.model import Model

M = TypeVar("M", bound="BaseModel")


def extractor(
    record: type[M],
    *,
    model: str | Model | Callable[[str], object] = OFFLINE,
    instructions: str | None = None,
    examples: object = None,
    batch: int = 1,
    redact: Callable[[str], str] | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float | str | timedelta | None = None,
    concurrency: int | None = None,
    settings: Mapping[str, object] | None = None,
    same: Callable[[str], object] | None = None,
    long: Literal["fail", "split", "cut"] = "fail",
    longest: int = LONG,
    join: str | Callable[[list[M]], M] = "first",
    name: str = "extract",
    depends_on: object = (),
    **options: Any,
) -> Step[[str], M]:
    """A step that fills a pydantic model from a text, all fields with one request.

    Fields may be closed lists (``Literal``, an ``Enum``), several members of one
    (``list[Literal[...]]``, a ``set``), numbers, dates and times, ``bool``, text,
    `quote`, other models and lists of them; each also ``| None``, where null is an
    answer: the text does not say. A field whose answer is wrong is asked for again
    alone, and the model reads why. A record is complete, or its call fails with a
    `FieldsError` that names each field that is wrong. ``run.results()`` has a column
    for each field.

    The key covers what the model is told: the fields with their types, bounds,
    descriptions and docstrings, ``instructions``, ``examples``, ``redact``,
    ``settings`` and the name of the model; and the class itself if it checks or changes
    values by code of its own. It does not cover how the model is reached: ``base_url``,
    ``api_key``, ``batch``, limits and the options of steps.

    Args:
        record: the pydantic model. A field has no default but ``None`` or an empty
            list: it is asked for, always.
        model: as for `categorizer`: ``"offline"`` (patterns and likeness of words),
            ``"provider:model"``, a function of the text that returns a record or a dict,
            or an object that satisfies `Model`. A decision model takes closed fields
            alone, as the questions of one request.
        instructions: what else the model should know, in your words.
        examples: texts whose record is known: a dict of text -> record or pairs (text,
            record); a record is an instance or a dict.
        batch: the number of texts that go with one request.
        redact: applied to each text, including examples, before anything leaves the
            process.
        base_url: of a server of your own, as for `categorizer`.
        api_key: such as ``nf.secret("OPENAI_API_KEY")``.
        rpm: requests per minute, as for `categorizer`.
        tpm: tokens per minute, likewise.
        timeout: the longest that one request may take, by default 60 s.
        concurrency: requests of this step under way at once, by default 32.
        settings: of the model: ``temperature``, ``top_p``, ``max_tokens``, ``seed``,
            ``effort`` (``"low"``, ``"medium"``, ...) and others, where it has them. The
            key covers them.
        same: a function, such as ``str.casefold``: texts of which it makes the same are
            one call. Not for records with a quote: its place is that in one text.
        long: what to do with a text of more than ``longest`` characters: ``"fail"``
            sends it, and the provider says if it is too long; ``"split"`` asks about
            each of its parts; ``"cut"`` about its beginning. The run says what was cut.
        longest: characters from which on a text is long.
        join: how the records of parts become one, field by field: what the ``"first"``
            part says that says anything; ``"all"`` members of lists, else the first; by
            ``"vote"``; or by a function of the list of records.
        name: the name under which outputs are saved.
        depends_on: what else the key covers, as for ``nbflow.step``.
        **options: of ``nbflow.step``: ``retries``, ``ttl``, ``version``, ...

    Raises:
        UsageError: a field that no provider can hold, or an invalid example or option;
            the message names it.
        TypeError: an unknown option.

    Example:
        >>> class Ticket(pydantic.BaseModel):
        ...     topic: Literal["billing", "delivery"]
        ...     issues: list[Literal["charged twice", "late", "broken"]]
        ...     amount: float | None = Field(ge=0, description="what was charged")
        ...     order: str | None = nf.llm.quote("the order", pattern="[A-Z]-[0-9]+")
        >>> read = nf.llm.extractor(Ticket)
        >>> ticket = read("Charged twice, 12.50 each, billing of A-17!")
        >>> ticket.topic, ticket.amount, ticket.order
        ('billing', 12.5, 'A-17')
    """
    asking = Asking(
        owner="extractor",
        model=model,
        batch=batch,
        redact=redact,
        base_url=base_url,
        api_key=api_key,
        rpm=rpm,
        tpm=tpm,
        timeout=timeout,
        concurrency=concurrency,
        settings=settings,
        same=same,
        long=long,
        longest=longest,
        join=join,
        name=name,
        depends_on=depends_on,
        options=options,
    )
    form: Record[M] = Record(
        record,
        text_of(instructions, "instructions"),
        examples,
        redact or str,
        decides=asking.decides,
    )
    if same is not None and form.has_quotes:
        raise UsageError(
            "same= makes one call of texts that differ, and the record has a quote, whose "
            "place is that in one text: leave out one of the two."
        )
    step = asking.step(form)
    step.fields = form.labels  # for whoever reviews them
    return step
