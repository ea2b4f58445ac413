"""nf.llm.extractor: a record of several fields from a text, over a real server that fails by script."""

import datetime as dt
import enum
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Literal

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field, field_validator, model_validator

import nbflow as nf
from nbflow.llm import FieldsError, Quote, Reply
from nbflow.llm.prompting import Prompt
from nbflow.llm.record import Record
from nbflow.testing import faults, llm_server

TEXT = "Order A-17:  charged twice, 12.50 each, on 2026-10-02. Also rude."


class Mood(enum.Enum):
    """How the writer feels."""

    ANGRY = "angry"
    CALM = "calm"


class Item(BaseModel):
    name: str
    price: Decimal = Field(ge=0)


class Ticket(BaseModel):
    """A ticket of a shop."""

    topic: Literal["billing", "delivery"]
    issues: list[Literal["refund", "late", "rude"]]
    amount: float | None = Field(ge=0, description="what was charged")
    order: str | None = nf.llm.quote("the order number")
    on: dt.date | None
    urgent: bool
    mood: Mood | None
    items: list[Item]


RIGHT = {
    "topic": "billing",
    "issues": ["refund", "rude"],
    "amount": 12.5,
    "order": "order a-17: charged",
    "on": "2026-10-02",
    "urgent": False,
    "mood": "angry",
    "items": [{"name": "lamp", "price": 12.5}],
}
TICKET = Ticket(
    topic="billing",
    issues=["refund", "rude"],
    amount=12.5,
    order="Order A-17:  charged",
    on=dt.date(2026, 10, 2),
    urgent=False,
    mood=Mood.ANGRY,
    items=[Item(name="lamp", price=Decimal("12.5"))],
)


@pytest.fixture
def models():
    with llm_server(lambda text: RIGHT) as server:
        yield server


@pytest.fixture
def extractor(models):
    def make(record=Ticket, **options):
        options = {"model": "openai:stub", "base_url": models.url} | options
        return nf.llm.extractor(record, **options)

    return make


def asked_for(request):
    form = request.body["response_format"]["json_schema"]["schema"]
    return list(form["properties"])


def test_one_request_fills_all_fields(nb, models, extractor):
    run = extractor().map(pd.Series([TEXT], name="text"))
    assert run.results("extract").tolist() == [TICKET]
    assert len(models.requests) == 1
    assert run.usage.requests == 1
    (row,) = run.results().to_dict("records")
    assert row["extract.topic"] == "billing"
    assert row["extract.issues"] == ["refund", "rude"]
    assert (row["extract.order"], row["extract.order.at"]) == (
        "Order A-17:  charged",
        0,
    )
    assert row["extract.items"] == TICKET.items
    assert extractor().explain(TEXT).state == "cached"
    order = extractor()(TEXT).order
    assert (type(order), TEXT[order.start : order.end]) == (Quote, order)
    assert len(models.requests) == 1


def test_the_model_is_told_each_field_with_its_bounds_and_what_it_is(
    nb, models, extractor
):
    extractor(instructions="Shops only.")(TEXT)
    said = models.requests[0].body["messages"][0]["content"]
    assert "A ticket of a shop." in said
    assert "Shops only." in said
    assert "- topic: one of billing, delivery\n" in said
    assert "- amount (a number, minimum 0; null if the text does not say): what" in said
    assert "- order (words of the text, copied exactly; null if" in said
    assert "  - price: a number, minimum 0" in said
    assert "- mood (one of angry, calm; null if the text does not say): How the" in said


WRONG = {
    "a member that nobody offered": (
        {"topic": "gossip"},
        "topic: 'gossip' is not one of",
    ),
    "one of several": ({"issues": ["late", "dirty"]}, "'dirty' is not one of refund"),
    "a bound": ({"amount": -3}, "greater than or equal to 0"),
    "a text for a number": ({"amount": "a lot"}, "valid number"),
    "yes for a number": ({"amount": True}, "True is not a number"),
    "no number": ({"amount": float("nan")}, "nan is not a number"),
    "words that are not there": ({"order": "B-9"}, "'B-9' do not occur in the text"),
    "no words": ({"order": " "}, "empty words are no quote"),
    "a year for a date": ({"on": 2026}, "2026 is not a date"),
    "digits for a date": ({"on": "20261002"}, "is not a date"),
    "a date that is none": ({"on": "2026-13-45"}, "on: "),
    "null where it may not be": ({"topic": None}, "topic: "),
    "nothing at all": ({"mood": ...}, "mood: the model left it out"),
    "a record without a field": ({"items": [{"name": "x"}]}, "items.price is missing"),
    "a field of a record": ({"items": [{"name": "x", "price": -1}]}, "items[0].price"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_field_that_is_wrong_is_asked_for_again_alone(nb, models, extractor, wrong):
    change, said = WRONG[wrong]
    (name,) = change
    models.faults = [faults.field(**change)]
    run = extractor().map([TEXT])
    assert run.results("extract") == [TICKET]
    first, second = models.requests
    assert len(asked_for(first)) == len(RIGHT)
    assert asked_for(second) == [name]
    (record,) = second.records
    assert record["answer only"] == [name]
    assert said in record["your last answer"]
    assert run.usage.requests == 2


def test_two_fields_may_be_right_one_after_the_other(nb, models, extractor):
    models.faults = [
        faults.field(amount=-1, topic="x", on=...),
        faults.says('{"amount": 3}'),
        faults.says("no JSON at all"),
    ]
    (found,) = extractor(retries=3).map([TEXT]).results("extract")
    assert (found.amount, found.topic, found.on) == (3, "billing", TICKET.on)
    assert [asked_for(request) for request in models.requests[1:]] == [
        ["topic", "amount", "on"],
        ["topic", "on"],
        ["topic", "on"],
    ]
    assert (
        "on: the model's answer is not JSON"
        in (models.requests[3].records[0]["your last answer"])
    )


def test_a_record_fails_as_a_whole_and_names_the_fields(nb, models, extractor):
    models.always = faults.field(amount=-1, topic="x")
    run = extractor(retries=1).map([TEXT])
    (message,) = run.failures()["message"]
    assert "topic: 'x' is not one of billing, delivery" in message
    assert "amount: '-1': input should be" in message
    with pytest.raises(FieldsError) as failed:
        extractor(retries=0)(TEXT)
    assert set(failed.value.fields) == {"topic", "amount"}
    assert failed.value.kept["urgent"] is False


def test_texts_go_together_and_a_field_is_still_asked_for_alone(nb, models, extractor):
    def some_wrong(found):
        return [found[0] | {"topic": "x"}, *found[1:]]

    models.faults = [faults.changed(some_wrong)]
    texts = [f"{TEXT} {number}" for number in range(4)]
    run = extractor(batch=4).map(texts)
    assert len(run.results("extract")) == 4
    assert [len(request.texts) for request in models.requests] == [4, 1]
    assert asked_for(models.requests[1]) == ["topic"]


def test_records_with_a_wrong_field_do_not_make_requests_smaller(nb, models, extractor):
    def all_wrong(exchange):
        if len(exchange.texts) > 1:
            faults.changed(lambda found: [one | {"topic": "x"} for one in found])(
                exchange
            )
        else:
            exchange.answer()

    models.always = all_wrong
    run = extractor(batch=2).map([f"{TEXT} {number}" for number in range(8)])
    assert len(run.results("extract")) == 8
    assert (
        sorted(len(request.texts) for request in models.requests) == [1] * 8 + [2] * 4
    )
    assert "at once could be used" not in str(run)


def test_null_is_an_answer(nb, models, extractor):
    none = dict.fromkeys(("amount", "order", "on", "mood"))
    models.faults = [faults.field(**none)]
    found = extractor()(TEXT)
    assert (found.amount, found.order, found.on, found.mood) == (None,) * 4
    assert len(models.requests) == 1


def test_refusals_and_cut_answers_are_asked_again(nb, models, extractor):
    models.faults = [faults.refusal, faults.cut_off, faults.truncated]
    assert extractor().map([TEXT]).results("extract") == [TICKET]
    assert len(models.requests) == 4


class Span(BaseModel):
    first: int
    last: int

    @model_validator(mode="after")
    def _in_order(self):
        if self.first > self.last:
            raise ValueError("first comes after last")
        return self


def test_a_record_that_is_wrong_as_a_whole_is_asked_for_as_a_whole(
    nb, models, extractor
):
    models.faults = [
        faults.says('{"first": 3, "last": 1}'),
        faults.says('{"first": 1, "last": 3}'),
    ]
    assert extractor(Span)(TEXT) == Span(first=1, last=3)
    assert asked_for(models.requests[1]) == ["first", "last"]
    said = models.requests[1].records[0]["your last answer"]
    assert said == "the record as a whole: first comes after last"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats()
    | st.sampled_from(
        ["billing", "Delivery", "late", "A-17", "2026-10-02", "angry", ""]
    ),
    lambda inside: (
        st.lists(inside, max_size=2)
        | st.dictionaries(
            st.sampled_from([*RIGHT, "name", "price"]), inside, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(said=st.fixed_dictionaries({}, optional=dict.fromkeys(RIGHT, JSON)))
def test_any_answer_is_a_record_or_an_error_and_never_a_default(said):
    form = Record(Ticket, "", None, str)
    (found,) = Prompt(form, {}).read(Reply(json.dumps(said)), [TEXT], [None])
    if isinstance(found, FieldsError):
        assert found.fields
        assert not set(found.fields) & set(found.kept)
    else:
        assert set(said) == set(RIGHT), "each field was answered"
        assert found.model_fields_set == set(RIGHT)
        assert found.order is None or found.order in TEXT


# What no model can be asked for.


class Knot(BaseModel):
    inside: "Knot | None"


class Tree(BaseModel):
    knot: Knot


def model(annotation, **field):
    return type("Record", (BaseModel,), {"__annotations__": {"it": annotation}} | field)


REFUSED = {
    "a dict": (model(dict[str, int]), "field 'it' of Record is a dict"),
    "anything": (model(object), "'it' of Record may be anything"),
    "a union": (model(int | str), "'it' of Record may be of several types"),
    "a tuple": (model(tuple[int, str]), "'it' of Record is a tuple"),
    "a list of anything": (model(list), "'it' of Record is a tuple, or a list of any"),
    "a default": (model(int, it=3), "'it' of Record has the default 3"),
    "a list with nothing in it": (model(list[int | None]), "values that may be None"),
    "itself": (Tree, "'knot.inside' of Tree is a Knot inside a Knot"),
    "a quote of a number": (
        model(int, it=nf.llm.quote("a number")),
        "'it' of Record is no text, and a quote is words",
    ),
    "no fields": (type("Record", (BaseModel,), {}), "Record has no fields"),
    "no model": (dict, "it takes a pydantic model"),
    "an instance": (TICKET, "it takes a pydantic model"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_provider_can_hold_is_refused_with_the_name_of_the_field(case):
    record, said = REFUSED[case]
    with pytest.raises(nf.UsageError) as refused:
        nf.llm.extractor(record)
    assert said in str(refused.value)


def test_records_are_at_most_ten_deep():
    def nested(depth):
        record = type("Deep0", (BaseModel,), {"__annotations__": {"it": int}})
        for level in range(1, depth):
            name = f"Deep{level}"
            record = type(name, (BaseModel,), {"__annotations__": {"it": record}})
        return record

    nf.llm.extractor(nested(10))
    with pytest.raises(nf.UsageError, match="is more than 10 records deep"):
        nf.llm.extractor(nested(11))


class Renamed(BaseModel):
    topic: Literal["a", "b"] = Field(alias="Thema")


def test_a_field_of_another_name_is_asked_for_by_it_and_shown_by_its_own(nb):
    with llm_server(lambda text: {"Thema": "b"}) as models:
        read = nf.llm.extractor(Renamed, model="openai:m", base_url=models.url)
        run = read.map(["text"])
        assert run.results()[0]["extract.topic"] == "b"
        assert asked_for(models.requests[0]) == ["Thema"]
        assert read.fields == {"topic": {"a": "", "b": ""}}


class Called(BaseModel):
    fine: int
    call: Callable[[int], int]


def test_a_type_without_a_schema_is_named():
    with pytest.raises(nf.UsageError, match="field 'call' of Called cannot be asked"):
        nf.llm.extractor(Called)


class Empty(BaseModel):
    tags: set[Literal["a", "b"]] = Field(default_factory=set)
    note: str | None = None


def test_a_default_of_nothing_is_allowed_and_asked_for(nb, models, extractor):
    models.faults = [faults.says("{}"), faults.says('{"tags": ["b"], "note": null}')]
    assert extractor(Empty)(TEXT) == Empty(tags={"b"}, note=None)
    assert len(models.requests) == 2
    assert extractor(Empty)("  ") == Empty(tags=set(), note=None), "nobody is asked"
    assert len(models.requests) == 2
    with pytest.raises(nf.StepError, match="the field 'topic' may not be null"):
        extractor()("")


# Models of other kinds.


def test_a_function_returns_a_record_or_a_dict_which_is_checked(nb):
    def rule(text):
        return RIGHT if "dict" in text else TICKET

    read = nf.llm.extractor(Ticket, model=rule, retries=0)
    assert read(f"{TEXT} dict") == read(TEXT) == TICKET
    assert read(TEXT).order.start == 0
    bad = nf.llm.extractor(Ticket, model=lambda _text: RIGHT | {"topic": 3}, retries=0)
    with pytest.raises(FieldsError, match="topic: 3 is not one of"):
        bad(TEXT)
    silent = nf.llm.extractor(Ticket, model=lambda _text: "billing", retries=0)
    with pytest.raises(nf.StepError, match="it has to return a Ticket or a dict"):
        silent(TEXT)


def test_a_client_of_ones_own_is_asked_in_the_same_way(nb):
    class Client:
        name = "house:small"
        asked = []

        async def ask(self, request):
            self.asked.append(request)
            return Reply(json.dumps(RIGHT))

    read = nf.llm.extractor(Ticket, model=Client(), settings={"temperature": 0})
    assert read(TEXT) == TICKET
    assert Client.asked[0].settings == {"temperature": 0}
    assert list(Client.asked[0].schema["properties"]) == list(RIGHT)


class Found(BaseModel):
    topic: Literal["billing", "delivery"]
    issues: list[Literal["charged twice", "late"]]
    amount: float | None = Field(ge=0)
    order: str | None = nf.llm.quote("the order", pattern="[A-Z]-[0-9]+")
    on: dt.date | None


def test_offline_it_is_a_baseline_of_patterns_and_words(nb):
    read = nf.llm.extractor(Found)
    run = read.map([TEXT, "delivery is late"])
    first, second = run.results("extract")
    assert first.issues == ["charged twice"]
    assert (first.amount, first.order, first.on) == (12.5, "A-17", dt.date(2026, 10, 2))
    assert second.topic == "delivery"
    assert second.order is None
    assert "baseline, not an LLM" in str(run)


class Price(BaseModel):
    amount: float


def test_offline_what_the_text_does_not_say_fails_at_once(nb):
    run = nf.llm.extractor(Price).map(["no number here"])
    assert run.failures()["attempts"].tolist() == [1]
    assert "found nothing in the text" in run.failures()["message"][0]


def test_examples_are_records_and_are_checked(nb, models, extractor):
    example = {TEXT: TICKET}
    extractor(examples=example)(f"{TEXT} Another.")
    said = models.requests[0].body["messages"][0]["content"]
    assert '"topic": "billing"' in said.partition("Examples:")[2]
    with pytest.raises(nf.UsageError, match="record of example 0 is wrong: topic"):
        extractor(examples=[(TEXT, RIGHT | {"topic": "x"})])
    with pytest.raises(nf.UsageError, match="dict of text -> record"):
        extractor(examples=3)


# Decision models.


class Closed(BaseModel):
    topic: Literal["billing", "bug"] = Field(description="what it is about")
    mood: Mood | None
    urgent: bool
    issues: list[Literal["late", "rude"]]


def decide(text, name, options):
    said = {"topic": "bug", "mood": "(nothing)", "urgent": True}
    return said[name] if name in said else name.partition("/")[2] in text


@pytest.mark.parametrize("model", ["system-one:m", "openai-decisions:m"])
def test_closed_fields_are_questions_of_one_request(nb, model):
    with llm_server(decide=decide) as models:
        read = nf.llm.extractor(Closed, model=model, base_url=models.url)
        run = read.map(["it came late"])
        assert run.results("extract") == [
            Closed(topic="bug", mood=None, urgent=True, issues=["late"])
        ]
        assert len(models.requests) == 1
        assert run.usage.requests == 1


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (Ticket, "field 'amount' of Ticket is not closed, and a decision model only"),
        (Item, "field 'name' of Item"),
        (
            model(list[Literal[tuple(f"label {n}" for n in range(201))]]),
            "at most 200 questions a request, and there are 201",
        ),
    ],
)
def test_a_decision_model_is_not_asked_for_open_fields(record, said):
    with pytest.raises(nf.UsageError) as refused:
        nf.llm.extractor(
            record, model="openai-decisions:m", base_url="http://127.0.0.1:9"
        )
    assert said in str(refused.value)


# Long texts.

LONG = [
    "Part one is about billing. " * 5,
    "Part two has order A-17 in it. " * 5,
    "Part three is late, and order B-9. " * 5,
]


class Document(BaseModel):
    topic: Literal["billing", "delivery"]
    issues: list[Literal["refund", "late", "rude"]]
    order: str | None = nf.llm.quote("the order")


def by_part(text):
    late = "late" in text
    return {
        "topic": "delivery" if late else "billing",
        "issues": ["late", "refund"] if late else ["refund"],
        "order": "A-17" if "A-17" in text else "B-9" if "B-9" in text else None,
    }


JOINED = {
    "first": ("billing", ["refund"], "A-17"),
    "all": ("billing", ["refund", "late"], "A-17"),
    "vote": ("billing", ["refund"], "A-17"),
}


@pytest.mark.parametrize("join", JOINED)
def test_a_long_text_is_read_in_parts_which_are_joined(nb, join):
    text = "\n\n".join(LONG)
    with llm_server(by_part) as models:
        read = nf.llm.extractor(
            Document,
            model="openai:m",
            base_url=models.url,
            long="split",
            longest=180,
            join=join,
        )
        run = read.map([text, "short, no order"])
        found = run.results("extract")[0]
        assert (found.topic, found.issues, found.order) == JOINED[join]
        assert text[found.order.start : found.order.end] == "A-17"
        parts = [request.texts[0] for request in models.requests]
        parts.remove("short, no order")
        assert "".join(sorted(parts, key=text.index)) == text, "nothing is lost"
        assert run.usage.requests == 4
        assert "are read in parts" in str(run)
        assert read.explain(text).state == "cached"


def test_a_function_may_join_and_only_the_part_that_failed_is_asked_again(nb):
    def last(found):
        return found[-1]

    failed = []

    def once(exchange):
        if "late" in exchange.texts[0] and not failed:
            failed.append(exchange.texts[0])
            faults.error(500, "boom")(exchange)
        else:
            exchange.answer()

    with llm_server(by_part) as models:
        models.always = once
        read = nf.llm.extractor(
            Document,
            model="openai:m",
            base_url=models.url,
            long="split",
            longest=180,
            join=last,
        )
        (found,) = read.map(["\n\n".join(LONG)]).results("extract")
        assert found.topic == "delivery"
        assert len(models.requests) == 4, "three parts, and one of them again"


def test_what_is_cut_off_is_said(nb):
    with llm_server(by_part) as models:
        read = nf.llm.extractor(
            Document, model="openai:m", base_url=models.url, long="cut", longest=180
        )
        text = "\n\n".join(LONG)
        run = read.map([text])
        (sent,) = models.texts[0]
        assert text.startswith(sent)
        cut = len(text) - len(sent)
        assert f"{cut} of {len(text)} characters were cut off" in str(run)


def test_a_label_of_parts_is_the_first_that_is_known(nb):
    def label(text):
        said = "bug" if "crash" in text else "unclear"
        return {"label": said, "confidence": 0.9}

    text = "\n".join(["nothing here " * 10, "it is a crash " * 10, "bye " * 30])
    with llm_server(label) as models:
        categorize = nf.llm.categorizer(
            ["bug", "billing"],
            unknown="unclear",
            model="openai:m",
            base_url=models.url,
            long="split",
            longest=150,
        )
        assert categorize(text).label == "bug"
    with pytest.raises(nf.UsageError, match="a text has one label"):
        nf.llm.categorizer(["bug", "billing"], join="all")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"long": "chunk"}, "long='chunk' has to be"),
        ({"longest": 3}, "longest=3 has to be a number of characters"),
        ({"join": "max"}, "join='max' has to be"),
        ({"same": 3}, "same=3 has to be a function"),
        ({"same": str.casefold}, "the record has a quote"),
        ({"settings": {"warmth": 1}}, "settings= has no 'warmth'"),
        ({"settings": {"temprature": 1}}, "Did you mean 'temperature'?"),
        ({"settings": {"seed": 1.5}}, "it has to be a whole number"),
        ({"settings": {"effort": "huge"}}, "it has to be one of minimal"),
        ({"settings": {"temperature": 0}}, "the offline model has none"),
        ({"instructions": 3}, "instructions=3 has to be a text"),
    ],
)
def test_what_cannot_be_right_is_said_at_once(options, said):
    with pytest.raises(nf.UsageError) as refused:
        nf.llm.extractor(Ticket, **options)
    assert said in str(refused.value)


# Settings, and texts that are the same.


def test_settings_are_passed_on_and_part_of_the_key(nb, models, extractor):
    read = extractor(settings={"temperature": 0.2, "max_tokens": 90, "seed": 7})
    read(TEXT)
    body = models.requests[0].body
    assert (body["temperature"], body["seed"]) == (0.2, 7)
    assert body.get("max_completion_tokens", body.get("max_tokens")) == 90
    assert read.explain(TEXT).state == "cached"
    assert extractor(settings={"temperature": 0.3}).explain(TEXT).state == "would run"
    assert extractor().explain(TEXT).state == "would run"


def test_effort_is_what_a_provider_calls_it(nb, models, extractor):
    extractor(model="openai-responses:gpt-5", settings={"effort": "low"})(TEXT)
    assert models.requests[0].body["reasoning"]["effort"] == "low"


def test_texts_of_which_same_makes_the_same_are_asked_about_once(nb):
    with llm_server() as models:
        options = {"model": "openai:m", "base_url": models.url}
        plain = nf.llm.categorizer(["bug", "billing"], **options)
        plain("A BUG")
        categorize = nf.llm.categorizer(
            ["bug", "billing"],
            same=lambda text: " ".join(text.casefold().split()),
            **options,
        )
        texts = ["A bug", "a  bug", "A BUG ", None, "billing"]
        run = categorize.map(texts[:3] + texts[4:])
        labels = [answer.label for answer in run.results("categorize")]
        assert labels == ["bug", "bug", "bug", "billing"]
        assert len(models.requests) == 3
        assert "A bug" in [request.texts[0] for request in models.requests], "as it is"
        assert categorize.explain("a BUG").state == "cached"
        assert plain.explain("a BUG").state == "would run"


# Keys.


class Base(BaseModel):
    topic: Literal["billing", "delivery"]


def variant(doc="A ticket.", about="what it is about", bound=0, extra=None):
    space = {
        "__doc__": doc,
        "__annotations__": {"topic": Literal["a", "b"], "n": int},
        "topic": Field(description=about),
        "n": Field(ge=bound),
        "__module__": __name__,
        "__qualname__": "Variant",
    }
    return type("Variant", (BaseModel,), space | (extra or {}))


Variant = variant()


@pytest.mark.parametrize(
    "change",
    [
        {"doc": "Another ticket."},
        {"about": "another thing"},
        {"bound": 1},
    ],
    ids=str,
)
def test_what_the_model_sees_of_a_record_counts(nb, change):
    model = {"topic": "a", "n": 3}
    nf.llm.extractor(Variant, model=len)
    rule = _rule(model)
    nf.llm.extractor(Variant, model=rule)(TEXT)
    assert nf.llm.extractor(variant(), model=rule).explain(TEXT).state == "cached"
    other = nf.llm.extractor(variant(**change), model=rule)
    assert other.explain(TEXT).state == "would run"


def _rule(said):
    def rule(text):
        return said

    return rule


def test_a_property_does_not_count_and_a_check_does(nb):
    rule = _rule({"topic": "a", "n": 3})
    nf.llm.extractor(Variant, model=rule)(TEXT)

    def shout(self):
        return self.topic.upper()

    with_property = variant(extra={"shout": property(shout)})
    assert nf.llm.extractor(with_property, model=rule).explain(TEXT).state == "cached"

    def checked(cls, value):
        return value + 1

    check = field_validator("n")(classmethod(checked))
    with_check = variant(extra={"checked": check})
    assert nf.llm.extractor(with_check, model=rule).explain(TEXT).state == "would run"


def _more(value):
    return value + 1


def _less(value):
    return value - 1


class More(BaseModel):
    n: Annotated[int, AfterValidator(_more)]


def test_the_code_beside_a_field_counts(nb):
    from nbflow.llm.pydantic_schema import has_code

    class Shouted(str):
        __slots__ = ()

        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            return handler(str)

    assert has_code(More)
    assert has_code(model(list[Annotated[int, AfterValidator(_less)]]))
    assert has_code(model(list[More]))
    assert has_code(model(Shouted | None))
    assert not has_code(Ticket), "a quote is ours"
    assert not has_code(model(Annotated[int, Field(ge=3)]))


class Full(BaseModel):
    tags: list[Literal["a", "b"]]

    @field_validator("tags")
    @classmethod
    def _some(cls, value):
        if not value:
            raise ValueError("no tag at all")
        return value


def test_an_empty_text_without_a_record_fails_and_says_why(nb):
    with pytest.raises(
        nf.StepError, match="the text is empty, and tags: no tag at all"
    ):
        nf.llm.extractor(Full)(" ")


def test_how_the_model_is_reached_does_not_count(nb, models, extractor):
    extractor()(TEXT)
    for how in (
        {"batch": 9},
        {"api_key": "k"},
        {"rpm": 600},
        {"retries": 9, "timeout": 3},
        {"base_url": "http://127.0.0.1:9/v1"},
    ):
        assert extractor(**how).explain(TEXT).state == "cached", how


# Plain text.


def test_a_prompt_gets_plain_text(nb):
    with llm_server(lambda text: f" Short: {text[:3]} ") as models:
        options = {"model": "openai:m", "base_url": models.url}
        shorten = nf.llm.prompt(
            "Shorten it.", examples={"a long text": "text"}, **options
        )
        run = shorten.map(["one two", "three"])
        assert run.results("prompt") == ["Short: one", "Short: thr"]
        assert [row["prompt"] for row in run.results()] == ["Short: one", "Short: thr"]
        body = models.requests[0].body
        assert "response_format" not in body
        assert body["messages"][0]["content"].startswith("Shorten it.")
        assert "a long text" in body["messages"][0]["content"]
        assert shorten.explain("one two").state == "cached"
        assert (
            nf.llm.prompt("Other.", **options).explain("one two").state == "would run"
        )
        models.faults = [faults.says(""), faults.refusal]
        assert shorten("four") == "Short: fou"


def test_prompts_go_together_as_labels_do(nb):
    with llm_server(lambda text: f"Short: {text[:3]}") as models:
        shorten = nf.llm.prompt(
            "Shorten it.", model="openai:m", base_url=models.url, batch=3
        )
        run = shorten.map(["one two", "three", "five"])
        assert run.results("prompt") == ["Short: one", "Short: thr", "Short: fiv"]
        assert len(models.requests) == 1


def test_offline_a_prompt_gives_the_sentence_that_says_most(nb):
    text = "Hello. I was charged twice for my order. Please refund one charge. Bye."
    run = nf.llm.prompt("Summarize.").map([text])
    (said,) = run.results("prompt")
    assert said in text
    assert "charge" in said
    assert "baseline, not an LLM" in str(run)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: nf.llm.prompt(""), "it takes what to write about each text"),
        (
            lambda: nf.llm.prompt("x", model="typesafe:m"),
            "a decision model does not write",
        ),
        (lambda: nf.llm.prompt("x", join="vote"), "join='vote' has to be"),
        (
            lambda: nf.llm.prompt("x", examples={"a": 3}),
            "both of a pair have to be texts",
        ),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_refused(make, said):
    with pytest.raises(nf.UsageError, match=said):
        make()
