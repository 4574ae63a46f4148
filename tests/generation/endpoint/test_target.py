"""Which server a run talks to, and with which key."""

from __future__ import annotations

import pytest

from herogen_async.core.errors import InputError
from herogen_async.generation.endpoint.target import (
    OPENAI_URL,
    choose_server,
    clear_text_line,
    is_embedded,
    is_loopback,
    is_openai,
)

KEY = {"OPENAI_API_KEY": "sk-one"}
AZURE = "https://mine.openai.azure.com/openai/v1"


def chosen(base_url: str | None, environment: dict[str, str], model: str | None = None) -> tuple[str, object] | None:
    server = choose_server(base_url, model, environment)
    return None if server is None else (server.base_url, server.api_key)


def test_without_url_or_key_the_embedded_model_is_used() -> None:
    """With neither URL nor key, or with both empty, no server is chosen and the embedded model is used."""
    assert chosen(None, {}) is None
    assert chosen(None, {"OPENAI_API_KEY": "", "OPENAI_BASE_URL": ""}) is None


@pytest.mark.parametrize("model", ["embedded", "/some/where/x.gguf", "X.GGUF"])
def test_the_embedded_model_can_be_chosen_in_any_environment(model: str) -> None:
    """The embedded model can be chosen whatever the environment says."""
    assert chosen(None, {**KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, model) is None


def test_a_given_base_url_wins_over_an_embedded_model_name() -> None:
    """An explicit base URL selects the server even if the model name ends in `.gguf`."""
    assert ("http://127.0.0.1:1/v1", None) == chosen("http://127.0.0.1:1/v1", {}, "x.gguf")


def test_a_key_alone_means_openai() -> None:
    """A key without a base URL selects OpenAI's own URL."""
    assert (OPENAI_URL, "sk-one") == chosen(None, KEY)


def test_the_environment_url_is_used_unless_one_is_given() -> None:
    """OPENAI_BASE_URL applies unless a base URL is given explicitly."""
    environment = {**KEY, "OPENAI_BASE_URL": "https://one.example/v1"}
    assert ("https://one.example/v1", "sk-one") == chosen(None, environment)
    assert ("https://two.example/v1", "sk-one") == chosen("https://two.example/v1", environment)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "LOCALHOST"])
def test_a_server_on_this_machine_needs_no_key(host: str) -> None:
    """Any loopback host name or address is accepted without a key."""
    assert (f"http://{host}:8000/v1", None) == chosen(f"http://{host}:8000/v1", {})
    assert is_loopback(f"http://{host}:8000/v1")


@pytest.mark.parametrize("host", ["localhost.example.org", "127.0.0.1.example.org", "192.168.0.7", "[2001:db8::1]"])
def test_any_other_server_needs_a_key(host: str) -> None:
    """A non-loopback host without a key is an input error with a fix, even if its name mimics loopback."""
    assert not is_loopback(f"http://{host}/v1")
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set") as raised:
        chosen(f"http://{host}/v1", {})
    assert raised.value.fix is not None


def test_a_given_key_wins_over_the_environment() -> None:
    """An explicit API key is used instead of the environment's."""
    server = choose_server("https://one.example/v1", None, KEY, api_key="mine")
    assert server is not None
    assert "mine" == server.api_key


def test_a_given_key_is_checked_like_the_environments() -> None:
    """An explicit key is stripped, and one that no header can carry is refused without being shown."""
    server = choose_server("https://one.example/v1", None, {}, api_key=" mine\r\n")
    assert server is not None
    assert "mine" == server.api_key
    for key in ("sk-o\u2026", "sk-one sk-two", "sk-\x00one", "sk-one\nX-Evil: 1"):
        with pytest.raises(InputError, match="api_key contains characters") as raised:
            choose_server("https://one.example/v1", None, {}, api_key=key)
        assert "sk-o" not in f"{raised.value} {raised.value.fix}"


@pytest.mark.parametrize("key", ["", " \n"])
def test_a_blank_given_key_counts_as_none(key: str) -> None:
    """A blank explicit key is ignored, so the environment's key applies."""
    server = choose_server("https://one.example/v1", None, KEY, api_key=key)
    assert server is not None
    assert "sk-one" == server.api_key
    assert choose_server(None, None, {}, api_key=key) is None


def test_each_of_two_services_gets_its_own_key() -> None:
    """With both keys set, Azure gets its own and others get OpenAI's; either alone serves Azure."""
    both = {**KEY, "AZURE_OPENAI_API_KEY": "azure-one"}
    assert (AZURE, "azure-one") == chosen(AZURE, both)
    assert (AZURE, "azure-one") == chosen(AZURE, {"AZURE_OPENAI_API_KEY": "azure-one"})
    assert (AZURE, "sk-one") == chosen(AZURE, KEY)
    assert ("https://one.example/v1", "sk-one") == chosen("https://one.example/v1", both)


@pytest.mark.parametrize("host", ["azure.com.evil.example", "notazure.com", "evil.example"])
def test_the_azure_key_goes_to_azure_alone(host: str) -> None:
    """Azure's key is never used for a host whose name merely resembles Azure's."""
    with pytest.raises(InputError):
        chosen(f"https://{host}/v1", {"AZURE_OPENAI_API_KEY": "azure-one"})


def test_an_environment_key_loses_its_trailing_newline() -> None:
    """A carriage return and newline at the end of OPENAI_API_KEY are removed."""
    assert (OPENAI_URL, "sk-one") == chosen(None, {"OPENAI_API_KEY": "sk-one\r\n"})


@pytest.mark.parametrize("key", ["sk-o\u2026", "sk-one sk-two", "sk-\x00one", "sk-one\nX-Evil: 1"])
def test_an_unsendable_key_is_refused_without_being_shown(key: str) -> None:
    """A key with characters that no header can carry is refused, and the error doesn't show it."""
    with pytest.raises(InputError, match="OPENAI_API_KEY contains characters") as raised:
        chosen(None, {"OPENAI_API_KEY": key})
    assert "sk-o" not in f"{raised.value} {raised.value.fix}"


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/", " http://127.0.0.1:1/v1// "])
def test_a_base_url_loses_trailing_slashes(url: str) -> None:
    """Trailing slashes and surrounding spaces are removed from a base URL."""
    assert ("http://127.0.0.1:1/v1", None) == chosen(url, {})


PASTED = {
    "http://0.0.0.0:8000/v1": "http://127.0.0.1:8000/v1",
    "http://0.0.0.0/v1/": "http://127.0.0.1/v1",
    "https://[::]:8443/v1": "https://[::1]:8443/v1",
    "HTTP://127.0.0.1:8000/v1": "http://127.0.0.1:8000/v1",
    "http://[::1]:8000": "http://[::1]:8000",
    "http://127.0.0.1:8000/v1/chat/completions": "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:8000/v1/completions/": "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:8000/v1/models": "http://127.0.0.1:8000/v1",
    "http://127.0.0.1:8000/models": "http://127.0.0.1:8000/models",
    "http://0.0.0.0:8000/completions": "http://127.0.0.1:8000",
}


@pytest.mark.parametrize("url", PASTED)
def test_an_address_pasted_whole_is_understood(url: str) -> None:
    """Every address of this machine needs no key, and the route at an address's end is no part of the base URL."""
    assert (PASTED[url], None) == chosen(url, {})


@pytest.mark.parametrize("host", ["my.openai.azure.com", "my.services.ai.azure.com", "my.cognitiveservices.azure.com"])
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/openai",
        "/openai/v1/",
        "/openai/v1/chat/completions?api-version=preview",
        "/openai/?api-version=2024-10-21",
    ],
)
def test_each_address_of_an_azure_resource_is_its_base_url(host: str, path: str) -> None:
    """What Azure's portal shows of a resource leads to the one base URL that works."""
    assert (f"https://{host}/openai/v1", "sk-one") == chosen(f"https://{host}{path}", KEY)


@pytest.mark.parametrize("end", ["/chat/completions?api-version=2024-10-21", "/completions", "?api-version=1", ""])
def test_a_deployment_at_azure_is_told_as_a_model(end: str) -> None:
    """A deployment's target URI is refused with the base URL and the model that it stands for."""
    with pytest.raises(InputError, match="a deployment") as raised:
        chosen(f"https://my.openai.azure.com/openai/deployments/gpt-4o{end}", KEY)
    assert "use --base-url https://my.openai.azure.com/openai/v1 --model gpt-4o" == raised.value.fix


def test_a_secret_in_an_azure_address_is_refused_and_hidden() -> None:
    """Anything but the version in an address's query may be a key."""
    for url in ("https://my.openai.azure.com/?api-key=secret", "https://my.openai.azure.com/openai/v1?code=secret"):
        with pytest.raises(InputError, match="more than an address") as raised:
            chosen(url, KEY)
        assert "secret" not in f"{raised.value} {raised.value.fix}"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1"),
        ("localhost:8000", "http://localhost:8000"),
        ("models.lan:8000/v1", "http://models.lan:8000/v1"),
        ("[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("api.openai.com/v1", "https://api.openai.com/v1"),
    ],
)
def test_a_missing_scheme_is_told(url: str, meant: str) -> None:
    """An address without http:// or https:// is refused with the one that was probably meant."""
    with pytest.raises(InputError) as raised:
        chosen(url, KEY)
    assert f"did you mean {meant}?" in (raised.value.fix or "")


@pytest.mark.parametrize("host", ["models.example", "192.168.1.20", "host.docker.internal", "[fe80::1]"])
def test_p13_a_key_over_http_to_another_host_is_told(host: str) -> None:
    """A key that goes unencrypted to another machine is told with the host, and without the key."""
    said = clear_text_line(f"http://{host}:8000/v1", "sk-one")
    assert said is not None
    assert host.strip("[]") in said
    assert "sk-one" not in said
    assert clear_text_line(f"https://{host}:8000/v1", "sk-one") is None
    assert clear_text_line(f"http://{host}:8000/v1", None) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8", "[::ffff:127.0.0.1]", "a.localhost"])
def test_p13_a_key_to_this_machine_is_not_worth_a_word(host: str) -> None:
    """Nobody is on the way to this machine itself."""
    assert clear_text_line(f"http://{host}:8000/v1", "sk-one") is None


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8000/v1",
        "localhost",
        "ftp://127.0.0.1/v1",
        "file:///etc/passwd",
        "http://",
        "http:///v1",
        "http://127.0.0.1:0/v1",
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:x/v1",
        "http://[::1/v1",
        "http://127.0.0.1/v1\nx",
        "http://127.0.0.1/v 1",
        "http://127.0.0.1\\@evil.example/v1",
        "",
    ],
)
def test_an_invalid_base_url_is_named_with_an_example(url: str) -> None:
    """An invalid base URL is refused with an error that shows a valid example."""
    with pytest.raises(InputError) as raised:
        chosen(url or " ", KEY)
    assert raised.value.fix is not None
    assert "http://127.0.0.1:8000/v1" in raised.value.fix


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@one.example/v1",
        "https://secret@one.example/v1",
        "https://@one.example/v1",
        "https://one.example/v1?key=secret",
        "https://one.example/v1?",
        "https://one.example/v1#secret",
    ],
)
def test_a_base_url_beyond_an_address_is_refused_and_not_shown(url: str) -> None:
    """A base URL that holds more than an address is refused without being shown."""
    with pytest.raises(InputError, match="more than an address") as raised:
        chosen(url, KEY)
    assert "secret" not in f"{raised.value} {raised.value.fix}"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("user:secretpw12@host/v1", "'[hidden]@host/v1'"),
        ("https://user:secretpw12@host:99999/v1", "'https://[hidden]@host:99999/v1'"),
        ("http:/sk-verysecret123@x", "'[hidden]@x'"),
        ("sk-verysecret123", "'[hidden]'"),
        ("host/v1?key=secret", "'host/v1?[hidden]'"),
        ("host/v1?mail=a@b&key=secret", "'[hidden]'"),
        ("https://me:secret@one.example:8443/v1", "'https://[hidden]@one.example:8443/v1'"),
    ],
)
def test_a_mistyped_base_url_is_shown_without_secrets(url: str, shown: str) -> None:
    """The error quotes a mistyped base URL with only its credentials hidden."""
    with pytest.raises(InputError) as raised:
        chosen(url, KEY)
    assert shown in raised.value.message
    assert "secret" not in f"{raised.value} {raised.value.fix}"


def test_a_server_never_shows_its_key() -> None:
    """Neither the text nor the repr of a server contains its key."""
    server = choose_server(None, None, KEY)
    assert "sk-one" not in f"{server} {server!r}"


def test_openai_is_told_from_lookalike_hosts() -> None:
    """api.openai.com and its subdomains count as OpenAI; hosts that merely contain the name don't."""
    assert is_openai(OPENAI_URL)
    assert is_openai("https://eu.api.openai.com/v1")
    assert not is_openai("https://api.openai.com.example/v1")
    assert not is_openai("https://evilapi.openai.com.example/v1")


def test_gguf_files_select_the_embedded_server() -> None:
    """`embedded` and names ending in .gguf, in any case, select the embedded server."""
    assert [True, True, False] == [is_embedded(model) for model in ("embedded", "a/b.GGUF", "gpt-4.1")]
