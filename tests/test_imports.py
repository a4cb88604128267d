"""Importing does nothing, and what must be quick loads nothing heavy."""

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vlmeval_mp"
HEAVY = ("torch", "transformers", "vllm", "PIL", "av", "numpy", "pandas", "rich", "scipy", "pynvml")
LIGHT_MODULES = (
    "vlmeval_mp.cli.main", "vlmeval_mp.runs.snapshot", "vlmeval_mp.runs.state", "vlmeval_mp.cli.logs",
    "vlmeval_mp.runs.submit", "vlmeval_mp.pool.supervisor.loop", "vlmeval_mp.pool.worker.loop",
    "vlmeval_mp.engines.fake",
)  # fmt: skip


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=PACKAGE.parent,
    )  # fmt: skip
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_light_modules_load_no_heavy_library():
    """All in one process: what none of them loads is loaded by none."""
    assert loaded_by("\n".join(f"import {module}" for module in LIGHT_MODULES)) & set(HEAVY) == set()


def test_help_loads_no_heavy_library():
    code = "from vlmeval_mp.cli import main\ntry: main.main(['launch', '--help'])\nexcept SystemExit: pass"
    assert loaded_by(code) & set(HEAVY) == set()


def test_the_page_of_all_verbs_loads_nothing_that_only_a_verb_at_work_needs():
    """Each of these takes milliseconds, of the 0.15 s of a processor that `--help` may take."""
    code = "from vlmeval_mp.cli import main\ntry: main.main(['--help'])\nexcept SystemExit: pass"
    spared = {"msgspec", "subprocess", "statistics", "tempfile", "difflib", "hashlib", "logging", "socket", "secrets"}
    assert loaded_by(code) & {*HEAVY, *spared} == set()


@pytest.mark.slow
def test_importing_the_package_changes_nothing_around_it():
    code = (
        "import os, logging; before = dict(os.environ), list(logging.root.handlers), logging.root.level\n"
        "import pkgutil, importlib, vlmeval_mp\n"
        "skip = ('vlmeval_mp.demo', 'vlmeval_mp.engines.vllm', 'vlmeval_mp.engines.transformers')\n"
        "skip += ('vlmeval_mp.vlmevalkit.child.',)  # run by file path in a process of its own\n"
        "for m in pkgutil.walk_packages(vlmeval_mp.__path__, 'vlmeval_mp.'):\n"
        "    if not m.name.startswith(skip): importlib.import_module(m.name)\n"
        "assert before == (dict(os.environ), list(logging.root.handlers), logging.root.level)"
    )
    loaded_by(code)


def test_every_module_says_what_it_owns():
    silent = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.stat().st_size and not re.match(r'(#!.*\n)?r?"""', path.read_text())
    ]
    assert silent == []


MODULES = {"nvidia-ml-py": "pynvml", "pillow": "PIL"}
"""Distributions that are imported under another name."""
LENT = {
    "vllm",
    "cloudpickle",
    "math_verify",
    "torch",
    "transformers",
    "openai",
    "pyarrow",
    "wandb",
    "vlmeval",
    "processor",
}
"""What an extra brings, or, as `vlmeval`, another interpreter."""


def imported() -> set[str]:
    """Return the top-level names that the package imports, wherever the import stands."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        if {"child", "demo"} & set(path.relative_to(PACKAGE).parts):
            continue  # run elsewhere, by file path or by a maker
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"vlmeval_mp"}


def test_the_core_declares_what_it_imports_and_imports_what_it_declares():
    setup = configparser.ConfigParser()
    setup.read(PACKAGE.parent / "setup.cfg")
    declared = {re.split("[<>=]", line)[0] for line in setup["options"]["install_requires"].split()}
    assert imported() - LENT == {MODULES.get(name, name) for name in declared}


QUESTION = re.compile(r"(What|How|Where|Which|Who|Whoever|When|Whether|Why)\b")


def documented(tree: ast.Module) -> list[str]:
    """The docstrings of a module, its functions and classes, and the texts under its constants."""
    texts = (
        node.value for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    )
    return [text.value.strip() for text in texts if isinstance(text.value, str)]


def test_a_docstring_begins_with_a_verb_or_a_noun_and_not_with_a_question_word():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert len(paths) > 300
    texts = [
        (str(path.relative_to(PACKAGE)), text) for path in paths for text in documented(ast.parse(path.read_text()))
    ]
    assert [(path, text[:80]) for path, text in texts if QUESTION.match(text)] == []
