"""What a server says of itself on /metrics."""

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.client import Client


async def figure(client: Client, name: str, **labels: str) -> float:
    """Give one figure, 0 where there is none yet; `name` without the `chatserver_` before it."""
    text = (await client.http.get("/metrics")).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"chatserver_{name}" and sample.labels.items() >= labels.items()
    )
