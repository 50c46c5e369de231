import orjson
import pytest

from chatserver.access.signing import Signer
from chatserver.access.tickets import Grant, Ticket, Tickets
from chatserver.errors import Forbidden, Unauthenticated
from chatserver.generation.principal import Principal
from tests.unit.clock import MovedClock

SECRET = b"a secret of thirty-two bytes ..."
ALICE = Principal("default", "visitor_alice")


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def tickets(clock) -> Tickets:
    return Tickets(SECRET, clock)


@pytest.mark.parametrize(
    ("ticket", "good_for"),
    [
        (Ticket(ALICE, Grant.GENERATION, "gen_1"), 3600),
        (Ticket(ALICE, Grant.CONVERSATION, "conv_1"), 3600),
        (Ticket(ALICE, Grant.WEBSOCKET, ""), 30),
    ],
)
def test_a_ticket_is_good_again_and_again_until_it_expires(tickets, clock, ticket, good_for) -> None:
    text, seconds = tickets.issue(ticket)
    assert seconds == good_for
    clock.move(good_for - 1)
    assert tickets.read(text) == tickets.read(text) == ticket
    clock.move(1)
    with pytest.raises(Unauthenticated, match="has expired; fetch a fresh one"):
        tickets.read(text)


def test_a_ticket_is_good_on_any_instance_with_the_same_secret(tickets, clock) -> None:
    ticket = Ticket(ALICE, Grant.WEBSOCKET, "")
    text, _ = tickets.issue(ticket)
    assert Tickets(SECRET, clock).read(text) == ticket
    with pytest.raises(Unauthenticated, match="isn't one of ours"):
        Tickets(SECRET[::-1], clock).read(text)


def test_a_cookie_is_no_ticket(tickets) -> None:
    cookie = Signer(SECRET, "visitor").sign(orjson.dumps(["default", "alice", "websocket", "", 2**40]))
    with pytest.raises(Unauthenticated):
        tickets.read(cookie)


@pytest.mark.parametrize("text", ["", "abc", "a.b", "é", "x" * 100_000])
def test_what_we_did_not_sign_is_no_ticket(tickets, text) -> None:
    with pytest.raises(Unauthenticated):
        tickets.read(text)


@pytest.mark.parametrize(
    ("grant", "target"),
    [
        (Grant.GENERATION, "gen_2"),
        (Grant.CONVERSATION, "gen_1"),
        (Grant.WEBSOCKET, ""),
        (Grant.GENERATION, ""),
    ],
)
def test_a_ticket_is_for_one_thing_alone(grant, target) -> None:
    ticket = Ticket(ALICE, Grant.GENERATION, "gen_1")
    ticket.check(Grant.GENERATION, "gen_1")
    with pytest.raises(Forbidden, match="for something else"):
        ticket.check(grant, target)


def test_the_longest_ticket_fits_into_an_address(tickets) -> None:
    longest = Ticket(Principal("default", f"visitor_{'f' * 24}"), Grant.CONVERSATION, "c" * 64)
    text, _ = tickets.issue(longest)
    assert len(text) <= 512
    assert tickets.read(text) == longest
