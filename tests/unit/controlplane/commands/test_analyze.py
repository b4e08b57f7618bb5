"""`mesh analyze`: flags, output, exit codes."""

import io
import json
from pathlib import Path

import pytest

from controlplane.commands.analyze import FOUND, UNREADABLE, main

GOOD = (
    "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, name: http}]}}"
)
BAD = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: x
spec:
  hosts: [a]
  gateways:
  - gw
  http:
  - route: [{destination: {host: a}}]
"""
WARNED = GOOD.replace("name: a}", "name: a, annotations: {istio.io/no: ''}}")


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("good", GOOD), ("bad", BAD), ("warned", WARNED)):
        Path(f"{name}.yaml").write_text(text)


def test_an_error_is_a_line_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bad.yaml", "good.yaml"]) == FOUND == 79
    said = capsys.readouterr()
    assert said.out == (
        'Error [IST0101] (VirtualService default/x bad.yaml:8) Referenced gateway not found: "gw"\n'
    )
    assert said.err == ""


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["good.yaml"]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "\u2714 No validation issues found when analyzing good.yaml.\n"


def test_nothing_to_analyze(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert main(["empty"]) == 0
    assert capsys.readouterr().err == "No resources to analyze in empty.\n"


def test_folders_are_read_with_those_below(capsys: pytest.CaptureFixture[str]) -> None:
    Path("below/more").mkdir(parents=True)
    Path("below/more/bad.yml").write_text(BAD)
    Path("below/readme.txt").write_text("{")
    assert main(["below"]) == FOUND
    assert "below/more/bad.yml:8" in capsys.readouterr().out


def test_the_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
    assert main(["-"]) == FOUND
    assert "(VirtualService default/x standard input:8)" in capsys.readouterr().out


def test_the_failure_threshold() -> None:
    assert main(["warned.yaml"]) == 0
    assert main(["--failure-threshold", "Warning", "warned.yaml"]) == FOUND
    assert main(["--failure-threshold", "info", "warned.yaml"]) == FOUND


def test_the_output_threshold_hides_and_does_not_excuse(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--failure-threshold", "Warning", "--output-threshold", "Error", "warned.yaml"]
    assert main(flags) == FOUND
    assert capsys.readouterr().out == ""


def test_json_and_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-o", "json", "bad.yaml", "good.yaml"]) == FOUND
    (one,) = json.loads(capsys.readouterr().out)
    assert (one["code"], one["reference"]) == ("IST0101", "bad.yaml:8")
    assert main(["-o", "yaml", "good.yaml"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_suppressions(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bad.yaml", "good.yaml", "-S", "IST0101=VirtualService x.*"]) == 0
    assert main(["good.yaml", "-S", "IST9999=VirtualService x.*"]) == 0
    assert "there is no code IST9999" in capsys.readouterr().err


def test_one_namespace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bad.yaml", "good.yaml", "-n", "ns"]) == FOUND
    assert "(VirtualService ns/x " in capsys.readouterr().out
    Path("bad.yaml").write_text(BAD.replace("name: x", "name: x\n  namespace: other"))
    assert main(["bad.yaml", "good.yaml", "-n", "ns"]) == 0
    assert main(["bad.yaml", "good.yaml", "-n", "ns", "-A"]) == FOUND


def test_one_analyzer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bad.yaml", "--analyzer", "service.PortNameAnalyzer"]) == 0
    assert main(["bad.yaml", "--analyzer", "virtualservice.GatewayAnalyzer"]) == FOUND
    capsys.readouterr()
    assert main(["bad.yaml", "--analyzer", "no.such"]) == 1
    assert capsys.readouterr().err == ("there is no analyzer no.such; mesh analyze -L lists them\n")


def test_the_analyzers_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-L"]) == 0
    assert "* gateway.ConflictingGatewayAnalyzer:\n    Gateways" in capsys.readouterr().out


def test_verbose_says_what_ran(capsys: pytest.CaptureFixture[str]) -> None:
    ingress = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: a}}"
    Path("ingress.yaml").write_text(ingress)
    main(["-v", "good.yaml", "ingress.yaml"])
    said = capsys.readouterr().err
    assert "Kinds that are not analyzed: Ingress (1)\n" in said
    assert "Skipped analyzers:\n\tgateway.SecretAnalyzer\n" in said
    assert "Executed analyzers:\n\t" in said


def test_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.yaml").write_text("a: [\n")
    assert main(["broken.yaml", "good.yaml"]) == UNREADABLE == 65
    said = capsys.readouterr().err
    assert said.startswith("broken.yaml:")
    assert said.endswith("broken.yaml, good.yaml (but 1 document could not be read).\n")
    assert main(["--ignore-unknown", "broken.yaml", "good.yaml"]) == 0
    assert main(["nowhere.yaml"]) == 1


def test_a_mesh_config(capsys: pytest.CaptureFixture[str]) -> None:
    Path("telemetry.yaml").write_text(
        "{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: a},"
        " spec: {accessLogging: [{}]}}"
    )
    flags = ["--failure-threshold", "Warning", "telemetry.yaml"]
    assert main(flags) == FOUND
    Path("mesh.yaml").write_text("defaultProviders: {accessLogging: [envoy]}")
    assert main(["--meshConfigFile", "mesh.yaml", *flags]) == 0
    capsys.readouterr()
    Path("mesh.yaml").write_text("\ndefaultConfig:\n  statusPort: 0\n")
    assert main(["--meshConfigFile", "mesh.yaml", *flags]) == 1
    said = capsys.readouterr().err
    assert "mesh.yaml:3: MeshConfig: defaultConfig.statusPort: must be a port" in said


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--config", "x", "a"], "--config is a folder that is analyzed where no files are named"),
        (["--failure-threshold", "Fatal", "a"], "must be one of Error, Warning, Info"),
        (["-S", "IST0101", "a"], "must be CODE=RESOURCE"),
        (["--use-kube=true", "a"], "is not possible"),
        (["-o", "xml", "a"], "invalid choice"),
    ],
)
def test_wrong_flags(argv: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 1
    assert reason in capsys.readouterr().err


def test_without_files_it_is_about_what_was_applied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config/default").mkdir(parents=True)
    (tmp_path / "config/default/x.yaml").write_text(BAD)
    assert main(["--config", "config"]) == FOUND
    assert f"default/x {tmp_path}/config/default/x.yaml:8)" in capsys.readouterr().out
    monkeypatch.setenv("MESH_CONFIG", str(tmp_path / "config"))
    assert main([]) == FOUND
    monkeypatch.setenv("MESH_CONFIG", str(tmp_path / "none"))
    assert main([]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/none: No such file or directory\n"


def test_istioctls_flag_for_files_is_taken() -> None:
    assert main(["-k=false", "-R", "--color=false", "good.yaml"]) == 0
