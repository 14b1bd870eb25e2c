"""The state of :mod:`random`, which Python replaces in each child, as it is in the parent."""

from __future__ import annotations

import _random
import os
import random
from typing import Any

_generator: Any = getattr(random, "_inst", None)


class _Unmoved(_random.Random):
    """Stands behind :class:`random.Random`, whose method Python calls in a child."""

    def seed(self, *given: Any) -> None:
        """Change nothing in a child."""
        if os.getpid() == KeptRandomness.process:
            super().seed(*given)


class _Kept(random.Random, _Unmoved):
    """What the generator of this process is while it forks."""


class KeptRandomness:
    """Lets a child go on with the random numbers of its parent.

    To read the state and to write it back takes a tenth of what else is done for a process.
    """

    #: The one that forks.
    process = 0

    def __init__(self) -> None:
        self._ready: Any = None
        self._state: Any = None
        self._is_swapped = False

    def prepare(self) -> None:
        """Be ready for a fork."""
        self._is_swapped = type(_generator) is random.Random
        if self._is_swapped:
            KeptRandomness.process = os.getpid()
            self._ready = _generator.gauss_next
            _generator.__class__ = _Kept
        else:
            self._state = random.getstate()

    def stay(self) -> None:
        """Be in the parent."""
        if self._is_swapped:
            _generator.__class__ = random.Random

    def arrive(self) -> None:
        """Be in the child."""
        if self._is_swapped:
            _generator.__class__ = random.Random
            _generator.gauss_next = self._ready
        elif self._state is not None:
            # It stays alive: to free its numbers is to write to all pages that hold them.
            random.setstate(self._state)
