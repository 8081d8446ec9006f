"""The rules of the project that no linter checks: names, sizes, import contracts, and that the documents are true."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from perfloop import __all__ as public_names
from perfloop_base.errors import ExitCode

CHECKOUT = Path(__file__).parents[1]
PACKAGES: list[str] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
    "wheel"
]["packages"]
LONGEST_FILE = 420
LONGEST_FUNCTION = 45
DOCUMENTS = sorted(path.relative_to(CHECKOUT) for path in [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])

# The changelog names what is gone.
CURRENT_DOCUMENTS = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]


def source_files() -> list[Path]:
    """Every Python file of the installed packages."""
    return [path for package in PACKAGES for path in sorted((CHECKOUT / package).rglob("*.py"))]


def contracts() -> dict[str, dict[str, str]]:
    """The sections of .importlinter by their name."""
    parser = configparser.ConfigParser()
    parser.read(CHECKOUT / ".importlinter")
    return {name.removeprefix("importlinter:contract:"): dict(parser[name]) for name in parser.sections()}


def functions(path: Path) -> list[tuple[str, int]]:
    """The functions of a file with their lines of code: without docstring."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
            found.append((f"{path.name}:{node.name}", (body[-1].end_lineno or 0) - body[0].lineno + 1))
    return found


def test_no_file_is_too_long() -> None:
    """A file that holds one idea has at most 420 lines."""
    long = {str(path): n for path in source_files() if (n := len(path.read_text().splitlines())) > LONGEST_FILE}
    assert long == {}


def test_no_function_is_too_long() -> None:
    """No function has more than 45 lines of code."""
    long = [one for path in source_files() for one in functions(path) if one[1] > LONGEST_FUNCTION]
    assert long == []


def test_modules_are_named_after_what_they_hold() -> None:
    """No module has a name that fits any content."""
    vague = {"utils", "helpers", "common", "core", "misc", "manager"}
    assert [str(path) for path in source_files() if {path.stem, path.parent.name} & vague] == []


@pytest.mark.parametrize("name", sorted(public_names))
def test_public_name_loads(name: str) -> None:
    """Every public name can be imported."""
    import perfloop

    assert getattr(perfloop, name) is not None


def test_instrumentation_is_light() -> None:
    """Importing the instrumentation imports no numpy, no scipy, no web server and no pydantic."""
    script = (
        "import sys; from perfloop import performance_monitor, instrument; print([m for m in ("
        "'numpy', 'scipy', 'pydantic', 'fastapi', 'starlette', 'uvicorn', 'httpx', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_package_has_an_exhaustive_contract() -> None:
    """Each installed package is a root package of .importlinter, and its layers contract covers every module."""
    found = contracts()
    names = sorted(Path(package).name for package in PACKAGES)
    assert sorted(found["importlinter"]["root_packages"].split()) == names
    layered = {one["containers"]: one for one in found.values() if "containers" in one}
    assert set(names) <= set(layered)
    assert [name for name, one in layered.items() if one.get("exhaustive") != "True"] == []


def run_lint_imports(directory: Path, contract: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    """Check one contract on the packages found in `paths`, and else in the checkout."""
    program = Path(sys.executable).with_name("lint-imports")
    command = [str(program), "--config", str(CHECKOUT / ".importlinter"), "--contract", contract, "--no-cache"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("contract", "package"), [("base-layers", "base/perfloop_base"), ("stack-layers", "perfloop")])
def test_a_module_outside_the_contract_is_found(contract: str, package: str, tmp_path: Path) -> None:
    """A new module that no layer names breaks the contract, and is named."""
    copy = tmp_path / Path(package).name
    shutil.copytree(CHECKOUT / package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    clean = run_lint_imports(tmp_path, contract, tmp_path)
    assert clean.returncode == 0, clean.stdout
    container = contracts()[contract]["containers"]
    planted = tmp_path.joinpath(*container.split(".")) / "planted.py"
    planted.write_text('"""A module that no contract names."""\n')
    broken = run_lint_imports(tmp_path, contract, tmp_path)
    assert broken.returncode == 1
    assert "planted" in broken.stdout


def make_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_of_a_document_exist(document: Path) -> None:
    """Every file that a document links to exists."""
    links = re.findall(r"\]\((?!http|mailto|#)([^)#\s]+)", (CHECKOUT / document).read_text())
    assert [link for link in links if not (CHECKOUT / document.parent / link).exists()] == []


# A path in backquotes: at least one slash, or a file name with one of the project's endings.
PATH = re.compile(r"`((?:[\w.-]+/)+[\w.-]*|[\w-]+\.(?:py|yml|md|toml|tmpl))`")
# Names that documents mention and the repository does not hold: made at run time, a user's own, or another project's.
ELSEWHERE = re.compile(
    r"^\.perfloop/|^secrets/|^prometheus/prices\.yml$|^/|^(?:my|own|shop|search|team|your)[\w-]*[./]|run-targets/|^docs/images/|^(?:proc|sys|dev|etc)/|/dev/|^\.env"
)


@pytest.mark.parametrize("document", CURRENT_DOCUMENTS, ids=str)
def test_paths_in_a_document_exist(document: Path) -> None:
    """Every path of the repository that a document names in backquotes exists."""
    tracked = tracked_paths()
    missing = [name for name in PATH.findall((CHECKOUT / document).read_text()) if not is_path(name, tracked)]
    assert missing == []


def tracked_paths() -> list[str]:
    """Every file of the project, with a slash before it."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    return [f"/{line}" for line in listed.splitlines()]


def is_path(name: str, tracked: list[str]) -> bool:
    """Whether a name is a file or directory of the project, or not one that the project should hold."""
    if ELSEWHERE.search(name) or not re.match(first_parts(tracked), name):
        return True
    return any(path.endswith(f"/{name}") or f"/{name.rstrip('/')}/" in path for path in tracked)


def first_parts(tracked: list[str]) -> str:
    """A regular expression of the top-level directories; a single file name matches too."""
    tops = sorted({path.split("/")[1] for path in tracked if path.count("/") > 1})
    return "^(?:" + "|".join(map(re.escape, tops)) + r")/|^[\w-]+\.py$"


def test_a_wrong_path_is_found() -> None:
    """The check of paths distinguishes a path that exists from one that does not."""
    tracked = ["/base/perfloop_base/units.py", "/docs/stack.md"]
    assert is_path("base/perfloop_base/units.py", tracked)
    assert is_path("base/perfloop_base/", tracked)
    assert is_path("units.py", tracked)
    assert not is_path("base/perfloop_base/unit.py", tracked)
    assert not is_path("docs/stacks.md", tracked)


@pytest.mark.parametrize("document", CURRENT_DOCUMENTS, ids=str)
def test_make_targets_in_a_document_exist(document: Path) -> None:
    """Every `make` target that a document names exists."""
    named = set(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", (CHECKOUT / document).read_text(), flags=re.MULTILINE))
    assert {target for pair in named for target in pair if target} - make_targets() == set()


def test_readme_has_the_commands_of_a_newcomer() -> None:
    """The README starts, tests and stops the stack by the three commands that are tried on a fresh machine."""
    readme = (CHECKOUT / "README.md").read_text()
    assert [command for command in ("make up", "make test", "make down") if f"\n{command}" not in readme] == []


def test_every_stack_command_is_documented() -> None:
    """Every command of `perfloop` is in the stack's page."""
    from perfloop.cli import build_parser

    page = (CHECKOUT / "docs" / "stack.md").read_text()
    parser: Any = build_parser()
    (commands,) = (action.choices for action in parser._actions if action.dest == "command")
    assert [name for name in commands if f"perfloop {name}" not in page] == []


def test_every_port_variable_is_documented() -> None:
    """Every variable that moves a port is in the stack's page."""
    from perfloop_base.home import DEFAULT_PORTS, port_variable

    page = (CHECKOUT / "docs" / "stack.md").read_text()
    hidden = {"alertmanager_cluster", "alertmanager_2_cluster"}
    assert [name for name in DEFAULT_PORTS if name not in hidden and port_variable(name) not in page] == []


def test_every_exit_code_is_documented():
    """The table in the stack's page has exactly the codes that commands end with."""
    page = (CHECKOUT / "docs" / "stack.md").read_text()
    table = page.split("| code | meaning |")[1].split("\n\n")[0]
    assert {int(code) for code in re.findall(r"\| (\d+) \|", table)} == {code.value for code in ExitCode}
