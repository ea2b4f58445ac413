"""Deciding protocols: how servers of decision models are asked, and what they answer.

System One (Ollama, vLLM, TypeSafe), OpenAI's Decisions and Google's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from nbflow.testing.made_answers import chosen

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from nbflow.testing.writing_protocols import Json

    #: What a server's model decides: of a text, the name of a question and its options
    #: (none if it is answered by yes or no), an option, or the probability of each.
    Decide: TypeAlias = Callable[[str, str, list[str]], object]

#: The ends of the paths that decision models are asked at.
PATHS = ("/decisions", "/v1/systemone")
#: The probability of the option that is chosen, unless others are given.
SURE = 0.9
#: What a server says of its own confidence, which is on another scale.
_CONFIDENCE = 0.85


class Judged(NamedTuple):
    """The answer to one question.

    Attributes:
        choice: an option; ``"yes"`` or ``"no"`` without any.
        probabilities: of each of them.
    """

    choice: str
    probabilities: dict[str, float]


def decides(path: str) -> bool:
    """Whether a decision model is asked at a path."""
    return path.endswith(PATHS)


def state_of(body: Json) -> str:
    """The text that is judged."""
    return str(body.get("state") or body.get("input") or "")


def options_in(body: Json) -> dict[str, list[str]]:
    """The options of each question, by its name; none for one that is answered by yes or no."""
    asked = body["questions"]
    if isinstance(asked, list):
        return {
            one["name"]: [option["value"] for option in one.get("choices", ())]
            for one in asked
        }
    return {
        name: [] if one["type"] == "noul" else list(one["criteria"])
        for name, one in asked.items()
    }


def judged(text: str, name: str, options: list[str], decide: Decide | None) -> Judged:
    """What a model decides: the option that the text names, unless it is told otherwise."""
    names = options or ["yes", "no"]
    said = chosen(names, text) if decide is None else decide(text, name, options)
    if isinstance(said, Mapping):
        found = {option: float(said.get(option, 0.0)) for option in names}
        return Judged(max(found, key=found.__getitem__), found)
    if isinstance(said, bool):
        said = "yes" if said else "no"
    rest = (1 - SURE) / max(1, len(names) - 1)
    return Judged(str(said), dict.fromkeys(names, rest) | {str(said): SURE})


def answer(
    path: str, asked: Json, model: str, tokens: int, decide: Decide | None
) -> Json:
    """The body of an answer to all questions of a request."""
    text = state_of(asked)
    found = {
        name: judged(text, name, options, decide)
        for name, options in options_in(asked).items()
    }
    if path.endswith("/v1/decisions"):
        return _of_openai(found, asked, model, tokens)
    used = {"input_tokens": tokens, "output_tokens": 0}
    if "input" in asked:  # Google's
        used = {"total_input_tokens": tokens, "total_output_tokens": 0}
    answers = {
        name: _answer(asked["questions"][name], one) for name, one in found.items()
    }
    return {"model": model, "answers": answers, "usage": used}


def _answer(question: Json, one: Judged) -> Json:
    if question["type"] == "noul":
        return {"type": "noul", "noul": one.probabilities["yes"]}
    return {
        "type": "choice",
        "choice": one.choice,
        "confidence": _CONFIDENCE,
        "probabilities": one.probabilities,
    }


def _of_openai(
    found: dict[str, Judged], asked: Json, model: str, tokens: int
) -> dict[str, Any]:
    answers: list[Json] = []
    for question in asked["questions"]:
        one, name = found[question["name"]], question["name"]
        if question["type"] == "predicate":
            yes = one.probabilities["yes"]
            answers.append({"type": "predicate", "name": name, "probability": yes})
            continue
        shares = [
            {"value": value, "probability": share}
            for value, share in one.probabilities.items()
        ]
        answers.append(
            {
                "type": "choice",
                "name": name,
                "choice": one.choice,
                "confidence": _CONFIDENCE,
                "probabilities": shares,
            }
        )
    usage = {
        "input_tokens": tokens,
        "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
        "output_tokens": 0,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": tokens,
    }
    return {"model": model, "answers": answers, "usage": usage}
