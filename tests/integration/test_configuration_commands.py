"""`mesh apply`, `get` and `delete`, as processes, in kubectl's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.configuration import mesh
from tests.support.kinds import route

ZONE = "apiVersion: test.mesh/v1\nkind: Zone\nmetadata: {name: z}\nspec: {region: r}\n"


class Config:
    """One folder of configuration."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def mesh(self, *arguments: str, text: str = "", code: int = 0) -> tuple[str, str]:
        """What a command says on either output."""
        done = mesh(*arguments, text=text, MESH_CONFIG=str(self.root))
        assert done.returncode == code, done
        return done.stdout, done.stderr

    def apply(self, *texts: str) -> str:
        said, error = self.mesh("apply", "-f", "-", text="---\n".join(texts))
        assert error == ""
        return said


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path / "config")


def test_apply_says_what_became_of_each(config: Config, tmp_path: Path) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "b.yaml").write_text(ZONE)
    (given / "a.yaml").write_text(route("one"))
    (given / "c.txt").write_text("nothing")
    said, _ = config.mesh("apply", "-f", str(given), "--dry-run")
    assert said == "route.test.mesh/one created (dry run)\nzone.test.mesh/z created (dry run)\n"
    said, _ = config.mesh("apply", "-f", str(given))
    assert said == "route.test.mesh/one created\nzone.test.mesh/z created\n"
    (given / "a.yaml").write_text(route("one", "b"))
    said, _ = config.mesh("apply", "-f", str(given / "a.yaml"), "-f", str(given / "b.yaml"))
    assert said == "route.test.mesh/one configured\nzone.test.mesh/z unchanged\n"


def test_folders_below_are_taken_with_r(config: Config, tmp_path: Path) -> None:
    below = tmp_path / "given/below"
    below.mkdir(parents=True)
    (below / "a.yaml").write_text(route("one"))
    given = str(tmp_path / "given")
    _, error = config.mesh("apply", "-f", given, code=1)
    assert error == f"no objects in {given}\n"
    said, _ = config.mesh("apply", "-R", "-f", given)
    assert said == "route.test.mesh/one created\n"


def test_files_that_a_shell_has_listed(config: Config, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(route("one"))
    (tmp_path / "b.yaml").write_text(ZONE)
    files = [str(tmp_path / name) for name in ("a.yaml", "b.yaml")]
    said, _ = config.mesh("apply", "-f", *files)
    assert said == "route.test.mesh/one created\nzone.test.mesh/z created\n"
    said, _ = config.mesh("get", "all")
    assert [line.split()[0] for line in said.splitlines() if line] == [
        "NAME", "route.test.mesh/one", "NAME", "zone.test.mesh/z",
    ]  # fmt: skip
    said, _ = config.mesh("delete", "-f", *files)
    assert said == 'route.test.mesh "one" deleted\nzone.test.mesh "z" deleted\n'


def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(config: Config) -> None:
    config.root.write_text("")
    said, error = config.mesh("get", "all", code=1)
    assert said == ""
    assert f"Warning: {config.root}:1: folder: cannot be read: Not a directory" in error


def test_nothing_is_written_if_one_is_wrong(config: Config) -> None:
    bad = route("two") + "  hots: [x]\n"
    said, error = config.mesh("apply", "-f", "-", text=route("one") + "---\n" + bad, code=1)
    assert said == ""
    assert error == (
        "standard input:14: Route default/two: spec.hots: there is no such field; did you mean"
        " hosts?\n"
    )
    assert not config.root.exists()


@pytest.mark.parametrize(
    ("arguments", "text", "says"),
    [
        (["apply", "-f", "-"], "a: [", "standard input:1: document: while parsing a flow"),
        (["apply", "-f", "-"], "# nothing", "no objects in -"),
        (["apply", "-f", "/none.yaml"], "", "/none.yaml: No such file or directory"),
        (["apply", "-f", "https://x.org/a.yaml"], "", "nothing is fetched; save it to a file"),
        (["apply"], "", "the following arguments are required: -f/--filename\nusage: mesh apply"),
        (["apply", "-f", "-", "-n", "b"], route("one", namespace="a"), "standard input:5: the obj"),
        (["get", "rout"], "", "there is no kind 'rout'; did you mean route? known are routes, se"),
        (["get", "routes", "one"], "", 'routes.test.mesh "one" not found in namespace default ('),
        (["get", "routes/one", "two"], "", "'two' is not KIND/NAME, as the others are"),
        (["get", "routes", "one", "-A"], "", "-A shows all; give no names with it"),
        (["get", ","], "", "name a kind"),
        (["delete", "routes"], "", "name the routes to delete"),
        (["delete", "all"], "", "all is too much to delete; name the objects, or give -f FILE"),
        (["delete"], "", "give KIND NAME, or -f FILE\nusage: mesh delete"),
        (["delete", "rt", "one", "-f", "-"], "", "give KIND NAME, or -f FILE"),
        (["delete", "rt", "one"], "", 'routes.test.mesh "one" not found in namespace default ('),
        (["delete", "-f", "-"], "kind: X", "standard input:1: X: apiVersion: is required"),
    ],
)
def test_errors_say_what_to_do(config: Config, arguments: list[str], text: str, says: str) -> None:
    said, error = config.mesh(*arguments, text=text, code=1)
    assert says in error
    assert "Traceback" not in error
    assert said == ""
    assert not config.root.exists()


def test_warnings_are_said_and_the_object_is_written(config: Config) -> None:
    text = route("one").replace("[a]", "[a, b, c, d, e, f]")
    said, error = config.mesh("apply", "-f", "-", text=text)
    assert said == "route.test.mesh/one created\n"
    assert error == "standard input:6: Route default/one: spec.hosts: warning: are many\n"


def test_tables(config: Config) -> None:
    config.apply(route("one"), route("two", namespace="prod"), route("three"), ZONE)
    said, _ = config.mesh("get", "routes")
    lines = [line.split() for line in said.splitlines()]
    assert [line[:1] for line in lines] == [["NAME"], ["one"], ["three"]]
    assert lines[0] == ["NAME", "AGE"]
    assert lines[1][1].endswith("s")
    said, _ = config.mesh("get", "rt", "-A")
    assert [line.split()[:2] for line in said.splitlines()] == [
        ["NAMESPACE", "NAME"],
        ["default", "one"],
        ["default", "three"],
        ["prod", "two"],
    ]
    said, _ = config.mesh("get", "route.test.mesh,zones", "-n", "prod", "-o", "wide")
    assert [line.split()[:1] for line in said.splitlines()] == [
        ["NAME"],
        ["route.test.mesh/two"],
        [],
        ["NAME"],
        ["zone.test.mesh/z"],
    ]
    said, error = config.mesh("get", "routes", "-n", "empty")
    assert (said, error) == ("", "No resources found in empty namespace.\n")
    said, error = config.mesh("get", "routes", "one", "none", "-o", "name", code=1)
    assert said == "route.test.mesh/one\n"
    assert 'routes.test.mesh "none" not found' in error


def test_what_is_shown_can_be_edited_and_applied(config: Config) -> None:
    config.apply(route("one"), route("two"))
    said, _ = config.mesh("get", "routes/one", "-o", "yaml")
    assert yaml.safe_load(said)["metadata"]["namespace"] == "default"
    assert config.apply(said) == "route.test.mesh/one unchanged\n"
    assert config.apply(said.replace("- a", "- b")) == "route.test.mesh/one configured\n"
    _, error = config.mesh("apply", "-f", "-", text=said.replace("- a", "- c"), code=1)
    assert "it has been changed since it was read" in error
    said, _ = config.mesh("get", "routes", "-o", "json")
    shown = json.loads(said)
    assert (shown["kind"], [one["metadata"]["name"] for one in shown["items"]]) == (
        "List",
        ["one", "two"],
    )
    assert config.apply(said.replace('"b"', '"d"')) == (
        "route.test.mesh/one configured\nroute.test.mesh/two unchanged\n"
    )


def test_what_is_refused_is_shown_with_a_warning(config: Config) -> None:
    config.root.mkdir()
    (config.root / "a.yaml").write_text(route("one") + "  x: 1\n---\nkind: [\n")
    said, error = config.mesh("get", "routes", "-o", "name")
    assert said == "route.test.mesh/one\n"
    assert f"Warning: {config.root}/a.yaml:7: Route default/one: spec.x: there is no" in error
    assert f"Warning: {config.root}/a.yaml:9: document: " in error


def test_delete(config: Config, tmp_path: Path) -> None:
    config.apply(*(route(name) for name in ("one", "two", "three", "four")), ZONE)
    assert config.mesh("delete", "rt", "one", "two")[0] == (
        'route.test.mesh "one" deleted\nroute.test.mesh "two" deleted\n'
    )
    assert config.mesh("delete", "routes/three", "zone/z", "--dry-run")[0] == (
        'route.test.mesh "three" deleted (dry run)\nzone.test.mesh "z" deleted (dry run)\n'
    )
    given = tmp_path / "given.yaml"
    given.write_text(route("three") + "  wrong: but named\n---\n" + ZONE)
    assert config.mesh("delete", "-f", str(given))[0] == (
        'route.test.mesh "three" deleted\nzone.test.mesh "z" deleted\n'
    )
    assert config.mesh("delete", "rt", "one", "--ignore-not-found") == ("", "")
    said, error = config.mesh("delete", "rt", "one", "four", code=1)
    assert said == 'route.test.mesh "four" deleted\n'
    assert 'routes.test.mesh "one" not found' in error
    assert config.mesh("get", "rt,zones")[1] == "No resources found in default namespace.\n"


def test_the_flag_the_variable_and_the_home(tmp_path: Path) -> None:
    def folder(*arguments: str, **variables: str) -> Path:
        done = mesh("apply", "-f", "-", *arguments, text=route("one"), **variables)
        assert done.returncode == 0, done
        (found,) = tmp_path.rglob("route-one.yaml")
        found.unlink()
        return found.parents[1].relative_to(tmp_path)

    home = {"HOME": str(tmp_path / "home"), "MESH_CONFIG": ""}
    assert folder(**home) == Path("home/.mesh/config")
    home["MESH_CONFIG"] = str(tmp_path / "variable")
    assert folder(**home) == Path("variable")
    assert folder("--config", str(tmp_path / "flag"), **home) == Path("flag")


def test_secrets_are_not_said(config: Config) -> None:
    text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: 123456}\n"
    _, error = config.mesh("apply", "-f", "-", text=text, code=1)
    assert "data.k: must be " in error
    assert "123456" not in error
