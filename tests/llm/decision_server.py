"""How the answers of decision models are spoiled in these tests."""

from nbflow.testing import faults
from nbflow.testing.deciding_protocols import SURE
from nbflow.testing.faults import body
from nbflow.testing.model_server import DECISION

#: What one request costs here, in tokens.
TOKENS = DECISION


def says(**fields):
    """A fault: an answer with other fields."""
    return faults.body(lambda body: body | fields)


def chooses(**fields):
    """A fault: a choice with other fields."""

    def change(body):
        for answer in answers_in(body):
            answer |= fields
        return body

    return faults.body(change)


def answers_in(body):
    found = body["answers"]
    return found if isinstance(found, list) else found.values()


#: The model declined, and is paid for it.
refused = faults.body(
    lambda body: body | {"answers": [{"type": "refusal", "name": "label"}]}
)

__all__ = ["SURE", "TOKENS", "answers_in", "body", "chooses", "refused", "says"]
