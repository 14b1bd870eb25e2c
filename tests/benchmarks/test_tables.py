from __future__ import annotations

import pytest
from benchmarks.paired import Spread
from benchmarks.tables import Section, Table, markdown, merged, seconds, terminal, times

TABLE = Table("A title", ("", "time"), (("plain", "1.00 s"), ("off", "12.0 ms")))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12.34, "12.3 s"),
        (1.0, "1.00 s"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (12e-6, "12.0 us"),
        (5e-8, "0.05 us"),
    ],
)
def test_a_time_has_three_digits_and_a_unit_that_suits_it(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_ratio_is_shown_with_its_quartiles() -> None:
    assert times(Spread(1234.5, 99.94, 0.5, 3)) == "1,234 (99.9-0.50)"
    assert times(Spread(0.0153, 0.1, 0.0, 3)) == "0.015 (0.10-0.00)"


def test_a_terminal_gets_aligned_columns() -> None:
    assert terminal(TABLE) == "A title\n            time\n  plain   1.00 s\n  off    12.0 ms"


def test_a_section_of_the_results_says_what_was_run_on_what_and_what_was_not() -> None:
    section = Section("trivial", "Empty tests.", (TABLE,), ("peer: not installed",))

    assert markdown(section, "Measured with CPython.") == (
        "## trivial\n\n"
        "Empty tests.\n\n"
        "Measured with CPython.\n\n"
        "**A title**\n\n"
        "|  | time |\n"
        "| --- | ---: |\n"
        "| plain | 1.00 s |\n"
        "| off | 12.0 ms |\n\n"
        "- Not measured: peer: not installed\n"
    )


def test_what_was_not_measured_again_stays_in_the_results_in_its_place() -> None:
    old = "# Old head\n\n## one\n\nold one\n\n## two\n\nold two\n\n## gone\n\nold\n"

    new = merged(
        old, "# Head\n", {"two": "## two\n\nnew two\n", "three": "## three\n\nnew\n"}, ["three", "one", "two"]
    )

    assert new == "# Head\n\n## three\n\nnew\n\n## one\n\nold one\n\n## two\n\nnew two\n"


def test_the_first_results_need_no_old_ones() -> None:
    assert merged("", "# Head\n", {"one": "## one\n"}, ["one"]) == "# Head\n\n## one\n"
