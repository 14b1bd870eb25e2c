"""Run one small suite beside each of many pytest plugins, plain and isolated with the report.

Usage: run.py [PLUGIN ...]

Each plugin is installed, with what it needs, into a folder of its own, in its newest version. The suite leaves
two fakes. A plugin passes where each test has the same outcome with this plugin and without, and the report
names these two leaks as errors, and nothing else as one; a plugin that writes failures into files writes the section
that a victim has, too. What cannot be installed or does not work here without this plugin is named, and no failure.
"""
# ruff: noqa: E501 - the files of the suites are strings

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent

PROJECT = Path(__file__).resolve().parents[2]
_LEFT_AT_COLLECTION = ("fake-left", "torchish")
_LEFT_BY_A_TEST = ("fake-left", "leftover")
_LIMIT = 180  # seconds for each run: a plugin may wait for something that is not there

_SUITE = {
    "shop/__init__.py": "RATE = 3\n",
    "shop/cart.py": "from shop import RATE\n\nclass Cart:\n    total = RATE\n",
    "conftest.py": """
        import pytest

        @pytest.fixture(scope="session")
        def cart():
            from shop.cart import Cart
            yield Cart
    """,
    "test_a.py": """
        import sys
        from unittest.mock import MagicMock
        sys.modules["torchish"] = MagicMock()

        def test_leaves():
            sys.modules["leftover"] = MagicMock()
    """,
    "test_b.py": """
        import unittest
        import pytest

        def test_imports():
            import shop.cart
            import colorsys
            assert shop.cart.Cart.total == 3

        @pytest.mark.parametrize("number", [1, 2])
        def test_numbers(number, cart, tmp_path, capsys):
            print(number)
            assert cart.total == 3
            assert capsys.readouterr().out == f"{number}\\n"

        @pytest.mark.xfail
        def test_wrong():
            import shop
            assert shop.RATE == 4

        @pytest.mark.skip(reason="not now")
        def test_skipped():
            pass

        class TestCase(unittest.TestCase):
            def setUp(self):
                import shop.cart
                self.cart = shop.cart.Cart

            def test_total(self):
                with self.subTest(total=3):
                    assert self.cart.total == 3
    """,
}
_VICTIM = {
    "test_victim.py": """
        def test_victim():
            import torchish
            assert torchish.answer == 42
    """
}


@dataclass(frozen=True)
class Neighbour:
    """A plugin, and how its own part of the suite uses it."""

    name: str
    options: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    #: What is installed beside it.
    beside: tuple[str, ...] = ()
    ini: str = ""
    #: Where it writes what it read of failures: these have to have the section of this plugin.
    results: str = ""
    #: Whether it runs tests in processes that it forks, with which goes what they leave.
    forks: bool = False

    @property
    def use(self) -> str:
        """How the runs use it."""
        tests = [] if not self.files else [f"its own {'test' if 'test_own.py' in self.files else 'file'}"]
        return (
            ", ".join([*(["`" + " ".join(self.options) + "`"] if self.options else []), *tests]) or "loaded"
        )


def _test(text: str) -> dict[str, str]:
    return {"test_own.py": text}


_ASYNC = "async def test_own():\n    import shop.cart\n    assert shop.cart.Cart.total == 3\n"
_PASSES_SECOND = _test(
    "from itertools import count\nruns = count()\ndef test_own():\n    assert next(runs)\n"
)

# A page in the browser of this machine: the plugin would download one.
_BROWSER = {
    "conftest.py": _SUITE["conftest.py"]
    + """
        @pytest.fixture(scope="session")
        def browser_type_launch_args(browser_type_launch_args):
            import shutil
            path = shutil.which("chromium") or shutil.which("google-chrome")
            return {**browser_type_launch_args, "executable_path": path, "args": ["--no-sandbox"]}
    """,
    **_test(
        "def test_own(page):\n    import shop.cart\n    page.set_content(f'<p id=own>{shop.cart.Cart.total}</p>')\n"
        "    assert page.inner_text('#own') == '3'\n"
    ),
}
NEIGHBOURS = (
    Neighbour("allure-pytest", ("--alluredir=allure",), results="allure/*-result.json"),
    Neighbour(
        "anyio", files=_test("import pytest\npytestmark = pytest.mark.anyio\n" + _ASYNC), beside=("trio",)
    ),
    Neighbour("flaky", ("--force-flaky",)),
    Neighbour(
        "hypothesis",
        files=_test(
            "from hypothesis import given, strategies as st\n@given(st.integers())\ndef test_own(n):\n    import shop.cart\n"
        ),
    ),
    Neighbour("nbval", ("--nbval-lax",)),
    Neighbour("pyfakefs", files=_test("def test_own(fs):\n    fs.create_file('/x')\n")),
    Neighbour("pytest-aiohttp", files=_test(_ASYNC), ini="asyncio_mode = auto"),
    Neighbour("pytest-assume", files=_test("import pytest\ndef test_own():\n    pytest.assume(True)\n")),
    Neighbour("pytest-asyncio", files=_test(_ASYNC), ini="asyncio_mode = auto"),
    Neighbour(
        "pytest-bdd",
        files={
            "own.feature": "Feature: cart\n  Scenario: total\n    Given a cart\n    Then it has a total\n",
            "test_own.py": (
                "from pytest_bdd import scenarios, given, then\nscenarios('own.feature')\n"
                "@given('a cart', target_fixture='own')\ndef own():\n    from shop.cart import Cart\n    return Cart\n"
                "@then('it has a total')\ndef total(own):\n    assert own.total == 3\n"
            ),
        },
    ),
    Neighbour("pytest-benchmark", files=_test("def test_own(benchmark):\n    benchmark(int)\n")),
    Neighbour(
        "pytest-cases",
        files=_test(
            "from pytest_cases import parametrize_with_cases\ndef case_one():\n    return 1\n"
            "@parametrize_with_cases('n', cases='.')\ndef test_own(n):\n    import shop.cart\n"
        ),
    ),
    Neighbour(
        "pytest-check",
        files=_test("from pytest_check import check\ndef test_own():\n    check.equal(1, 1)\n"),
    ),
    Neighbour("pytest-codeblocks", ("--codeblocks",), {"own.md": "```python\nimport shop.cart\n```\n"}),
    Neighbour("pytest-codspeed", files=_test("def test_own(benchmark):\n    benchmark(int)\n")),
    Neighbour("pytest-cov", ("--cov=shop", "--cov-branch")),
    Neighbour(
        "pytest-datadir",
        files={"test_own/x": "x", **_test("def test_own(datadir):\n    (datadir / 'x').read_text()\n")},
    ),
    Neighbour(
        "pytest-django",
        files={
            "own_settings.py": "SECRET_KEY = 'x'\nINSTALLED_APPS = ['django.contrib.contenttypes']\n"
            "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': ':memory:'}}\n",
            "test_own.py": "import pytest\n@pytest.mark.django_db\ndef test_own():\n"
            "    from django.contrib.contenttypes.models import ContentType\n    assert ContentType.objects.count() >= 0\n",
        },
        beside=("django",),
        ini="DJANGO_SETTINGS_MODULE = own_settings",
    ),
    Neighbour("pytest-doctestplus", ("--doctest-plus", "--doctest-modules")),
    Neighbour(
        "pytest-dotenv",
        files={".env": "OWN=1\n", **_test("import os\ndef test_own():\n    assert os.environ['OWN']\n")},
    ),
    Neighbour(
        "pytest-env",
        files=_test("import os\ndef test_own():\n    assert os.environ['OWN']\n"),
        ini="env =\n    OWN=1",
    ),
    Neighbour(
        "pytest-flask",
        files=_test(
            "import pytest\n@pytest.fixture\ndef app():\n    from flask import Flask\n    return Flask('own')\n"
            "def test_own(client):\n    assert client.get('/').status_code == 404\n"
        ),
    ),
    # It does not work with pytest 9.
    Neighbour("pytest-forked", ("--forked",), beside=("pytest==8.4.2",), forks=True),
    Neighbour(
        "pytest-freezer",
        files=_test("def test_own(freezer):\n    freezer.move_to('2020-01-01')\n    import shop.cart\n"),
    ),
    Neighbour("pytest-html", ("--html=own.html",), results="own.html"),
    Neighbour(
        "pytest-httpx",
        files=_test(
            "def test_own(httpx_mock):\n    import httpx\n    httpx_mock.add_response()\n    httpx.get('http://own.example')\n"
        ),
    ),
    Neighbour("pytest-impact", ("--impact",)),
    Neighbour("pytest-instafail", ("--instafail",)),
    Neighbour("pytest-ipynb"),
    Neighbour("pytest-json-report", ("--json-report",), results=".report.json"),
    Neighbour(
        "pytest-lazy-fixtures",
        files=_test(
            "import pytest\nfrom pytest_lazy_fixtures import lf\n@pytest.mark.parametrize('own', [lf('cart')])\n"
            "def test_own(own):\n    assert own.total == 3\n"
        ),
    ),
    Neighbour("pytest-markdown-docs", ("--markdown-docs",), {"own.md": "```python\nimport shop.cart\n```\n"}),
    Neighbour("pytest-memray", ("--memray",)),
    Neighbour("pytest-metadata", files=_test("def test_own(metadata):\n    assert metadata\n")),
    Neighbour(
        "pytest-mock",
        files=_test("def test_own(mocker):\n    mocker.patch('shop.RATE', 4)\n"),
    ),
    # It needs `py` and does not say so.
    Neighbour("pytest-parallel", ("--workers=2",), beside=("py",), forks=True),
    Neighbour("pytest-picked"),
    Neighbour("pytest-playwright", files=_BROWSER),
    Neighbour("pytest-pretty"),
    Neighbour("pytest-profiling", ("--profile",)),
    Neighbour(
        "pytest-qt", files=_test("def test_own(qtbot):\n    assert qtbot\n"), beside=("pyside6-essentials",)
    ),
    Neighbour("pytest-random-order", ("--random-order",)),
    Neighbour("pytest-randomly", ("-p", "randomly")),
    Neighbour(
        "pytest-regressions",
        files={
            "test_own/test_own.yml": "a: 1\n",
            **_test("def test_own(data_regression):\n    data_regression.check({'a': 1})\n"),
        },
    ),
    Neighbour("pytest-reportportal"),
    Neighbour(
        "pytest-rerunfailures",
        ("--reruns=1",),
        _PASSES_SECOND,
    ),
    Neighbour(
        "pytest-retry",
        ("--retries=1",),
        _PASSES_SECOND,
    ),
    Neighbour("pytest-rich", ("--rich",)),
    Neighbour("pytest-run-parallel", ("--parallel-threads=2",)),
    Neighbour("pytest-shard", ("--num-shards=1", "--shard-id=0")),
    Neighbour(
        "pytest-snapshot",
        files={
            "snapshots/test_own/test_own/x": "1",
            **_test("def test_own(snapshot):\n    snapshot.assert_match('1', 'x')\n"),
        },
    ),
    Neighbour("pytest-socket", ("--disable-socket",)),
    Neighbour("pytest-split", ("--splits=1", "--group=1")),
    Neighbour(
        "pytest-subtests",
        files=_test("def test_own(subtests):\n    with subtests.test():\n        import shop.cart\n"),
    ),
    Neighbour("pytest-sugar"),
    Neighbour("pytest-testinfra", files=_test("def test_own(host):\n    assert host.file('/').exists\n")),
    Neighbour("pytest-testmon", ("--testmon", "-p", "cacheprovider")),  # it asks for options of that plugin
    Neighbour("pytest-timeout", ("--timeout=100",)),
    Neighbour("pytest-trio", files=_test("import pytest\n@pytest.mark.trio\n" + _ASYNC)),
    Neighbour(
        "pytest-twisted",
        ("--reactor=default",),
        _test("import pytest_twisted\n@pytest_twisted.ensureDeferred\n" + _ASYNC),
        beside=("twisted",),
    ),
    Neighbour("pytest-watch"),
    Neighbour("pytest-xdist", ("-n2",)),
    Neighbour("pytest-xvfb"),
    Neighbour(
        "sybil",
        files={
            "own.rst": ">>> import shop.cart\n",
            "conftest.py": _SUITE["conftest.py"]
            + """
        from sybil import Sybil
        from sybil.parsers.rest import DocTestParser
        pytest_collect_file = Sybil(parsers=[DocTestParser()], patterns=["*.rst"]).pytest()
        """,
        },
    ),
    Neighbour(
        "syrupy",
        files={
            "__snapshots__/test_own.ambr": "# serializer version: 1\n# name: test_own\n  1\n# ---\n",
            **_test("def test_own(snapshot):\n    assert 1 == snapshot\n"),
        },
    ),
    Neighbour("tach"),
    Neighbour(
        "time-machine",
        files=_test("def test_own(time_machine):\n    time_machine.move_to(0)\n    import shop.cart\n"),
    ),
)


def main(names: list[str]) -> int:
    """Try the named plugins, or all; return the exit status: whether one of them fails beside this plugin."""
    failed = 0
    chosen = [neighbour for neighbour in NEIGHBOURS if not names or neighbour.name in names]
    with tempfile.TemporaryDirectory(prefix="neighbours-") as folder:
        for neighbour in chosen:
            place = Path(folder, neighbour.name)
            version, verdict = _try(neighbour, place)
            # That of the folder comes first: some plugins want an older one.
            own = _version(place / "site-packages", "pytest")
            version += "" if own in ("?", importlib.metadata.version("pytest")) else f" with pytest {own}"
            failed += verdict.startswith("FAILED")
            print(f"{neighbour.name} {version}: {verdict}", flush=True)
    print(f"{len(chosen)} plugins, {failed} failed")
    return int(failed > 0)


def _try(neighbour: Neighbour, place: Path) -> tuple[str, str]:
    """Return the version that was installed, and the verdict."""
    # What lies in a folder of this name counts as installed.
    packages, suite = place / "site-packages", place / "suite"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--target", str(packages), neighbour.name, *neighbour.beside),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        reason = next((line for line in done.stderr.splitlines() if line.startswith("ERROR")), "pip failed")
        return "", f"not installed ({reason[:120]})"
    version = _version(packages, neighbour.name)
    plain, output = _run(neighbour, packages, suite)
    if not any(outcome == "passed" for outcome in plain.values()):
        return version, f"does not work here ({_last(output)})"
    failing = sorted(name for name, outcome in plain.items() if outcome in ("failure", "error"))
    if failing:
        return version, f"does not work here ({failing[:3]}: {_last(output)})"
    wrong = []
    left = {_LEFT_AT_COLLECTION} if neighbour.forks else {_LEFT_AT_COLLECTION, _LEFT_BY_A_TEST}
    for mode in ("off", "file", "test"):
        report = place / f"{mode}.json"
        options = (f"--isolate-imports={mode}", f"--import-leak-file={report}")
        outcomes, output = _run(neighbour, packages, suite, *options, own=True)
        if outcomes != plain:
            different = sorted(k for k in {*plain, *outcomes} if plain.get(k) != outcomes.get(k))
            wrong.append(f"{mode}: other outcomes of {different[:3]} ({_last(output)})")
        elif not report.exists():
            wrong.append(f"{mode}: no report ({_last(output)})")
        else:
            leaks = json.loads(report.read_text(encoding="utf-8"))["leaks"]
            errors = {(leak["kind"], leak["name"]) for leak in leaks if leak["severity"] == "error"}
            if errors != left:
                wrong.append(f"{mode}: {sorted(errors ^ left)}")
    if neighbour.results and not _is_told(neighbour, packages, suite):
        wrong.append(f"{neighbour.results} lacks the section of a failure")
    return version, "FAILED " + "; ".join(wrong) if wrong else "passed"


def _is_told(neighbour: Neighbour, packages: Path, suite: Path) -> bool:
    """Tell whether what a plugin writes of a failure says which leak the test met."""
    with_victim = replace(neighbour, files={**neighbour.files, **_VICTIM})
    _run(with_victim, packages, suite, "--import-leak-report", own=True)
    return any(
        "fake-left by test_a.py" in file.read_text(encoding="utf-8") for file in suite.glob(neighbour.results)
    )


def _run(
    neighbour: Neighbour, packages: Path, suite: Path, *options: str, own: bool = False
) -> tuple[dict[str, str], str]:
    """Return the outcome of each test, and what was printed; nothing is left of the run before."""
    shutil.rmtree(suite, ignore_errors=True)
    for name, text in {**_SUITE, **neighbour.files}.items():
        file = suite / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    ini = "".join(f"{line}\n" for line in neighbour.ini.splitlines())
    (suite / "pytest.ini").write_text(f"[pytest]\npythonpath = .\n{ini}", encoding="utf-8")
    results = suite.parent / "results.xml"
    results.unlink(missing_ok=True)
    path = [packages, *([PROJECT / "src"] if own else [])]
    plugins = ("-p", "pytest_import_isolation.plugin") if own else ()
    unwanted = ("PYTEST", "PYTHON", "COV_CORE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
    try:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={results}"),
                *(*plugins, *neighbour.options, *options),
            ],
            cwd=suite,
            env={
                **environment,
                "PYTHONPATH": os.pathsep.join(map(str, path)),
                "QT_QPA_PLATFORM": "offscreen",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"not over after {_LIMIT} s"
    if not results.exists():
        return {}, done.stdout + done.stderr
    outcomes = {}
    for case in ET.parse(results).getroot().iter("testcase"):
        found = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = found
    return outcomes, done.stdout + done.stderr


def _version(packages: Path, name: str) -> str:
    wanted = re.sub(r"[-_.]+", "[-_.]", name)
    for folder in packages.glob("*.dist-info"):
        found = re.fullmatch(rf"{wanted}-(.+)\.dist-info", folder.name, re.IGNORECASE)
        if found:
            return found[1]
    return "?"


def _last(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no output"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
