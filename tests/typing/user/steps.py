"""Steps as users write them: what editors and type checkers conclude.

A line that ends in ``# refused`` has to be an error, and no other line may be one.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeVar, assert_type

import pandas as pd
import polars as pl
from pydantic import BaseModel

import nbflow as nf

T = TypeVar("T")


@dataclass
class Category:
    label: str


@nf.step
def categorize(text: str, *, language: str = "en") -> Category:
    return Category(text)


@nf.step(
    retries=4,
    retry_delay="1s",
    timeout=timedelta(seconds=30),
    throttle="300/min",
    ttl="run",
    ignore=["language"],
    depends_on="pandas",
    should_retry=lambda error: "busy" in str(error),
)
def detailed(text: str, language: str = "en") -> Category:
    return Category(text)


@nf.step
async def fetch(number: int) -> str:
    await asyncio.sleep(0)
    return str(number)


@nf.step(timeout=5, throttle=nf.Throttle("5/s"))
async def fetch_limited(number: int) -> str:
    return str(number)


@nf.step
def first(items: Sequence[T]) -> T:
    return items[0]


class Model:
    @nf.step
    def ask(self, text: str) -> list[str]:
        return [text]

    @nf.step(retries=1)
    async def ask_later(self, text: str) -> list[str]:
        return [text]

    @staticmethod
    @nf.step
    def size(text: str) -> int:
        return len(text)


# A decorated step is called as its function is.

assert_type(categorize("refund"), Category)
assert_type(categorize("refund", language="de"), Category)
assert_type(detailed("refund", "de"), Category)
assert_type(first([1, 2]), int)
assert_type(first(["one"]), str)
assert_type(categorize.name, str)

categorize(3)  # refused
categorize("refund", "de")  # refused
categorize("refund", tongue="de")  # refused
categorize()  # refused
detailed("refund", 3)  # refused
categorize("refund").lable  # refused


async def awaited() -> None:
    assert_type(await fetch(1), str)
    assert_type(await fetch_limited(1), str)
    assert_type(await fetch.aio(1), str)
    assert_type(await categorize.aio("refund"), Category)
    assert_type(await asyncio.gather(fetch.aio(1), fetch.aio(2)), tuple[str, str])
    assert_type(await asyncio.create_task(fetch(1)), str)
    assert_type(await asyncio.create_task(first.aio([1])), int)
    await fetch("one")  # refused
    await fetch.aio("one")  # refused
    (await fetch(1)).lenght  # refused


# In another of its ways: the same arguments, and the value's type.

assert_type(categorize.sync("refund"), Category)
assert_type(fetch.sync(1), str)
assert_type(fetch_limited.sync(number=1), str)
assert_type(categorize.submit("refund"), Future[Category])
assert_type(fetch.submit(1), Future[str])
assert_type(fetch.submit(1).result(timeout=5), str)
assert_type(categorize.explain(), nf.Explanation)
assert_type(categorize.explain("refund", language="de"), nf.Explanation)
assert_type(categorize.explain("refund").state, str)
assert_type(categorize.forget(), int)
assert_type(fetch.forget(1), int)
assert_type(categorize.plan(["refund"], language="de"), nf.Plan)

fetch.sync("one")  # refused
fetch.submit("one")  # refused
categorize.sync(3)  # refused
categorize.explain(3)  # refused
categorize.forget(text="refund", tongue="de")  # refused
categorize.plan(3)  # refused


# A map gives a run: a run's members, and results in the library of the items.

texts = pd.Series(["refund"])
run: nf.Run = categorize.map(texts)
assert_type(categorize.map(texts).results(), pd.DataFrame)
assert_type(categorize.map(texts).results("categorize"), pd.Series[Any])
assert_type(fetch.map(pl.Series([1])).results(), pl.DataFrame)
assert_type(fetch.map(pl.Series([1])).results("fetch"), pl.Series)
assert_type(categorize.map(iter(["refund"]), budget="$5", language="de").id, str)
assert_type(categorize.map(["refund"]).wait(60).cancel().state, str)

categorize.map(3)  # refused
categorize.map(texts, wait="no")  # refused
categorize.map(texts).result()  # refused


# Inside a flow it gives the list of values.


@nf.flow(on="support/thread.created")
def triage(thread: dict[str, str]) -> list[Category]:
    for category in categorize.map([thread["body"]]):
        assert_type(category, Category)
        category.lable  # refused
    return categorize.map([thread["body"]])


@nf.flow(on=["support/thread.created", "support/thread.updated"], name="fetching")
async def fetching(thread: dict[str, int]) -> str:
    fetched = await fetch.map([thread["number"]])
    assert_type(fetched[0], str)
    return fetched[0]


# Methods.

model = Model()
assert_type(model.ask("refund"), list[str])
assert_type(model.ask_later.sync("refund"), list[str])
assert_type(model.ask.submit("refund"), Future[list[str]])
assert_type(model.ask.explain("refund"), nf.Explanation)
assert_type(model.ask.map(texts).results(), pd.DataFrame)
assert_type(Model.ask(model, "refund"), list[str])
assert_type(Model.size("refund"), int)

model.ask(3)  # refused
model.ask.sync(3)  # refused
model.ask_later.sync(3)  # refused
model.ask(model, "refund")  # refused


# A step is a value with a type of its own.


def labelled(step: nf.Step[[str], object], text: str) -> object:
    return step(text)


bound: nf.Step[[str], list[str]] = model.ask
labelled(model.ask, "refund")
labelled(fetch, "refund")  # refused


# Options.

nf.step(retrys=1)  # refused
nf.step(retries="4")  # refused
nf.step(timeout=[30])  # refused
nf.step(ttl=None, version=2, concurrency=16, name="x", model="openai:gpt-4o-mini")
nf.step(should_retry=lambda: True)  # refused
nf.step(3)  # refused
nf.flow()  # refused
nf.flow(on=3)  # refused


# llm

label = nf.llm.categorizer(["bug", "billing"])
assert_type(label("refund").label, str)
assert_type(label.map(texts).results(), pd.DataFrame)
label(3)  # refused


class Ticket(BaseModel):
    topic: Literal["bug", "billing"]
    order: str | None = nf.llm.quote("the order number")


ticket = nf.llm.extractor(Ticket, model="openai:gpt-4o-mini", settings={"seed": 7})
assert_type(ticket("refund"), Ticket)
assert_type(ticket.map(texts).results("extract"), pd.Series)
nf.llm.extractor(Category)  # refused
nf.llm.extractor(Ticket, long="chunk")  # refused
assert_type(nf.llm.prompt("Summarize.")("refund"), str)
