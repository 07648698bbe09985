# SPDX-License-Identifier: MIT
"""ci/check-errors: functions that fail in another way than by enum error, in a tree of three files and in
the project's own."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

ERROR = """enum MUST_CHECK error {
    OK = 0,
};
const char *error_name(enum error e);
"""
HEADER = """// A comment: const char *check(struct text *why);
enum error check(const struct vm *vm,
                 struct text *why) REQUIRES_OWNER(v);
void refuse(struct vm *vm, struct text *why);
bool parse(const char *text, size_t len);
static inline const char *exit_text(const struct vm *vm)
{
    return vm->text;
}
struct ops {
    const char *(*key_name)(unsigned key);
    enum error (*set)(const char *value, struct text *why);
};
"""
SOURCE = """static enum error look(struct text *why)
{
    return check(NULL, why);
}

static const char *next(const char *text)
{
    return text + 1;
}
"""


def check(directory):
    done = subprocess.run([ROOT / "ci/check-errors", directory], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    for name, text in ("lib/error.h", ERROR), ("vm/vm.h", HEADER), ("vm/vm.c", SOURCE):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_project_fails_by_errors_alone():
    assert check(ROOT) == (0, "")


def test_a_tree_that_keeps_to_it_passes(tree):
    assert check(tree) == (0, "")


@pytest.mark.parametrize("name, old, new, told", [
    ("lib/error.h", "MUST_CHECK ", "", "src/lib/error.h:1: enum error is without MUST_CHECK"),
    ("vm/vm.h", "void refuse(struct vm *vm, struct text *why)", "const char *refusal(struct vm *vm)",
     "src/vm/vm.h:4: refusal returns const char * and is not named _name or _text"),
    ("vm/vm.h", "exit_text", "why_it_ended",
     "src/vm/vm.h:6: why_it_ended returns const char * and is not named _name or _text"),
    ("vm/vm.h", "(*key_name)", "(*complain)",
     "src/vm/vm.h:11: complain returns const char * and is not named _name or _text"),
    ("vm/vm.h", "enum error check(", "bool check(",
     "src/vm/vm.h:2: check has a sink for the reason and returns no enum error"),
    ("vm/vm.h", "enum error (*set)", "bool (*set)",
     "src/vm/vm.h:12: set has a sink for the reason and returns no enum error"),
    ("vm/vm.c", "static enum error look(struct text *why)", "static int look(struct load_failure *why)",
     "src/vm/vm.c:1: look has a sink for the reason and returns no enum error"),
])
def test_what_does_not_is_named(tree, name, old, new, told):
    path = tree / "src" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert check(tree) == (1, told + "\n")
