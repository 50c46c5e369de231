"""The look at Redis before the start: what would fail later is told now, in one sentence."""

from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ReadOnlyError, RedisError, ResponseError

from chatserver.backplane.redis.link import client_of
from chatserver.errors import StartRefused

#: The first with all that the scripts and subscriptions need.
_OLDEST = (6, 2)
_NAME = "chatserver:check"


async def check_redis(url: str) -> None:
    """StartRefused, saying which, where Redis can't serve as the backplane."""
    try:
        client = client_of(url)
    except ValueError as error:
        raise StartRefused(f"That isn't an address of Redis: {error}.") from error
    async with client:
        try:
            await _check(client)
        except (AuthenticationError, NoPermissionError, ReadOnlyError, ResponseError) as error:
            raise StartRefused(f"Redis at {_address(url)} {_sentence(error)}.") from error
        except (RedisError, OSError) as error:
            raise StartRefused(f"Redis at {_address(url)} doesn't answer: is it running there?") from error


async def _check(client: Redis) -> None:
    version = str((await client.info("server"))["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
        raise ResponseError(f"is version {version}; 6.2 is the oldest that serves")
    await client.set(_NAME, "1", ex=10)
    await client.eval("return redis.call('GET', KEYS[1])", 1, _NAME)
    await client.publish(_NAME, "1")
    async with client.pubsub() as pubsub:
        await pubsub.subscribe(_NAME)
        await pubsub.get_message(timeout=2)


def _sentence(error: RedisError) -> str:
    match error:
        case AuthenticationError():
            return "needs a password, or another one than the address has"
        case ReadOnlyError():
            return "is a read-only replica; name the primary"
        case NoPermissionError():
            return (
                "lacks rights: its user needs the keys ~chatserver:*, the channels &chatserver:* and the "
                "commands of +@all -@dangerous +info"
            )
        case _:
            return str(error).rstrip(".")


def _address(url: str) -> str:
    # Never the password that may stand in it.
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 6379}"
