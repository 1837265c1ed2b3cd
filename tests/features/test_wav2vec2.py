"""wav2vec 2.0 over a bounded past, streamed, with a real network of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.errors import InputError
from visavis.features.wav2vec2 import LOUDNESS_S, Wav2Vec2Stream, wav2vec2_channel

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=768,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=16,
    )
    folder = tmp_path_factory.mktemp("w2v")
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return folder


def sound(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (0.1 * rng.standard_normal(int(seconds * 16000))).astype(np.float32)


def test_there_are_two_features_a_frame_whatever_the_rate(weights: Path) -> None:
    assert wav2vec2_channel(sound(2), 16000, 50, weights=weights).shape == (100, 768)
    assert wav2vec2_channel(sound(1), 44100, 9, weights=weights).shape == (18, 768)
    assert wav2vec2_channel(sound(1), 16000, 0, weights=weights).shape == (0, 768)


@pytest.mark.parametrize("hop", [1, 5])
def test_nothing_sees_past_the_end_of_its_run(weights: Path, hop: int) -> None:
    before = sound(1.2)
    after = before.copy()
    after[20 * 640 :] = 0.3
    first = wav2vec2_channel(before, 16000, 30, weights=weights, hop=hop)
    second = wav2vec2_channel(after, 16000, 30, weights=weights, hop=hop)
    torch.testing.assert_close(first[:40], second[:40])
    assert not torch.allclose(first[40:], second[40:])


def test_by_default_nothing_sees_past_the_end_of_its_own_frame(weights: Path) -> None:
    before = sound(0.6)
    whole = wav2vec2_channel(before, 16000, 15, weights=weights)
    for t in (0, 1, 7):
        after = before.copy()
        after[(t + 1) * 640 :] *= -5.0
        changed = wav2vec2_channel(after, 16000, 15, weights=weights)
        torch.testing.assert_close(changed[: 2 * t + 2], whole[: 2 * t + 2], atol=1e-5, rtol=0.0)
        assert (changed - whole)[2 * t + 2 :].abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("hop", [1, 3])
@pytest.mark.parametrize("size", [100, 640, 777, 5000])
def test_any_pieces_give_the_features_of_the_whole(weights: Path, hop: int, size: int) -> None:
    heard = sound(0.83)
    whole = wav2vec2_channel(heard, 16000, 21, weights=weights, hop=hop, context_s=0.4)
    stream = Wav2Vec2Stream(weights=weights, hop=hop, context_s=0.4)
    parts = []
    for start in range(0, len(heard), size):
        parts.append(stream.push(heard[start : start + size]))
        came = min(start + size, len(heard)) // 640
        assert stream.frames == came // hop * hop  # as soon as a run is whole, and no sooner
    parts.append(stream.finish())
    assert stream.frames == 21
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=0.0)


def test_a_stream_of_another_rate_is_resampled_on_the_way(weights: Path) -> None:
    time = np.arange(44100) / 44100
    tone = (0.2 * np.sin(2 * np.pi * 220 * time)).astype(np.float32)
    stream = Wav2Vec2Stream(44100, weights=weights, hop=5)
    parts = [stream.push(tone[i : i + 1000]) for i in range(0, len(tone), 1000)]
    streamed = torch.cat([*parts, stream.finish(25)])
    whole = wav2vec2_channel(tone, 44100, 25, weights=weights, hop=5)
    torch.testing.assert_close(streamed, whole, atol=1e-2, rtol=0.0)


def test_only_the_context_is_encoded_and_the_far_past_is_left_to_the_loudness(
    weights: Path,
) -> None:
    before = sound(1.2)
    after = before.copy()
    after[:6400] = after[:6400][::-1]  # other sound of the same mean and power
    first = wav2vec2_channel(before, 16000, 30, weights=weights, context_s=0.2)
    second = wav2vec2_channel(after, 16000, 30, weights=weights, context_s=0.2)
    torch.testing.assert_close(first[32:], second[32:], atol=1e-3, rtol=0.0)
    assert (first - second)[:20].abs().amax(-1).min() > 1e-2


def test_loudness_runs_with_the_sound_so_that_gain_changes_nothing(weights: Path) -> None:
    heard = sound(0.6)
    loud, quiet = (
        wav2vec2_channel(heard * gain, 16000, 15, weights=weights) for gain in (1.0, 0.2)
    )
    torch.testing.assert_close(loud, quiet, atol=1e-2, rtol=0.0)


def test_a_pause_stays_quiet_beside_what_was_said(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second of hum after three of speech reaches the network as hum, not as speech."""
    heard = sound(4)
    heard[3 * 16000 :] *= 0.01
    stream = Wav2Vec2Stream(weights=weights, hop=100, context_s=0.0)
    given = []
    encoder = stream._model
    monkeypatch.setattr(stream, "_model", lambda x: (given.append(x), encoder(x))[1])
    stream.push(heard)
    assert LOUDNESS_S > 4
    assert float(given[0][0, -16000:].std()) < 0.02
    assert float(given[0][0, 80:48000].std()) == pytest.approx(1.0, abs=0.2)


def test_folders_and_numbers_that_do_not_fit_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        wav2vec2_channel(sound(1), 16000, 4, weights=tmp_path / "absent")
    with pytest.raises(InputError, match=r"no wav2vec 2\.0"):
        wav2vec2_channel(sound(1), 16000, 4, weights=tmp_path)
    with pytest.raises(InputError, match="hop"):
        wav2vec2_channel(sound(1), 16000, 4, weights=weights, hop=0)
    with pytest.raises(InputError, match="context_s"):
        Wav2Vec2Stream(weights=weights, context_s=float("nan"))
    with pytest.raises(InputError, match="rate"):
        Wav2Vec2Stream(12, weights=weights)
    with pytest.raises(InputError, match="came out already"):
        stream = Wav2Vec2Stream(weights=weights)
        stream.push(sound(0.2))
        stream.finish(2)
    with pytest.raises(InputError, match="finite"):
        wav2vec2_channel(np.full(640, np.nan, np.float32), 16000, 1, weights=weights)
