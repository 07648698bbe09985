# SPDX-License-Identifier: MIT
"""ci/coverage: the lists in docs/coverage.md, and what it finds wrong, in a tree of a few files."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

PAGE = """# Coverage

Words of the page.

## A. Things

### A1
The first,
in two lines.

- `tests/unit/test_gone.c`

### A2
The second.

### A3
The third.

## B. Others
Words of the section.

### B10
The last.
"""
FILES = {
    "tests/unit/test_one.c": """// SPDX-License-Identifier: MIT
// One thing. Not B10, or A3: no id.
#include "x.h"

// A1.
static void test_first(void **state)
{
    f("A9: no text of a test's", "// A9: no comment");
}

static void helper(void)
{
}

// What it shows. A1,
// A2: and more.
static void test_second(void **state)
{
    // A3: in its middle.
}
""",
    "tests/unit/test_whole.c": """// SPDX-License-Identifier: MIT
// LIBS: -lm
// A3: all of it.
#include "x.h"
""",
    "tests/appliance/test_boot.py": '''"""Some tests."""
PARTS = ["A3"]

def test_boots(record):
    """A1 to A3: it boots. B10: and
    ends."""
    assert "PASS A2: so" in record

def test_more(record):
    """The A9: is not its first word."""
''',
    "images/guest/part.c": '''#include "guest.h"
void f(void)
{
    report(true, "A2: %s is so",
           "A9");
}
''',
    "images/guest/guest.h": "// A1, A2: what is said in a header is no test.\n",
    "images/README.md": "| part | A1, A3 |\n\n    guest| PASS A2: x is so\n",
}
LISTS = """# Coverage

Words of the page.

## A. Things

### A1
The first,
in two lines.

- `tests/appliance/test_boot.py`: `test_boots`
- `tests/unit/test_one.c`: `test_first`, `test_second`

### A2
The second.

- `tests/appliance/test_boot.py`: `test_boots`
- `tests/unit/test_one.c`: `test_second`
- `images/guest`: `part.c`

### A3
The third.

- `tests/appliance/test_boot.py`: `test_boots`
- `tests/unit/test_one.c`: `test_second`
- `tests/unit/test_whole.c`

## B. Others
Words of the section.

### B10
The last.

- `tests/appliance/test_boot.py`: `test_boots`
"""


class Tree:
    """Where ci/coverage finds these files."""

    def __init__(self, path):
        self.path = path
        self.page = path / "docs/coverage.md"
        for name, text in {"docs/coverage.md": PAGE, **FILES}.items():
            self.write(name, text)
        (path / "ci").mkdir()
        shutil.copy(ROOT / "ci/coverage", path / "ci")

    def write(self, name, text):
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_text(text)

    def coverage(self, *arguments, seed="random"):
        """Its exit status, and the lines that it says. `seed` decides the order of Python's sets."""
        done = subprocess.run([self.path / "ci/coverage", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                              env={**os.environ, "PYTHONHASHSEED": seed})
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_lists_are_written_below_the_rows(tree):
    """And nothing else is changed; a second time changes nothing."""
    assert tree.coverage() == (0, [])
    assert tree.page.read_text() == LISTS
    assert tree.coverage("--check") == (0, [])
    assert tree.coverage() == (0, [])
    assert tree.page.read_text() == LISTS


def test_a_page_that_is_out_of_date_fails(tree):
    """It names the first line that is not so, and stays as it is."""
    wrong = "is not what the tests say now; `make coverage` writes it"
    assert tree.coverage("--check") == (1, [f"docs/coverage.md:11: {wrong}"])
    assert tree.page.read_text() == PAGE
    tree.coverage()
    tree.write("tests/unit/test_one.c", FILES["tests/unit/test_one.c"].replace("test_first", "test_1"))
    assert tree.coverage("--check") == (1, [f"docs/coverage.md:12: {wrong}"])


def test_a_row_without_tests_says_so(tree):
    tree.write("tests/appliance/test_boot.py", "")
    assert tree.coverage() == (0, [])
    assert tree.page.read_text().endswith("The last.\n\nNo test carries this id yet.\n")
    tree.write("tests/appliance/test_boot.py", FILES["tests/appliance/test_boot.py"])
    assert tree.coverage() == (0, [])
    assert tree.page.read_text() == LISTS


@pytest.mark.parametrize("name, old, new, line, row", [
    pytest.param("tests/unit/test_one.c", "// A2: and", "// A9: and", 15, "A9", id="two lines"),
    pytest.param("tests/unit/test_one.c", "A3: in", "A3, C1: in", 19, "C1", id="in a function"),
    pytest.param("tests/unit/test_whole.c", "A3: all", "A4: all", 3, "A4", id="C file"),
    pytest.param("tests/appliance/test_boot.py", "A1 to A3", "A1 to A4", 5, "A4", id="range"),
    pytest.param("tests/appliance/test_boot.py", "B10: and", "B1: and", 5, "B1", id="sentence"),
    pytest.param("tests/appliance/test_boot.py", "Some tests", "B2: some", 1, "B2", id="Python file"),
    pytest.param("tests/appliance/test_boot.py", '"A3"', '"A33"', 2, "A33", id="parameter"),
    pytest.param("tests/appliance/test_boot.py", "PASS A2", "PASS B2", 7, "B2", id="verdict asked for"),
    pytest.param("images/guest/part.c", "A2: %s", "A6: %s", 4, "A6", id="verdict"),
    pytest.param("images/guest/guest.h", "A2: what", "A7: what", 1, "A7", id="guest's header"),
    pytest.param("images/README.md", "A1, A3", "A1, A8", 1, "A8", id="column"),
    pytest.param("images/README.md", "PASS A2", "PASS A5", 3, "A5", id="verdict shown"),
])
def test_an_id_without_a_row_fails(tree, name, old, new, line, row):
    """With file and line, whichever text carries it."""
    assert FILES[name].count(old) == 1
    tree.write(name, FILES[name].replace(old, new))
    expected = [f"{name}:{line}: {row} has no row in docs/coverage.md"]
    assert tree.coverage() == (1, expected)
    assert tree.coverage("--check") == (1, expected)


def test_an_id_at_no_test_fails(tree):
    tree.write("tests/unit/test_one.c", FILES["tests/unit/test_one.c"].replace(
        "static void helper", "// A1: helps.\nstatic void helper"))
    tree.write("tests/appliance/test_boot.py",
               FILES["tests/appliance/test_boot.py"].replace("def test_boots", "def boots"))
    assert tree.coverage() == (1, [
        "tests/appliance/test_boot.py:5: A1, A2, A3: boots is no test",
        "tests/appliance/test_boot.py:5: B10: boots is no test",
        "tests/unit/test_one.c:11: A1: this comment is no test's"])


def test_what_is_wrong_in_one_line_has_an_order(tree):
    """However Python orders its sets."""
    tree.write("tests/appliance/test_boot.py",
               FILES["tests/appliance/test_boot.py"].replace("def test_boots", "def boots"))
    said = [tree.coverage(seed=str(seed)) for seed in range(1, 9)]
    assert said == [(1, ["tests/appliance/test_boot.py:5: A1, A2, A3: boots is no test",
                         "tests/appliance/test_boot.py:5: B10: boots is no test"])] * 8


def test_a_row_that_is_there_twice_fails(tree):
    tree.write("docs/coverage.md", PAGE + "\n### A1\nThe first again.\n")
    status, lines = tree.coverage()
    assert status == 1 and lines == ["docs/coverage.md:25: A1 has a row already"]


def test_lint_fails_where_coverage_does(tree):
    """By the rule that `make lint` has for it."""
    def lint():
        return subprocess.run(
            [ROOT / "ci/foreign", "make", "-s", "-f", ROOT / "ci/lint.mk", "coverage"], cwd=tree.path,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert lint().returncode != 0 and "docs/coverage.md:11: is not" in lint().stdout
    tree.coverage()
    assert lint().returncode == 0, lint().stdout
