"""What the documents say exists: links, commands with their options, and the docstrings of what is public."""

import importlib
import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def _api():
    spec = importlib.util.spec_from_file_location("api", ROOT / "docs" / "api.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PUBLIC = _api().PUBLIC


# ------------------------------------------------------------------------------------------------------------ links
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if not link.startswith("http")]
    assert [link for link in links if not (page.parent / link).exists()] == []
    paths = re.findall(r"`((?:bodymap|apps|benchmarks|configs|docs|examples|tests)/[\w./-]+)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_readme_names_every_page():
    linked = set(re.findall(r"\]\((docs/[\w.]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    written = {f"docs/{page.name}" for page in ROOT.glob("docs/*") if page.suffix in (".md", ".ipynb")}
    assert linked == written


# --------------------------------------------------------------------------------------------------------- commands
# All in one process: what they import is imported once, and --help must not need much
HELP = """
import contextlib, io, json, os, runpy, sys
answers = {}
for command in json.load(sys.stdin):
    target, *words = command.split()
    sys.argv = [target, *words, "--help"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        if target.endswith(".py"):
            runpy.run_path(target, run_name="__main__")
        else:
            runpy.run_module(target, run_name="__main__", alter_sys=True)
    answers[command] = said.getvalue()
print(json.dumps(answers), file=sys.__stdout__)
"""


def helps(commands):
    """{command: what it says with --help}."""
    done = subprocess.run(
        [sys.executable, "-c", HELP], input=json.dumps(sorted(commands)), capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def told():
    """(page, module or script, the rest of the line) of every command that the documents and configurations show."""
    launcher = r"(?:python|accelerate launch(?: --\w+ \S+)*|torchrun(?: --\w+ \S+)*)"
    found = []
    for page in [*PAGES, *ROOT.glob("configs/**/*.yaml")]:
        text = re.sub(r" *\\\n[ #]*", " ", page.read_text(encoding="utf-8"))
        for target, rest in re.findall(launcher + r" (?:-m )?([\w/]+(?:\.\w+)+)([^`\n]*)", text):
            found.append((page.name, target, re.split(r" && | & | #|;|  ", rest)[0]))
    return found


def source(target):
    """The file of a module or script."""
    if target.endswith(".py"):
        return ROOT / target
    file = ROOT / target.replace(".", "/")
    return file / "__main__.py" if file.is_dir() else file.with_suffix(".py")


def test_every_command_and_option_exists():
    commands = told()
    assert len(commands) > 60
    code = {target: source(target).read_text(encoding="utf-8") for _, target, _ in commands}
    # what reads no arguments would start to work if it were asked for help; benchmarks import all they measure
    asked = {target for target, text in code.items() if "parse_args" in text and not target.startswith("benchmarks")}
    first = helps(asked)
    wanted = []
    for page, target, rest in commands:
        word = rest.split()[0] if rest.split() else ""
        # argparse lists subcommands one a line, four spaces in
        if word in re.findall(r"^ {4}([a-z]\w*)", first.get(target, ""), re.MULTILINE):
            target = f"{target} {word}"
        wanted.append((page, target, re.findall(r"(?<![\w-])--[a-z][\w-]*", rest)))
    answers = code | first | helps({target for _, target, _ in wanted} - set(code))
    unknown = [
        (page, target, option)
        for page, target, options in wanted
        for option in options
        if not re.search(rf"{option}(?![\w-])", answers[target])
    ]
    assert not unknown


# ------------------------------------------------------------------------------------------------------- docstrings
def undocumented(module):
    """Public names of a module, and of its classes, without a docstring of their own."""
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    missing = [] if module.__doc__ else [module.__name__]
    for name in names:
        value = getattr(module, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        members = {name: value}
        if inspect.isclass(value):
            members |= {
                f"{name}.{member}": inner
                for member, inner in vars(value).items()
                if not member.startswith("_")
                and isinstance(inner, (property, classmethod, staticmethod))
                or (inspect.isfunction(inner) and not member.startswith("_"))
            }
        # a dataclass without one gets its signature as a docstring
        missing += [
            f"{module.__name__}.{member}"
            for member, inner in members.items()
            if not inspect.getdoc(inner) or inner.__doc__ and inner.__doc__.startswith(f"{name}(")
        ]
    return missing


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_has_a_docstring(name):
    assert not undocumented(importlib.import_module(name))


def test_the_reference_is_built(tmp_path):
    pytest.importorskip("pdoc")
    _api().build(tmp_path)
    pages = {str(page.relative_to(tmp_path).with_suffix("")).replace("/", ".") for page in tmp_path.rglob("*.html")}
    assert pages == {*PUBLIC, "index"}
    # what loads on first use is there, with the text of its docstring
    assert "Loads weights: nothing (the shipped ones)" in (tmp_path / "bodymap.html").read_text()
    assert "four independent seeds" in (tmp_path / "bodymap/people.html").read_text()
