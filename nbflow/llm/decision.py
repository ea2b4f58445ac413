"""Decision: how decision models are asked, through pydantic-ai."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from nbflow.llm.model import Decided, ProtocolError, Reply, Tokens, UnreadableError

if TYPE_CHECKING:
    from pydantic import JsonValue
    from pydantic_ai.exceptions import UnexpectedModelBehavior
    from pydantic_ai.models import Model as PydanticModel
    from pydantic_ai.models.decision import DecisionQuestion

    from nbflow.llm.model import Question, Request

#: The providers of decision models, and where they answer.
PATHS = {
    "google-decisions": "/v1beta/decisions",
    "openai-decisions": "/v1/decisions",
    "system-one": "/v1/systemone",
    "typesafe": "/v1/systemone",
}
_LONGEST = 300  # characters of what is said of an answer
#: What protocols call an answer by yes or no.
_YES_OR_NO = frozenset({"noul", "predicate"})
#: From this probability on the answer is yes.
_HALF = 0.5


def is_one(model: object) -> bool:
    """Whether a model is a decision model, by its name or as it says itself."""
    if isinstance(model, str):
        return path_of(model) is not None
    return bool(getattr(model, "decides", False))


def path_of(name: str) -> str | None:
    """Where the provider of a decision model answers; ``None`` for other models."""
    provider, colon, _ = name.removeprefix("gateway/").partition(":")
    return PATHS.get(provider) if colon else None


async def decide(model: PydanticModel, request: Request, name: str) -> Reply:
    """Ask all questions about one text, once.

    Raises:
        UnreadableError: the answer is none.
        Exception: whatever pydantic-ai raises if there is no answer at all.
    """
    from pydantic_ai import exceptions as errors
    from pydantic_ai.models import check_allow_model_requests, decision

    check_allow_model_requests()
    assert isinstance(model, decision.DecisionModel)
    questions = {name: _question(one) for name, one in request.questions.items()}
    asked = decision.DecisionRequest(state=request.text, questions=questions)
    try:
        said = await model.decide(asked, {"max_retries": 0, "timeout": request.timeout})
    except errors.ContentFilterError as error:
        refused = f"{name} declined to judge this text"
        return Reply("", _tokens_in(error.body), ended=refused)
    except errors.UnexpectedModelBehavior as error:
        raise _misread(error, name) from error
    answers = {each: _decided(said.answers.get(each)) for each in questions}
    found = {each: answer for each, answer in answers.items() if answer is not None}
    if len(found) < len(questions):
        raise _foreign(name, f"it answered {said.answers}")
    used = said.usage
    tokens = Tokens(used.input_tokens, used.output_tokens, used.cache_read_tokens)
    first = next(iter(found.values()))
    return Reply(
        first.choice if len(found) == 1 else "",
        tokens,
        probabilities=first.probabilities if len(found) == 1 else None,
        model=f"{name.partition(':')[0]}:{said.model_name}" if said.model_name else "",
        answers=found,
    )


def _question(asked: Question) -> DecisionQuestion:
    """A question as pydantic-ai has it: a choice, or yes and no."""
    from pydantic_ai.models import decision

    if not asked.options:
        return decision.NoulQuestion(instructions=asked.words)
    criteria: dict[str, JsonValue] = {
        label: said or None for label, said in asked.options.items()
    }
    return decision.ChoiceQuestion(instructions=asked.words, criteria=criteria)


def _decided(answer: object) -> Decided | None:
    """An answer; ``None`` if it is of no kind that was asked for."""
    from pydantic_ai.models import decision

    if isinstance(answer, decision.ChoiceAnswer):
        return Decided(answer.choice, answer.probabilities)
    if isinstance(answer, decision.NoulAnswer):
        choice = "yes" if answer.noul >= _HALF else "no"
        return Decided(choice, {"yes": answer.noul, "no": 1 - answer.noul})
    return None


def _misread(error: UnexpectedModelBehavior, name: str) -> UnreadableError:
    """A server that fails now and then sends half an answer; one of another version, other fields."""
    body = getattr(error.__cause__, "body", None)  # of TypeSafe's client, as it was
    text = error.body or ""
    try:
        body = body if isinstance(body, dict) else json.loads(text)
    except ValueError:
        return UnreadableError(f"{name} answered what is no JSON: {text[:60]!r}")
    said = _reason(error)[:_LONGEST]
    if _has_answer(body):
        return UnreadableError(f"{name} gave an answer that is none: {said}")
    return _foreign(name, said)


def _reason(error: UnexpectedModelBehavior) -> str:
    """What is wrong with an answer, without what it says: it may repeat the text."""
    from pydantic import ValidationError

    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return " ".join(error.message.split())
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        for each in cause.errors(include_input=False, include_url=False)
    )


def _has_answer(body: object) -> bool:
    """Whether there is an answer with probabilities in a body, whatever they are."""
    answers = body.get("answers") if isinstance(body, dict) else None
    found = answers.values() if isinstance(answers, dict) else answers
    return any(
        isinstance(each, dict)
        and (
            (each.get("type") == "choice" and "probabilities" in each)
            or each.get("type") in _YES_OR_NO
        )
        for each in (found if isinstance(found, Iterable) else ())
    )


def _foreign(name: str, said: str) -> ProtocolError:
    return ProtocolError(
        f"{name} answers in another form than POST {path_of(name)} has: a server of "
        f"another version? {said}"
    )


def _tokens_in(body: str | None) -> Tokens:
    """What a refusal cost, as its body says."""
    try:
        used = json.loads(body or "")["usage"]
        cached = used.get("input_tokens_details", {}).get("cached_tokens", 0)
        return Tokens(used["input_tokens"], used["output_tokens"], cached)
    except (ValueError, LookupError, TypeError, AttributeError):
        return Tokens()
