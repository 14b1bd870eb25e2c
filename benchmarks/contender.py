"""A contender that is measured inside a process of its own, which it shares with no other contender.

What one does to ``sys.modules`` makes it slower or faster for the next one: a table from which keys were deleted
takes longer to copy, and one that was cleared and filled again takes less.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TypeAlias

#: Runs something so many times and returns the seconds of CPU that all of them took.
Timed: TypeAlias = Callable[[int], float]

#: A sample that takes less is all clock and no work.
_ENOUGH = 0.01


class ContenderError(Exception):
    """A contender did not answer."""


def timed(run: Callable[[], object]) -> Timed:
    """Return a function that times so many runs of another one."""

    def sample(times: int) -> float:
        start = time.thread_time()
        for _ in range(times):
            run()
        return time.thread_time() - start

    return sample


class Contender:
    """The other side of the pipe."""

    def __init__(self, target: str, *arguments: object, env: Mapping[str, str]) -> None:
        """Start the process.

        Args:
            target: ``module:function`` that makes a :data:`Timed` for each thing that can be asked for.
            arguments: what the function is called with; JSON.
            env: the environment variables of the process.
        """
        self._target = target
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, target, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(env),
        )

    def runner(self, what: str) -> Callable[[], float]:
        """Return a function that runs something once and returns the seconds of CPU that it took.

        What takes too little to be timed is run several times; the runs that find out how often also warm it up.
        """
        times = 1
        self._ask(what, 3)
        while (seconds := self._ask(what, times)) < _ENOUGH:
            times = max(2 * times, int(times * _ENOUGH / max(seconds, _ENOUGH / 100)))
        return lambda: self._ask(what, times) / times

    def _ask(self, what: str, times: int) -> float:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(f"{json.dumps([what, times])}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        answer = self._process.stdout.readline()
        if not answer:
            raise ContenderError(f"{self._target} ended with status {self._process.wait()}")
        return float(answer)

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()


def _serve(target: str, arguments: str) -> None:
    # What the contender prints must not be taken for an answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module, _, function = target.partition(":")
    samples: Mapping[str, Timed] = getattr(importlib.import_module(module), function)(*json.loads(arguments))
    for line in sys.stdin:
        what, times = json.loads(line)
        print(samples[what](times), file=answers, flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
