# SPDX-License-Identifier: MIT
"""ci/check-contracts: what declarations demand and definitions assert, in a tree of two files and in
the project's own."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

HEADER = """#define REQUIRES_OWNER(v)
// A comment with REQUIRES_HELD(&lock); and a brace {
void run(struct vcpu *v, void (*fn)(void *arg),
         void *arg) REQUIRES_OWNER(v) REQUIRES_HELD(&v->lock);
void say(struct vcpu *v, const char *fmt, ...) REQUIRES_OWNER(v) PRINTF(2, 3);
bool free(const struct vcpu *v);
static inline void look(struct vcpu *v) REQUIRES_OWNER(v)
{
    ASSERT_OWNER(v);
}
"""
SOURCE = """static void mine(struct vcpu *v)
{
    ASSERT_OWNER(v);
}

COLD void run(struct vcpu *v, void (*fn)(void *arg), void *arg)
{
    ASSERT_OWNER(v); // its own
    ASSERT_HELD(&v->lock);
    fn(arg);
}

void say(struct vcpu *v, const char *fmt, ...)
{
    ASSERT_OWNER(v);
}

bool free(const struct vcpu *v)
{
    return v->hold == 0;
}
"""


def check(directory):
    done = subprocess.run([ROOT / "ci/check-contracts", directory], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    (tmp_path / "src/vcpu").mkdir(parents=True)
    (tmp_path / "src/vcpu/vcpu.h").write_text(HEADER)
    (tmp_path / "src/vcpu/vcpu.c").write_text(SOURCE)
    return tmp_path


def change(tree, name, old, new):
    path = tree / "src/vcpu" / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_project_asserts_what_it_demands():
    assert check(ROOT) == (0, "")


def test_a_tree_that_asserts_all_passes(tree):
    assert check(tree) == (0, "")


@pytest.mark.parametrize("name, old, new, told", [
    ("vcpu.c", "    ASSERT_HELD(&v->lock);\n", "",
     "src/vcpu/vcpu.c:6: run has REQUIRES_OWNER(v) REQUIRES_HELD(&v->lock) and begins with ASSERT_OWNER(v)"),
    ("vcpu.c", "ASSERT_HELD(&v->lock)", "ASSERT_HELD(&lock)",
     "src/vcpu/vcpu.c:6: run has REQUIRES_OWNER(v) REQUIRES_HELD(&v->lock) and begins with "
     "ASSERT_OWNER(v) ASSERT_HELD(&lock)"),
    ("vcpu.h", "...) REQUIRES_OWNER(v)", "...)",
     "src/vcpu/vcpu.c:13: say has nothing and begins with ASSERT_OWNER(v)"),
    ("vcpu.c", "bool free(", "bool release(", None),
    ("vcpu.h", "bool free(const struct vcpu *v)", "bool free(const struct vcpu *v) REQUIRES_OWNER(v)",
     "src/vcpu/vcpu.c:18: free has REQUIRES_OWNER(v) and begins with nothing"),
    ("vcpu.c", "void say(", "void tell(",
     "src/vcpu/vcpu.h:5: say has REQUIRES_OWNER(v), and no definition"),
    ("vcpu.h", "{\n    ASSERT_OWNER(v);", "{\n    v->hold = 0;",
     "src/vcpu/vcpu.h:7: look has REQUIRES_OWNER(v) and begins with nothing"),
])
def test_what_is_not_asserted_is_named(tree, name, old, new, told):
    change(tree, name, old, new)
    assert check(tree) == ((1, told + "\n") if told else (0, ""))
