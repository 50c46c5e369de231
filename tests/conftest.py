import pytest
import structlog


@pytest.fixture(autouse=True)
def _names_nobody_in_logs():
    """Leave no tenant or user of one test on the log lines of the next."""
    yield
    structlog.contextvars.clear_contextvars()
