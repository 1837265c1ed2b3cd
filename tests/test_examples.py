"""The examples run, and a loop over pieces gives what the model gives for the whole."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from visavis import pretrained
from visavis.corpora import SimulatedDyads
from visavis.models.reactface import ReactFace, ReactFaceConfig

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def small() -> ReactFace:
    torch.manual_seed(0)
    return ReactFace(ReactFaceConfig(width=16, heads=4, latent_hidden=16)).eval()


def test_pieces_of_sound_and_face_give_what_the_whole_clip_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = SimulatedDyads("test", size=14, frames=120)
    sound, rate = corpus.sound(corpus[0])
    for model in (small(), pretrained.load("trans_vae_online")):
        answer = example("online_chunks").answer
        reactions, shown = answer(model, corpus[0].speaker, sound, rate, 2)
        assert reactions.lead == (2,)
        assert 118 <= reactions.frames == shown.frames <= 120
        whole = model.generate(shown, 2, seeds=7)
        torch.testing.assert_close(reactions.pack(), whole.pack(), atol=1e-5, rtol=0.0)
        hop = 1 if isinstance(model, ReactFace) else 8
        assert f"hop {hop}, latency {hop - 1}" in capsys.readouterr().out


def test_the_loop_runs_as_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = str(pretrained.save(small(), tmp_path / "model"))
    monkeypatch.setattr(sys, "argv", ["online_chunks", "--model", saved, "--seconds", "3"])
    example("online_chunks").main()
    assert "75 frames of 1 listener(s)" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["online_chunks", "--model", "trans_vae"])
    with pytest.raises(SystemExit, match="RollingSession"):
        example("online_chunks").main()
