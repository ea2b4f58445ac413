"""Provider: the models behind an API, through pydantic-ai. The one module that imports it, at the first request."""

from __future__ import annotations

import asyncio
import importlib
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nbflow._core.policy import retry_after
from nbflow.errors import UsageError
from nbflow.llm.model import ModelError, Reply, StopError, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nbflow.llm.model import Request

INSTALL = "install it with: pip install 'nbflow[llm]'"
#: Providers by the name that a model string begins with: those of pydantic-ai that
#: answer with text.
PROVIDERS = frozenset(
    """
    alibaba anthropic azure azure-responses bedrock cerebras cohere deepseek fireworks gateway github google google-cloud
    groq heroku huggingface litellm mistral moonshotai nebius ollama openai openai-chat openai-responses openrouter
    ovhcloud sambanova together vercel vllm xai zai
    """.split()  # noqa: SIM905 - a table to read
)
#: Those whose client takes an HTTP client of ours, which shows us the headers of every
#: answer.
_SHOWN = frozenset(
    {
        "anthropic",
        "deepseek",
        "ollama",
        "openai",
        "openai-chat",
        "openai-responses",
        "vllm",
    }
)
#: Those that can be at another address and have something of their own to say there; at
#: any other one speaks as OpenAI.
_ADDRESSED = frozenset({"anthropic", "ollama", "openai-responses", "vllm"})
#: Stands for a key at an address of the user's own: that of the environment is
#: OpenAI's, and not for others to see.
_NO_KEY = "none"


class Provider:
    """A model by its name, ``"openai:gpt-4o-mini"``.

    Args:
        name: provider and model, as the user writes it.
        model_id: as pydantic-ai writes it.
        base_url: of a server that speaks as OpenAI does; the provider's own if left
            out.
        api_key: the provider's environment variable if left out.
        heed: told the headers of every answer, the seconds of two clocks.
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
        self._model_id = model_id
        self._base_url = base_url
        self._api_key = api_key
        self._heed = heed

    async def ready(self) -> None:
        """Load and build what asks: a second or two, on a thread, before any limit or request's time runs.

        Raises:
            StopError: there is no key, or a package is missing.
        """
        if "_model" not in vars(self):
            await asyncio.to_thread(importlib.import_module, "pydantic_ai.direct")
            _ = self._model

    async def ask(self, request: Request) -> Reply:
        """One request, sent once.

        Raises:
            ModelError: it failed.
            StopError: every other one would fail, too.
        """
        from pydantic_ai import exceptions as errors
        from pydantic_ai.direct import model_request
        from pydantic_ai.messages import ModelRequest, UserPromptPart

        model = self._model
        message = ModelRequest(
            parts=[UserPromptPart(request.text)], instructions=request.instructions
        )
        try:
            response = await model_request(
                model,
                [message],
                model_settings={"max_retries": 0, "timeout": request.timeout},
                model_request_parameters=_asked_for(model, request.schema),
            )
        except errors.ModelAPIError as error:
            raise _translated(error, self.name) from error
        except errors.ContentFilterError as error:
            return Reply(
                "", ended=f"the provider's filter held the answer back ({_said(error)})"
            )
        except (
            errors.UnexpectedModelBehavior,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            # The last three where pydantic-ai itself stumbles over what came back: no
            # choice at all, say.
            raise ModelError(
                f"{self.name} answered what nobody understands: {_said(error)}"
            ) from error
        return _reply(response)

    @cached_property
    def _model(self) -> Any:
        """Built at the first request, on the event loop that it is used on ever after."""
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

        key = _plain(self._api_key) or (_NO_KEY if self._base_url is not None else None)
        options = {
            "base_url": self._base_url,
            "api_key": key,
            "http_client": self._client() if name in _SHOWN else None,
        }
        given = {
            option: value for option, value in options.items() if value is not None
        }
        make: Any = infer_provider_class(name) if given else infer_provider
        return make(**given) if given else make(name)

    def _client(self) -> Any:
        import httpx2

        async def heed(response: Any) -> None:
            self._heed(response.headers, time.monotonic(), time.time())

        return httpx2.AsyncClient(
            event_hooks={"response": [heed]},
            follow_redirects=True,
            limits=httpx2.Limits(max_connections=None),
        )


def check(name: str, base_url: str | None) -> tuple[str, str]:
    """Provider and full name of a model string, checked as far as it can be without loading anything.

    Raises:
        UsageError: it is no model string, names no provider that there is, or the
            package is not installed.
    """
    import difflib
    from importlib.util import find_spec

    provider, _, model = name.partition(":")
    if not model.strip() and base_url is not None and provider.strip():
        provider, model = "openai-chat", provider
    known = sorted(PROVIDERS)
    if not model.strip():
        raise UsageError(
            f'model={name!r} is no model: write "offline", "provider:model" such as "openai:gpt-4o-mini" or "ollama:qwen3", or give a function of the text.'
        )
    if provider.partition("/")[0] not in PROVIDERS:
        close = difflib.get_close_matches(provider, known, n=1)
        raise UsageError(
            f"model={name!r}: there is no provider {provider!r}. "
            + (f"Did you mean {close[0]!r}? " if close else "")
            + f"There are {', '.join(known)}."
        )
    if find_spec("pydantic_ai") is None:
        raise UsageError(f"model={name!r} needs pydantic-ai; {INSTALL}")
    if base_url is not None and not str(base_url).startswith(("http://", "https://")):
        raise UsageError(
            f'base_url={base_url!r} is no address: write it with http:// or https://, such as "http://localhost:8000/v1".'
        )
    if base_url is not None and provider not in _ADDRESSED:
        provider = "openai-chat"  # what is at an address of one's own seldom speaks the newer protocol of "openai:"
    return provider, f"{provider}:{model}"


def _plain(secret: str | None) -> str | None:
    """A key as the client needs it, whatever its class shows."""
    return str.__str__(secret) if secret is not None else None


def _asked_for(model: Any, schema: dict[str, Any]) -> Any:
    """An answer of this form: by the model's own structured output where it has that, else as the call of a tool."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition
    from pydantic_ai.tools import ToolDefinition

    if model.profile.get("supports_json_schema_output"):
        return ModelRequestParameters(
            output_mode="native",
            output_object=OutputObjectDefinition(
                json_schema=schema, name="labels", strict=True
            ),
        )
    tool = ToolDefinition(
        name="labels",
        description="Answer with this.",
        parameters_json_schema=schema,
        kind="output",
    )
    return ModelRequestParameters(
        output_mode="tool", output_tools=[tool], allow_text_output=False
    )


def _reply(response: Any) -> Reply:
    from pydantic_ai.messages import TextPart, ToolCallPart

    usage = response.usage
    tokens = Tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)
    calls = [
        part.args_as_json_str()
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    text = (
        calls[0]
        if calls
        else "".join(
            part.content for part in response.parts if isinstance(part, TextPart)
        )
    )
    ended = {
        "length": "the model's answer was cut off, it was too long",
        "content_filter": "the model refused to answer",
    }.get(response.finish_reason or "", "")
    return Reply(text, tokens, ended)


def _translated(error: Any, name: str) -> Exception:
    from pydantic_ai import exceptions as errors

    status, said = getattr(error, "status_code", None), _said(error)
    if isinstance(error, errors.ModelQuotaExceededError):
        return StopError(f"the account behind {name} has nothing left to spend: {said}")
    if isinstance(error, errors.ModelAuthenticationError):
        return StopError(f"{name} does not accept the key: {said}")
    if isinstance(error, errors.ModelNotFoundError):
        return StopError(f"there is no {name} where it was looked for: {said}")
    if isinstance(error, errors.ModelTimeoutError):
        return TimeoutError(said)
    return ModelError(f"{name}: {said}", status, retry_after(error))


def _said(error: Any) -> str:
    """What the provider says, without what was sent to it."""
    body = getattr(error, "body", None)
    inside = body.get("error", body) if isinstance(body, dict) else None
    said = inside.get("message") if isinstance(inside, dict) else None
    return " ".join(str(said or getattr(error, "message", error)).split())[:500]
