"""The life of a connection as one transition table.

Three questions decide what a connection may do: has the peer ended its half, have we ended ours, and have we asked to
close? A handful of booleans can answer them in sixteen ways, most of them nonsense; the ten states below are all that
exist, and an event that is not in a state's row cannot happen in it.

``LAST_`` means that the peer has already ended: when our side is done too, nothing is left to wait for.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["CLOSING_STATES", "TRANSITIONS", "Event", "State", "advance"]


class State(Enum):
    """Where a connection stands."""

    __hash__ = object.__hash__  # Enum's is a function of Python, and every connection is looked up ten times

    OPEN = auto()  # both halves are open
    PEER_ENDED = auto()  # the peer has sent its end; we still send
    ENDING = auto()  # our end is asked for, but the write queue comes first
    LAST_ENDING = auto()
    SENT_END = auto()  # our end is sent; we still receive
    ENDED = auto()  # both ends are sent; nobody has closed yet
    CLOSING = auto()  # close is asked for, but the write queue comes first
    LAST_CLOSING = auto()
    LINGERING = auto()  # closed and flushed; reading on until the peer's end
    CLOSED = auto()  # the descriptor is gone


class Event(Enum):
    """What can happen to a connection."""

    __hash__ = object.__hash__

    PEER_END = auto()  # a read returned the end of stream
    SEND_END = auto()  # the user half-closes
    FLUSHED = auto()  # the write queue is empty and our end has been sent (shutdown)
    CLOSE = auto()  # the user closes
    LOST = auto()  # an error, an abort, or nothing left to wait for


_S, _E = State, Event

TRANSITIONS: Final[dict[State, dict[Event, State]]] = {
    _S.OPEN: {_E.PEER_END: _S.PEER_ENDED, _E.SEND_END: _S.ENDING, _E.CLOSE: _S.CLOSING, _E.LOST: _S.CLOSED},
    _S.PEER_ENDED: {_E.SEND_END: _S.LAST_ENDING, _E.CLOSE: _S.LAST_CLOSING, _E.LOST: _S.CLOSED},
    _S.ENDING: {_E.PEER_END: _S.LAST_ENDING, _E.FLUSHED: _S.SENT_END, _E.CLOSE: _S.CLOSING, _E.LOST: _S.CLOSED},
    _S.LAST_ENDING: {_E.FLUSHED: _S.ENDED, _E.CLOSE: _S.LAST_CLOSING, _E.LOST: _S.CLOSED},
    _S.SENT_END: {_E.PEER_END: _S.ENDED, _E.CLOSE: _S.LINGERING, _E.LOST: _S.CLOSED},
    _S.ENDED: {_E.CLOSE: _S.CLOSED, _E.LOST: _S.CLOSED},
    _S.CLOSING: {_E.PEER_END: _S.LAST_CLOSING, _E.FLUSHED: _S.LINGERING, _E.LOST: _S.CLOSED},
    _S.LAST_CLOSING: {_E.FLUSHED: _S.CLOSED, _E.LOST: _S.CLOSED},
    _S.LINGERING: {_E.PEER_END: _S.CLOSED, _E.LOST: _S.CLOSED},
    _S.CLOSED: {},
}

CLOSING_STATES: Final = frozenset({State.CLOSING, State.LAST_CLOSING, State.LINGERING, State.CLOSED})


def advance(state: State, event: Event) -> State:
    """Return the state that follows.

    Raises:
        RuntimeError: the event cannot happen in this state, which is a defect in aionet.

    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        message = f"{event.name} cannot happen to a connection that is {state.name}"
        raise RuntimeError(message) from None
