"""Records of what a provider said, and an endpoint on this very machine."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from visavis.errors import InputError
from visavis.features.subjects import (
    CachedSubjectProvider,
    EndpointSubjectProvider,
    ExpressiveRecovery,
    ProviderError,
    StaticSubjectProvider,
    default_recovery,
    recovery_from,
)

TEXT = "I am feeling thrilled!"


class Server:
    """An OpenAI-compatible endpoint on 127.0.0.1 that answers as it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.replies: list[tuple[int, str]] = []
        self.wait_s = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, body, dict(self.headers)))
                time.sleep(outer.wait_s)
                status, text = outer.replies.pop(0) if outer.replies else (200, chat("[]"))
                try:
                    self.send_response(status)
                    self.end_headers()
                    self.wfile.write(text.encode())
                except OSError:
                    pass  # the client did not wait

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


def chat(content: str) -> str:
    return json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]})


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


def endpoint(server: Server, **kwargs: Any) -> EndpointSubjectProvider:
    return EndpointSubjectProvider(server.url, "small", wait_s=0.0, **kwargs)


def test_an_endpoint_is_asked_as_the_interface_has_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "s3cret")
    server.replies = [(200, chat('```json\n["Achievement", "Success"]\n```'))]
    found = endpoint(server, key_env="TEST_KEY").propose(TEXT, 8)
    assert found == ["Achievement", "Success"]
    ((path, body, headers),) = server.asked
    assert path == "/v1/chat/completions"
    assert body["model"] == "small"
    assert body["messages"][-1] == {"role": "user", "content": TEXT}
    assert "at most 8" in body["messages"][0]["content"]
    assert headers["Authorization"] == "Bearer s3cret"


def test_it_asks_again_where_that_may_help_and_only_there(server: Server) -> None:
    server.replies = [(500, ""), (429, ""), (200, chat('["Joy"]'))]
    assert endpoint(server, retries=2).propose(TEXT, 3) == ["Joy"]
    assert len(server.asked) == 3
    server.replies = [(500, "")] * 3
    with pytest.raises(ProviderError, match="it answered 500"):
        endpoint(server, retries=1).propose(TEXT, 3)
    assert len(server.asked) == 5
    server.replies = [(401, "")]
    with pytest.raises(ProviderError, match="it answered 401"):
        endpoint(server, retries=5).propose(TEXT, 3)
    assert len(server.asked) == 6


def test_waiting_doubles_between_attempts(server: Server) -> None:
    waits: list[float] = []
    server.replies = [(503, "")] * 4
    provider = EndpointSubjectProvider(
        server.url, "small", wait_s=0.5, retries=3, sleep=waits.append
    )
    with pytest.raises(ProviderError):
        provider.propose(TEXT, 3)
    assert waits == [0.5, 1.0, 2.0]


def test_a_slow_endpoint_is_given_up(server: Server) -> None:
    server.wait_s = 2.0
    began = time.perf_counter()
    with pytest.raises(ProviderError, match="no answer"):
        endpoint(server, timeout_s=0.2, retries=0).propose(TEXT, 3)
    assert time.perf_counter() - began < 1.5


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("{}", "no chat completion"),
        ("not JSON", "no JSON"),
        (chat("Joy and Success"), "gave no JSON list"),
        (chat("[1, 2]"), "a subject is a text"),
        (chat('{"subjects": 3}'), "list of texts, not as dict"),
    ],
)
def test_a_reply_that_makes_no_sense_is_said(server: Server, reply: str, message: str) -> None:
    server.replies = [(200, reply)]
    with pytest.raises(ProviderError, match=message):
        endpoint(server, retries=0).propose(TEXT, 3)


def test_a_key_that_is_not_there_is_named(server: Server) -> None:
    with pytest.raises(ProviderError, match="NO_SUCH_VARIABLE holds no key"):
        endpoint(server, key_env="NO_SUCH_VARIABLE").propose(TEXT, 3)
    assert server.asked == []


def test_nobody_there_degrades_to_the_lexicon_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone = Server()
    gone.http.server_close()
    gone.http.shutdown()
    recovery = ExpressiveRecovery(endpoint(gone, retries=1, timeout_s=1.0))
    for _ in range(2):
        assert recovery(TEXT) == default_recovery()(TEXT)
    assert len([r for r in caplog.records if "did not answer" in r.getMessage()]) == 1


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"url": "ftp://host", "model": "m"}, "no address"),
        ({"url": "host/v1", "model": "m"}, "no address"),
        ({"url": "http://h", "model": "m", "timeout_s": 0}, "timeout_s"),
        ({"url": "http://h", "model": "m", "retries": -1}, "retries"),
    ],
)
def test_settings_that_make_no_sense_are_refused(kwargs: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        EndpointSubjectProvider(**kwargs)


# ---------------------------------------------------------------------- records


def test_what_was_asked_once_is_replayed(server: Server, tmp_path: Path) -> None:
    record = tmp_path / "subjects.json"
    server.replies = [(200, chat('["Joy", "Success"]'))]
    first = CachedSubjectProvider(endpoint(server), record)
    assert first.propose(TEXT, 8) == ["Joy", "Success"]
    assert first.propose(TEXT, 8) == ["Joy", "Success"]
    assert len(server.asked) == 1
    replay = CachedSubjectProvider(None, record)
    assert replay.propose(TEXT, 8) == ["Joy", "Success"]
    with pytest.raises(ProviderError, match="no subjects for 'something else'"):
        replay.propose("something else", 8)


def test_a_failure_is_not_recorded(tmp_path: Path) -> None:
    record = tmp_path / "subjects.json"
    gone = EndpointSubjectProvider("http://127.0.0.1:9", "m", retries=0, timeout_s=0.5)
    with pytest.raises(ProviderError):
        CachedSubjectProvider(gone, record).propose(TEXT, 8)
    assert not record.exists()
    again = CachedSubjectProvider(StaticSubjectProvider(["Joy"]), record)
    assert again.propose(TEXT, 8) == ["Joy"]


@pytest.mark.parametrize("text", ["no", '{"format": 2, "subjects": {}}', '{"format": 1}', "[]"])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match="no record of subjects"):
        CachedSubjectProvider(None, path)


def test_nothing_to_replay_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        CachedSubjectProvider(None, tmp_path / "none.json")


# ---------------------------------------------------------------------- a file of settings


def test_a_file_chooses_endpoint_record_lexicon_and_thresholds(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "anew.csv").write_text("word,valence,arousal\nzest,8,9\n")
    file = tmp_path / "subjects.toml"
    file.write_text(
        f'provider = "endpoint"\ncache = "kept.json"\n'
        f'[endpoint]\nurl = "{server.url}"\nmodel = "m"\n'
        '[lexicons]\nanew = "anew.csv"\n[thresholds]\nsemantic = 0.0\n'
    )
    server.replies = [(200, chat('["Zest"]'))]
    (prior,) = recovery_from(file)(TEXT)
    assert (prior.subject, prior.polarity, prior.intensity, prior.source) == (
        "Zest",
        0.75,
        1.0,
        "anew",
    )
    assert (tmp_path / "kept.json").exists()
    replayed = recovery_from(
        {"provider": "replay", "cache": str(tmp_path / "kept.json"), "thresholds": {"semantic": 0}}
    )
    assert [c.subject for c in replayed.candidates(TEXT)] == ["Zest"]
    assert recovery_from({})(TEXT) == default_recovery()(TEXT)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"provder": "lexicon"}, "no key 'provder'.*provider"),
        ({"provider": "gpt"}, "unknown provider"),
        ({"provider": "endpoint"}, "`url` and `model`"),
        ({"provider": "replay"}, "wants `cache`"),
        ({"thresholds": {"tau": 1}}, "no key 'tau'"),
        ({"lexicons": {"nrc": "x"}}, "no key 'nrc'"),
        ({"thresholds": 3}, "is a table"),
        ({"thresholds": {"semantic": "a"}}, "thresholds.semantic is a number, not 'a'"),
        ({"proposed": 2.5}, "proposed is a whole number, not 2.5"),
        ({"provider": "endpoint", "endpoint": 3}, "is a table"),
        (
            {"provider": "endpoint", "endpoint": {"url": 3, "model": "m"}},
            "endpoint.url is a text in quotes, not 3",
        ),
        ({"lexicons": {"anew": "nowhere.csv"}}, "does not exist"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        recovery_from(settings)


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("provider = ")
    with pytest.raises(InputError, match="is not TOML"):
        recovery_from(file)
