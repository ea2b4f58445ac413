"""What looks like a secret: one table of names and of forms, for keys, reports and checks."""

import re

import pytest

from nbflow._key import redaction, secret_patterns
from nbflow._key.secret_patterns import FORMS, TOKEN, is_secret


@pytest.mark.parametrize(
    "name",
    [
        *(
            "api_key",
            "OPENAI_API_KEY",
            "apiKey",
            "x-api-key",
            "AWS_SECRET_ACCESS_KEY",
            "SECRET_KEY",
            "secret",
            "client_secret",
            "clientSecret",
            "SECRETS",
        ),
        *(
            "password",
            "PGPASSWORD",
            "db_passwd",
            "passphrase",
            "DB_PASS",
            "MYSQL_PWD",
            "private_key",
            "credentials",
            "token",
            "GITHUB_TOKEN",
            "accessToken",
        ),
        *(
            "auth",
            "basic_auth",
            "authorization",
            "bearer",
            "sentry_dsn",
            "connection_string",
            "connectionString",
            "api_key_2",
            "TOKEN1",
        ),
    ],
)
def test_names_that_say_it(name):
    assert is_secret(name, "value")


@pytest.mark.parametrize(
    "name",
    [
        "key",
        "PWD",
        "OLDPWD",
        "tokenizer",
        "token_count",
        "secretary",
        "author",
        "bypass",
        "compass",
        "api_key_name",
        "password_field",
        "keyboard",
        "passenger",
        "monkey",
        "oauth_url",
        "max_tokens_per_call",
        "",
    ],
)
def test_names_that_do_not(name):
    assert not is_secret(name, "value")


def test_numbers_and_nothing_are_no_secrets():
    assert not is_secret("max_tokens", 500)
    assert not is_secret("password", "")
    assert not is_secret("password", None)


PLACEHOLDERS = (
    "EMPTY", "ollama", "lm-studio", "not-needed", "local", "sk-no-key-required", "sk-1234",
    "dummy_key", "N/A", "your-api-key-here", "changeme", "xxxx", "<key>", "{key}", "...",
)  # fmt: skip


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_what_stands_where_a_secret_would_is_none(text, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", text)
    assert not is_secret("api_key", text)
    assert redaction.redacted(text, "api_key") == text
    assert redaction.redacted(f"model of {text}", "about") == f"model of {text}"
    assert secret_patterns.without(f"api_key='{text}'", "#") == f"api_key='{text}'"


@pytest.mark.parametrize(
    "text", ["hunter22", "token-abc123", "admin", "testX", "nokia"]
)
def test_a_text_of_other_words_is_a_secret_under_such_a_name(text):
    assert is_secret("api_key", text)
    assert secret_patterns.without(f"api_key='{text}'", "#") == "api_key='#'"


LETTERS = "aB3dE5gH1jK2mN4pQ6rS8tU0vW7xY9zA"
#: One example of each form, the part of it that has to go, and what looks alike and is
#: none.
EXAMPLES = {
    "OpenAI, Anthropic and others": (
        f"sk-proj-{LETTERS}",
        "sk-learn-pipeline-with-many-words",
    ),
    "Stripe": (f"sk_live_{LETTERS}", "sk_learn_pipeline_with_words"),
    "GitHub": (f"ghp_{LETTERS}AbCd", "ghp_short"),
    "GitLab": (f"glpat-{LETTERS[:20]}", "glpat-short"),
    "Slack": ("xoxb-123456789012-abcdef", "xoxb-1"),
    "AWS": ("AKIAABCDEFGHIJKLMNOP", "AKIAabcdefghijklmnop"),
    "Google": (f"AIza{LETTERS}AbC", "AIzawa"),
    "Hugging Face": (f"hf_{LETTERS}", "hf_hub_download"),
    "npm": (f"npm_{LETTERS}AbCd", "npm_install"),
    "PyPI": (f"pypi-{LETTERS}{LETTERS}", "pypi-server"),
    "Databricks": ("dapi0123456789abcdef0123456789abcdef", "dapi01"),
    "SendGrid": (f"SG.{LETTERS[:22]}.{LETTERS}", "SG.de"),
    "a JSON Web Token": (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
        "eyJ.a.b",
    ),
    "a private key": (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PUBLIC KEY-----",
    ),
    "a password in a URL": ("postgres://anna:geheim1@db/x", "https://host:8080/a@b"),
    "a header": (
        "Authorization: Bearer abcdefgh12345678ijkl",
        "Bearer of bad news everywhere",
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_found_and_what_only_looks_like_it_is_not(form):
    text, alike = EXAMPLES[form]
    assert re.search(TOKEN, text)
    assert not re.search(TOKEN, alike)
    assert re.search(TOKEN, f'x = "{text}"  # {alike}')
    assert secret_patterns.without(text, "") != text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("password = 'geheim'", "password = '<x>'"),
        ('db_password: str = "geheim"', 'db_password: str = "<x>"'),
        ("connect(api_key='geheim', timeout=3)", "connect(api_key='<x>', timeout=3)"),
        ("{'token': \"geheim\", 'n': 1}", "{'token': \"<x>\", 'n': 1}"),
        ("os.environ['API_KEY'] = 'geheim'", "os.environ['API_KEY'] = '<x>'"),
        ("tokenizer = 'gpt2'", "tokenizer = 'gpt2'"),
        ("postgres://anna:geheim@db/x", "postgres://<x>@db/x"),
        ("key = 'AKIAABCDEFGHIJKLMNOP'", "key = '<x>'"),
    ],
)
def test_a_text_is_told_without_its_secrets(text, left):
    assert secret_patterns.without(text, "<x>") == left


def test_the_working_directory_of_a_shell_is_no_secret(monkeypatch):
    """PWD is no password: a path under it may be a parameter, and is shown in explanations."""
    monkeypatch.setenv("PWD", "/data/jobs/today")
    monkeypatch.setenv("OLDPWD", "/data/jobs/before")
    monkeypatch.setenv("DB_PWD", "correct-horse-battery")
    said = "/data/jobs/today/threads.csv /data/jobs/before correct-horse-battery"
    shown = redaction.redacted(said, "path")
    assert shown == "/data/jobs/today/threads.csv /data/jobs/before <hidden>"
