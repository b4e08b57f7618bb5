"""Running analyzers: what is told, in which order, and what is not."""

from collections.abc import Iterator

from controlplane.analysis import codes
from controlplane.analysis.analyzer import Analyzer
from controlplane.analysis.collection import Collection
from controlplane.analysis.finding import Finding, found
from controlplane.analysis.run import SUPPRESS, Suppression, analyze, runs
from controlplane.resources.resource import Key, Resource

A, B = Key("Gateway", "ns", "a"), Key("Namespace", "", "b")


def _analyzer(*findings: Finding, needs: tuple[str, ...] = ()) -> Analyzer:
    return Analyzer("test", "", (), lambda collection: findings, needs=needs)


def _collection(annotation: str = "") -> Collection:
    annotations = {SUPPRESS: annotation} if annotation else {}
    resources = (Resource(A, None, annotations=annotations), Resource(B, None))
    return Collection({one.key: one for one in resources})


INFO = found(codes.NAMESPACE_NOT_INJECTED, B, namespace="b")
WARNING = found(codes.UNKNOWN_ANNOTATION, A, "metadata.annotations.x", annotation="x")
ERROR = found(codes.REFERENCED_RESOURCE_NOT_FOUND, A, what="x", name="y")


def test_the_worst_first_and_each_once() -> None:
    analyzers = [_analyzer(INFO, WARNING), _analyzer(ERROR, WARNING)]
    assert analyze(_collection(), analyzers) == [ERROR, WARNING, INFO]


def test_lists_are_written_with_commas() -> None:
    one = found(codes.MULTIPLE_INJECTION_LABELS, B, labels=["a", "b"])
    assert "injection: a,b." in one.message


def test_a_resource_may_suppress_what_is_said_of_it() -> None:
    analyzers = [_analyzer(INFO, WARNING, ERROR)]
    assert analyze(_collection("IST0108, IST0999"), analyzers) == [ERROR, INFO]
    assert analyze(_collection("*"), analyzers) == [INFO]


def test_suppressions_name_a_code_and_resources() -> None:
    analyzers = [_analyzer(INFO, WARNING, ERROR)]
    for resource in ("Gateway a.ns", "Gateway *.ns", "Gateway ns/a", "*", "G?teway*"):
        suppressions = [Suppression("IST0108", resource)]
        assert analyze(_collection(), analyzers, suppressions) == [ERROR, INFO]
    for resource in ("Gateway a", "Gateway b.ns", "Namespace b"):
        suppressions = [Suppression("IST0108", resource)]
        assert analyze(_collection(), analyzers, suppressions) == [ERROR, WARNING, INFO]
    assert analyze(_collection(), analyzers, [Suppression("IST0102", "Namespace b")]) == [
        ERROR,
        WARNING,
    ]


def test_without_what_it_needs_an_analyzer_does_not_run() -> None:
    analyzer = _analyzer(ERROR, needs=("Secret", "Pod"))
    assert not runs(analyzer, _collection())
    assert analyze(_collection(), [analyzer]) == []
    assert analyze(_collection(), [_analyzer(ERROR, needs=("Secret", "Gateway"))]) == [ERROR]


def test_a_defect_of_one_analyzer_does_not_silence_the_others() -> None:
    def broken(collection: Collection) -> Iterator[Finding]:
        yield WARNING
        raise KeyError("oops")

    internal, error = analyze(_collection(), [Analyzer("bad", "", (), broken), _analyzer(ERROR)])
    assert error == ERROR
    assert internal.code is codes.INTERNAL_ERROR
    assert "bad: KeyError: 'oops'" in internal.message
