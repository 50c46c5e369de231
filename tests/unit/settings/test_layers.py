import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from chatserver.errors import SettingsError
from chatserver.settings import load
from chatserver.settings.layers import default_file
from chatserver.settings.models import SECTIONS


@pytest.fixture
def config(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "chat.toml"
        path.write_text(text)
        return path

    return write


def test_each_layer_is_stronger_than_the_one_before(config) -> None:
    file = config('[server]\nport = 1\nhost = "127.0.0.2"\ngrace_s = 5\n')
    environ = {"CHATSERVER_SERVER__HOST": "127.0.0.3", "CHATSERVER_SERVER__PORT": "2"}
    loaded = load(file, environ, {"server.port": 3})
    server = loaded.settings.server
    assert (server.port, server.host, server.grace_s, server.workers) == (3, "127.0.0.3", 5, 1)
    assert loaded.origins["server.port"] == "command line"
    assert loaded.origins["server.host"] == "CHATSERVER_SERVER__HOST"
    assert loaded.origins["server.grace_s"] == str(file)
    assert loaded.origins["server.workers"] == "default"


def test_the_default_file_holds_every_setting_and_nothing_else() -> None:
    tables = tomllib.loads(default_file().read_text())
    assert {section: list(values) for section, values in tables.items()} == {
        section: list(model.model_fields) for section, model in SECTIONS.items()
    }


def test_no_model_has_a_default_of_its_own() -> None:
    with_default = [
        f"{section}.{name}"
        for section, model in SECTIONS.items()
        for name, field in model.model_fields.items()
        if not field.is_required()
    ]
    assert with_default == []


def test_every_default_stands_below_a_comment_with_its_reason() -> None:
    lines = default_file().read_text().splitlines()
    bare = [
        line for above, line in pairwise(lines) if re.match(r"\w+ = ", line) and not above.startswith("# ")
    ]
    assert bare == []


UNITS = {"_s": "Seconds", "_ms": "Milliseconds", "_bytes": "Bytes", "_tokens": "Tokens"}


def test_the_comment_of_a_measure_begins_with_its_unit() -> None:
    blocks = default_file().read_text().split("\n\n")
    measures = [(re.search(r"^(\w+) = ", block, re.MULTILINE), block) for block in blocks]
    for name, block in [(match[1], block) for match, block in measures if match]:
        for ending, unit in UNITS.items():
            assert not name.endswith(ending) or block.startswith(f"# {unit} "), name


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[server]\nprot = 1",
            r"^server\.prot in .*chat\.toml is no setting; allowed in server are host, port,",
        ),
        ("[sever]\nport = 1", r"^sever\.port in .* is in no known section; allowed are server, store,"),
        ("port = 1", r"^port in .* stands outside of a section; allowed are"),
        ("[server.port]\nx = 1", r"^server\.port = .* it has to be a whole number from 0 to 65535\.$"),
        ("[server", r"^The settings file .* is no TOML: "),
        ('[server]\nport = "8000"', r'^server\.port = "8000" \(.*chat\.toml\) isn\'t allowed; it has to be'),
        ("[server]\nport = true", r"^server\.port = true "),
        ("[server]\nport = 65536", r"whole number from 0 to 65535\.$"),
        ("[server]\ngrace_s = inf", r"a number from 1 to 86400\.$"),
        ("[server]\ngrace_s = 0.9", r"^server\.grace_s .* a number from 1 to 86400\.$"),
        ("[ollama]\nstall_timeout_s = 0", r"a number above 0 and at most 86400\.$"),
        ("[ollama]\nurls = [[]]", r"^ollama\.urls = "),
        ('[log]\nlevel = "loud"', r'it has to be "debug", "info", "warning" or "error"\.$'),
        ("[server]\nallow_open_on_any_address = 1", r"it has to be true or false\.$"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence_that_names_it(config, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence) as refused:
        load(config(text), {}, {})
    assert "\n" not in refused.value.detail


def test_a_missing_file_and_one_that_is_no_text_are_refused(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"can't be read: No such file"):
        load(tmp_path / "missing.toml", {}, {})
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"is no TOML: "):
        load(tmp_path / "binary.toml", {}, {})


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^server\.prot in the command line is no setting"):
        load(None, {}, {"server.prot": 1})


def test_a_wrong_secret_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refused:
        load(None, {"CHATSERVER_SECRET": "hunter2"}, {})
    assert "hunter2" not in refused.value.detail
    assert "hunter2" not in repr(refused.value.__cause__)
