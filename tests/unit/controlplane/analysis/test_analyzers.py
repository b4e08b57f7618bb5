"""What each analyzer finds, and on which line.

`cases/MODULE.yaml` (and `MODULE-MORE.yaml`) holds good and bad resources; a line on which something
is to be found ends in `#! CODE message`, and the analyzer must find exactly these.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.analyzers import ALL
from controlplane.analysis.codes import ALL as ALL_CODES
from controlplane.analysis.load import Loaded, load
from controlplane.analysis.run import analyze, runs
from controlplane.resources.kinds import KINDS
from controlplane.sources.document import read
from tests.support.certs import EXPIRED, NOT_YET, VALID, Authority

_CASES = Path(__file__).parent / "cases"
_MARK = re.compile(r" #! (IST\d{4}) (.*?)(?= #! |$)")


def _module(analyzer: Analyzer) -> str:
    return str(analyzer.run.__module__).rpartition(".")[2]


def _cases(analyzer: Analyzer) -> list[Path]:
    name = _module(analyzer)
    return sorted(path for path in _CASES.iterdir() if path.stem.partition("-")[0] == name)


def _expected(text: str) -> list[str]:
    return sorted(
        f"f.yaml:{number} {code} {message}"
        for number, line in enumerate(text.splitlines(), 1)
        for code, message in _MARK.findall(line)
    )


def _found(text: str, analyzer: Analyzer) -> list[str]:
    loaded: Loaded = load([read(text.encode(), "f.yaml")], KINDS)
    assert loaded.unreadable == []
    assert loaded.repeated == []
    assert runs(analyzer, loaded.collection)
    return sorted(
        f"{loaded.place(one.key, one.path)} {one.code.code} {one.message}"
        for one in analyze(loaded.collection, [analyzer])
        if one.key in loaded.documents or one.key.kind == "Analyzer"
    )


def _with_certificates(text: str, folder: Path) -> str:
    """Certificates are made when they are needed: they would expire."""
    authority = Authority(folder)
    for name, validity in (("GOOD", VALID), ("EXPIRED", EXPIRED), ("TOMORROW", NOT_YET)):
        credential = authority.issue(name.lower(), validity=validity)
        text = text.replace(f"${name}", base64.b64encode(credential.pem.encode()).decode())
        text = text.replace("$KEY", base64.b64encode(credential.key_pem.encode()).decode())
        if name == "GOOD":
            text = text.replace("$TEXT", credential.pem.replace("\n", "\\n"))
    return text


@pytest.mark.parametrize("analyzer", ALL, ids=_module)
def test_what_is_found_and_where(analyzer: Analyzer, tmp_path: Path) -> None:
    told: set[str] = set()
    for path in _cases(analyzer):
        text = path.read_text()
        expected = _expected(text)
        assert expected
        # A good case beside the bad ones.
        assert any("#!" not in document for document in text.split("\n---\n"))
        if "$GOOD" in text:
            text = _with_certificates(text, tmp_path)
        assert _found(text, analyzer) == expected
        told |= {line.split(" ")[1] for line in expected}
    assert told == {one.code for one in analyzer.codes}


def test_every_code_is_some_analyzers() -> None:
    used = {code.code for analyzer in ALL for code in analyzer.codes}
    assert used == {one.code for one in ALL_CODES} - {"IST0001"}


def test_every_case_is_some_analyzers() -> None:
    cases = {path.stem.partition("-")[0] for path in _CASES.iterdir()}
    assert cases == {_module(one) for one in ALL}
