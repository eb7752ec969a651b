"""The table of states against the three questions that it answers."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.wire.lifecycle import CLOSING_STATES, TRANSITIONS, Event, State, advance

if TYPE_CHECKING:
    from typing import TypeAlias

# Has the peer ended its half? How far is ours: open, ending (what is queued comes first) or sent? Was close asked for?
Answers: TypeAlias = "tuple[bool, str, bool]"

ANSWERS: Final[dict[State, Answers]] = {
    State.OPEN: (False, "open", False),
    State.PEER_ENDED: (True, "open", False),
    State.ENDING: (False, "ending", False),
    State.LAST_ENDING: (True, "ending", False),
    State.SENT_END: (False, "sent", False),
    State.ENDED: (True, "sent", False),
    State.CLOSING: (False, "ending", True),
    State.LAST_CLOSING: (True, "ending", True),
    State.LINGERING: (False, "sent", True),
    State.CLOSED: (True, "sent", True),
}


def expected(state: State, event: Event) -> State | None:
    """Say from the answers alone what follows; None where the event would change nothing, and so cannot happen."""
    peer_ended, ours, closing = ANSWERS[state]
    if event is Event.LOST:
        return State.CLOSED if state is not State.CLOSED else None
    if event is Event.PEER_END:
        after = (True, ours, closing)
    elif event is Event.SEND_END:
        after = (peer_ended, "ending" if ours == "open" else ours, closing)
    elif event is Event.FLUSHED:
        after = (peer_ended, "sent" if ours == "ending" else ours, closing)
    else:
        after = (peer_ended, "ending" if ours == "open" else ours, True)
    if after == ANSWERS[state]:
        return None
    return next(state for state, answers in ANSWERS.items() if answers == after)


def test_each_state_answers_the_questions_in_its_own_way() -> None:
    assert set(ANSWERS) == set(State) == set(TRANSITIONS)
    assert len(set(ANSWERS.values())) == len(State)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)), ids=lambda member: member.name)
def test_each_event_in_each_state_leads_where_the_answers_say(state: State, event: Event) -> None:
    following = expected(state, event)
    if following is None:
        with pytest.raises(RuntimeError, match=f"{event.name} cannot happen to a connection that is {state.name}"):
            advance(state, event)
    else:
        assert advance(state, event) is following


def test_the_closing_states_are_those_in_which_close_was_asked_for() -> None:
    assert {state for state, (_, _, closing) in ANSWERS.items() if closing} == CLOSING_STATES


@given(st.data())
def test_every_life_ends_and_no_state_comes_twice(data: st.DataObject) -> None:
    state = State.OPEN
    seen = [state]
    while TRANSITIONS[state]:
        state = advance(state, data.draw(st.sampled_from(list(TRANSITIONS[state]))))
        seen.append(state)
    assert state is State.CLOSED
    assert len(set(seen)) == len(seen)


@given(st.lists(st.sampled_from(Event), max_size=8))
def test_once_closing_always_closing(events: list[Event]) -> None:
    state = State.OPEN
    closing = False
    for event in events:
        if event not in TRANSITIONS[state]:
            continue
        state = advance(state, event)
        closing = closing or event in {Event.CLOSE, Event.LOST}
        assert (state in CLOSING_STATES) == closing


@pytest.mark.parametrize("state", list(State)[:-1], ids=lambda state: state.name)
def test_whatever_the_state_a_connection_can_be_lost(state: State) -> None:
    assert advance(state, Event.LOST) is State.CLOSED
