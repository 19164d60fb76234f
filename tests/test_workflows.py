"""CI workflows are valid, refer to existing files and extras, and use the versions pinned in pyproject.toml."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10, where pytest depends on the same parser under its former name
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
SCRIPT = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = {name: [Requirement(line) for line in lines] for name, lines in PROJECT["optional-dependencies"].items()}
PACKAGES = {"ruff": "ruff", "ruff-check": "ruff", "ruff-format": "ruff", "mypy": "mypy", "lint-imports": "import-linter"}
"""Commands and hooks, and the packages that provide them."""


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def jobs():
    """Return the commands of every job, each as a string, and those of the local script."""
    found = {
        f"{path.name}: {name}": "\n".join(step.get("run", "") for step in job["steps"])
        for path in WORKFLOWS
        for name, job in load(path)["jobs"].items()
    }
    return {**found, ".ci/run": SCRIPT}


def installed(commands):
    """Return the arguments of the `pip install` commands among some lines."""
    return [word for line in re.findall(r"\bpip install (.*)", commands) for word in shlex.split(line, comments=True)]


def extras_of(words):
    found = [re.fullmatch(r"(?:\.|cdzoo)\[(.+)\]", word) for word in words]
    return {extra for match in found if match for extra in match[1].split(",")}


def pinned(package):
    """Return the version of a package that the extra `dev` pins."""
    (requirement,) = [r for r in EXTRAS["dev"] if r.name == package]
    (specifier,) = requirement.specifier
    assert specifier.operator == "==" and "*" not in specifier.version, f"the extra dev has {requirement}, not one version"
    return specifier.version


def test_extras_refer_to_existing_extras():
    named = {extra for requirements in EXTRAS.values() for r in requirements if r.name == "cdzoo" for extra in r.extras}
    assert named and named <= EXTRAS.keys()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
class TestEveryWorkflow:
    def test_workflow_has_triggers_and_jobs_with_steps(self, path):
        workflow = load(path)
        assert workflow.keys() >= {"name", True, "permissions", "jobs"}  # YAML 1.1 reads the key `on` as true
        assert workflow["permissions"] == {"contents": "read"}
        for name, job in workflow["jobs"].items():
            assert job["runs-on"] and job["steps"], name
            for step in job["steps"]:
                assert ("run" in step) != ("uses" in step), f"{name}: {step}"
                assert "run" in step or re.fullmatch(r"[\w.-]+/[\w./-]+@[\w.-]+", step["uses"]), f"{name}: {step}"

    def test_referenced_files_exist(self, path):
        for name in re.findall(r"\b((?:tests|cdzoo)/[\w./-]*)", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{path.name} names {name}"


@pytest.mark.parametrize(("job", "commands"), jobs().items(), ids=jobs())
def test_jobs_install_extras_that_exist_and_no_other_versions_of_tools(job, commands):
    words = installed(commands)
    assert extras_of(words) <= EXTRAS.keys()
    for word in words:
        assert re.split(r"[\[<>=~!;]", word)[0] not in PACKAGES.values(), f"{job} installs {word}: use the extra dev"
    if re.search(r"^(ruff|mypy|lint-imports)\b", commands, re.MULTILINE):
        assert "dev" in extras_of(words), f"{job} runs a tool of the extra dev"


def test_install_commands_are_parsed():
    words = installed("python -m pip install -e '.[dev,ray]'  # pip\npip install build 'ruff>=0.8'")
    assert words == ["-e", ".[dev,ray]", "build", "ruff>=0.8"] and extras_of(words) == {"dev", "ray"}


def test_pre_commit_uses_the_versions_of_ci():
    checked = set()
    for repo in load(ROOT / ".pre-commit-config.yaml")["repos"]:
        for hook in repo["hooks"]:
            package = PACKAGES[hook["id"]]
            checked.add(package)
            if repo["repo"] == "local":  # runs the installed version, which the extra dev pins
                assert hook["language"] == "system" and PACKAGES[hook["entry"].split()[0]] == package
                assert pinned(package)
            else:
                assert repo["rev"] == f"v{pinned(package)}", f"{hook['id']} of {repo['repo']}"
    assert checked == set(PACKAGES.values())


@pytest.mark.parametrize(
    "command", ["ruff check", "ruff format --check", "mypy", "lint-imports", "pytest", "mkdocs build --strict"]
)
def test_ci_and_the_local_script_run_the_same_checks(command):
    ci = "\n".join(commands for job, commands in jobs().items() if job.startswith("ci.yml"))
    assert re.search(rf"\b{command}\b", ci) and re.search(rf"\b{command}\b", SCRIPT)


def test_the_oldest_supported_python_is_tested():
    versions = load(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    (bound,) = SpecifierSet(PROJECT["requires-python"])
    assert bound.operator == ">=" and bound.version in versions
