import pytest
from starlette.requests import HTTPConnection

from chatserver.access.gate import Gate
from chatserver.access.tickets import Grant, Ticket, Tickets
from chatserver.access.visitors import COOKIE, LOCAL, Visitors
from chatserver.errors import ChatserverError, Forbidden, ForeignOrigin, Unauthenticated
from chatserver.generation.principal import Principal
from tests.unit.clock import MovedClock

SECRET = b"a secret of thirty-two bytes ..."
ELSEWHERE = "https://blog.example.org"
HOST = "127.0.0.1:8000"


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def gate(clock) -> Gate:
    return Gate(Visitors(SECRET), Tickets(SECRET, clock), frozenset({ELSEWHERE}))


def connection(query: str = "", **headers: str) -> HTTPConnection:
    named = {"host": HOST, **headers}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in named.items()]
    return HTTPConnection({"type": "http", "headers": raw, "query_string": query.encode(), "path": "/"})


def cookie_of(gate: Gate) -> tuple[Principal, str]:
    principal, value = gate.visitors.welcome()
    return principal, f"{COOKIE}={value}"


def test_without_a_cookie_everybody_is_the_local_user(gate) -> None:
    assert gate.principal(connection()) == LOCAL


def test_a_browser_is_its_visitor(gate) -> None:
    principal, cookie = cookie_of(gate)
    assert gate.principal(connection(cookie=cookie, origin=f"http://{HOST}")) == principal


@pytest.mark.parametrize("origin", [f"http://{HOST}", f"https://{HOST}", f"HTTP://{HOST}"])
def test_our_own_page_needs_no_cookie(gate, origin) -> None:
    assert gate.principal(connection(origin=origin)) == LOCAL


def test_an_allowed_page_elsewhere_is_never_the_local_user(gate) -> None:
    principal, cookie = cookie_of(gate)
    with pytest.raises(Unauthenticated, match="fetches a ticket first"):
        gate.principal(connection(origin=ELSEWHERE))
    assert gate.principal(connection(origin=ELSEWHERE, cookie=cookie)) == principal


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://blog.example.org",
        "https://blog.example.org:8443",
        "https://blog.example.org.evil.example",
        f"http://{HOST}.evil.example",
        f"http://user@{HOST}",
        "null",
        "",
        "http://[",
        "http://[::1",
        "file://",
    ],
)
def test_pages_of_foreign_origins_are_refused_even_with_a_cookie(gate, origin) -> None:
    _, cookie = cookie_of(gate)
    with pytest.raises(ForeignOrigin):
        gate.principal(connection(origin=origin, cookie=cookie))


@pytest.mark.parametrize("origin", ["null", "", "file://"])
def test_a_page_without_a_name_is_not_ours_because_we_were_called_without_one(gate, origin) -> None:
    with pytest.raises(ForeignOrigin):
        gate.principal(connection(origin=origin, host=""))


def test_a_ticket_says_who_reads_whatever_cookie_comes_with_it(gate) -> None:
    alice, _ = cookie_of(gate)
    _, cookie = cookie_of(gate)
    ticket, _ = gate.tickets.issue(Ticket(alice, Grant.GENERATION, "gen_1"))
    for headers in ({}, {"cookie": cookie}, {"origin": ELSEWHERE}):
        reader = gate.reader(connection(f"ticket={ticket}", **headers), Grant.GENERATION, "gen_1")
        assert reader == alice


def test_without_a_ticket_a_reader_is_who_calls(gate) -> None:
    principal, cookie = cookie_of(gate)
    assert gate.reader(connection(cookie=cookie), Grant.WEBSOCKET, "") == principal
    with pytest.raises(Unauthenticated):
        gate.reader(connection(origin=ELSEWHERE), Grant.WEBSOCKET, "")


def test_a_foreign_page_is_refused_even_with_a_ticket(gate) -> None:
    ticket, _ = gate.tickets.issue(Ticket(LOCAL, Grant.WEBSOCKET, ""))
    with pytest.raises(ForeignOrigin):
        gate.reader(connection(f"ticket={ticket}", origin="https://evil.example"), Grant.WEBSOCKET, "")


def refused(
    gate: Gate, query: str, grant: Grant = Grant.GENERATION, target: str = "gen_1"
) -> ChatserverError:
    with pytest.raises(ChatserverError) as raised:
        gate.reader(connection(query), grant, target)
    return raised.value


def test_a_wrong_ticket_is_refused_and_never_taken_for_none(gate, clock) -> None:
    ticket, seconds = gate.tickets.issue(Ticket(LOCAL, Grant.GENERATION, "gen_1"))
    assert isinstance(refused(gate, "ticket="), Unauthenticated)
    assert isinstance(refused(gate, "ticket=abc.def"), Unauthenticated)
    assert isinstance(refused(gate, f"ticket={ticket}A"), Unauthenticated)
    assert isinstance(refused(gate, f"ticket={ticket}", target="gen_2"), Forbidden)
    assert isinstance(refused(gate, f"ticket={ticket}", Grant.WEBSOCKET, ""), Forbidden)
    clock.move(seconds)
    assert isinstance(refused(gate, f"ticket={ticket}"), Unauthenticated)


def test_the_codes_tell_a_client_what_to_do_next(gate) -> None:
    # 4401: fetch a fresh ticket; 4403: stop.
    assert (refused(gate, "ticket=abc").status, refused(gate, "ticket=abc").close_code) == (401, 4401)
    ticket, _ = gate.tickets.issue(Ticket(LOCAL, Grant.WEBSOCKET, ""))
    foreign = refused(gate, f"ticket={ticket}")
    assert (foreign.status, foreign.close_code) == (403, 4403)
