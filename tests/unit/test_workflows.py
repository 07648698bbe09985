# SPDX-License-Identifier: MIT
"""The workflows in ci/workflows and the examples in docs/ci.md, held against what there is: they
run on others' machines only, where nobody here would see them rot."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
WORKFLOWS = sorted((ROOT / "ci/workflows").glob("*.yml"))
RECIPES = (ROOT / "docs/ci.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
# What a step may use of a bare Debian machine, or brings itself.
PLAIN = {"apt-get", "cat", "cut", "echo", "gcc", "git", "grep", "sha256sum", "sudo"}
# Of these, what an apt-get line has to have installed before.
PACKAGES = {"gcc": "gcc", "git": "git", "make": "make"}


def recipes(language):
    return re.findall(rf"^```{language}\n(.*?)^```", RECIPES, re.M | re.S)


def steps(workflow):
    """Of GitHub's or GitLab's format: job by job, the commands in their order."""
    for job in workflow.get("jobs", {"": workflow.get("smoke")}).values():
        if "steps" in job:
            yield [step["run"] for step in job["steps"] if "run" in step]
        else:
            yield job["before_script"] + job["script"]


def commands(text):
    """The simple commands of a script, as lists of words."""
    lexer = shlex.shlex(text.replace("\\\n", " ").replace("\n", " ; "), posix=True,
                        punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    for separator, group in itertools.groupby(
            words, lambda word: word in {";", "&&", "||", "|", "(", ")"}):
        if not separator:
            yield list(group)


def check_command(words):
    """The program is there, and takes these targets, variables and options."""
    program, *arguments = words
    if program == "make":
        for word in arguments:
            if "=" in word:
                name = word.partition("=")[0]
                assert re.search(rf"^{name}\s*\?=", MAKEFILE, re.M), words
            elif not word.startswith("-") and word != "vitrine":
                assert re.search(rf"^{word}:.* ## ", MAKEFILE, re.M), words
    elif program.removeprefix("vitrine/").startswith(("ci/", ".ci/")):
        path = ROOT / program.removeprefix("vitrine/")
        assert os.access(path, os.X_OK), words
        options = [word for word in arguments if word.startswith("--")]
        if options:
            said = subprocess.run([path, "--help"], capture_output=True, text=True, check=True)
            for option in options:
                assert re.search(rf"^ *{option}\b", said.stdout, re.M), words
    else:
        assert program in PLAIN, words


def check_script(script):
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    left_out = r"\$\([^()]*\)|\$\{\{.*?\}\}|>>?\S+|<<'END'.*?\nEND$"
    for words in commands(re.sub(left_out, " word", script, flags=re.S | re.M)):
        if words != ["word"]:
            check_command([word for word in words if word != "word"])


def installed_by(script):
    return [word for words in commands(script) if words[:2] == ["apt-get", "install"]
            for word in words]


def workflows():
    for path in WORKFLOWS:
        yield pytest.param(path.read_text(), id=path.stem)
    for text in recipes("yaml"):
        yield pytest.param(text, id="docs")


@pytest.mark.parametrize("text", workflows())
def test_steps_are_commands_that_there_are(text):
    for scripts in steps(yaml.safe_load(text)):
        installed = []
        for script in scripts:
            check_script(script)
            installed += installed_by(script)
            for words in commands(re.sub(r"\$\{\{.*?\}\}", "word", script)):
                assert words[0] not in PACKAGES or PACKAGES[words[0]] in installed, words


@pytest.mark.parametrize("text", workflows())
def test_expressions_name_what_there_is(text):
    workflow = yaml.safe_load(text)
    jobs = workflow.get("jobs", {})
    known = {f"matrix.{key}" for job in jobs.values()
             for lane in job.get("strategy", {}).get("matrix", {}).get("include", [])
             for key in lane}
    known |= {f"steps.{step['id']}.outputs.{name}" for job in jobs.values() for step in job["steps"]
              if "id" in step for name in re.findall(r'echo "(\w+)=', step["run"])}
    for expression in re.findall(r"\$\{\{ *(.*?) *\}\}", text):
        if expression.startswith("hashFiles("):
            for name in re.findall(r"'(.*?)'", expression):
                assert list(ROOT.glob(name)), expression
        else:
            assert expression in known or expression.startswith("vars."), expression


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_emulators_cache_is_keyed_by_what_it_is_built_from(path):
    for name in ("ci/bochs-build", "ci/bochs-patches/*.patch"):
        assert name in path.read_text() and list(ROOT.glob(name)), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_artifacts_are_what_is_built(path):
    """make iso builds the ISO; log and JUnit file are where ci/smoke puts them by itself."""
    said = subprocess.run([ROOT / "ci/smoke", "--help"], capture_output=True, text=True,
                          check=True).stdout
    files = set(re.findall(r"build/[\w.]+\.\w+", path.read_text()))
    assert files == {"build/vitrine.iso", "build/smoke.log", "build/smoke.xml"}
    for file in files - {"build/vitrine.iso"}:
        assert f"({file})" in said


def test_examples_are_the_same_command():
    """In the shell's recipe and in GitHub's; and the kernel is built as its first line says."""
    smoke = [re.findall(r"vitrine/(ci/smoke .*?--expect \S+='.*?')", text)
             for text in (recipes("sh")[0], recipes("yaml")[0])]
    assert smoke[0] == smoke[1] and len(smoke[0]) == 1
    assert recipes("asm")[0].splitlines()[0].removeprefix("# ") in recipes("yaml")[0]


def test_commands_of_the_recipe_are_there():
    check_script(recipes("sh")[0])


def run(command, directory, **options):
    return subprocess.run(command, cwd=directory, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)


def without_times(text):
    return [re.sub(r" +[\d.]+ s\b", "", line).strip() for line in text.splitlines()]


@pytest.mark.long
def test_the_recipe_tests_ones_own_kernel(tmp_path):
    """docs/ci.md's kernel and ten lines, as they stand there, on a copy of this tree."""
    source, own = tmp_path / "source", tmp_path / "own"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "Copy"]):
        assert run([*git, *words], source).returncode == 0
    own.mkdir()
    kernel = recipes("asm")[0]
    (own / "kernel.S").write_text(kernel)
    built = run(shlex.split(kernel.splitlines()[0].removeprefix("# ")), own)
    assert (built.returncode, built.stdout) == (0, "")
    script = recipes("sh")[0].replace("ci/smoke", "ci/smoke --machine bochs")
    done = run([ROOT / "ci/foreign", "env", f"VITRINE_URL={source}", "bash", "-e", "-c", script], own)
    assert done.returncode == 0, done.stdout
    shown = re.search(r"((?: {4}smoke: .*\n)+)", RECIPES)[1]
    assert without_times(done.stdout)[-5:] == without_times(shown), done.stdout
    assert 'failures="0"' in (own / "smoke.xml").read_text()
    assert "mine| all tests passed" in (own / "smoke.log").read_text()
