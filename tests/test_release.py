"""The checks of a release are no rubber stamps: what is wrong with a tree, a package or a version is found."""

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "install"


def load(name):
    spec = importlib.util.spec_from_file_location(f"install_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release, check = load("release"), load("check")


@pytest.fixture
def tree(tmp_path):
    """Where a version is said."""
    (tmp_path / "ufmflow").mkdir()
    (tmp_path / "setup.cfg").write_text("[metadata]\nversion = 1.2.3\n")
    (tmp_path / "ufmflow" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2030-01-02)\n\n## 1.2.2 (2029-01-02)\n")
    return tmp_path


def test_one_version_everywhere(tree):
    assert release.version(tree) == ""


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("CITATION.cff", "version: 1.2.3", "version: 1.2.2", "CITATION.cff says 1.2.2"),
        ("ufmflow/__init__.py", "1.2.3", "1.2.4", "says 1.2.4"),
        ("CHANGELOG.md", "## 1.2.3 (2030-01-02)\n", "", "CHANGELOG.md says 1.2.2"),
        ("CHANGELOG.md", "2030-01-02", "unreleased", "give the date"),
    ],
)
def test_versions_that_differ_are_told(tree, name, old, new, words):
    text = (tree / name).read_text()
    (tree / name).write_text(text.replace(old, new))
    assert words in release.version(tree)


def test_versions_of_this_repository_agree():
    assert len(set(release.versions(release.ROOT).values())) == 1


def test_a_command_that_fails_or_is_missing_is_told():
    assert release.succeeds("true") == "" and "exit code 1" in release.succeeds("false")
    assert "no-such-command" in release.succeeds("no-such-command")


def test_a_package_that_lacks_a_file_or_has_one_more_is_refused():
    check.compare("wheel", {"a", "b"}, {"a", "b"})
    with pytest.raises(check.Failed, match=r"lacks \['b'\]"):
        check.compare("wheel", {"a"}, {"a", "b"})
    with pytest.raises(check.Failed, match=r"has \['stray'\]"):
        check.compare("wheel", {"a", "stray"}, {"a"})


def test_an_environment_that_is_not_the_oldest_is_refused():
    check.above_their_bounds(["numpy>=1.26", "rich>=13"], {"numpy": "1.26.4", "rich": "13.0.0"})
    with pytest.raises(check.Failed, match="numpy 2.4.6 was tried in place of its lower bound 1.26"):
        check.above_their_bounds(["numpy>=1.26"], {"numpy": "2.4.6"})


def test_tests_of_the_core_exist_and_need_no_extra():
    root = FOLDER.parents[1]
    assert all((root / name).is_file() for name in check.CORE_TESTS)
    for name in check.CORE_TESTS:
        assert "\nimport torch" not in (root / name).read_text()
