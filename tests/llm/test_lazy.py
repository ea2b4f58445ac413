"""nf.llm costs nothing until it is used, and the packages of real models nothing until one is asked."""

import os
import subprocess
import sys

import pytest

import nbflow as nf


def loaded_after(code):
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys, nbflow as nf\n{code}\nprint(*sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    return set(told.stdout.split())


def test_importing_nbflow_does_not_load_it():
    assert "nbflow.llm" not in loaded_after("")


def test_the_offline_model_loads_no_package():
    loaded = loaded_after('nf.llm.categorizer(["a", "b"])')
    assert "nbflow.llm" in loaded
    assert not loaded & {"pydantic", "pydantic_ai", "openai", "numpy", "pandas"}


def test_what_nbflow_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no 'llms'"):
        nf.llms
