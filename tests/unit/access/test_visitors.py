import pytest

from chatserver.access.tickets import Grant, Ticket, Tickets
from chatserver.access.visitors import COOKIE, LOCAL, TENANT, Visitors, set_cookie
from tests.unit.clock import MovedClock

SECRET = b"a secret of thirty-two bytes ..."


@pytest.fixture
def visitors() -> Visitors:
    return Visitors(SECRET)


def test_a_visitor_is_known_again_by_its_cookie(visitors) -> None:
    principal, value = visitors.welcome()
    assert visitors.known(f"{COOKIE}={value}") == principal
    assert Visitors(SECRET).known(f"{COOKIE}={value}") == principal
    assert principal.tenant == TENANT
    assert principal != LOCAL


def test_every_visitor_is_another_one(visitors) -> None:
    assert len({visitors.welcome()[0] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "beside",
    [
        "theme=dark; {}",
        "{}; theme=dark",
        'prefs={{"a":1,"b":"c d"}}; {}',
        "bad name=1; {}; @=2",
        "=; {};;",
        "a=b=c; {}",
        "naïve=é; {}",
    ],
)
def test_cookies_of_other_programs_on_this_host_change_nothing(visitors, beside) -> None:
    principal, value = visitors.welcome()
    assert visitors.known(beside.format(f"{COOKIE}={value}")) == principal


@pytest.mark.parametrize(
    "header",
    [
        "",
        "theme=dark",
        COOKIE,
        f"{COOKIE}=",
        f"{COOKIE}=alice",
        f"{COOKIE}=YWxpY2U.YWxpY2U",
        f"{COOKIE}=é\x01",
        f"{COOKIE}={'a' * 100_000}",
        ";" * 100_000,
    ],
)
def test_whoever_has_no_cookie_of_ours_is_a_stranger(visitors, header) -> None:
    assert visitors.known(header) is None


def test_a_changed_cookie_makes_a_stranger(visitors) -> None:
    _, value = visitors.welcome()
    assert visitors.known(f"{COOKIE}=A{value[1:]}") is None
    assert Visitors(SECRET[::-1]).known(f"{COOKIE}={value}") is None


def test_a_ticket_is_no_cookie(visitors) -> None:
    ticket, _ = Tickets(SECRET, MovedClock()).issue(Ticket(LOCAL, Grant.WEBSOCKET, ""))
    assert visitors.known(f"{COOKIE}={ticket}") is None


@pytest.mark.parametrize(
    ("secure", "elsewhere", "ends"),
    [
        (False, False, "HttpOnly; SameSite=Lax"),
        (False, True, "HttpOnly; SameSite=Lax"),
        (True, False, "HttpOnly; SameSite=Lax; Secure"),
        (True, True, "HttpOnly; SameSite=None; Secure; Partitioned"),
    ],
)
def test_the_cookie_is_for_http_alone_and_for_other_sites_only_over_tls(secure, elsewhere, ends) -> None:
    header = set_cookie("value", secure=secure, elsewhere=elsewhere)
    assert header.startswith("chatserver=value; Path=/; Max-Age=31536000; ")
    assert header.endswith(ends)
