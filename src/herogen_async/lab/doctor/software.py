"""Which server that is, as far as its answers tell."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from herogen_async.generation.endpoint.http.transport import HttpResponse

_HOSTS = {
    "openai.com": "OpenAI",
    "azure.com": "Azure OpenAI",
    "groq.com": "Groq",
    "mistral.ai": "Mistral",
    "openrouter.ai": "OpenRouter",
    "together.xyz": "Together",
    "fireworks.ai": "Fireworks",
    "cerebras.ai": "Cerebras",
    "anthropic.com": "Anthropic",
    "googleapis.com": "Google",
}
_PROXIES = {"x-litellm-": "LiteLLM"}  # the beginnings of headers' names; what stands in front comes first
_HEADERS = {
    "apim-request-id": "Azure OpenAI",
    "x-groq-": "Groq",
    "openai-": "OpenAI",
    "anthropic-": "Anthropic",
}
_OWNERS = {
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    "sglang": "SGLang",
    "organization_owner": "LM Studio",
    "tabbyapi": "TabbyAPI",
    "simulator": "the simulator of herogen-async",
}
_SAYS_NOTHING = {"uvicorn", "nginx", "cloudflare", "hypercorn", "gunicorn", "envoy", "istio-envoy"}


def software_from(base_url: str, answers: Iterable[HttpResponse], owners: Iterable[str]) -> str | None:
    """The server's name; None where nothing tells."""
    host = f".{urlsplit(base_url).hostname}"
    if told := next((name for end, name in _HOSTS.items() if host.endswith(f".{end}")), None):
        return told
    answers = list(answers)
    names = {_text(name).lower() for answer in answers for name in answer.names()}
    owned = next((_OWNERS[owner.lower()] for owner in owners if owner.lower() in _OWNERS), None)
    if told := _by_headers(names, _PROXIES) or owned or _by_headers(names, _HEADERS):
        return told
    servers = [answer.header("server") or "" for answer in answers]
    return next((server for server in servers if server and server.split("/")[0].lower() not in _SAYS_NOTHING), None)


def _by_headers(names: set[str], starts: dict[str, str]) -> str | None:
    return next((told for start, told in starts.items() if any(name.startswith(start) for name in names)), None)


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode("latin-1")
