"""Patterns of secrets: what looks like one, by its name or by its form.

A name says it with its last word (``db_password``, ``OPENAI_API_KEY``, not
``max_tokens_per_call``), a text with a form that a well-known service gives its tokens.
Neither is complete: a secret that looks like any other word is not seen. For the values
that are known see `nbflow._key.secret`.

The patterns are texts: `re` compiles each at its first use, so that no import waits.
"""

from __future__ import annotations

import re

#: The last word of a name. The first ones say it wherever they begin (``PGPASSWORD``),
#: the others as whole words.
_LAST_WORD = (
    r"(?:(?:api|access|private|signing|encryption)[_-]?key|secret(?:[_-]?key)?|passw(?:or)?d|passphrase|credential"
    r"|(?:(?<![A-Za-z])|(?-i:(?<=[a-z])(?=[A-Z])))(?:token|pass|pwd|auth|authorization|bearer|dsn|connection[_-]?string))"
    r"s?(?:_?\d+)?"
)
_NAME = rf"(?i){_LAST_WORD}$"

#: Who gives what form. A digit, or a long word, is asked for where words with hyphens
#: could look the same.
FORMS = {
    "OpenAI, Anthropic and others": r"\b(?:sk|pk|rk)-(?=[\w-]*(?:\d|\w{16}))[A-Za-z0-9_-]{16,}",
    "Stripe": r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{16,}|\bwhsec_[A-Za-z0-9+/=]{20,}",
    "GitHub": r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}",
    "GitLab": r"\bglpat-[\w-]{16,}",
    "Slack": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "AWS": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "Google": r"\bAIza[\w-]{30,}|\bya29\.[\w-]{20,}",
    "Hugging Face": r"\bhf_[A-Za-z0-9]{30,}",
    "npm": r"\bnpm_[A-Za-z0-9]{36}\b",
    "PyPI": r"\bpypi-[A-Za-z0-9_-]{50,}",
    "Databricks": r"\bdapi[0-9a-f]{32}\b",
    "SendGrid": r"\bSG\.[\w-]{16,}\.[\w-]{20,}",
    "a JSON Web Token": r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
    "a password in a URL": r"(?<=://)[^\s/@:'\"{}]*:[^\s/@'\"{}]{3,}(?=@)",
    "a header": r"(?<=\bBearer )(?=[\w.~+/-]*\d)[\w.~+/-]{16,}=*",
}
TOKEN = "(?s)" + "|".join(FORMS.values())
#: A text that is given to a name which says that it is a secret, in Python, JSON, YAML
#: or a call.
_ASSIGNED = (
    rf"""(?i)({_LAST_WORD}["']?\]?\s*(?::\s*\w+\s*)?[:=]\s*)(["'])((?:(?!\2).)+)\2"""
)

#: What a text has in it where one of the forms is, and, in lower case, where a name of a
#: secret is: to look for these costs a hundredth of looking for the patterns.
_SIGNS = """
    sk- pk- rk- sk_ pk_ rk_ whsec_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xox AKIA ASIA
    AIza ya29. hf_ npm_ pypi- dapi SG. eyJ -----BEGIN :// Bearer
""".split()  # noqa: SIM905  # a table to read
_NAMES = "key secret pass credential pwd token auth bearer dsn string".split()  # noqa: SIM905  # a table to read

#: What stands where a secret would, of these words alone: for a server that asks for a
#: key and takes any ("not-needed", "lm-studio"), or until somebody fills it in.
_WORDS = """
    a any anything api apikey blank change changeme cpp demo dummy empty example fake here
    ignore ignored insert is jan key litellm llama llamacpp llamafile lm lmstudio local
    localai localhost me mock my n na necessary needed no nokey none not notneeded null
    ollama openai optional password placeholder replace required sample secret server
    sglang sk studio test tgi the this todo token unused used vllm whatever with your
""".split()  # noqa: SIM905  # a table to read
_PLACEHOLDER = rf"(?i)\W*|x+|<.*>|\{{.*\}}|sk-1234|(?:{'|'.join(_WORDS)})(?:[-_. /]+(?:{'|'.join(_WORDS)}))*"

#: Variables of every shell: its working directories, and no passwords.
_WORKING_DIRECTORIES = frozenset(("PWD", "OLDPWD"))


def is_named(name: str) -> bool:
    """Return whether a variable, field or parameter of this name holds a secret."""
    return name not in _WORKING_DIRECTORIES and bool(re.search(_NAME, name))


def is_secret(name: str, value: object) -> bool:
    """Return whether a variable of this name with this value looks like a secret.

    Numbers do not (``max_tokens=500``), and placeholders neither (``api_key="EMPTY"``).
    """
    return isinstance(value, str) and is_named(name) and not is_placeholder(value)


def is_placeholder(text: str) -> bool:
    """Return whether a text only stands where a secret would."""
    return re.fullmatch(_PLACEHOLDER, text) is not None


def without(text: str, instead: str) -> str:
    """Return a text in which something else stands instead of what looks like a secret."""

    def changed(found: re.Match[str]) -> str:
        name, quote, value = found[1], found[2], found[3]
        kept = value if is_placeholder(value) else instead
        return f"{name}{quote}{kept}{quote}"

    if any(sign in text for sign in _SIGNS):
        text = re.sub(TOKEN, instead, text)
    if "'" not in text and '"' not in text:
        return text
    lower = text.lower()
    if any(name in lower for name in _NAMES):
        text = re.sub(_ASSIGNED, changed, text)
    return text
