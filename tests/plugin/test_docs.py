"""The examples of docs/testing.md are tests: each block is a file of a suite, and passes."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


README = PAGE.parents[1] / "README.md"


def blocks(language: str, page: Path = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_readmes_test_passes(suite):
    [text] = [block for block in blocks("python", README) if "def test_" in block]
    suite(text, "-W", "error").assert_outcomes(passed=1)


def test_every_example_on_the_page_passes(suite):
    examples = blocks("python")
    files = {f"test_example_{n}.py": text for n, text in enumerate(examples)}
    settings = next(n for n, text in enumerate(examples) if "test_the_ini_file" in text)
    files[f"settings/test_example_{settings}.py"] = files.pop(f"test_example_{settings}.py")
    written = sum(len(re.findall(r"^ *def test_", text, re.MULTILINE)) for text in examples)
    ini = "\nfilterwarnings = error\n"
    done = suite({**files, "pytest.ini": f"[pytest]{ini}"}, "--ignore=settings", "-rs")
    outcomes = done.parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}, done.stdout.str()
    assert outcomes.get("skipped", 0) <= 1, "only the one about netem may be skipped"
    [said] = blocks("ini")
    alone = suite({"settings/pytest.ini": said + ini}, "settings")
    assert sum(outcomes.values()) + alone.parseoutcomes()["passed"] == written


def test_every_setting_and_option_is_on_the_page(suite):
    page = PAGE.read_text()
    listed = suite("", "--help").stdout.str()
    options = set(re.findall(r"natlab_\w+(?= \()", listed)) | {"--natlab-keep"}
    assert len(options) > 5
    assert {option for option in options if option not in page} == set()
