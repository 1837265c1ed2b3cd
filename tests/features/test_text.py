"""Words as vectors on the clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from visavis.behaviour import Behaviour, Word
from visavis.errors import InputError
from visavis.features.text import WIDTH, roberta_channel, text_channel, word_vector

SAID = ("so", "we", "met", "again")


@given(st.text(max_size=20))
def test_every_word_is_a_unit_vector_or_none(word: str) -> None:
    length = float(np.linalg.norm(word_vector(word)))
    assert length == pytest.approx(1.0, abs=1e-5) or length == 0.0


def test_a_words_vector_is_the_same_on_every_machine() -> None:
    vector = word_vector("happy")
    places = np.nonzero(np.abs(vector) > 0.01)[0].tolist()
    assert places == [9, 10, 15, 16, 22, 43, 44, 45, 56]
    np.testing.assert_array_equal(vector, word_vector("HAPPY!"))


def test_words_of_one_stem_are_nearer_than_strangers() -> None:
    happy = word_vector("happy")
    assert happy @ word_vector("unhappy") > 0.4 > happy @ word_vector("train") + 0.2


def test_a_frame_has_the_words_spoken_in_it_by_their_share() -> None:
    words = (Word("yes", 0.0, 0.06), Word("no", 0.06, 0.08))
    got = text_channel(words, 4)
    yes, no = torch.tensor(word_vector("yes")), torch.tensor(word_vector("no"))
    torch.testing.assert_close(got[0], yes)
    torch.testing.assert_close(got[1], (yes + no) / 2)
    assert not got[2:].any() and got.shape == (4, WIDTH)


def test_a_heard_word_never_shows_before_it_has_ended() -> None:
    words = (Word("yes", 0.0, 0.39), Word("no", 0.5, 0.6), Word("late", 9.0, 9.5))
    got = text_channel(words, 60, reach="heard")
    yes, no = torch.tensor(word_vector("yes")), torch.tensor(word_vector("no"))
    assert not got[:10].any()  # it ends within frame 9
    torch.testing.assert_close(got[10:16], yes.expand(6, -1))
    torch.testing.assert_close(got[16:41], no.expand(25, -1))
    assert not got[41:].any()


def test_the_future_changes_nothing_of_what_was_heard() -> None:
    words = tuple(Word(f"word{i}", 0.3 * i, 0.3 * i + 0.25) for i in range(20))
    whole = text_channel(words, 150, reach="heard")
    for stop in (10, 37, 90):
        known = tuple(w for w in words if w.end_s < stop / 25)
        torch.testing.assert_close(text_channel(known, 150, reach="heard")[:stop], whole[:stop])


def test_dropping_words_takes_their_channel_along() -> None:
    words = (Word("yes", 0.0, 0.06),)
    spoken = Behaviour.of({"text": text_channel(words, 4)}, words=words)
    assert not spoken.drop("words", start=0, stop=2).mask("text")[:2].any()
    assert spoken.drop("words").words == ()
    voiced = spoken.with_channels({"energy": torch.zeros(4, 1)})
    assert voiced.without("words").layout.names == ("energy",)
    mute = Behaviour.of({"energy": torch.zeros(4, 1)}, words=words)
    assert mute.drop("words").words == () and mute.drop("words").mask("energy").all()


def test_an_unknown_reach_is_refused() -> None:
    with pytest.raises(InputError, match="heard"):
        text_channel((), 4, reach="future")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RoBERTa of one layer with random weights and a vocabulary of bytes."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("roberta")
    letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: place for place, token in enumerate([*special, *letters])}
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, []))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    core.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = transformers.RobertaTokenizerFast(
        tokenizer_object=core, add_prefix_space=True, model_max_length=512
    )
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=768,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=1,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_users_roberta_gives_contextual_words(encoder: Path) -> None:
    words = tuple(Word(t, 0.2 * i, 0.2 * i + 0.2) for i, t in enumerate(SAID))
    got = roberta_channel(words, 25, weights=encoder)
    assert got.shape == (25, 768) and got[:20].abs().sum(1).gt(1).all() and not got[20:].any()
    assert not torch.allclose(got[0], got[6])


def test_heard_words_are_encoded_without_what_follows(encoder: Path) -> None:
    words = tuple(Word(t, 0.2 * i, 0.2 * i + 0.2) for i, t in enumerate(SAID))
    whole = roberta_channel(words, 30, weights=encoder, reach="heard")
    cut = roberta_channel(words[:2], 30, weights=encoder, reach="heard")
    torch.testing.assert_close(whole[:16], cut[:16])


def test_a_folder_without_an_encoder_is_named(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="no folder"):
        roberta_channel((), 4, weights=tmp_path / "absent")
    with pytest.raises(InputError, match="no text encoder"):
        roberta_channel((), 4, weights=tmp_path)
