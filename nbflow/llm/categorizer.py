"""Categorizer: labels and a model -> a step that labels texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from nbflow.llm import examples as known
from nbflow.llm import taxonomy as taxonomies
from nbflow.llm.asking import OFFLINE, Asking, text_of
from nbflow.llm.labels import Labels
from nbflow.llm.long_text import LONG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from nbflow._step import Step
    from nbflow.llm.category import Category
    from nbflow.llm.model import Model


def categorizer(
    labels: object,
    *,
    model: str | Model | Callable[[str], object] = OFFLINE,
    instructions: str | None = None,
    examples: object = None,
    unknown: str | None = None,
    reason: bool = True,
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
    join: str | Callable[[list[Category]], object] = "first",
    name: str = "categorize",
    depends_on: object = (),
    **options: Any,
) -> Step[[str], Category]:
    """A step that gives each text one of ``labels``.

    Call it, ``map`` it or use it in flows, like any other step. Its key covers what the
    model is told: labels, instructions, examples, ``unknown``, ``reason``, ``redact``,
    ``settings`` and the name of the model. It does not cover how the model is reached: ``base_url``,
    ``api_key``, ``batch``, limits and the options of steps.

    Args:
        labels: a list, a dict of label -> description, an ``Enum``, a ``Literal``, or a
            pydantic model with one field that is one of these.
        model: ``"offline"``, a baseline that is not an LLM and needs nothing;
            ``"provider:model"``, such as ``"openai:gpt-4o-mini"``, ``"anthropic:..."``,
            ``"ollama:qwen3"`` (needs ``nbflow[llm]``); a decision model, which gives a
            probability for each label: ``"openai-decisions:gpt-6-luna"``,
            ``"typesafe:..."``, ``"google-decisions:..."``, or ``"system-one:..."`` with
            ``base_url``; a function of the text, sync or async, that returns a label, a
            dict or a `Category`; or an object that satisfies `Model`, of which the key
            covers the ``name`` and the code of its class.
        instructions: what else the model should know, in your words.
        examples: texts whose label is known: a dict of label -> texts or text -> label,
            (text, label) pairs, or a frame with the columns ``text`` and ``label``.
        unknown: a label for texts that fit no other, and for empty ones, which no model
            is asked about. Without it every text gets one of ``labels``, and an empty
            one fails.
        reason: whether to ask the model why. Without, its answers cost about half. A
            decision model is not asked.
        batch: the number of texts that go with one request. Each is still a call and a
            checkpoint of its own. A decision model takes one.
        redact: applied to each text, including examples, before anything leaves the
            process.
        base_url: of a server that speaks OpenAI's protocol (vLLM, llama.cpp, LM Studio,
            a proxy), or that of the decision model. No key from the environment is sent there: give ``api_key`` if it
            needs one.
        api_key: such as ``nf.secret("OPENAI_API_KEY")``; by default the environment
            variable of the provider.
        rpm: requests per minute, for all steps that name the same provider and
            ``base_url``; excess requests are queued.
        tpm: tokens per minute, likewise.
        timeout: the longest that one request may take, by default 60 s; the time in the
            queue does not count. For a function of yours, the longest that a call may
            take, by default without limit.
        concurrency: requests of this step under way at once, by default 32; for a
            function of yours, its calls.
        settings: of the model: ``temperature``, ``top_p``, ``max_tokens``, ``seed``,
            ``effort`` (``"low"``, ``"medium"``, ...) and others, where it has them. The
            key covers them.
        same: a function, such as ``str.casefold``: texts of which it makes the same are
            one call. The model is asked about the first of them, as it is.
        long: what to do with a text of more than ``longest`` characters: ``"fail"``
            sends it, and the provider says if it is too long; ``"split"`` asks about
            each of its parts; ``"cut"`` about its beginning. The run says what was cut.
        longest: characters from which on a text is long.
        join: how the labels of parts become one: that of the ``"first"`` part whose
            label is not ``unknown``, by ``"vote"``, or by a function of their list.
        name: the name under which outputs are saved.
        depends_on: what else the key covers, as for ``nbflow.step``.
        **options: of ``nbflow.step``: ``retries``, ``ttl``, ``version``, ... A
            ``version`` replaces all that the model is told in the key.

    Raises:
        UsageError: invalid labels, examples, model or options; the message names them.
        TypeError: an unknown option.

    Example:
        >>> topics = {"billing": "charges, refunds", "bug": "crashes, errors"}
        >>> answer = nbflow.llm.categorizer(topics)("two charges and no refund")
        >>> answer.label
        'billing'

        A model that decides, here a rule of one's own, gives a probability for each:

        >>> def rule(text):
        ...     charged = 0.9 if "charge" in text else 0.2
        ...     label = "billing" if charged > 0.5 else "bug"
        ...     shares = {"billing": charged, "bug": 1 - charged}
        ...     return {"label": label, "probabilities": shares}
        >>> nbflow.llm.categorizer(topics, model=rule)("two charges").confidence
        0.9
    """
    asking = Asking(
        owner="categorizer",
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
    taxonomy = taxonomies.read(labels, unknown)
    form = Labels(
        taxonomy,
        text_of(instructions, "instructions"),
        known.read(examples, taxonomy, redact or str),
        reason=reason,
        decides=asking.decides,
    )
    step = asking.step(form)
    # For whoever reviews its labels.
    step.labels = taxonomy.labels
    step.unknown = taxonomy.unknown or ""
    return step
