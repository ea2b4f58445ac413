"""What a browser loads: scripts that are joined, and the looks of states that the kernel hands to them."""

import re
from collections import Counter
from pathlib import Path

import pytest

import nbflow
from nbflow._core.lifecycle import CODES, SHOWN
from nbflow._core.looks import RUN_LOOKS
from nbflow.notebook.page_files import PAGE, script
from nbflow.notebook.page_looks import PAGE_LOOKS, colours

ENTRIES = [PAGE / "table.js", Path(nbflow.__file__).parent / "quality" / "review.js"]


def test_a_script_is_joined_with_what_it_imports_each_once_and_in_order(tmp_path):
    (tmp_path / "low.js").write_text("export const low = 1;\n")
    (tmp_path / "middle.js").write_text(
        'import { low } from "./low.js";\n\nexport function middle() {\n  return low;\n}\n'
    )
    (tmp_path / "top.js").write_text(
        'import { low } from "./low.js";\nimport {\n  middle,\n} from "./middle.js";\n'
        "export default { sum: low + middle() };\n"
    )
    assert re.sub("\n+", "\n", script(tmp_path / "top.js")) == (
        "const low = 1;\nfunction middle() {\n  return low;\n}\n"
        "export default { sum: low + middle() };\n"
    )


def test_descriptions_stay_behind_and_nothing_else_does(tmp_path):
    (tmp_path / "a.js").write_text(
        '/** @import { T } from "./types.js" */\n// why\n'
        "/**\n * @param {T} one\n */\nconst a = (/** @type {T} */ one) => {\n"
        "  /** @type {T} */ (one).go();\n  const b = 1; // * /\n  /** @type {T} */\n  let c;\n};\n"
    )
    assert script(tmp_path / "a.js") == (
        "// why\nconst a = (/** @type {T} */ one) => {\n"
        "  /** @type {T} */ (one).go();\n  const b = 1; // * /\n  let c;\n};\n"
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.stem)
def test_names_are_unique_among_the_scripts_of_a_page(entry):
    """They come to stand in one scope."""
    names = re.findall(
        r"^(?:const|let|class|(?:async )?function\*?) (\w+)",
        script(entry),
        re.MULTILINE,
    )
    assert len(names) > 20
    assert [name for name, count in Counter(names).items() if count > 1] == []


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.stem)
def test_a_page_has_one_export_and_no_import(entry):
    text = script(entry)
    assert re.findall(r"^export .*", text, re.MULTILINE) == [
        "export default { render };"
    ]
    assert not re.search(r"^\s*import\b|@import", text, re.MULTILINE)


def test_every_state_has_a_name_and_a_word_in_the_order_of_its_code():
    names = [name for name, *_ in PAGE_LOOKS["states"]]
    assert names == sorted(SHOWN, key=CODES.__getitem__)
    words = {name: word for name, word, *_ in PAGE_LOOKS["states"]}
    assert words.pop("CACHED") == "from an earlier run"
    assert words.pop("SAME") == "same as another"
    assert all(word == name.lower().replace("_", " ") for name, word in words.items())
    assert {name for name, *_ in PAGE_LOOKS["runs"]} == set(RUN_LOOKS)


@pytest.mark.parametrize("kind", PAGE_LOOKS)
def test_every_state_has_an_icon_and_colours_of_its_own(kind):
    icons = [icon for _, _, icon, *_ in PAGE_LOOKS[kind]]
    assert len(set(icons)) == len(icons)
    drawn = re.findall(r"^  (\w+): \"M", script(PAGE / "dom.js"), re.MULTILINE)
    assert set(icons) <= set(drawn)
    coloured = set(re.findall(r"\.nbf-s-([\w-]+)", colours()))
    names = {name.lower().replace("_", "-") for name, *_ in PAGE_LOOKS[kind]}
    assert names <= coloured
