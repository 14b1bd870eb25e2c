"""A suite whose tests each need their own copy of an application that stands on SQLAlchemy and numpy."""

from __future__ import annotations

import functools
from pathlib import Path
from statistics import median

from benchmarks.generated import write
from benchmarks.machine import installed
from benchmarks.paired import alternate, extra, extrapolate, ratio
from benchmarks.suites import PLUGIN, Cost, Plan, SuiteError, run_pytest
from benchmarks.tables import Section, Table, seconds, times

_TESTS = {"full": 100, "check": 20, "small": 4}
#: What executes SQLAlchemy for each test gets as many only: the rest is extrapolated.
_SOME = {"full": 20, "check": 2, "small": 2}
_ROUNDS = {"full": 5, "check": 3, "small": 1}

#: So many models and as many rules; with the packages they are in, and their base, they are 30 modules.
_EACH = 13

_MODEL = '''\
"""A table."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.base import Base


class Record{number}(Base):
    __tablename__ = "record_{number}"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    parent: Mapped[int | None] = mapped_column(ForeignKey("record_{number}.id"))
'''

_RULE = '''\
"""A rule."""

from __future__ import annotations

import dataclasses
{numpy}
from app.base import REGISTRY


@dataclasses.dataclass(frozen=True)
class Rule{number}:
    name: str
    weight: float = {number} / 2

    def apply(self, values):
        return {apply}


REGISTRY["rule_{number}"] = Rule{number}
'''

_BASE = '''\
"""What models and rules share."""

from sqlalchemy.orm import DeclarativeBase

REGISTRY = {}
COUNTS = {"used": 0}


class Base(DeclarativeBase):
    pass
'''

_TEST = """\
def test_{number}(own_copy):
    from app import COUNTS, REGISTRY

    COUNTS["used"] += 1
    assert len(REGISTRY) == {rules}
    assert COUNTS["used"] == 1 or not own_copy
"""

_CONFTEST = """\
import os
import sys

import pytest

HOW = os.environ["OWN_COPY"]  # none: all tests share one; by somebody else, or in one of the ways below


@pytest.fixture
def own_copy():
    return HOW != "none"


@pytest.fixture(autouse=True)
def isolated():
    before = dict(sys.modules)
    yield
    if HOW == "naive":
        for name in list(sys.modules):
            if name not in before:
                del sys.modules[name]
        sys.modules.update(before)
    elif HOW == "executed":
        for name in [name for name in sys.modules if name.partition(".")[0] == "app"]:
            del sys.modules[name]
"""

_PLAIN, _EXECUTED, _TEST_MODE = "plain, one copy for all", "the app alone executed", "=test"
_NAIVE, _FORKED = "naive context, no numpy", "pytest-forked"


def measure(plan: Plan) -> Section:
    """Measure the ways in which each test can have its own copy."""
    about = (
        "Each test imports its own copy of a first-party application: 30 modules over SQLAlchemy and numpy. User and "
        "system time of pytest and of all its processes, median of paired rounds (quartiles). The naive context would "
        "initialise numpy twice, so its application has none. * measured with some of the tests, and extrapolated."
    )
    lacking = tuple(
        f"all: {name} is not installed" for name in ("sqlalchemy", "numpy") if not installed(name)
    )
    if lacking:
        return Section("app", about, (), lacking)
    tests, some = _TESTS[plan.size], _SOME[plan.size]
    folders = {
        numpy: _write(plan.workshop.root / f"app-{'with' if numpy else 'without'}-numpy", tests, some, numpy)
        for numpy in (True, False)
    }

    def run(how: str, arguments: tuple[str, ...] = (), *, numpy: bool = True, number: int = tests) -> Cost:
        folder = folders[numpy]
        env = {**plan.workshop.environment(folder), "OWN_COPY": how}
        chosen = ["test_some.py"] if number == some else ["test_some.py", "test_rest.py"]
        return run_pytest(folder, [*arguments, *chosen], env, passed=number)

    contenders = {
        _PLAIN: functools.partial(run, "none"),
        "plain, some": functools.partial(run, "none", number=some),
        _EXECUTED: functools.partial(run, "executed"),
        _TEST_MODE: functools.partial(run, "other", ("-p", PLUGIN, "--isolate-imports=test")),
        "naive, plain, some": functools.partial(run, "none", numpy=False, number=some),
        _NAIVE: functools.partial(run, "naive", numpy=False, number=some),
        _FORKED: functools.partial(run, "other", ("-p", "pytest_forked", "--forked"), number=some),
    }
    missing = []
    if plan.size == "check":
        contenders = {name: contenders[name] for name in (_PLAIN, _EXECUTED, _TEST_MODE)}
    elif not installed("pytest_forked"):
        del contenders[_FORKED]
        missing.append(f"{_FORKED}: not installed")
    contenders[_TEST_MODE]()  # the bytecode is written
    if _FORKED in contenders:
        try:
            contenders[_FORKED]()
        except SuiteError as error:
            del contenders[_FORKED]
            missing.append(f"{_FORKED}: {error}")
    costs = alternate(contenders, plan.rounds_or(_ROUNDS[plan.size]))
    cpu = {name: [cost.cpu for cost in samples] for name, samples in costs.items()}
    plain = cpu[_PLAIN]
    if _NAIVE in cpu:
        cpu[_NAIVE] = extrapolate(cpu[_NAIVE], cpu["naive, plain, some"], plain, tests / some)
    if _FORKED in cpu:
        cpu[_FORKED] = extrapolate(cpu[_FORKED], cpu["plain, some"], plain, tests / some)
    shown = {_PLAIN: "", _EXECUTED: "", _TEST_MODE: "", _NAIVE: " *", _FORKED: " *"}
    rows = tuple(
        (
            name + star,
            seconds(median(cpu[name])),
            times(ratio(cpu[name], plain)),
            times(extra(cpu[name], cpu[_EXECUTED], plain)),
        )
        for name, star in shown.items()
        if name in cpu
    )
    ratios = {"=test, times executing the app": extra(cpu[_TEST_MODE], cpu[_EXECUTED], plain)}
    if _NAIVE in cpu:
        ratios["=test, times naive"] = ratio(cpu[_TEST_MODE], cpu[_NAIVE])
    title = f"{tests} tests, each with its own copy of 30 modules"
    columns = ("", "time", "times plain", "beyond plain, times executing the app")
    return Section(
        "app",
        about,
        (Table(title, columns, rows),),
        tuple(missing),
        ratios,
        ("pytest-import-isolation", "pytest", "sqlalchemy", "numpy", "pytest-forked"),
    )


def _write(folder: Path, tests: int, some: int, numpy: bool) -> Path:
    numbers = range(_EACH)
    parts = [f"models.record_{number}" for number in numbers] + [f"rules.rule_{number}" for number in numbers]
    imports = "".join(f"import app.{part}\n" for part in parts)
    write(folder / "pytest.ini", "[pytest]\n")
    write(folder / "conftest.py", _CONFTEST)
    write(folder / "app" / "__init__.py", f"from app.base import COUNTS, REGISTRY\n{imports}")
    write(folder / "app" / "base.py", _BASE)
    for package in ("models", "rules"):
        write(folder / "app" / package / "__init__.py", "")
    for number in numbers:
        write(folder / "app" / "models" / f"record_{number}.py", _MODEL.format(number=number))
        write(
            folder / "app" / "rules" / f"rule_{number}.py",
            _RULE.format(
                number=number,
                numpy="\nimport numpy as np\n" if numpy else "",
                apply="np.dot(values, self.weight)" if numpy else "[value * self.weight for value in values]",
            ),
        )
    for file, chosen in (("test_some.py", range(some)), ("test_rest.py", range(some, tests))):
        write(folder / file, "\n\n".join(_TEST.format(number=number, rules=_EACH) for number in chosen))
    return folder
