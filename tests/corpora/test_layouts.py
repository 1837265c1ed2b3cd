"""What every corpus of files obeys: written from simulated dyads, read back, trained on, scored."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from visavis.corpora import Corpus, SimulatedDyads, collate, load
from visavis.corpora._disk_corpus import DiskCorpus
from visavis.corpora._folder_make import write_folder
from visavis.corpora._mars_make import write_mars
from visavis.corpora._seamless_make import write_seamless
from visavis.corpora._vico_make import write_vico
from visavis.errors import InputError
from visavis.metrics.evaluate import evaluate_behaviours
from visavis.models.trans_vae import TransVAE, TransVAEConfig

FRAMES = 60
Writer = Callable[..., Path]
WRITERS: dict[str, tuple[Writer, dict[str, Any]]] = {
    "mars": (write_mars, {}),
    "seamless": (write_seamless, {"faces": "beside"}),
    "vico": (write_vico, {"faces": "beside"}),
    "folder": (write_folder, {}),
}


@pytest.fixture(scope="module")
def dyads() -> SimulatedDyads:
    return SimulatedDyads("val", size=9, frames=FRAMES)


@pytest.fixture(scope="module", params=sorted(WRITERS))
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, dyads: SimulatedDyads
) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp(request.param) / "root"
    WRITERS[request.param][0](dyads, root)
    return request.param, root


@pytest.fixture(scope="module")
def corpus(written: tuple[str, Path]) -> DiskCorpus:
    name, root = written
    found: DiskCorpus = load(name, "val", root=root, **WRITERS[name][1])
    return found


def test_it_obeys_the_protocol(corpus: DiskCorpus) -> None:
    assert isinstance(corpus, Corpus)
    assert len(set(corpus.ids)) == len(corpus) == len(list(corpus))
    assert [corpus.index(id) for id in corpus.ids] == list(range(len(corpus)))
    with pytest.raises(IndexError):
        corpus[len(corpus)]
    with pytest.raises(InputError, match="not in"):
        corpus.index("nobody")


def test_what_was_written_is_read(corpus: DiskCorpus, dyads: SimulatedDyads) -> None:
    """At 30 frames a second and back, a value moves by what linear interpolation loses."""
    step = 2 if corpus.name == "seamless" else 1  # its dyads come in both directions
    read, made = corpus[0], dyads[0]
    assert len(corpus) == step * len(dyads)
    for ours, theirs in ((read.speaker, made.speaker), (read.listener, made.listener)):
        assert ours.fps == 25.0
        assert abs(ours.frames - FRAMES) <= 1
        for name in ("va", "expression", "blendshapes", "rotation", "translation"):
            was, came = theirs.filled(name), ours.filled(name)
            frames = min(len(was), len(came))
            both = theirs.mask(name)[:frames] & ours.mask(name)[:frames]
            error = (was[:frames] - came[:frames])[both].abs().mean()
            assert float(error) < 0.1 * float(was[theirs.mask(name)].std()) + 1e-3, name
        shared = (theirs["au"][: FRAMES - 1] == ours["au"][: FRAMES - 1]).float().mean()
        assert float(shared) > 0.95


def test_the_speaker_is_heard_and_the_listener_is_not(corpus: DiskCorpus) -> None:
    dyad = corpus[0]
    assert dyad.speaker.has("mfcc78", "energy", "pitch", "voice")
    assert float(dyad.speaker["energy"].max()) > 0.2
    assert not dyad.listener.has("speech")


def test_the_listener_alone_is_the_dyads_own(corpus: DiskCorpus) -> None:
    dyad = corpus[1]
    alone = corpus.listener(dyad.id)
    assert alone.layout == dyad.listener.layout
    for name in alone.layout.names:
        assert torch.equal(alone.filled(name), dyad.listener.filled(name))


def test_labels_agree_with_the_dyads_and_nobody_is_left_out(corpus: DiskCorpus) -> None:
    matrix = corpus.labels.matrix()
    assert matrix.diagonal().all()
    assert corpus.labels.corpus == corpus.fingerprint
    for i in (0, len(corpus) - 1):
        dyad = corpus[i]
        assert dyad.appropriate[0] == dyad.id
        assert set(dyad.appropriate) == {corpus.ids[j] for j in np.flatnonzero(matrix[i])}
        assert set(dyad.personal) <= set(dyad.appropriate)
        assert not set(dyad.history) & set(dyad.appropriate)


def test_a_map_of_ones_own_takes_the_place_of_the_rule(
    written: tuple[str, Path], corpus: DiskCorpus, tmp_path: Path
) -> None:
    name, root = written
    own = type(corpus.labels)(corpus.ids, tuple(np.array([i]) for i in range(len(corpus))))
    own.save(tmp_path / "own.safetensors")
    mapped = load(name, "val", root=root, labels=tmp_path / "own.safetensors", **WRITERS[name][1])
    assert all(len(dyad.appropriate) == 1 for dyad in mapped)
    assert mapped.fingerprint != corpus.fingerprint


def test_nothing_is_wrong_with_what_was_just_written(corpus: DiskCorpus) -> None:
    assert [p for p in corpus.problems() if p.kind not in ("unobserved",)] == []


def test_it_travels_to_workers(corpus: DiskCorpus) -> None:
    twin = pickle.loads(pickle.dumps(corpus))
    assert twin.ids == corpus.ids
    assert torch.equal(twin[0].listener.filled("va"), corpus[0].listener.filled("va"))


def test_the_fingerprint_is_of_content_not_of_dates(written: tuple[str, Path]) -> None:
    name, root = written

    def fresh() -> str:
        found: DiskCorpus = load(name, "val", root=root, **WRITERS[name][1])
        return found.fingerprint

    before = fresh()
    found: DiskCorpus = load(name, "val", root=root, **WRITERS[name][1])
    source = found.sources(0)[0]
    os.utime(source, (1, 1))
    assert fresh() == before
    whole = source.read_bytes()
    source.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        assert fresh() != before
    finally:
        source.write_bytes(whole)


def test_skipped_clips_are_gone_and_unknown_ones_are_refused(
    written: tuple[str, Path], corpus: DiskCorpus
) -> None:
    name, root = written
    fewer = load(name, "val", root=root, skip=[corpus.ids[0]], **WRITERS[name][1])
    assert fewer.ids == corpus.ids[1:]
    with pytest.raises(InputError, match="cannot skip 'x'"):
        load(name, "val", root=root, skip=["x"], **WRITERS[name][1])


def test_a_wrong_root_split_or_option_says_what_was_found(
    written: tuple[str, Path], tmp_path: Path
) -> None:
    name, root = written
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "notes.txt").write_text("no corpus")
    with pytest.raises(InputError, match=r"notes\.txt"):
        load(name, "val", root=tmp_path / "else")
    with pytest.raises(InputError, match="does not exist"):
        load(name, "val", root=tmp_path / "nowhere")
    with pytest.raises(InputError, match="Did you mean 'val'"):
        load(name, "vall", root=root, **WRITERS[name][1])
    with pytest.raises(InputError, match="no option 'clocks'"):
        load(name, "val", root=root, clocks=3)


def test_it_is_not_written_over(written: tuple[str, Path], dyads: SimulatedDyads) -> None:
    name, root = written
    with pytest.raises(InputError, match="already"):
        WRITERS[name][0](dyads, root)


def test_a_model_is_trained_on_it_and_scored(corpus: DiskCorpus) -> None:
    torch.manual_seed(0)
    model = TransVAE(TransVAEConfig(width=16, heads=2))
    batch = collate(
        [_usual(corpus[i]) for i in range(4)],
        crop=32,
        targets=3,
        listener=lambda id: corpus.listener(id).select("attributes", "coefficients"),
    )
    model.fit([batch])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        parts = model.loss(batch)
        total = sum(x for n, x in parts.items() if not n.startswith("log/"))
        assert isinstance(total, torch.Tensor)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0]
    labels = corpus.labels.draw(3, seed=1)
    chosen = [_usual(corpus[i]) for i in range(2)]
    reactions = [model.generate(dyad.speaker, num_samples=2, seeds=0) for dyad in chosen]
    targets = [_filled(t) for t in (corpus.targets(d.id, labels) for d in chosen)]
    speakers = [_filled((dyad.speaker,))[0] for dyad in chosen]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scores = evaluate_behaviours(reactions, targets, speakers, "mars")
    assert set(scores) == {"FRCorr", "FRDist", "FRDiv", "FRVar", "FRSyn"}
    assert all(np.isfinite(value) for value in scores.values())


def _usual(dyad: Any) -> Any:
    from dataclasses import replace

    return replace(
        dyad,
        speaker=dyad.speaker.select("attributes", "coefficients", "speech"),
        listener=dyad.listener.select("attributes", "coefficients"),
    )


def _filled(clips: Any) -> list[Any]:
    """Without absence: the drop-outs of simulated speakers are zeros here."""
    from visavis.behaviour import Behaviour

    return [Behaviour.of({n: c.filled(n) for n in ("au", "va", "expression")}) for c in clips]
