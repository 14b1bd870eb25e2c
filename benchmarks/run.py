"""Measures what the plugin costs, beside what people would use in its place.

Tables go to the terminal, and with --write into RESULTS.md beside this file. Only ratios mean something: each is the
median of rounds in which all contenders run in turn. The machine should have nothing else to do.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from subprocess import CalledProcessError

if __name__ == "__main__":
    # A script's own folder comes first; what it imports is found from the folder above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.bounds import BOUNDS
from benchmarks.check import figures, verdicts
from benchmarks.contender import ContenderError
from benchmarks.machine import measured_on
from benchmarks.paired import Spread
from benchmarks.suites import Plan, SuiteError, Workshop
from benchmarks.tables import Section, markdown, merged, terminal

NAMES = (
    "window",
    "imports",
    "trivial",
    "instructions",
    "processes",
    "app",
    "fresh",
    "parked",
    "load",
    "scale",
    "big",
    "cycles",
    "blame",
)

_RESULTS = Path(__file__).with_name("RESULTS.md")
_HEAD = """\
# Results

Written by `python benchmarks/run.py --write`. Only ratios mean something: each is the median of rounds in which all contenders
run in turn, with the quartiles in parentheses.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line names.

    Returns:
        The exit status: 0, or 1 if a benchmark failed or the check found a figure beyond its bound.
    """
    given = _parse(sys.argv[1:] if arguments is None else arguments)
    names = given.names or NAMES
    workshop = Workshop()
    try:
        if given.check:
            return _check(given.names, workshop, given.rounds)
        plan = Plan(
            "small" if given.small else "full",
            workshop,
            given.rounds,
            checkout=given.suite,
            arguments=tuple(given.arguments),
            python=given.python,
        )
        return _run(names, plan, write=given.write)
    finally:
        workshop.close()


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(NAMES)}; by default all"
    )
    parser.add_argument(
        "--rounds", type=_positive, help="how many, in place of what each benchmark finds right"
    )
    parser.add_argument("--write", action="store_true", help="put what was measured into RESULTS.md")
    parser.add_argument("--small", action="store_true", help="as little as possible, to see that it works")
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure the key ratios only, in a minute, and fail if one is beyond its bound",
    )
    parser.add_argument(
        "--suite",
        type=Path,
        metavar="DIR",
        help="for big: a checkout in place of the suite of packaging; what follows -- goes to its pytest, such as "
        "-p PLUGIN: no plugin is loaded that is not named",
    )
    parser.add_argument(
        "--python",
        default=sys.executable,
        help="for big: the interpreter that has what the suite needs, pytest and the plugin",
    )
    # Before Python 3.13 argparse takes what follows -- for names.
    own = list(arguments)
    rest: list[str] = []
    if "--" in own:
        position = own.index("--")
        own, rest = own[:position], own[position + 1 :]
    given = parser.parse_args(own)
    given.arguments = rest
    unknown = [name for name in given.names if name not in NAMES]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}, only {', '.join(NAMES)}")
    if rest and given.suite is None:
        parser.error("what follows -- is for the pytest of --suite=DIR")
    if given.suite is not None and not given.suite.is_dir():
        parser.error(f"--suite: {given.suite} is no directory")
    if given.write and (given.small or given.check or given.suite is not None):
        parser.error("--write keeps the figures of whole benchmarks: not with --small, --check or --suite")
    if not hasattr(os, "wait4"):
        parser.error("the CPU time of processes is taken from os.wait4, which this system lacks")
    return given


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _run(names: Sequence[str], plan: Plan, *, write: bool) -> int:
    texts = {}
    failed = []
    found: dict[tuple[str, str], Spread] = {}
    for name in names:
        start = time.perf_counter()
        try:
            section = _measured(name, plan)
        except (ContenderError, SuiteError, CalledProcessError) as error:
            print(f"== {name} failed: {error}\n{getattr(error, 'output', '')}\n", flush=True)
            failed.append(name)
            continue
        own = plan.python == sys.executable
        on = measured_on(section.distributions) if own else f"Measured with {plan.python}."
        texts[name] = markdown(section, on)
        found.update({(name, figure): spread for figure, spread in section.ratios.items()})
        print(f"== {name}\n{section.about}\n{on}\n")
        for table in section.tables:
            print(terminal(table), end="\n\n")
        for text in section.missing:
            print(f"Not measured: {text}")
        print(f"{name} took {time.perf_counter() - start:.0f} s\n", flush=True)
    compared = verdicts(BOUNDS, found)
    if compared.rows and plan.size == "full":
        print(terminal(compared))
    if write:
        old = _RESULTS.read_text(encoding="utf-8") if _RESULTS.exists() else ""
        _RESULTS.write_text(merged(old, _HEAD, texts, NAMES), encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return int(bool(failed))


def _measured(name: str, plan: Plan) -> Section:
    section: Section = import_module(f"benchmarks.{name}").measure(plan)
    return section


def _check(names: Sequence[str], workshop: Workshop, rounds: int | None) -> int:
    bounds = [bound for bound in BOUNDS if not names or bound.benchmark in names]

    def measure(name: str, patience: int) -> Mapping[str, Spread]:
        print(f"measuring {name}", flush=True)
        return _measured(name, Plan("check", workshop, rounds and rounds * patience, patience)).ratios

    found = figures(bounds, measure, functools.partial(print, flush=True))
    print(measured_on(("pytest-import-isolation", "pytest")))
    print(terminal(verdicts(bounds, found)))
    beyond = [bound for bound in bounds if bound.key in found and not bound.holds(found[bound.key])]
    if beyond:
        print(f"{len(beyond)} of {len(found)} key ratios are beyond their bounds, also when measured again.")
    return int(bool(beyond))


if __name__ == "__main__":
    raise SystemExit(main())
