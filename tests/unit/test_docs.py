"""What the documents name is there: files they link to, sections, paths, tests, commands, flags."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mesh import cli

ROOT = Path(__file__).parents[2]
_DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_NAMES = [str(path.relative_to(ROOT)) for path in _DOCUMENTS]
#: Not ours to name, or made by what is run.
_SKIPPED = {".git", ".venv", ".cache", "target", "build", "__pycache__", "node_modules"}
#: Endings of files that are looked for when a document names them.
_ENDINGS = (".py", ".pyi", ".pyx", ".rs", ".md")
#: Where a path may begin, beside the top of the repository.
_BEGINNINGS = ("", "docs", "src", "src/fastpath", "src/fastpath/crates", "tests", "controlplane")


@pytest.mark.parametrize("name", _NAMES)
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text()
    lost = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, section = target.partition("#")
        path = (ROOT / name).parent / file if file else ROOT / name
        if not path.exists() or (section and section not in _sections(path.read_text())):
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("name", _NAMES)
def test_files_that_are_named_are_there(name: str) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", (ROOT / name).read_text())
    lost = [
        one
        for one in re.findall(r"`([\w./-]+)`", text)
        if one.endswith(_ENDINGS) and not any(f"/{path}".endswith(f"/{one}") for path in _files())
    ]
    lost += [
        one
        for one in re.findall(r"`((?:tests|docs|examples|scripts|crates|src)/[\w./-]*)`", text)
        if not one.endswith(_ENDINGS) and not _is_there(one)
    ]
    assert lost == []


def test_the_map_is_of_this_country() -> None:
    """In ARCHITECTURE.md a name with a slash in it is a module, a folder or a file."""
    text = re.sub(r"(?ms)^```.*?^```", "", (ROOT / "ARCHITECTURE.md").read_text())
    places = {f"/{one}" for path in _files() for one in (path, *map(str, Path(path).parents))}
    places |= {str(Path(one).with_suffix("")) for one in places if Path(one).suffix}
    named = [one.rstrip("/") for one in re.findall(r"`(\w[\w./-]*/[\w./-]*)`", text)]
    assert len(named) > 30
    assert [one for one in named if not any(at.endswith(f"/{one}") for at in places)] == []


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_lists_are_counted_without_a_gap(name: str) -> None:
    before = 0
    for number in map(int, re.findall(r"(?m)^(\d+)\. ", (ROOT / name).read_text())):
        assert number in {1, before + 1}, f"{number} after {before}"
        before = number


@pytest.mark.parametrize("name", _NAMES)
def test_commands_that_are_named_exist(name: str) -> None:
    wrong = []
    for words in _command_lines((ROOT / name).read_text(), "mesh"):
        # `mesh bench control` has a help of its own.
        known = _flags(*words[:2]) if words[:2] == ["bench", "control"] else _flags(words[0])
        if known is None:
            wrong.append(f"mesh {words[0]}")
            continue
        own = words[: words.index("--")] if "--" in words else words
        flags = {one.partition("=")[0] for one in own[1:] if re.match(r"--?[a-zA-Z]", one)}
        wrong += [f"mesh {words[0]} {one}" for one in sorted(flags - known)]
    assert wrong == []


@pytest.mark.parametrize("name", _NAMES)
def test_make_targets_that_are_named_exist(name: str) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    used = {words[0] for words in _command_lines((ROOT / name).read_text(), "make")}
    assert used <= targets


def test_figures_of_the_readme_are_those_of_the_benchmarks() -> None:
    """Where both have them in the same unit."""
    table = (ROOT / "README.md").read_text().partition("The other protocols, measured")[2]
    rows = [
        line for line in table.partition("\n\nThe control plane")[0].splitlines() if "|" in line
    ]
    rows = [line.partition(" | ")[2] for line in rows if "idle connection" not in line]
    figures = {one for line in rows for one in re.findall(r"\d[\d,.]*\d", line)}
    measured = set(re.findall(r"\d[\d,.]*\d", (ROOT / "docs/benchmarks.md").read_text()))
    assert len(figures) > 20
    assert figures - measured == set()


def test_the_demo_prints_what_the_readme_shows() -> None:
    shown = (ROOT / "README.md").read_text().partition("What `make demo` prints")[2]
    shown = shown.split("```")[1]
    tour = (ROOT / "src/mesh/demo/tour.py").read_text()
    steps = re.findall(r"(?m)^\d+\. (.+)$", shown)
    assert len(steps) == 6
    assert [one for one in steps if f'step("{one}")' not in tour] == []
    files = re.findall(r"mesh apply -f bookinfo/(\S+)", shown)
    assert files
    assert [one for one in files if f'"{one}"' not in tour] == []


def _sections(text: str) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    plain = (re.sub(r"[^\w\- ]", "", one.lower()) for one in headings)
    return {one.strip().replace(" ", "-") for one in plain}


@cache
def _files() -> tuple[str, ...]:
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [one for one in folders if one not in _SKIPPED]
        here = Path(folder).relative_to(ROOT)
        found += [str(here / one) for one in names]
    return tuple(found)


def _is_there(path: str) -> bool:
    return any((ROOT / beginning / path).exists() for beginning in _BEGINNINGS)


def _command_lines(text: str, program: str) -> Iterator[list[str]]:
    """Uses of a program in code: the words after its name, up to what the shell ends it with."""
    blocks = re.findall(r"(?ms)^```.*?\n(.*?)^```", text)
    blocks += re.findall(r"(?m)^    (.*)$", text)
    blocks += re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text))
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        start = re.match(rf"\s*(?:\$ )?{program} (.*)", line)
        if start is None:
            continue
        words = _words(start[1])
        # `mesh apply|delete|get` are three.
        first, *rest = words
        for one in re.split(r"[|,]", first) if words else []:
            if re.fullmatch(r"[a-z-]+", one):
                yield [one, *rest]


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
    lexer.whitespace_split = True
    words = []
    with contextlib.suppress(ValueError):
        for word in lexer:
            if word in {"|", ";", "&", "&&", "||"}:
                break
            words.append(word)
    return words


@cache
def _flags(*command: str) -> frozenset[str] | None:
    """Those that the help of a subcommand has; None if there is no such subcommand."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = cli.main([*command, "--help"])
        except SystemExit as ended:
            code = 0 if ended.code is None else int(ended.code)
    if code != 0:
        return None
    return frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", said.getvalue()))
