"""When a component counts as hung, with a clock of the test's own."""

from __future__ import annotations

from perfloop.stack.guardian.hangs import GRACE_SECONDS, OWN_ROUNDS, ROUND_SECONDS, THEIR_ROUNDS, Answer, Hangs


def _judge(hangs: Hangs, name: str, pattern: str, *, pid: int = 7, start: float = 0.0) -> list[int]:
    """Return the rounds, from 0, in which a component was found hung: `+` is an answer, `-` is none."""
    return [
        number
        for number, sign in enumerate(pattern)
        if hangs.judge([Answer(name, pid, sign == "+")], start + number * ROUND_SECONDS)
    ]


def test_ten_rounds_without_an_answer() -> None:
    """A component of the stack's own hangs in the tenth round, well within 45 seconds."""
    assert _judge(Hangs(), "analyzer", "+" + "-" * OWN_ROUNDS) == [OWN_ROUNDS]
    assert OWN_ROUNDS * ROUND_SECONDS < 45


def test_one_answer_begins_the_count_again() -> None:
    """A slow component that answers now and then does not hang."""
    assert _judge(Hangs(), "analyzer", "+" + ("-" * (OWN_ROUNDS - 1) + "+") * 3) == []


def test_their_services_are_given_five_minutes() -> None:
    """What the demo and its load do wrong is to be seen as an incident first."""
    assert _judge(Hangs(), "demo", "+" + "-" * THEIR_ROUNDS) == [THEIR_ROUNDS]
    assert THEIR_ROUNDS * ROUND_SECONDS == 300


def test_a_start_is_given_time() -> None:
    """A process that has not answered yet may be reading its data; in the end it hangs as well."""
    rounds = int(GRACE_SECONDS / ROUND_SECONDS)
    assert _judge(Hangs(), "prometheus", "-" * rounds) == []
    assert _judge(Hangs(), "prometheus", "-" * (rounds + 1)) == [rounds]


def test_a_new_process_begins_with_nothing() -> None:
    """What the process before it did not answer is not held against it."""
    hangs = Hangs()
    assert _judge(hangs, "inbox", "+" + "-" * (OWN_ROUNDS - 1)) == []
    assert _judge(hangs, "inbox", "-" * OWN_ROUNDS, pid=8, start=100) == []


def test_one_that_cannot_be_ended_is_reported_now_and_then() -> None:
    """Not in every round."""
    assert _judge(Hangs(), "inbox", "+" + "-" * (2 * OWN_ROUNDS)) == [OWN_ROUNDS, 2 * OWN_ROUNDS]


def test_a_clock_that_stood_still_is_no_hang() -> None:
    """A machine that was suspended for an hour has missed one round, not hundreds."""
    hangs = Hangs()
    hangs.judge([Answer("analyzer", 7, answered=True)], 0)
    assert hangs.judge([Answer("analyzer", 7, answered=False)], 3600) == []


def test_a_crowded_machine_has_more_patience_with_what_works() -> None:
    """Four times as long, but not for ever."""
    hangs = Hangs()
    hangs.judge([Answer("analyzer", 7, answered=True)], 0)
    waiting = Answer("analyzer", 7, answered=False, waiting=True)
    found = [number for number in range(1, 100) if hangs.judge([waiting], number * ROUND_SECONDS)]
    assert found == [OWN_ROUNDS * 4, OWN_ROUNDS * 8]
