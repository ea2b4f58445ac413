"""Provider: the models behind an API, through pydantic-ai.

Only this file and `decision` import pydantic-ai, and they do so at the first request.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from nbflow._core.policy import FORBIDDEN, retry_after
from nbflow.errors import UsageError
from nbflow.llm import decision
from nbflow.llm.model import ModelError, Reply, StopError, Tokens, UnreadableError
from nbflow.llm.settings import passed_on

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx2
    from pydantic_ai.messages import ModelResponse
    from pydantic_ai.models import Model as PydanticModel
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings

    from nbflow.llm.model import Request

INSTALL = "install it with: pip install 'nbflow[llm]'"
#: The names that a model string may begin with: pydantic-ai's providers of text, and
#: those of decisions.
PROVIDERS = frozenset(decision.PATHS) | frozenset(
    """
    alibaba anthropic azure azure-responses bedrock cerebras cohere deepseek fireworks
    gateway github google google-cloud groq heroku huggingface litellm mistral
    moonshotai nebius ollama openai openai-chat openai-responses openrouter ovhcloud
    sambanova together vercel vllm xai zai
    """.split()  # noqa: SIM905  # a table to read
)
#: Those whose client accepts our HTTP client, which shows us the headers of every
#: answer.
_SHOWN = frozenset(
    {
        "anthropic",
        "deepseek",
        "ollama",
        "openai",
        "openai-chat",
        "openai-decisions",
        "openai-responses",
        "system-one",
        "typesafe",
        "vllm",
    }
)
#: Those that keep their own protocol at another address; the others speak as OpenAI
#: there.
_ADDRESSED = frozenset({"anthropic", "ollama", "openai-responses", "vllm"}) | frozenset(
    decision.PATHS
)
#: Where the address of a decision server may be given instead.
_ADDRESS = "SYSTEM_ONE_BASE_URL"
#: Stands for a key at the user's own address: the key in the environment is OpenAI's,
#: and others must not see it.
_NO_KEY = "none"
_LONGEST_MESSAGE = 500
#: No other request would be answered at this address either: a server without the
#: service, or with another version of it.
_NOT_SERVED = frozenset({404, 405, 426, 501})
#: What may be about the length of the text, and how that is said.
_TOO_LARGE, _INVALID = 413, frozenset({400, 422})
_TOO_LONG = re.compile(
    r"(?i)too (long|large)|context (length|window)|too many (input )?tokens|"
    r"reduce the (length|input)|at most \d+ tokens|"
    r"(token|length|size)[^.]{0,40} exceeds? the (maximum|limit|configured)"
)


class Provider:
    """A model by its name, ``"openai:gpt-4o-mini"``.

    Args:
        name: provider and model, as the user writes it.
        model_id: as pydantic-ai writes it.
        base_url: of a server that speaks as OpenAI does; the provider's own if left
            out.
        api_key: the provider's environment variable if left out.
        heed: called with the headers of every answer, and the seconds of two clocks.
    """

    def __init__(
        self,
        name: str,
        model_id: str,
        base_url: str | None,
        api_key: str | None,
        heed: Callable[[Mapping[str, str], float, float], None],
    ) -> None:
        self.name = name
        self.decides = decision.is_one(name)
        self._model_id = model_id
        self._base_url = base_url
        self._api_key = api_key
        self._heed = heed

    async def ready(self) -> None:
        """Load and build the client, before any limit or timeout counts.

        It takes a second or two, on a thread.

        Raises:
            StopError: there is no key, or a package is missing.
        """
        if "_model" not in vars(self):
            await asyncio.to_thread(importlib.import_module, "pydantic_ai.direct")
            _ = self._model

    async def ask(self, request: Request) -> Reply:
        """Send a request once.

        Raises:
            ModelError: it failed.
            StopError: every other request would fail, too.
        """
        from pydantic_ai import exceptions as errors
        from pydantic_ai.direct import model_request
        from pydantic_ai.messages import ModelRequest, UserPromptPart

        model = self._model
        message = ModelRequest(
            parts=[UserPromptPart(request.text)], instructions=request.instructions
        )
        try:
            if self.decides:
                return await decision.decide(model, request, self.name)
            response = await model_request(
                model,
                [message],
                model_settings=_settings(request),
                model_request_parameters=_asked_for(model, request.schema),
            )
        except errors.ModelAPIError as error:
            raise _translated(error, self.name) from error
        except errors.ContentFilterError as error:
            held = f"the provider's filter held the answer back ({_said(error)})"
            return Reply("", ended=held)
        except (
            errors.UnexpectedModelBehavior,
            # If pydantic-ai itself stumbles over the answer, for example one without
            # any choice.
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            raise UnreadableError(
                f"{self.name} answered what nobody understands: {_said(error)}"
            ) from error
        return _reply(response, self.name)

    @cached_property
    def _model(self) -> PydanticModel:
        """Built at the first request, and used on one event loop from then on."""
        from pydantic_ai.exceptions import UserError
        from pydantic_ai.models import infer_model

        try:
            return infer_model(self._model_id, provider_factory=self._provider)
        except ImportError as error:
            raise StopError(f"model={self.name!r}: {error}") from error
        except UserError as error:
            raise StopError(
                f"model={self.name!r}: {error} Or give api_key=nf.secret(...)."
            ) from error

    def _provider(self, name: str) -> Any:
        from pydantic_ai.providers import infer_provider, infer_provider_class

        options: dict[str, object] = {}
        key = _plain(self._api_key)
        if self._base_url is not None:
            options["base_url"] = self._base_url
            key = key or _NO_KEY
        if key:
            options["api_key"] = key
        if name in _SHOWN:
            options["http_client"] = self._client()
        if not options:
            return infer_provider(name)
        return infer_provider_class(name)(**options)

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        async def heed(response: httpx2.Response) -> None:
            self._heed(response.headers, time.monotonic(), time.time())

        return httpx2.AsyncClient(
            event_hooks={"response": [heed]},
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=None),
        )


def check(name: str, base_url: str | None) -> tuple[str, str]:
    """The provider and the full name of a model string.

    Checked as far as possible without loading anything.

    Raises:
        UsageError: it is not a model string, names an unknown provider, or the package
            is not installed.
    """
    from importlib.util import find_spec

    provider, _, model = name.partition(":")
    if not model.strip() and base_url is not None and provider.strip():
        provider, model = "openai-chat", provider
    if not model.strip():
        raise UsageError(
            f'model={name!r} is not a model: write "offline", "provider:model" such as '
            '"openai:gpt-4o-mini" or "ollama:qwen3", or give a function of the text.'
        )
    if provider.partition("/")[0] not in PROVIDERS:
        raise _no_provider(name, provider)
    if find_spec("pydantic_ai") is None:
        raise UsageError(f"model={name!r} needs pydantic-ai; {INSTALL}")
    if provider == "system-one" and not (base_url or os.environ.get(_ADDRESS)):
        raise UsageError(
            f"model={name!r} needs base_url=, the address of your server, such as "
            f'"http://127.0.0.1:8000", or the environment variable {_ADDRESS}.'
        )
    if base_url is not None:
        if not str(base_url).startswith(("http://", "https://")):
            raise UsageError(
                f"base_url={base_url!r} is not a URL: write it with http:// or "
                'https://, such as "http://localhost:8000/v1".'
            )
        if provider not in _ADDRESSED:
            # A server of one's own rarely speaks the newer protocol of "openai:".
            provider = "openai-chat"
    return provider, f"{provider}:{model}"


def _no_provider(name: str, provider: str) -> UsageError:
    import difflib

    known = sorted(PROVIDERS)
    close = difflib.get_close_matches(provider, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return UsageError(
        f"model={name!r}: there is no provider {provider!r}. {hint}"
        f"There are {', '.join(known)}."
    )


def _settings(request: Request) -> ModelSettings:
    """The user's settings, and ours: nbflow alone retries."""
    own = {"max_retries": 0, "timeout": request.timeout}
    return cast("ModelSettings", passed_on(request.settings) | own)


def _plain(secret: str | None) -> str | None:
    """A key as the client needs it, whatever its class shows."""
    return str.__str__(secret) if secret is not None else None


def _asked_for(
    model: PydanticModel, schema: dict[str, object]
) -> ModelRequestParameters:
    """Ask for an answer of this form.

    By the model's own structured output if it has that, else as the call of a tool.
    """
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    if not schema:
        return ModelRequestParameters(output_mode="text", allow_text_output=True)
    if model.profile.get("supports_json_schema_output"):
        form = OutputObjectDefinition(json_schema=schema, name="answer", strict=True)
        return ModelRequestParameters(output_mode="native", output_object=form)
    tool = ToolDefinition(
        name="answer",
        description="Answer with this.",
        parameters_json_schema=schema,
        kind="output",
    )
    return ModelRequestParameters(
        output_mode="tool",
        output_tools=[tool],
        allow_text_output=False,
    )


_ENDED = {
    "length": "the model's answer was too long and was cut off",
    "content_filter": "the model refused to answer",
}


def _reply(response: ModelResponse, asked: str) -> Reply:
    usage = response.usage
    tokens = Tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)
    ended = _ENDED.get(response.finish_reason or "", "")
    provider = asked[: asked.find(":") + 1]
    model = f"{provider}{response.model_name}" if response.model_name else ""
    return Reply(_text(response), tokens, ended, model=model)


def _text(response: ModelResponse) -> str:
    """The first call of a tool, else all of the text."""
    from pydantic_ai.messages import TextPart, ToolCallPart

    texts = []
    for part in response.parts:
        if isinstance(part, ToolCallPart):
            return part.args_as_json_str()
        if isinstance(part, TextPart):
            texts.append(part.content)
    return "".join(texts)


def _translated(error: Exception, name: str) -> Exception:
    from pydantic_ai.exceptions import ModelTimeoutError

    status = getattr(error, "status_code", None)
    said = _said(error)
    if why := _hopeless(error, status, name):
        return StopError(f"{why}: {said}{_wanted(status, name)}")
    if status == FORBIDDEN:
        return ModelError(f"{name} refuses the request (403): {said}", status)
    if isinstance(error, ModelTimeoutError):
        return TimeoutError(said)
    if _is_too_long(error, status, said):
        why = f"the text is too long for {name}: {said.rstrip('.')}"
        return ModelError(f"{why}. Shorten it in the flow, or label its parts.", status)
    is_unreadable = isinstance(error.__cause__, ValueError)  # no JSON, or half of it
    kind = UnreadableError if is_unreadable else ModelError
    return kind(f"{name}: {said}", status, retry_after(error))


def _hopeless(error: Exception, status: int | None, name: str) -> str:
    """What every further request would meet, if it is that."""
    from pydantic_ai import exceptions as errors

    if isinstance(error, errors.ModelQuotaExceededError):
        return f"the account behind {name} has nothing left to spend"
    if status == FORBIDDEN:
        return ""
    if isinstance(error, errors.ModelAuthenticationError):
        return f"{name} does not accept the key"
    if isinstance(error, errors.ModelNotFoundError) or status in _NOT_SERVED:
        return f"there is no {name} at this address"
    return ""


def _wanted(status: int | None, name: str) -> str:
    """What a server may lack that does not answer at the address of decisions."""
    path = decision.path_of(name) if status in _NOT_SERVED else None
    if path is None:
        return ""
    return f". It has to answer POST {path}, which a server of another version may not."


def _is_too_long(error: Exception, status: int | None, said: str) -> bool:
    from pydantic_ai.exceptions import ModelContextWindowExceededError

    if isinstance(error, ModelContextWindowExceededError) or status == _TOO_LARGE:
        return True
    return status in _INVALID and _TOO_LONG.search(said) is not None


def _said(error: Exception) -> str:
    """What the provider said, without what was sent to it."""
    text = _message(getattr(error, "body", None)) or str(
        getattr(error, "message", error)
    )
    return " ".join(text.split())[:_LONGEST_MESSAGE]


def _message(body: object) -> str:
    """The words in a body of JSON, as OpenAI, FastAPI and small servers put them."""
    if isinstance(body, list):
        return "; ".join(filter(None, map(_message, body)))
    if not isinstance(body, dict):
        return body if isinstance(body, str) else ""
    inside = (body.get(name) for name in ("message", "detail", "msg", "error"))
    return next(filter(None, map(_message, inside)), "")
