"""Durations, sizes and counts."""

from __future__ import annotations

import pytest

from nshell.shell.units import (
    brief,
    human_bytes,
    human_elapsed,
    human_ms,
    human_rate,
    parse_duration,
    parse_size,
    plural,
    whole_number,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("9", 9), ("10", None), ("-1", None), ("", None), ("٣", None),
     ("1.5", None), ("1" * 5000, None)],
)  # fmt: skip
def test_a_whole_number_is_one_between_its_bounds(text: str, number: int | None) -> None:
    assert whole_number(text, 0, 9) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2s", 2.0), ("250ms", 0.25), ("1h30m", 5400.0), ("1.5s", 1.5), ("10us", 1e-5)],
)
def test_durations_are_read_as_kubectl_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5 s", "1x", "-1s", "1s2", "1e3s"])
def test_a_duration_that_is_not_wholly_understood_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


def test_a_duration_without_unit_is_told_the_likely_one() -> None:
    with pytest.raises(ValueError, match="did you mean 90s"):
        parse_duration("90")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("64Mi", 64 << 20), ("1G", 10**9), ("1.5k", 1500), ("2Ti", 2 << 40)],
)
def test_sizes_follow_kubernetes_quantities(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_a_size_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="is too large"):
        parse_size("9" * 400)


def test_a_size_with_a_wrong_unit_is_told_the_nearest() -> None:
    with pytest.raises(ValueError, match="did you mean 64Mi"):
        parse_size("64MiB")
    with pytest.raises(ValueError, match="no known unit"):
        parse_size("64Q")
    with pytest.raises(ValueError, match="is not a size"):
        parse_size("lots")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (10**15, "1,000.0 TB")],
)
def test_bytes_are_shown_with_decimal_units(count: int, text: str) -> None:
    assert human_bytes(count) == text.replace(",", "")


@pytest.mark.parametrize(
    ("rate", "text"), [(0, "0/s"), (999, "999/s"), (1234, "1.2k/s"), (2_500_000, "2.5M/s")]
)
def test_rates_stay_short(rate: float, text: str) -> None:
    assert human_rate(rate) == text


def test_times_and_counts_read_naturally() -> None:
    assert human_elapsed(723.9) == "00:12:03"
    assert human_elapsed(400_000) == "111:06:40"
    assert human_ms(3.04) == "3.0 ms"
    assert human_ms(42.4) == "42 ms"
    assert human_ms(12_345) == "12.3 s"
    assert plural(1, "row") == "1 row"
    assert plural(1234, "row") == "1,234 rows"


def test_a_long_text_is_cut_where_it_is_shown_and_says_so() -> None:
    assert brief("short") == "short"
    assert brief("x" * 200, most=10) == "xxxxxxx..."
