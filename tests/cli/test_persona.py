"""`visavis persona` and `visavis react --persona`, as a user meets them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.cli.commands import refused, visavis
from tests.people import batch, person
from visavis import pretrained
from visavis.behaviour import Behaviour, Source
from visavis.dyad import Persona
from visavis.models.perreactor import PerReactor, PerReactorConfig


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small personal model's folder; what it says is of no matter here."""
    torch.manual_seed(0)
    made = PerReactor(
        PerReactorConfig(width=8, heads=2, history=40, traits=True, beta=1.0, critics=())
    )
    made.name = "perreactor"
    made.fit([batch(2, 40)])
    made.prepare("personal", [])
    return pretrained.save(made, tmp_path_factory.mktemp("model") / "perreactor")


@pytest.fixture
def history(tmp_path: Path) -> Path:
    return person(300, seed=3).save(tmp_path / "history.safetensors")


def react(tmp_path: Path, model: Path, *more: object) -> torch.Tensor:
    speaker = person(30).save(tmp_path / "speaker.safetensors")
    out = tmp_path / "out"
    plain = ("--no-video", "--no-report", "-k", 2, "-o", out)
    assert visavis("react", speaker, "-m", model, *plain, *more).returncode == 0
    return Behaviour.load(out / "reactions.safetensors").pack("attributes")


def test_a_history_becomes_a_persona_that_changes_reactions(
    tmp_path: Path, model: Path, history: Path
) -> None:
    me = tmp_path / "me.safetensors"
    assert visavis("persona", history, "-m", model, "-o", me).stdout.strip() == str(me)
    nobody, mine = react(tmp_path, model), react(tmp_path, model, "--persona", me)
    assert float((nobody - mine).abs().max()) > 1e-4
    loaded = pretrained.load(model)
    made = loaded.generate(person(30), 2, seeds=0, persona=Persona.load(me)).pack("attributes")
    torch.testing.assert_close(mine, made, atol=1e-5, rtol=0.0)


def test_traits_alone_or_beside_a_history_become_a_persona(
    tmp_path: Path, model: Path, history: Path
) -> None:
    told, both = tmp_path / "told.safetensors", tmp_path / "both.safetensors"
    traits = "0.1,0.2,0.3,0.4,0.5"
    visavis("persona", "-m", model, "--traits", traits, "-o", told)
    visavis("persona", history, "-m", model, "--traits", traits, "-o", both)
    people = [Persona.load(told), Persona.load(both)]
    assert not torch.equal(people[0].embedding, people[1].embedding)
    assert all(p.traits is not None for p in people)


def test_personas_are_mixed_and_made_more_expressive(
    tmp_path: Path, model: Path, history: Path
) -> None:
    files = [tmp_path / f"{n}.safetensors" for n in ("a", "b", "mix")]
    other = person(300, seed=9).save(tmp_path / "other.safetensors")
    for source, file in zip((history, other), files[:2], strict=True):
        visavis("persona", source, "-m", model, "-o", file)
    mix = ("--towards", files[1], "--share", 0.25, "--expressiveness", 1.5)
    visavis("persona", files[0], *mix, "-o", files[2])
    a, b, mixed = (Persona.load(f) for f in files)
    torch.testing.assert_close(mixed.embedding, 0.75 * a.embedding + 0.25 * b.embedding)
    assert mixed.expressiveness == 1.5


def test_a_history_of_the_speaker_is_warned_of(tmp_path: Path, model: Path) -> None:
    film = replace(person(300), source=Source("talk.mp4"))
    me = tmp_path / "me.safetensors"
    visavis("persona", film.save(tmp_path / "seen.safetensors"), "-m", model, "-o", me)
    assert Persona.load(me).source == "talk.mp4"
    out = ("--no-video", "--no-report", "-k", 1, "-o", tmp_path / "out", "--persona", me)
    done = visavis("react", tmp_path / "seen.safetensors", "-m", model, *out)
    assert (done.returncode, "listener's history" in done.stderr) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "neither came"),
        (("HISTORY",), "--model"),
        (("HISTORY", "-m", "mirror"), "not personal"),
        (("gone.safetensors", "-m", "MODEL"), "gone.safetensors"),
        (("-m", "MODEL", "--traits", "0.5,0.5"), "5 numbers"),
        (("-m", "MODEL", "--traits", "a,b,c,d,e"), "5 numbers"),
        (("-m", "MODEL", "--traits", "2,0,0,0,0"), r"in [0, 1]"),
        (("SHORT", "-m", "MODEL"), "observed in 1 of"),
        (("HISTORY", "-m", "MODEL", "--towards", "HISTORY"), "holds no persona"),
    ],
)
def test_what_makes_no_persona_is_refused(
    tmp_path: Path, model: Path, history: Path, arguments: tuple[str, ...], message: str
) -> None:
    short = person(1).save(tmp_path / "short.safetensors")
    known = {"HISTORY": history, "MODEL": model, "SHORT": short}
    words = (*(known.get(a, a) for a in arguments), "-o", tmp_path / "x.safetensors")
    refused(visavis("persona", *words), message)
    assert not (tmp_path / "x.safetensors").exists()


def test_react_refuses_a_persona_of_another_model_at_once(tmp_path: Path, model: Path) -> None:
    other = Persona("perfrdiff", torch.zeros(8)).save(tmp_path / "other.safetensors")
    speaker = person(5).save(tmp_path / "speaker.safetensors")
    out = tmp_path / "out"
    for name, message in ((model, "made by perfrdiff"), ("mirror", "not personal")):
        refused(visavis("react", speaker, "-m", name, "--persona", other, "-o", out), message)
    assert not out.exists()
