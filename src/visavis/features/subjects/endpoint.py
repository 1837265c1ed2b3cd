"""Subjects from a language model behind any OpenAI-compatible endpoint.

Nothing here is contacted unless a caller makes one: the address, the model and the variable that
holds the key are theirs. What is sent is the utterance and our prompt.
"""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from visavis.errors import InputError
from visavis.features.subjects.providers import ProviderError, clean

PROMPT = (
    "Somebody says the sentence below to a listener. Name the psychological subjects behind it "
    "that could move the speaker or the listener, such as Achievement, Loss or Doubt: nouns of one "
    "to three words, the likeliest first, at most {k}. Answer with a JSON list of strings and "
    "nothing else."
)
"""Ours; the supplementary prints only "Given this utterance, identify the underlying psychological
subjects"."""
_LONGEST_REPLY = 1 << 20
_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP answers after which asking again may help."""


class EndpointSubjectProvider:
    """Asks `{url}/chat/completions`; every failure is a `ProviderError` in the end."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_env: str | None = None,
        prompt: str = PROMPT,
        timeout_s: float = 20.0,
        retries: int = 2,
        wait_s: float = 0.5,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """
        Args:
            url: up to and with the version, e.g. http://127.0.0.1:8080/v1.
            model: as the endpoint calls it.
            key_env: the environment variable that holds the key; none is sent without.
            prompt: may hold {k}.
            timeout_s: of one attempt.
            retries: further attempts after one that failed for want of an answer.
            wait_s: before the first of them; doubled each time.

        Raises:
            InputError: an address that is no http(s) one, or numbers that make no sense.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise InputError(
                f"{url!r} is no address of an endpoint; wanted such as https://host/v1."
            )
        if not timeout_s > 0 or retries < 0 or wait_s < 0:
            raise InputError(
                f"timeout_s must be positive and retries and wait_s not negative, not {timeout_s}, "
                f"{retries}, {wait_s}."
            )
        self.url, self.model, self.prompt = url.rstrip("/"), model, prompt
        self.key_env, self.timeout_s = key_env, timeout_s
        self.retries, self.wait_s, self._sleep = retries, wait_s, sleep

    def propose(self, text: str, k: int) -> list[str]:
        body = {
            "model": self.model,
            "temperature": 0,
            "messages": [
                {"role": "system", "content": self.prompt.replace("{k}", str(k))},
                {"role": "user", "content": text},
            ],
        }
        wait = self.wait_s
        for attempt in range(self.retries + 1):
            try:
                return clean(_subjects(self._ask(json.dumps(body).encode())), k)
            except _Again as error:
                if attempt == self.retries:
                    raise ProviderError(f"{self.url}: {error}") from error
                self._sleep(wait)
                wait *= 2
            except ProviderError as error:
                raise ProviderError(f"{self.url}: {error}") from error
        raise AssertionError("unreachable")

    def _ask(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.key_env is not None:
            key = os.environ.get(self.key_env)
            if not key:
                raise ProviderError(f"the variable {self.key_env} holds no key")
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(f"{self.url}/chat/completions", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as reply:
                text = reply.read(_LONGEST_REPLY)
        except urllib.error.HTTPError as error:
            error.close()
            kind = _Again if error.code in _AGAIN else ProviderError
            raise kind(f"it answered {error.code} {error.reason}") from error
        except (OSError, ValueError) as error:  # no route, no answer in time, a broken reply
            reason = getattr(error, "reason", None) or error
            raise _Again(f"no answer ({reason})") from error
        try:
            return json.loads(text)
        except ValueError as error:
            raise ProviderError("the reply is no JSON") from error


class _Again(ProviderError):
    """Asking again may help."""


def _subjects(reply: Any) -> Any:
    """The list in a chat completion's text, with or without a code fence around it."""
    try:
        content = str(reply["choices"][0]["message"]["content"])
    except (KeyError, IndexError, TypeError) as error:
        raise ProviderError("the reply is no chat completion") from error
    match = re.search(r"\[.*\]", content, re.DOTALL)
    try:
        return json.loads(match.group(0) if match else content)
    except ValueError as error:
        raise ProviderError(f"the model gave no JSON list but {content[:60]!r}") from error
