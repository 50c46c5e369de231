import asyncio

from chatserver.storage.probes import GOOD_FOR_MS, KeepProbe, Probes
from tests.contract.storage.store import NOW, opened

ONE, OTHER = "1" * 64, "2" * 64


async def continues(store, digest: str, now_ms: int = NOW) -> bool | None:
    return await Probes(store.database).continues(digest, now_ms)


async def test_what_was_found_out_is_known_of_that_version_alone(store) -> None:
    assert await continues(store, ONE) is None
    await store.submit(KeepProbe(ONE, True, NOW))
    assert await continues(store, ONE) is True
    assert await continues(store, OTHER) is None


async def test_the_newest_finding_counts(store) -> None:
    findings = [KeepProbe(ONE, True, NOW), KeepProbe(OTHER, True, NOW), KeepProbe(ONE, False, NOW + 1)]
    await asyncio.gather(*map(store.submit, findings))
    assert (await continues(store, ONE), await continues(store, OTHER)) == (False, True)
    await store.submit(KeepProbe(ONE, True, NOW + 2))
    assert await continues(store, ONE) is True


async def test_instances_may_find_out_the_same_at_the_same_time(store, database) -> None:
    async with opened(database) as other:
        for n in range(20):
            digest = f"{n:064x}"
            found = (KeepProbe(digest, True, NOW), KeepProbe(digest, True, NOW + 1))
            await asyncio.gather(store.submit(found[0]), other.submit(found[1]))
            assert await continues(store, digest) is True


async def test_a_finding_that_is_too_old_does_not_count_and_is_forgotten(store) -> None:
    await store.submit(KeepProbe(ONE, True, NOW))
    assert await continues(store, ONE, NOW + GOOD_FOR_MS - 1) is True
    assert await continues(store, ONE, NOW + GOOD_FOR_MS) is None
    await store.submit(KeepProbe(OTHER, True, NOW + GOOD_FOR_MS + 1))
    assert await continues(store, ONE, NOW) is None
