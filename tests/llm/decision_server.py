"""A real HTTP server that answers as decision models do, and fails by script.

It knows System One (Ollama, vLLM, TypeSafe), OpenAI's Decisions and Google's.
"""

import json

import chat_server as chat

#: What one request costs here, in tokens.
TOKENS = 900
#: The probability of the label that it chooses.
SURE = 0.9


def chance(text, options):
    """The probability of each option: a good model is right, and fairly sure."""
    rest = (1 - SURE) / (len(options) - 1)
    return dict.fromkeys(options, rest) | {chat.label_of(text): SURE}


def changed(change):
    """A fault: the good answer's body, changed."""
    return lambda handler, texts: handler.answer(texts[0], change)


def says(**fields):
    """A fault: an answer with other fields."""
    return changed(lambda body: body | fields)


def chooses(**fields):
    """A fault: a choice with other fields."""

    def change(body):
        for answer in answers_in(body):
            answer |= fields
        return body

    return changed(change)


def answers_in(body):
    found = body["answers"]
    return found if isinstance(found, list) else found.values()


#: The model declined, and is paid for it.
refused = changed(
    lambda body: body | {"answers": [{"type": "refusal", "name": "label"}]}
)


class DecisionHandler(chat.Handler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked = body
        self.is_openai = self.path.endswith("/v1/decisions")
        is_known = self.path.endswith(("/decisions", "/v1/systemone"))
        state = body.get("state") or body.get("input")
        fault = self.server.note(self, body, [{"text": state}])
        if not is_known:
            self.give(404, {"error": "not found"}, {})
        elif fault:
            fault(self, [chat.Text({"text": state})])
        else:
            self.answer(state)

    def answer(self, text, change=lambda body: body):
        self.server.answered += 1
        self.give(200, change(self.body(text)), self.server.headers)

    def completion(self, _content):
        return self.body("refund")

    def body(self, text):
        if self.is_openai:
            return self.of_openai(text)
        ((name, question),) = self.asked["questions"].items()
        probabilities = chance(text, list(question["criteria"]))
        answer = {
            "type": "choice",
            "choice": chat.label_of(text),
            "confidence": 0.85,
            "probabilities": probabilities,
        }
        used = {"input_tokens": TOKENS, "output_tokens": 0}
        google = {"total_input_tokens": TOKENS, "total_output_tokens": 0}
        return {
            "model": self.server.calls_itself,
            "answers": {name: answer},
            "usage": google if "input" in self.asked else used,
        }

    def of_openai(self, text):
        (question,) = self.asked["questions"]
        options = [choice["value"] for choice in question["choices"]]
        answer = {
            "type": "choice",
            "name": question["name"],
            "choice": chat.label_of(text),
            "confidence": 0.85,
            "probabilities": [
                {"value": value, "probability": each}
                for value, each in chance(text, options).items()
            ],
        }
        usage = {
            "input_tokens": TOKENS,
            "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": TOKENS,
        }
        return {"model": self.server.calls_itself, "answers": [answer], "usage": usage}
