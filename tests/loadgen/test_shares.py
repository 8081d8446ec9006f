"""Shares of a load: together everything, each arrival once."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfloop_loadgen.pacing import ConstantRate, ConstantUsers, PoissonRate, UserShare, due_between
from perfloop_loadgen.shares import MOST_SHARES, WHOLE, Share, listed, named, parse_part, parts_of

counts = st.integers(min_value=1, max_value=9)


@given(counts, st.lists(counts, max_size=4), st.integers(min_value=0, max_value=2000))
def test_shares_of_shares_have_every_number_exactly_once(first: int, cuts: list[int], arrivals: int):
    """However often a share is cut again, each number of a load belongs to one share and to no other."""
    shares = parts_of(WHOLE, first)
    for number, count in enumerate(cuts):
        at = number % len(shares)
        shares[at : at + 1] = parts_of(shares[at], count)
    held = sorted(number for index, of in shares for number in range(index, arrivals, of))
    assert held == list(range(arrivals))


@given(counts, counts, st.integers(min_value=0, max_value=500))
def test_users_of_shares_of_shares_add_up(first: int, second: int, users: int):
    """The same holds for users, at any moment of a closed load."""
    shape = ConstantUsers(max(users, 1), None)
    shares = [part for share in parts_of(WHOLE, first) for part in parts_of(share, second)]
    assert sum(UserShare(shape, *share).users_at(1.0) for share in shares) == shape.users_at(1.0)


@given(st.integers(min_value=1, max_value=40), st.lists(st.floats(0, 20), min_size=1, max_size=5))
def test_arrivals_between_moments_add_up(rate: int, moments: list[float]):
    """What is due between moments is what is due altogether, counted one by one."""
    shape = PoissonRate(rate, 20.0, seed=3)
    edges = [0.0, *sorted(moments), 20.0]
    found = sum(due_between(shape, (1, 3), since, until) for since, until in pairwise(edges))
    assert found == len(list(islice(shape.starts(), 1, None, 3)))


def test_arrivals_of_a_share_are_counted_from_a_moment_to_before_another():
    """Of ten a second, the second of two shares has those at 0.1, 0.3, … s."""
    assert due_between(ConstantRate(10, None), (1, 2), 0.3, 0.9) == 3


@pytest.mark.parametrize(
    ("text", "environ", "share"),
    [
        ("1/1", {}, (0, 1)),
        ("2/8", {}, (1, 8)),
        ("8/8", {"JOB_COMPLETION_INDEX": "0"}, (7, 8)),
        ("job/8", {"JOB_COMPLETION_INDEX": "0"}, (0, 8)),
        ("job/8", {"JOB_COMPLETION_INDEX": "7"}, (7, 8)),
    ],
)
def test_a_share_is_read(text: str, environ: dict[str, str], share: Share):
    """People number shares from 1, an indexed Job from 0."""
    assert parse_part(text, environ) == share


@pytest.mark.parametrize(
    ("text", "environ", "sentence"),
    [
        ("0/8", {}, "'0/8': the shares are numbered from 1 to 8"),
        ("9/8", {}, "'9/8': the shares are numbered from 1 to 8"),
        ("1/0", {}, f"'1/0': there are 1 to {MOST_SHARES} shares of a load"),
        ("1/99999", {}, f"'1/99999': there are 1 to {MOST_SHARES} shares of a load"),
        ("2", {}, "'2' is not a share: write 2/8 for the second of eight, or job/8 in an indexed Job"),
        ("-1/8", {}, "'-1/8' is not a share: write 2/8 for the second of eight, or job/8 in an indexed Job"),
        ("٢/8", {}, "'٢/8' is not a share: write 2/8 for the second of eight, or job/8 in an indexed Job"),
        ("job/8", {}, "job/8: the environment has no JOB_COMPLETION_INDEX: an indexed Job of Kubernetes sets it"),
        (
            "job/8",
            {"JOB_COMPLETION_INDEX": "8"},
            "job/8: JOB_COMPLETION_INDEX is '8': the processes of 8 are numbered from 0 to 7",
        ),
        (
            "job/8",
            {"JOB_COMPLETION_INDEX": "x"},
            "job/8: JOB_COMPLETION_INDEX is 'x': the processes of 8 are numbered from 0 to 7",
        ),
    ],
)
def test_what_is_no_share_is_one_sentence(text: str, environ: dict[str, str], sentence: str):
    """The value and the rule."""
    with pytest.raises(ValueError, match=r".") as caught:
        parse_part(text, environ)
    assert str(caught.value) == sentence


def test_shares_and_numbers_in_words():
    """As reports show them."""
    assert named((1, 8)) == "2/8"
    assert [listed(numbers) for numbers in ([3], [3, 7], [1, 3, 7])] == ["3", "3 and 7", "1, 3 and 7"]
