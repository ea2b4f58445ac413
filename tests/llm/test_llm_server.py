"""`nbflow.testing.llm_server`: what clients of real providers see of it, and what is written down."""

import asyncio
import json
import urllib.error
import urllib.request

import httpx2
import openai
import pytest
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.batch import BatchRequest
from pydantic_ai.models.openai import OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

import nbflow as nf
from nbflow.testing import BatchScript, faults, llm_server

SCHEMA = {
    "type": "object",
    "properties": {
        "topic": {"type": "string", "enum": ["billing", "bug"]},
        "amount": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "issues": {"type": "array", "items": {"enum": ["late", "broken"]}},
    },
}
ASKED = [{"role": "user", "content": "a bug, late by 3 days"}]
FORM = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}


@pytest.fixture
def models():
    with llm_server() as server:
        yield server


@pytest.fixture
def client(models):
    with openai.OpenAI(api_key="k", base_url=models.url, max_retries=0) as client:
        yield client


def chat(client, **options):
    return client.chat.completions.create(model="m", messages=ASKED, **options)


def test_it_answers_in_the_form_that_was_asked_for(client, models):
    said = chat(client, response_format=FORM).choices[0].message.content
    assert json.loads(said) == {"topic": "bug", "amount": 3.0, "issues": ["late"]}
    assert chat(client).choices[0].message.content.endswith("late by 3 days")
    form = {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}
    answer = client.responses.create(model="m", input="a bug", text=form)
    assert json.loads(answer.output_text)["topic"] == "bug"
    assert [request.path for request in models.requests] == [
        "/v1/chat/completions",
        "/v1/chat/completions",
        "/v1/responses",
    ]
    assert models.keys == ["Bearer k"] * 3
    assert models.requests[0].status == 200


def test_an_answer_of_the_tests_own_is_cut_to_what_was_asked_for():
    with llm_server(lambda text: {"topic": "billing", "mood": len(text)}) as models:
        client = openai.OpenAI(api_key="k", base_url=models.url)
        said = chat(client, response_format=FORM).choices[0].message.content
        assert json.loads(said) == {"topic": "billing"}
        client.close()


def test_a_stream_says_the_same(client):
    parts = [part.choices[0].delta.content or "" for part in chat(client, stream=True)]
    assert "".join(parts).endswith("late by 3 days")
    events = list(client.responses.create(model="m", input="hello", stream=True))
    assert events[-1].response.output_text == "You said: hello"


def test_what_was_asked_with_a_tool_is_answered_by_calling_it(client):
    tool = {"type": "function", "function": {"name": "take", "parameters": SCHEMA}}
    (call,) = chat(client, tools=[tool]).choices[0].message.tool_calls
    assert call.function.name == "take"
    assert json.loads(call.function.arguments)["amount"] == 3


FAULTS = {
    "429": (
        faults.error(429, "slow", "rate_limit_exceeded", retry_after=2, x_limit=0),
        openai.RateLimitError,
    ),
    "500": (faults.error(500, "boom"), openai.InternalServerError),
    "reset": (faults.reset, openai.APIConnectionError),
    "hang up": (faults.hang_up, openai.APIConnectionError),
    "truncated": (faults.truncated, (json.JSONDecodeError, openai.APIError)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_what_a_client_sees_once(client, models, fault):
    script, error = FAULTS[fault]
    models.faults = [script]
    with pytest.raises(error) as failed:
        chat(client)
    if fault == "429":
        assert failed.value.response.headers["retry-after"] == "2"
        assert failed.value.response.headers["x-limit"] == "0"
    assert chat(client).choices[0].finish_reason == "stop"


def test_answers_that_are_none(client, models):
    models.faults = [faults.refusal, faults.cut_off, faults.says("no JSON")]
    refused, cut, wrong = (chat(client).choices[0] for _ in range(3))
    assert refused.message.refusal
    assert cut.finish_reason == "length"
    assert wrong.message.content == "no JSON"


def test_a_slow_answer_is_late_and_good(client, models):
    models.faults = [faults.slow(0.2)]
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=0.05))
    models.faults = [faults.slow(0.01)]
    assert chat(client).choices[0].finish_reason == "stop"


def test_what_it_does_not_serve_is_404(models):
    with pytest.raises(urllib.error.HTTPError) as failed:
        urllib.request.urlopen(f"{models.root}/v1/embeddings")
    assert failed.value.code == 404


# Anthropic's protocol, as its HTTP reference has it.


def posted(models, path, body, key="k"):
    headers = {"x-api-key": key}
    return httpx2.post(models.root + path, json=body, headers=headers, trust_env=False)


def test_messages_are_answered_as_anthropic_does(models):
    models.faults = [faults.error(529, "overloaded"), faults.refusal, None]
    asked = {"model": "m", "max_tokens": 9, "messages": ASKED}
    busy, refused, tool = (
        posted(models, "/v1/messages", asked),
        posted(models, "/v1/messages", asked).json(),
        posted(
            models,
            "/v1/messages",
            asked | {"tools": [{"name": "take", "input_schema": SCHEMA}]},
        ).json(),
    )
    assert busy.status_code == 529
    assert busy.json()["error"]["type"] == "overloaded_error"
    assert refused["stop_reason"] == "refusal"
    assert tool["stop_reason"] == "tool_use"
    assert tool["content"][0]["input"]["topic"] == "bug"
    assert models.keys == ["k"] * 3
    events = posted(models, "/v1/messages", asked | {"stream": True}).text
    assert events.startswith("event: message_start\ndata: {")
    assert events.rstrip().endswith('{"type": "message_stop"}')


def test_a_categorizer_asks_anthropic_here(nb, models):
    pytest.importorskip("anthropic", reason="pip install anthropic")
    categorize = nf.llm.categorizer(
        ["billing", "bug"],
        model="anthropic:claude-haiku-4-5",
        base_url=models.root,
        api_key="k",
    )
    models.faults = [faults.error(529, "overloaded", retry_after=0), faults.truncated]
    assert categorize.map(["a bug"]).results("categorize")[0].label == "bug"


# Batches, through the primitives that a durable lane stands on.


class Lane:
    """Batches of an account, by pydantic-ai."""

    def __init__(self, models, key="k"):
        self._client = openai.AsyncOpenAI(
            api_key=key, base_url=models.url, max_retries=0
        )
        provider = OpenAIProvider(openai_client=self._client)
        self.model = OpenAIResponsesModel("m", provider=provider)
        self.requests = {}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self._client.close()

    async def submit(self, texts):
        self.requests = {
            f"line-{place}": BatchRequest(
                custom_id=f"line-{place}",
                messages=[ModelRequest(parts=[UserPromptPart(text)])],
                model_settings={},
                model_request_parameters=ModelRequestParameters(),
            )
            for place, text in enumerate(texts)
        }
        encoded = [await self.model.batch_encode(one) for one in self.requests.values()]
        return await self.model.batch_create(encoded)

    async def ended(self, batch):
        """The batch once it has ended, and the states that it went through."""
        states = []
        while batch.status != "ended":
            batch = await self.model.batch_status(batch)
            states.append(batch.provider_details["status"])
        return batch, states

    async def results(self, batch):
        found = {}
        for result in await self.model.batch_results(batch):
            try:
                answer = self.model.batch_decode(
                    result, self.requests[result.custom_id]
                )
                found[result.custom_id] = answer.parts[0].content
            except Exception as error:
                found[result.custom_id] = type(error).__name__
        return found


def through_batch(models, script, texts=("one", "two", "three", "four")):
    models.batches.scripts = [script]

    async def see_through():
        async with Lane(models) as lane:
            batch, states = await lane.ended(await lane.submit(texts))
            return states, await lane.results(batch)

    return asyncio.run(see_through())


def test_a_batch_goes_through_its_states_and_has_an_answer_for_each_line(models):
    states, results = through_batch(models, BatchScript(looks=5, order="reversed"))
    assert states == [
        "validating",
        "in_progress",
        "in_progress",
        "finalizing",
        "completed",
    ]
    assert list(results) == ["line-3", "line-2", "line-1", "line-0"]
    assert results["line-2"] == "You said: three"
    assert len(models.batches.lines) == 4
    paths = [(seen.method, seen.path.rpartition("/")[0]) for seen in models.log]
    assert paths[:3] == [("POST", "/v1"), ("POST", "/v1"), ("GET", "/v1/batches")]
    assert models.requests == [], "no model was asked live"


def test_lines_of_a_batch_fail_alone(models):
    script = BatchScript(wrong=lambda name, _body: 500 if name == "line-1" else None)
    _, results = through_batch(models, script)
    assert results["line-1"] == "ModelServerError"
    assert sum("You said" in said for said in results.values()) == 3


@pytest.mark.parametrize("end", ["expired", "cancelled"])
def test_a_batch_that_ends_early_keeps_what_was_answered(models, end):
    states, results = through_batch(models, BatchScript(ends=end, answered=0.5))
    assert states[-1] == end
    assert [("You said" in said) for said in results.values()] == [
        True,
        True,
        False,
        False,
    ]


def test_a_batch_that_is_refused_answers_nothing(models):
    script = BatchScript(ends="failed", code="token_limit_exceeded")
    states, results = through_batch(models, script)
    assert states == ["validating", "failed"]
    assert len(results) == 4
    assert not [said for said in results.values() if "You said" in said]


def test_a_batch_may_not_be_found_right_after_it_was_created(models):
    models.batches.scripts = [BatchScript(hidden=2)]

    async def look():
        async with Lane(models) as lane:
            batch = await lane.submit(["one"])
            for _ in range(2):
                with pytest.raises(ModelHTTPError, match="404"):
                    await lane.model.batch_status(batch)
            batch, states = await lane.ended(batch)
            return states, await lane.results(batch)

    states, results = asyncio.run(look())
    assert states[-1] == "completed"
    assert results == {"line-0": "You said: one"}


def test_results_may_be_gone(models):
    with pytest.raises(ModelHTTPError, match="404"):
        through_batch(models, BatchScript(gone=True))


def test_a_batch_may_be_accepted_although_nobody_is_told(models):
    models.batches.scripts = [BatchScript(said=faults.error(500, "boom"))]

    async def submit():
        async with Lane(models) as lane:
            with pytest.raises(ModelHTTPError, match="50"):
                await lane.submit(["one"])

    asyncio.run(submit())
    assert [line.custom_id for line in models.batches.lines] == ["line-0"]


def test_a_batch_can_be_cancelled_and_is_of_one_account(models):
    models.batches.scripts = [BatchScript(answered=0.5, looks=9)]

    async def cancel():
        async with Lane(models) as lane, Lane(models, key="other") as other:
            batch = await lane.submit(["one", "two"])
            with pytest.raises(openai.NotFoundError):
                await other._client.batches.retrieve(batch.id)
            await lane.model.batch_cancel(batch)
            batch, states = await lane.ended(batch)
            listed = await lane._client.batches.list()
            return states, await lane.results(batch), len(listed.data)

    states, results, listed = asyncio.run(cancel())
    assert states == ["cancelled"]
    assert results["line-0"] == "You said: one"
    assert results["line-1"] != "You said: two"
    assert listed == 1


def test_faults_can_be_where_files_and_batches_are(models):
    models.on["/v1/files"] = [faults.error(503, "busy")]

    async def submit():
        async with Lane(models) as lane:
            with pytest.raises(ModelHTTPError, match="50"):
                await lane.submit(["one"])
            return await lane.submit(["one"])

    assert asyncio.run(submit()).id in models.batches.jobs


def test_message_batches_are_as_anthropic_has_them(models):
    models.batches.scripts = [
        BatchScript(
            order="reversed",
            looks=2,
            wrong=lambda name, _body: 400 if name == "b" else None,
        )
    ]
    params = {"model": "m", "max_tokens": 9, "messages": ASKED}
    lines = [{"custom_id": name, "params": params} for name in "ab"]
    made = posted(models, "/v1/messages/batches", {"requests": lines}).json()
    assert made["processing_status"] == "in_progress"
    assert made["request_counts"]["processing"] == 2

    def got(path, key="k"):
        return httpx2.get(
            models.root + path, headers={"x-api-key": key}, trust_env=False
        )

    address = f"/v1/messages/batches/{made['id']}"
    assert got(f"{address}/results").status_code == 404, "not before it has ended"
    assert got(address, key="other").status_code == 404
    assert got(address).json()["processing_status"] == "in_progress"
    ended = got(address).json()
    assert ended["processing_status"] == "ended"
    assert ended["request_counts"]["succeeded"] == 1
    results = [json.loads(line) for line in got(f"{address}/results").text.splitlines()]
    assert [(one["custom_id"], one["result"]["type"]) for one in results] == [
        ("b", "errored"),
        ("a", "succeeded"),
    ]
    assert results[0]["result"]["error"]["error"]["type"] == "invalid_request_error"
    assert got("/v1/messages/batches").json()["data"][0]["id"] == made["id"]


def test_it_stops_when_the_block_ends():
    with llm_server() as models:
        address = models.root
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)
