"""wav2vec 2.0 over a bounded past, with a real network of random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.errors import InputError
from visavis.features.wav2vec2 import wav2vec2_channel

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


def test_a_long_past_is_forgotten(weights: Path) -> None:
    before = sound(6)
    after = before.copy()
    after[:8000] = 0.3
    first = wav2vec2_channel(before, 16000, 150, weights=weights)
    second = wav2vec2_channel(after, 16000, 150, weights=weights)
    torch.testing.assert_close(first[-50:], second[-50:])
    assert not torch.allclose(first[:20], second[:20])


def test_folders_and_numbers_that_do_not_fit_are_refused(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        wav2vec2_channel(sound(1), 16000, 4, weights=tmp_path / "absent")
    with pytest.raises(InputError, match=r"no wav2vec 2\.0"):
        wav2vec2_channel(sound(1), 16000, 4, weights=tmp_path)
    with pytest.raises(InputError, match="hop"):
        wav2vec2_channel(sound(1), 16000, 4, weights=weights, hop=0)
    with pytest.raises(InputError, match="finite"):
        wav2vec2_channel(np.full(640, np.nan, np.float32), 16000, 1, weights=weights)
