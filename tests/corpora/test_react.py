"""React: what is written in the challenge's layout is read back, whatever its quirks."""

from __future__ import annotations

import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from visavis.appropriate import AppropriateMap
from visavis.corpora import React, SimulatedDyads, collate, load
from visavis.corpora._base import Corpus
from visavis.corpora._react_write import Quirks, write_react
from visavis.errors import InputError
from visavis.features.faceverse import from_faceverse
from visavis.features.speech import acoustics_of

DYADS, FRAMES = 10, 24
FACE = ("au", "va", "expression", "blendshapes", "rotation", "translation")
EVERYWHERE = ("NoXI", "RECOLA", "UDIVA")


def made() -> SimulatedDyads:
    return SimulatedDyads("val", size=DYADS, frames=FRAMES, seed=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every site, P1 and P2, 751st frames, twins, sound, labels of the split: do not change it."""
    root = tmp_path_factory.mktemp("react")
    return write_react(made(), root, quirks=Quirks(sites=EVERYWHERE, personal=True))


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """The same, to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "react"))


def written(root: Path, **quirks: object) -> React:
    """A silent corpus with some quirks, read back."""
    given = {"sound": False, **quirks}
    write_react(made(), root, quirks=Quirks(**given))  # type: ignore[arg-type]
    return React(root, "val", speech=())


# ---------------------------------------------------------------------- round trip


def test_what_is_written_is_read_back_to_the_precision_of_the_files(whole: Path) -> None:
    read, dyads = React(whole, "val"), made()
    assert isinstance(read, Corpus)
    assert len(read) == 2 * DYADS
    for number, dyad in enumerate(dyads):
        ours = read[number]
        for name in FACE:
            for side in ("speaker", "listener"):
                there, here = getattr(dyad, side)[name], getattr(ours, side)[name]
                torch.testing.assert_close(here, there, atol=1e-6, rtol=0)
        assert ours.speaker.layout.convention == "arkit"
        assert not ours.speaker.derived


def test_the_second_half_swaps_the_roles(whole: Path) -> None:
    read = React(whole, "val")
    one, other = read[1], read[1 + DYADS]
    torch.testing.assert_close(other.speaker["au"], one.listener["au"])
    torch.testing.assert_close(other.listener["va"], one.speaker["va"])
    assert (other.speaker_id, other.listener_id) == (one.listener_id, one.speaker_id)
    assert "mfcc78" in other.speaker and "mfcc78" not in other.listener
    listed = React(whole, "val", swap=False)
    assert listed.ids == read.ids[:DYADS]
    assert listed.labels.rows[0].tolist() == [r for r in read.labels.rows[0] if r < DYADS]


def test_ids_are_paths_and_say_where_a_clip_was_recorded(whole: Path) -> None:
    read = React(whole, "val")
    assert len(set(read.ids)) == 2 * DYADS
    assert read.ids[0].startswith("NoXI/") and "/Expert_video/" in read.ids[0]
    assert read.index(read.ids[4]) == 4
    contexts = {dyad.context for dyad in React(whole, "val", speech=())}
    assert {"NoXI", "RECOLA", "UDIVA talk"} <= contexts
    with pytest.raises(InputError, match="is not in React"):
        read.index("NoXI/none/Expert_video/1")


def test_labels_are_those_of_the_dyads_in_both_roles(whole: Path) -> None:
    read, dyads = React(whole, "val"), made()
    suits = dyads.labels.matrix()
    assert np.array_equal(read.labels.matrix()[:DYADS, :DYADS], suits)
    assert np.array_equal(read.labels.matrix()[DYADS:, DYADS:], suits)
    assert not read.labels.matrix()[:DYADS, DYADS:].any()
    assert read.labels.corpus == read.fingerprint
    assert read[0].appropriate == read.labels.of(read.ids[0])
    assert read[0].appropriate[0] == read.ids[0]


def test_the_personal_task_keeps_the_paired_listener(whole: Path) -> None:
    general = React(whole, "val", speech=())
    personal = React(whole, "val", speech=(), personal=True)
    for number in range(len(general)):
        ours = personal[number]
        wanted = {i for i in general[number].appropriate if i in general[number].personal}
        assert set(ours.appropriate) == wanted
        assert {personal[personal.index(i)].listener_id for i in ours.appropriate} == {
            ours.listener_id
        }
    assert personal.fingerprint != general.fingerprint


def test_the_personal_task_needs_no_matrix_of_its_own(copy: Path) -> None:
    with_files = React(copy, "val", personal=True).labels
    (copy / "person_specific_val.csv").unlink()
    (copy / "person_specific_masked_neighbour_emotion_val.npy").unlink()
    assert React(copy, "val", personal=True).labels.fingerprint == with_files.fingerprint


def test_history_is_the_same_listener_in_clips_that_are_not_appropriate(tmp_path: Path) -> None:
    dyads = SimulatedDyads("val", size=40, frames=8, audio=False)
    write_react(dyads, tmp_path, quirks=Quirks(sound=False))
    read = React(tmp_path, "val", speech=())
    told = [read[i] for i in range(len(read))]
    assert any(dyad.history for dyad in told)
    by_id = {dyad.id: dyad for dyad in told}
    for dyad in told:
        for id in dyad.history:
            assert by_id[id].listener_id == dyad.listener_id
            assert id not in dyad.appropriate


def test_speech_is_measured_in_the_speaker_s_wav(whole: Path) -> None:
    read = React(whole, "val", speech=("mfcc78", "voice"))
    speaker = read[0].speaker
    wav = next(path for path in read.sources(0) if path.suffix == ".wav")
    wanted = acoustics_of(wav, FRAMES, names=("mfcc78", "voice"))
    assert wanted is not None
    for name, values in wanted.items():
        torch.testing.assert_close(speaker[name], values)
    assert "pitch" not in speaker
    with pytest.raises(InputError, match="mfcc79"):
        React(whole, "val", speech=("mfcc79",))


def test_coefficients_may_stay_as_faceverse_has_them(whole: Path) -> None:
    theirs = React(whole, "val", convention="faceverse")
    ours = React(whole, "val")
    raw = theirs[2].listener
    assert raw.layout.convention == "faceverse"
    assert abs(float(raw["rotation"][:, 0].mean()) - np.pi) < 0.5
    back = from_faceverse(raw, rest=theirs.face_statistics["mean"][-3:])
    torch.testing.assert_close(back["rotation"], ours[2].listener["rotation"])
    torch.testing.assert_close(back["translation"], ours[2].listener["translation"])
    with pytest.raises(InputError, match="Did you mean 'faceverse'"):
        React(whole, "val", convention="facevers")


def test_a_trans_vae_trains_a_few_steps_on_it_and_is_scored(whole: Path) -> None:
    from visavis import recipes
    from visavis.metrics.evaluate import evaluate_behaviours

    read = React(whole, "val")
    torch.manual_seed(0)
    model = recipes.build(recipes.read("trans_vae", preset="laptop"))
    batch = collate([read[i] for i in range(4)], crop=16, targets=3, listener=read.listener)
    assert batch.targets.lead[1] == 3
    model.fit(iter([batch]))
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(3):
        terms = model.loss(batch)
        total = sum(x for name, x in terms.items() if not name.startswith("log/"))
        optimizer.zero_grad()
        total.backward()  # type: ignore[union-attr]
        optimizer.step()
    assert torch.isfinite(total)  # type: ignore[arg-type]
    reactions = [model.generate(read[i].speaker, 3, seeds=0) for i in range(3)]
    targets = [[read.listener(id) for id in read[i].appropriate] for i in range(3)]
    speakers = [read[i].speaker for i in range(3)]
    scores = evaluate_behaviours(reactions, targets, speakers, "corrected", metrics=["FRCorr"])
    assert np.isfinite(scores["FRCorr"])


# ---------------------------------------------------------------------- quirks


@pytest.mark.parametrize(
    "quirks",
    [
        {"seats": False},
        {"extra_frame": False, "twins": False},
        {"labels": "all"},
        {"sites": ("UDIVA",), "labels": "all"},
    ],
)
def test_every_release_gives_the_same_dyads(tmp_path: Path, quirks: dict[str, object]) -> None:
    read, dyads = written(tmp_path, **quirks), made()
    for number in (0, DYADS - 1):
        ours, theirs = read[number], dyads[number]
        assert ours.speaker.frames == FRAMES
        torch.testing.assert_close(ours.listener["va"], theirs.listener["va"])
        torch.testing.assert_close(
            ours.speaker["translation"], theirs.speaker["translation"], atol=1e-6, rtol=0
        )
    assert np.array_equal(read.labels.matrix()[:DYADS, :DYADS], dyads.labels.matrix())


def test_the_matrix_of_all_splits_is_cut_to_the_split(tmp_path: Path) -> None:
    """The rows of a split stand anywhere in it; two splits are written, the first is not first."""
    quirks = Quirks(sites=EVERYWHERE, labels="all", sound=False)
    for split in ("train", "val"):
        dyads = SimulatedDyads(split, size=9, frames=6, audio=False)  # type: ignore[arg-type]
        write_react(dyads, tmp_path, quirks=quirks)
    table = (tmp_path / "data_indices.csv").read_text().splitlines()
    order = np.random.default_rng(0).permutation(18)
    turned = [table[0], *(table[1 + i] for i in order)]
    (tmp_path / "data_indices.csv").write_text("\n".join(turned) + "\n")
    path = tmp_path / "Approprirate_facial_reaction.npy"
    matrix, both = np.load(path), np.concatenate([order, order + 18])
    np.save(path, matrix[np.ix_(both, both)])
    for split in ("train", "val"):
        dyads = SimulatedDyads(split, size=9, frames=6, audio=False)  # type: ignore[arg-type]
        labels = React(tmp_path, split, speech=()).labels
        assert np.array_equal(labels.matrix()[:9, :9], dyads.labels.matrix())
        assert np.array_equal(labels.matrix()[9:, 9:], dyads.labels.matrix())


@pytest.mark.parametrize("films", ["frames", "mp4"])
def test_pictures_are_read_on_demand_in_their_order(tmp_path: Path, films: str) -> None:
    def brighter(face: object) -> object:
        return (np.full((48, 64, 3), 10 + 9 * n, np.uint8) for n in range(FRAMES))

    write_react(made(), tmp_path, quirks=Quirks(films=films, sound=False), pictures=brighter)  # type: ignore[arg-type]
    read = React(tmp_path, "val", speech=())
    assert "pixels" not in read[0].speaker
    for side in ("speaker", "listener"):
        shown = np.stack(list(read.pictures(0, side, size=32)))  # type: ignore[arg-type]
        assert shown.shape == (FRAMES, 32, 32, 3)
        levels = shown.mean((1, 2, 3))
        np.testing.assert_allclose(levels, 10 + 9 * np.arange(FRAMES), atol=4)
    with pytest.raises(InputError, match="Did you mean 'listener'"):
        next(read.pictures(0, "listners"))  # type: ignore[arg-type]


def test_without_pictures_asking_for_them_says_so(whole: Path) -> None:
    with pytest.raises(InputError, match="the listener has no pictures"):
        next(React(whole, "val").pictures(0))


def test_a_twin_stands_in_for_a_missing_file(copy: Path) -> None:
    before = React(copy, "val")[0].speaker["rotation"]
    folder = copy / "val" / "3D_FV_files" / React(copy, "val").ids[0]
    folder.with_name(f"{folder.name}.npy").unlink()
    torch.testing.assert_close(React(copy, "val")[0].speaker["rotation"], before)


def test_unlabelled_clips_are_skipped_counted_and_shift_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "visavis"):
        read = written(tmp_path, unlabelled=1)
    assert "2 of 20 clips are left out" in caplog.text
    dyads = made()
    assert len(read) == 2 * DYADS - 2
    # the first half lost its last row: the second half moved up, its labels with it
    matrix, suits = read.labels.matrix(), dyads.labels.matrix()[:-1, :-1]
    assert np.array_equal(matrix[: DYADS - 1, : DYADS - 1], suits)
    assert np.array_equal(matrix[DYADS - 1 :, DYADS - 1 :], suits)
    torch.testing.assert_close(read[DYADS - 1].listener["au"], dyads[0].speaker["au"])
    missing = [p for p in read.problems(deep=False) if p.skipped]
    assert {p.kind for p in missing} == {"missing"} and len(missing) == 2


def test_a_lost_coefficient_or_sound_file_is_absence_not_an_end(copy: Path) -> None:
    id = React(copy, "val").ids[0]
    for name in (f"{id}.npy", f"{id}_full.npy"):
        (copy / "val" / "3D_FV_files" / name).unlink()
    (copy / "val" / "Audio_files" / f"{id}.wav").unlink()
    read = React(copy, "val")
    speaker = read[0].speaker
    assert not speaker.mask("rotation").any() and not speaker.mask("mfcc78").any()
    assert speaker.mask("au").all()
    collate([read[0], read[1]])
    told = {p.what for p in read.problems(deep=False)}
    assert any("3D_FV_files; they are unobserved" in what for what in told)


def test_half_a_face_in_the_whole_split_is_completed_and_marked(copy: Path) -> None:
    shutil.rmtree(copy / "val" / "3D_FV_files")
    only = React(copy, "val")[0].speaker
    assert only.derived == {"blendshapes", "rotation", "translation"}
    assert only.mask("blendshapes").all()


def test_columns_are_taken_by_their_names(copy: Path) -> None:
    read = React(copy, "val")
    path = read.sources(0)[0]
    lines = [line.split(",") for line in path.read_text().splitlines()]
    path.write_text("\n".join(",".join(reversed(cells)) for cells in lines) + "\n")
    torch.testing.assert_close(React(copy, "val")[0].speaker["va"], made()[0].speaker["va"])


def test_frames_that_are_not_finite_are_unobserved(copy: Path) -> None:
    path = React(copy, "val").sources(0)[0]
    lines = path.read_text().splitlines()
    lines[3] = ",".join(["nan"] * 25)
    path.write_text("\n".join(lines) + "\n")
    speaker = React(copy, "val")[0].speaker
    assert (~speaker.mask("va")).nonzero().flatten().tolist() == [2]


def test_a_map_of_one_s_own_takes_the_place_of_the_challenge_s(whole: Path, tmp_path: Path) -> None:
    read = React(whole, "val")
    own = AppropriateMap.same(read.ids, [i % 2 for i in range(len(read))])
    file = own.save(tmp_path / "own.safetensors")
    for labels in (own, file):
        again = React(whole, "val", labels=labels)
        assert again.labels.fingerprint == own.fingerprint
        assert again[0].appropriate == own.of(read.ids[0])
    assert file in React(whole, "val", labels=file).sources(0)
    other = AppropriateMap.same(("x",), (0,))
    with pytest.raises(InputError, match="none of the 1 dyads"):
        React(whole, "val", labels=other)[0]


def test_without_labels_clips_are_read_and_labels_tell_what_to_do(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (copy / "neighbour_emotion_val.npy").unlink()
    with caplog.at_level(logging.WARNING, "visavis"):
        read = React(copy, "val")
    assert "says which reactions are appropriate" in caplog.text
    assert read[0].appropriate == ()
    with pytest.raises(InputError, match="visavis corpus label --corpus react"):
        read.labels  # noqa: B018


def test_means_are_computed_where_the_root_has_none(copy: Path) -> None:
    given = React(copy, "val").face_statistics
    (copy / "mean_face.npy").unlink()
    (copy / "std_face.npy").unlink()
    found = React(copy, "val").face_statistics
    np.testing.assert_allclose(found["mean"][:55], given["mean"][:55], atol=0.05)
    np.testing.assert_allclose(found["std"][:52], given["std"][:52], atol=0.05)


def test_it_travels_to_workers_and_its_fingerprint_follows_the_content(copy: Path) -> None:
    read = React(copy, "val")
    again = pickle.loads(pickle.dumps(read))
    assert again.fingerprint == read.fingerprint == React(copy, "val").fingerprint
    torch.testing.assert_close(again[3].listener["va"], read[3].listener["va"])
    path = read.sources(5)[0]
    path.touch()
    assert React(copy, "val").fingerprint == read.fingerprint
    path.write_text(path.read_text().replace("0.1", "0.2"))
    assert React(copy, "val").fingerprint != read.fingerprint


def test_it_is_found_by_its_name(whole: Path) -> None:
    assert load("react", "val", root=whole, speech=()).ids == React(whole, "val").ids


# ---------------------------------------------------------------------- bad input


def test_a_wrong_root_says_what_was_looked_for_and_found(whole: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        React(tmp_path / "nowhere", "val")
    with pytest.raises(InputError, match=r"looked for train\.csv.*an empty folder"):
        React(tmp_path, "val")
    with pytest.raises(InputError, match=r"It looks as if .* is meant"):
        React(whole / "val", "val")
    with pytest.raises(InputError, match="no split 'test'"):
        React(whole, "test")


def test_half_a_corpus_is_named(copy: Path) -> None:
    shutil.rmtree(copy / "val" / "Emotion")
    shutil.rmtree(copy / "val" / "3D_FV_files")
    with pytest.raises(InputError, match="neither Emotion nor 3D_FV_files"):
        React(copy, "val")
    shutil.rmtree(copy / "val")
    with pytest.raises(InputError, match="this is half a corpus"):
        React(copy, "val")


def test_a_split_without_any_usable_clip_is_an_error(copy: Path) -> None:
    shutil.rmtree(copy / "val" / "Emotion")
    (copy / "val" / "Emotion").mkdir()
    with pytest.raises(InputError, match="no usable clip"):
        React(copy, "val")


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (np.eye(7), r"shape \[7, 7\], but the index lists 10 pairs: wanted \[20, 20\]"),
        (np.diag([1.0] * 5 + [0.0] + [1.0] * 14), "no appropriate reaction at all"),
        (np.eye(20) * 3, "holds 3.0 in row 0"),
    ],
)
def test_a_matrix_that_does_not_fit_is_named(copy: Path, matrix: np.ndarray, told: str) -> None:
    np.save(copy / "neighbour_emotion_val.npy", matrix)
    with pytest.raises(InputError, match=told):
        React(copy, "val").labels  # noqa: B018


def test_a_matrix_without_a_diagonal_is_mended_with_a_warning(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    matrix = np.load(copy / "neighbour_emotion_val.npy")
    matrix[2, 2] = 0
    np.save(copy / "neighbour_emotion_val.npy", matrix)
    with caplog.at_level(logging.WARNING, "visavis"):
        labels = React(copy, "val").labels
    assert "1 rows lack their own reaction" in caplog.text
    assert all(labels.matrix().diagonal())


def test_a_global_matrix_of_another_size_or_release_is_named(tmp_path: Path) -> None:
    read = written(tmp_path, labels="all")
    np.save(tmp_path / "Approprirate_facial_reaction.npy", np.eye(6))
    with pytest.raises(InputError, match=r"lists 10 pairs: wanted \[20, 20\]"):
        React(tmp_path, "val", speech=()).labels  # noqa: B018
    assert read is not None
    table = tmp_path / "data_indices.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:-1], "NoXI,other,1"]) + "\n")
    np.save(tmp_path / "Approprirate_facial_reaction.npy", np.eye(20))
    with pytest.raises(InputError, match="1 of 10 pairs are not in"):
        React(tmp_path, "val", speech=()).labels  # noqa: B018


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text.replace("listener_path", "partner"), "no column 'listener_path'"),
        (lambda text: text + text.splitlines()[1] + "\n", "two clips cannot have one id"),
        (lambda text: text + "10,NoXI/a/Expert_video,NoXI/a/Novice_video\n", "is no path"),
        (lambda text: text + "10,NoXI/../b/c/1,NoXI/../b/d/1\n", "is no path"),
        (lambda text: text + "10,NoXI/a/Expert_video/1,NoXI/a/Novice_video/2\n", "not one clip"),
        (lambda text: text.splitlines()[0] + "\n", "lists no pair"),
    ],
)
def test_an_index_that_is_wrong_is_named_with_its_line(
    copy: Path, change: object, told: str
) -> None:
    path = copy / "val.csv"
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=told):
        React(copy, "val")


def test_damaged_and_pickled_arrays_are_refused_by_name(copy: Path) -> None:
    npy = React(copy, "val").sources(0)[1]
    whole = npy.read_bytes()
    npy.write_bytes(whole[:-40])
    with pytest.raises(InputError, match="is cut off"):
        React(copy, "val")[0]
    np.save(npy, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled"):
        React(copy, "val")[0]
    npy.write_bytes(b"no array")
    with pytest.raises(InputError, match="not an npy file"):
        React(copy, "val")[0]
    np.save(npy, np.zeros((FRAMES, 60), np.float32))
    with pytest.raises(InputError, match=r"wanted \[frames, 58\]"):
        React(copy, "val")[0]
    np.save(npy, np.zeros((FRAMES + 9, 58), np.float32))
    with pytest.raises(InputError, match=r"differ in frames: .*\.csv 24 and .*\.npy 33"):
        React(copy, "val")[0]
    matrix = copy / "neighbour_emotion_val.npy"
    np.save(matrix, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled"):
        React(copy, "val").labels  # noqa: B018


def test_a_table_with_a_column_too_few_is_refused_by_name(copy: Path) -> None:
    path = React(copy, "val").sources(0)[0]
    lines = [line.rpartition(",")[0] for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="24 columns, wanted 25"):
        React(copy, "val")[0]


def test_a_damaged_clip_is_a_problem_and_can_be_skipped(copy: Path) -> None:
    read = React(copy, "val", speech=())
    read.sources(0)[1].write_bytes(b"no array")
    found = [p for p in read.problems() if p.kind == "damaged"]
    assert {p.where for p in found} == {read.ids[0], read.ids[DYADS]}
    rest = React(copy, "val", speech=(), skip=[p.where for p in found])
    assert len(rest) == 2 * DYADS - 2
    assert not [p for p in rest.problems() if p.kind == "damaged"]
    assert rest.labels.ids == rest.ids


def test_nothing_is_written_over_a_split_that_is_there(whole: Path) -> None:
    with pytest.raises(InputError, match="has a val split already"):
        write_react(made(), whole)
    with pytest.raises(InputError, match="RECOLA has one conversation a split"):
        Quirks(sites=("RECOLA",))
    with pytest.raises(InputError, match="Did you mean 'NoXI'"):
        Quirks(sites=("NoXi",))
