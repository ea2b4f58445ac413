"""A stand-in for an LLM: a baseline, not an LLM. It needs no key and no network, and costs nothing.

``ask(text)`` answers JSON text, as a model asked for JSON does::

    >>> ask("I was charged twice, please refund one payment")
    '{"label": "billing", "confidence": 0.6}'

The answer is the label whose description and examples share the most, and the rarest,
words with the text (nearest centroid over TF-IDF): a fair baseline to compare a real
model with. ``ask(text, task="reply")`` answers one fixed template per label. It is
written out here so that the demo is one file to read and change; in your own notebook
``nf.llm.categorizer(LABELS)`` has the same in better.

It also fails as models behind an API fail. Which request fails is decided by a digest
of the text and by the how-manieth request for it this is, so every run of the demo
meets the same trouble and a later attempt may pass:

- some requests time out, some are told to come back later (429 with Retry-After);
- some answers are chatter instead of JSON, or a label that nobody offered;
- an empty text is refused (422), a very long one times out every time, a job
  application is always filed under a label of the model's own. No retry helps these
  three.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from functools import cache
from hashlib import blake2b
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

LABELS = {
    "billing": "billing, invoice, payment, charge, charged twice, refund, price, receipt, VAT, card, money back. "
    "Rechnung, Zahlung, Lastschrift, Betrag. factura, cobro, pago. facture, paiement, rembourser",
    "bug": "bug, error, crash, broken, wrong reading, does not work, since the update, blank screen, stuck, offline. "
    "Fehler, stürzt ab, Anzeige. error, no funciona. erreur, vide, depuis la mise à jour",
    "account_access": "cannot log in, sign in, password, reset link, locked out, verification code, two-factor, "
    "permission, hacked. Anmelden, Passwort, Konto gesperrt. contraseña, entrar. mot de passe, connexion",
    "shipping": "shipping, delivery, parcel, package, tracking number, courier, order has not arrived, address, "
    "damaged box, return label. Paket, Lieferung, Bestellung. envío, pedido, paquete. colis, livraison, commande",
    "feature_request": "feature request, idea, suggestion, would be nice, please add, could you support, wish, "
    "integration. Wunsch, wäre hilfreich. sugerencia, añadir. suggestion, ajouter, serait-il possible",
    "cancellation": "cancel my subscription, end the plan, close my account, stop renewing, delete my data, "
    "terminate. kündigen, Kündigung. cancelar, darme de baja. résilier, résiliation",
    "praise": "thank you, thanks, great, love it, wonderful, well done, happy, grateful. "
    "Danke, großartig. gracias, genial. merci, bravo",
    "other": "question before buying, partnership, press, interview, school, research, reseller, wholesale, "
    "newsletter, advertising, data protection. Frage, Datenschutz. pregunta. question",
}

EXAMPLES = (
    (
        "billing",
        "There is a charge on my card that I do not recognise. Please refund it.",
    ),
    (
        "billing",
        "The amount on the invoice is too high, we pay for fewer seats than you bill.",
    ),
    ("bug", "The app closes by itself when I open the chart, since the latest update."),
    ("bug", "The sensor shows the same value all day although I watered the plant."),
    (
        "account_access",
        "I forgot my password and the reset mail does not arrive, so I can't get into my account.",
    ),
    ("account_access", "The code from my authenticator is rejected when I sign in."),
    ("shipping", "My order has been on its way for two weeks, where is the parcel?"),
    ("shipping", "One sensor was missing in the box that arrived today."),
    (
        "feature_request",
        "It would be great if the app could show a whole year. Could you add that?",
    ),
    ("feature_request", "Any plans for a desktop version? I would love that."),
    ("cancellation", "I no longer need it, please cancel my plan and confirm."),
    ("cancellation", "How do I stop the subscription before it renews?"),
    ("praise", "Just wanted to say thank you, the best thing I bought this year!"),
    ("other", "Which model do you recommend for a cactus, and how long does it last?"),
)

REPLIES = {
    "billing": "Sorry about the trouble with your bill. We are checking the payments on "
    "your account and will write within a day.",
    "bug": "Thank you for the report. Could you tell us the version of the app and of "
    "the sensor? We are looking into it.",
    "account_access": "Let us get you back in. For your safety we first need to confirm that the account is yours.",
    "shipping": "We have asked the courier where your parcel is and will write as soon as we know more.",
    "feature_request": "Thank you for the idea. It is on the list that our product team reads every week.",
    "cancellation": "We are sorry to see you go. Your plan ends with the current period; nothing more will be charged.",
    "praise": "Thank you, you made our day!",
    "other": "Thank you for writing. A colleague will answer your question personally.",
}

LONGEST = 4_000  # characters; beyond that the answer never comes in time
# What goes wrong, by luck in [0, 1): below the first number a timeout, below the next a
# 429, and so on.
TIMES_OUT, RATE_LIMITED, CHATTERS, INVENTS = 0.07, 0.11, 0.15, 0.18


class RateLimited(Exception):  # noqa: N818  # the name that clients give it
    """429 Too Many Requests: come back after ``retry_after`` seconds."""

    status_code = 429

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"429 Too Many Requests, retry after {retry_after} s")
        self.retry_after = retry_after
        self.response = SimpleNamespace(
            status_code=429, headers={"Retry-After": str(retry_after)}
        )


class Unprocessable(Exception):  # noqa: N818  # likewise
    """422 Unprocessable Content: the same request will be refused again."""

    status_code = 422


def ask(text: str, task: Literal["label", "reply"] = "label") -> str:
    """Answer ``task`` about ``text``, or fail as a model does.

    Args:
        text: what the customer wrote.
        task: ``"label"`` for JSON text with ``label`` and ``confidence``, ``"reply"``
            for a suggested answer.

    Raises:
        TimeoutError: no answer in time.
        RateLimited: too many requests for now.
        Unprocessable: there is no text.
    """
    luck = _luck(task, text, next(_requests(task, text)))
    time.sleep(0.004 + 0.008 * luck)
    if not text.strip():
        raise Unprocessable("422 Unprocessable Content: the text is empty")
    if len(text) > LONGEST:
        raise TimeoutError(
            f"no answer within 30 s ({len(text):,} characters; up to {LONGEST:,} are read in time)"
        )
    if luck < TIMES_OUT:
        raise TimeoutError("no answer within 30 s")
    if luck < RATE_LIMITED:
        raise RateLimited(retry_after=0.1)
    if luck < CHATTERS:
        return "" if task == "reply" else "Sure! Happy to help. This message is about"
    if luck < INVENTS:
        return (
            ""
            if task == "reply"
            else '{"label": "Customer Happiness", "confidence": 0.99}'
        )
    label, confidence = _nearest(text)
    if task == "reply":
        return REPLIES[label]
    if re.search(r"\bCV\b", text):
        label = "recruiting"  # models do that: sure of a label that nobody offered
    return json.dumps({"label": label, "confidence": confidence})


def _luck(task: str, text: str, request: int) -> float:
    """A number in [0, 1) that looks random and is the same in every process."""
    digest = blake2b(f"{task}|{request}|{text}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / 2**32


@cache
def _requests(task: str, text: str) -> Iterator[int]:  # noqa: ARG001  # what the cache knows it by
    """Counts the requests for one text in this process: what makes a retry differ from the first try."""
    return count(1)


def _words(text: str) -> list[str]:
    """Words of three letters and more; the first six letters stand for the word, a stemmer for four languages."""
    return [word[:6] for word in re.findall(r"[^\W\d_]{3,}", text.casefold())]


@cache
def _rarity() -> dict[str, float]:
    """How much a word tells, by word: the fewer documents have it, the more."""
    documents = [
        set(_words(text))
        for text in (*LABELS.values(), *(text for _, text in EXAMPLES))
    ]
    counts = Counter(word for document in documents for word in document)
    return {
        word: math.log((1 + len(documents)) / (1 + times)) + 1
        for word, times in counts.items()
    }


def _vector(text: str) -> dict[str, float]:
    """TF-IDF of length one; words that no label knows say nothing."""
    rarity = _rarity()
    weights = {
        word: times * rarity[word]
        for word, times in Counter(_words(text)).items()
        if word in rarity
    }
    length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
    return {word: weight / length for word, weight in weights.items()}


@cache
def _centroids() -> dict[str, dict[str, float]]:
    """One direction per label: the sum of its description's and its examples' vectors, of length one."""
    centroids: dict[str, dict[str, float]] = {}
    for label, description in LABELS.items():
        total: Counter[str] = Counter()
        for text in (
            description,
            *(text for known, text in EXAMPLES if known == label),
        ):
            total.update(_vector(text))
        length = math.sqrt(sum(weight * weight for weight in total.values()))
        centroids[label] = {word: weight / length for word, weight in total.items()}
    return centroids


def _nearest(text: str) -> tuple[str, float]:
    """The closest label, and its share of all closeness; ``other`` when the text shares no word with any."""
    vector = _vector(text)
    closeness = {
        label: sum(weight * centroid.get(word, 0.0) for word, weight in vector.items())
        for label, centroid in _centroids().items()
    }
    total = sum(closeness.values())
    if not total:
        return "other", 0.0
    best = max(closeness, key=lambda label: closeness[label])
    return best, round(closeness[best] / total, 2)
