"""Prompter: instructions and a language model -> a step that writes text about texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nbflow.errors import UsageError
from nbflow.llm.asking import OFFLINE, Asking
from nbflow.llm.examples import texts_of
from nbflow.llm.long_text import LONG
from nbflow.llm.plain_text import PlainText

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from nbflow._step import Step
    from nbflow.llm.model import Model


def prompt(
    instructions: str,
    *,
    model: str | Model | Callable[[str], object] = OFFLINE,
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
    join: str | Callable[[list[str]], str] = "all",
    name: str = "prompt",
    depends_on: object = (),
    **options: Any,
) -> Step[[str], str]:
    """A step that answers each text with plain text: a summary, a translation, a reply.

    A step like any other, with the same models, limits, costs and keys as `categorizer`
    and `extractor`. The offline model gives the sentence of the text that says most of
    it.

    Args:
        instructions: what to write about the text, ``"Summarize in one sentence."``
        model: as for `categorizer`; a function of the text returns a text. A decision
            model does not write.
        examples: texts with what to write about them: a dict of text -> text, or pairs.
        batch: the number of texts that go with one request.
        redact: applied to each text, including those of examples, before anything leaves
            the process.
        base_url: of a server of your own, as for `categorizer`.
        api_key: such as ``nf.secret("OPENAI_API_KEY")``.
        rpm: requests per minute, as for `categorizer`.
        tpm: tokens per minute, likewise.
        timeout: the longest that one request may take, by default 60 s.
        concurrency: requests of this step under way at once, by default 32.
        settings: of the model, as for `extractor`; the key covers them.
        same: a function of the text, as for `extractor`.
        long: what to do with a text of more than ``longest`` characters, as for
            `extractor`.
        longest: characters from which on a text is long.
        join: how the answers about parts become one: ``"all"``, one below the other, the
            ``"first"``, or a function of their list, such as another prompt.
        name: the name under which outputs are saved.
        depends_on: what else the key covers, as for ``nbflow.step``.
        **options: of ``nbflow.step``: ``retries``, ``ttl``, ``version``, ...

    Raises:
        UsageError: invalid instructions, model or options; the message names them.
        TypeError: an unknown option.

    Example:
        >>> summarize = nf.llm.prompt("Summarize in one sentence.")
        >>> summarize("Hello. I was charged twice for my order. Please refund one charge.")
        'Please refund one charge.'
    """
    if not isinstance(instructions, str) or not instructions.strip():
        raise UsageError(
            f"prompt({instructions!r}): it takes what to write about each text, such as "
            '"Summarize in one sentence."'
        )
    asking = Asking(
        owner="prompt",
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
    return asking.step(PlainText(instructions, texts_of(examples, redact or str)))
