"""Lexicons that users have, and how several of them answer together."""

from __future__ import annotations

from pathlib import Path

import pytest

from visavis.errors import InputError
from visavis.features.subjects import (
    Affect,
    Lexicons,
    TableLexicon,
    VaderLexicon,
    WordLexicon,
    read_anew,
    read_liwc,
    read_sentiwordnet,
)

SENTI = (
    "# a comment\n"
    "a\t001\t0.75\t0\tgood#1 fine#2\ta gloss\n"
    "a\t002\t0\t0.5\tfine#1\tanother\n"
    "n\t003\t0.25\t0.125\tgood_will#1\tmore\n"
)
LIWC = "%\n1\tposemo\n2\tanx\n3\tnegemo\n9\twork\n%\nhapp*\t1\nfear\t2\t3\njob\t9\nbad\t3\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_anew_s_scales_become_ours(tmp_path: Path) -> None:
    lexicon = read_anew(
        written(tmp_path, "anew.csv", "Word,Valence,Arousal\njoy,8.6,7.22\ntomb,2.94,4.73\n")
    )
    joy = lexicon.lookup("Joy")
    assert joy is not None
    assert (joy.label, joy.source) == ("Positive", "anew")
    assert joy.polarity == pytest.approx(0.9)
    assert joy.intensity == pytest.approx(0.7775)
    tomb = lexicon.lookup("tomb")
    assert tomb is not None
    assert tomb.polarity == pytest.approx(-0.515)


def test_warriner_s_columns_are_known(tmp_path: Path) -> None:
    text = ",Word,V.Mean.Sum,V.SD.Sum,A.Mean.Sum\n1,calm,7.0,1.2,1.67\n"
    calm = read_anew(written(tmp_path, "w.csv", text)).lookup("calm")
    assert calm is not None
    assert calm.intensity == pytest.approx(0.67 / 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("word,valence\njoy,8\n", "no column arousal"),
        ("word,valence,arousal\njoy,12,3\n", r"line 2: '12' is no number from 1 to 9"),
        ("word,valence,arousal\njoy,high,3\n", "no number"),
        ("word,valence,arousal\n", "holds no word"),
    ],
)
def test_an_anew_file_that_is_none_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_anew(written(tmp_path, "a.csv", text))


def test_sentiwordnet_weighs_senses_by_their_number(tmp_path: Path) -> None:
    lexicon = read_sentiwordnet(written(tmp_path, "s.txt", SENTI))
    fine = lexicon.lookup("fine")
    assert fine is not None
    assert fine.polarity == pytest.approx((-0.5 + 0.75 / 2) / 1.5)
    assert fine.intensity == pytest.approx((0.5 + 0.75 / 2) / 1.5)
    will = lexicon.lookup("Good will")
    assert will is not None
    assert will.polarity == pytest.approx(0.125)
    with pytest.raises(InputError, match="line 1: 2 columns"):
        read_sentiwordnet(written(tmp_path, "t.txt", "a\tb\n"))
    with pytest.raises(InputError, match="no term such as able#1"):
        read_sentiwordnet(written(tmp_path, "u.txt", "a\t1\t0\t0\tgood\tgloss\n"))


def test_liwc_knows_beginnings_and_prefers_the_finer_category(tmp_path: Path) -> None:
    lexicon = read_liwc(written(tmp_path, "l.dic", LIWC))
    happy, fear, bad = (lexicon.lookup(w) for w in ("Happiness", "fear", "bad"))
    assert happy is not None and fear is not None and bad is not None
    assert (happy.label, happy.polarity) == ("Positive", 0.6)
    assert (fear.label, fear.polarity) == ("Anxiety", -0.6)
    assert (bad.label, bad.intensity) == ("Negative", 0.5)
    assert lexicon.lookup("job") is None
    with pytest.raises(InputError, match="two lines of %"):
        read_liwc(written(tmp_path, "m.dic", "happy\t1\n"))
    with pytest.raises(InputError, match="none of the categories"):
        read_liwc(written(tmp_path, "n.dic", "%\n1\twork\n%\njob\t1\n"))


def test_vader_gives_polarity_and_intensity_by_word() -> None:
    lexicon = VaderLexicon()
    success = lexicon.lookup("Success")
    assert success is not None
    assert (success.polarity, success.intensity) == pytest.approx((2.7 / 4, 2.7 / 4))
    assert lexicon.lookup("achievement") is None
    assert lexicon.lookup("future plans") is None


def test_a_phrase_has_the_mean_polarity_and_greatest_intensity_of_its_words() -> None:
    lexicon = WordLexicon(
        {
            "loud": Affect("Negative", -0.4, 0.9, "a"),
            "joy": Affect("Joy", 0.8, 0.5, "b"),
            "joy ride": Affect("Excitement", 0.1, 0.2, "c"),
        }
    )
    both = lexicon.lookup("Loud joy")
    assert both is not None
    assert (both.polarity, both.intensity) == pytest.approx((0.2, 0.9))
    assert both.label == "Positive"
    exact = lexicon.lookup("joy ride")
    assert exact is not None
    assert exact.source == "c"
    assert lexicon.lookup("grey table") is None


def test_the_first_lexicon_that_knows_answers() -> None:
    both = Lexicons(TableLexicon(), VaderLexicon())
    ours, theirs = both.lookup("success"), both.lookup("superb")
    assert ours is not None and theirs is not None
    assert (ours.source, theirs.source) == ("mreactor", "vader")
    assert both.lookup("xylophonist") is None
