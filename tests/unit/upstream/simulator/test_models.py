"""The endpoints that only tell."""

import pytest

from chatserver.upstream.simulator.catalogue import CATALOGUE


async def test_the_server_says_that_it_is_running(simulated) -> None:
    assert (await simulated.http.get("/")).text == "Ollama is running"
    assert (await simulated.http.get("/api/version")).json().keys() == {"version"}


@pytest.mark.parametrize("path", ["/", "/api/tags", "/api/version"])
async def test_head_works_where_ollama_has_it(simulated, path: str) -> None:
    answer = await simulated.http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


async def test_all_models_are_listed(simulated) -> None:
    listed = (await simulated.http.get("/api/tags")).json()["models"]
    assert [model["name"] for model in listed] == [model.name for model in CATALOGUE]
    expected = {"name", "model", "modified_at", "size", "digest", "details", "capabilities"}
    assert all(model.keys() == expected for model in listed)
    details = {"parent_model", "format", "family", "families", "parameter_size", "quantization_level"}
    assert all(model["details"].keys() == details for model in listed)


async def test_a_model_is_shown(simulated) -> None:
    shown = (await simulated.http.post("/api/show", json={"model": "sim-think"})).json()
    assert shown["capabilities"] == ["completion", "tools", "thinking"]
    architecture = shown["model_info"]["general.architecture"]
    assert shown["model_info"][f"{architecture}.context_length"] == 32_768
    assert "<|im_start|>" in shown["template"]
    assert "stop" in shown["parameters"]


async def test_the_vocabulary_is_shown_when_asked_for(simulated) -> None:
    body = {"name": "sim-chat", "verbose": True}
    info = (await simulated.http.post("/api/show", json=body)).json()["model_info"]
    assert len(info["tokenizer.ggml.tokens"]) == len(info["tokenizer.ggml.token_type"])
    assert len(info["tokenizer.ggml.tokens"]) == 256 + len(info["tokenizer.ggml.merges"]) + 3


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [({"model": "nope"}, 404, "model 'nope:latest' not found"), ({}, 400, "model is required")],
)
async def test_what_can_not_be_shown_is_refused(simulated, body: dict, status: int, sentence: str) -> None:
    answer = await simulated.http.post("/api/show", json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": sentence})


async def test_unknown_paths_and_methods_are_refused(simulated) -> None:
    assert (await simulated.http.get("/api/nope")).status_code == 404
    assert (await simulated.http.get("/api/chat")).status_code == 405
    assert (await simulated.stats())["requests"] == {"other": 1, "/api/chat": 1}
