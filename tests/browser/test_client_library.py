"""The client library, by its own tests."""

from tests.harness.npm import npm


async def test_the_client_library_passes_its_own_tests():
    await npm("test")
