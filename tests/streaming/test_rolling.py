"""Rolling sessions: what they promise about latency, seams and forgetting."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from tests.people import person
from visavis.behaviour import Behaviour
from visavis.dyad import Persona
from visavis.errors import InputError
from visavis.models._base import STRICT, ReactionConfig, ReactionModel
from visavis.recipes import new_model
from visavis.streaming.rolling import RollingSession


@dataclass(frozen=True, kw_only=True, config=STRICT)
class WindowMeanConfig(ReactionConfig):
    """Nothing to set."""


class WindowMean(ReactionModel[WindowMeanConfig]):
    """Answers every frame with the mean loudness of all it sees: each run's answer is another."""

    config_class = WindowMeanConfig
    inputs = ("energy",)
    outputs = ("va",)

    def __init__(self) -> None:
        super().__init__(WindowMeanConfig())
        self.runs: list[int] = []

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        self.runs.append(speaker.frames)
        mean = speaker.filled("energy").mean(1, keepdim=True)
        return {"va": mean[:, None].expand(-1, num_samples, speaker.frames, 2).clone()}


def loudness(values: list[float]) -> Behaviour:
    return Behaviour.of({"energy": torch.tensor(values)[:, None]})


def stream(session: RollingSession, speaker: Behaviour, chunk: int = 10**9) -> Tensor:
    lane = session.open(seed=0)
    parts = [session.step({lane: w})[lane] for w in speaker.windows(min(chunk, speaker.frames))]
    parts.append(session.flush(lane))
    session.close(lane)
    out: Tensor = Behaviour.cat(parts).pack()
    return out


# ---------------------------------------------------------------------- latency


@pytest.mark.parametrize(("hop", "lookahead"), [(1, 0), (5, 0), (5, 3), (1, 4), (4, 9)])
def test_latency_is_hop_less_one_and_the_look_ahead(hop: int, lookahead: int) -> None:
    session = RollingSession(WindowMean(), context=40, hop=hop, lookahead=lookahead)
    assert session.latency == hop - 1 + lookahead
    lane, done, waits = session.open(seed=0), 0, []
    for t in range(60):
        ready = session.step({lane: loudness([0.5])})[lane].frames
        waits += [t - frame for frame in range(done, done + ready)]
        done += ready
    assert max(waits) == session.latency  # it is reached, and never passed
    assert done + session.flush(lane).frames == 60
    assert session.flush(lane).frames == 0


def test_each_hop_is_one_run() -> None:
    model = WindowMean()
    stream(RollingSession(model, context=20, hop=5, lookahead=2), loudness([0.1] * 32))
    assert model.runs == [5, 10, 15, 20, 20, 20, 20]  # and two frames at the flush, with context


# ---------------------------------------------------------------------- seams


RAMP = [t / 100 for t in range(100)]


def steps(out: Tensor) -> Tensor:
    return out[0, :, 0].diff().abs()


def test_with_look_ahead_no_seam_steps_by_more_than_its_share() -> None:
    """The answers of two runs differ by `jump`; over a fade of n frames that is jump / (n + 1)."""
    hop, lookahead = 10, 5
    abrupt = stream(RollingSession(WindowMean(), context=30, hop=hop), loudness(RAMP))
    faded = stream(
        RollingSession(WindowMean(), context=30, hop=hop, lookahead=lookahead), loudness(RAMP)
    )
    jump = float(steps(abrupt).max())
    assert jump == pytest.approx(0.1, abs=1e-4)  # a context 10 frames later is 0.1 louder
    assert float(steps(faded).max()) <= jump / (lookahead + 1) + 1e-5
    assert float(faded.max() - faded.min()) > 0.5  # it follows all the same


def test_a_fade_is_a_straight_line_from_the_old_answer_to_the_new() -> None:
    session = RollingSession(WindowMean(), context=8, hop=4, lookahead=3)
    out = stream(session, loudness([0.0] * 4 + [0.8] * 8))[0, :, 0]
    # runs see frames 0-3, 0-7 and 4-11: means 0, 0.4 and 0.8; they answer 1, 4 and 4 of them,
    # and the flush, which sees the same frames as the third, answers the last 3
    expected = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 0.8, 0.8]
    torch.testing.assert_close(out, torch.tensor(expected), atol=1e-6, rtol=0.0)


def test_the_cuts_of_the_stream_change_nothing() -> None:
    for chunk in (1, 3, 17):
        session = RollingSession(WindowMean(), context=12, hop=5, lookahead=3)
        torch.testing.assert_close(
            stream(session, loudness(RAMP), chunk), stream(session, loudness(RAMP))
        )


# ---------------------------------------------------------------------- forgetting


def test_frames_older_than_the_context_are_forgotten() -> None:
    quiet, loud = loudness([0.2] * 60), loudness([1.0] * 20 + [0.2] * 40)
    a, b = (
        stream(RollingSession(WindowMean(), context=15, hop=5, lookahead=2), s)
        for s in (quiet, loud)
    )
    # the run at frame 35 sees frames 20 to 34 and answers from 28 on; a fade from the run before
    # it, which still saw the loud frames, takes two of those
    assert float((a - b)[:, 18:30].abs().min()) > 1e-3
    assert torch.equal(a[:, 30:], b[:, 30:])


def test_a_context_as_long_as_the_clip_ends_with_the_offline_answer() -> None:
    model, speaker = WindowMean(), loudness(RAMP)
    out = stream(RollingSession(model, context=100, hop=10), speaker)
    whole = model.generate(speaker, 1).pack()
    torch.testing.assert_close(out[:, 90:], whole[:, 90:])


def test_an_hour_holds_no_more_than_its_first_seconds() -> None:
    session = RollingSession(WindowMean(), context=50, hop=25, lookahead=5)
    lane, sizes = session.open(seed=0), set()
    minute = loudness([0.3] * 1500)
    for _ in range(60):
        session.step({lane: minute})
        snapshot = session.snapshot(lane)
        sizes.add(sum(x.numel() for n, x in snapshot.items() if n != "about"))
        assert max(session.model.runs) == 50
        session.model.runs.clear()
    assert len(sizes) == 1 and sizes.pop() < 200


def test_frames_are_taken_and_not_borrowed() -> None:
    """A live caller may reuse the buffer it captured into."""
    session = RollingSession(WindowMean(), context=10, hop=5)
    lane, buffer = session.open(seed=0), torch.full((3, 1), 0.5)
    session.step({lane: Behaviour.of({"energy": buffer})})
    buffer.fill_(9.0)
    out = session.step({lane: loudness([0.5] * 2)})[lane]
    torch.testing.assert_close(out.pack(), torch.full((1, 5, 2), 0.5))


def test_a_long_chunk_is_not_held_alive_by_its_last_frames() -> None:
    session = RollingSession(WindowMean(), context=50, hop=25)
    lane = session.open(seed=0)
    session.step({lane: loudness([0.3] * 1510)})
    conversation = session._lanes[lane]
    context, pending = conversation.state.context, conversation.pending
    assert context is not None and pending is not None
    for held in (context, pending):
        values = held.channels["energy"]
        assert values.untyped_storage().nbytes() <= 4 * 100


# ---------------------------------------------------------------------- lanes


def test_closed_lanes_leave_nothing_behind() -> None:
    session = RollingSession(WindowMean(), context=10, hop=5)
    for _ in range(50):
        lane = session.open(seed=0)
        session.step({lane: loudness([0.1] * 7)})
        session.close(lane)
    assert not session._lanes
    with pytest.raises(InputError, match="not open"):
        session.flush(lane)


def test_a_wrong_lane_moves_no_other() -> None:
    session = RollingSession(WindowMean(), context=10, hop=5)
    good, closed = session.open(seed=0), session.open(seed=0)
    session.close(closed)
    with pytest.raises(InputError, match="not open"):
        session.step({good: loudness([0.9] * 5), closed: loudness([0.9] * 5)})
    assert session.step({good: loudness([0.1] * 5)})[good].pack().unique().tolist() == (
        pytest.approx([0.1])
    )


def test_samples_are_those_of_the_model() -> None:
    model = new_model("trans_vae", {"width": 8, "heads": 2})
    session = RollingSession(model, num_samples=3, context=20, hop=20)
    lane = session.open(seed=4)
    speaker = person(20)
    out = session.step({lane: speaker})[lane]
    assert torch.equal(out.pack(), model.generate(speaker, 3, seeds=4).pack())


class Warm(WindowMean):
    """Adds its listener's first trait to the mean."""

    personal = True

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        assert persona is not None and persona.traits is not None
        made = super().react(speaker, seeds, num_samples, persona)
        return {"va": made["va"] + persona.embedding[0] + persona.traits[0]}


def test_a_resumed_lane_keeps_its_persona_whole() -> None:
    session, model = RollingSession(Warm(), context=10, hop=5), Warm()
    persona = Persona(model.name, torch.tensor([0.25]), torch.tensor([0.5, 0, 0, 0, 0]))
    lane = session.resume(session.snapshot(session.open(seed=0, persona=persona)))
    out = session.step({lane: loudness([0.0] * 5)})[lane]
    assert out.pack().unique().tolist() == [0.75]


class Clock(WindowMean):
    """Reads nothing of the speaker, and has no session."""

    inputs = ()

    def react(
        self, speaker: Behaviour, seeds: Tensor, num_samples: int, persona: Persona | None
    ) -> dict[str, Tensor]:
        clock = torch.arange(speaker.frames) / 100
        return {"va": clock[:, None].expand(len(seeds), num_samples, -1, 2).clone()}


def test_a_model_that_reads_only_the_clock_is_refused() -> None:
    with pytest.raises(InputError, match="session of its own"):
        RollingSession(Clock())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": 10, "hop": 11}, r"hop \+ lookahead = 11 \+ 0 frames, not 10"),
        ({"context": 10, "hop": 8, "lookahead": 3}, r"8 \+ 3 frames, not 10"),
        ({"lookahead": -1}, "context must be"),
        ({"hop": 0}, "hop and num_samples must be at least 1"),
        ({"num_samples": 0}, "hop and num_samples must be at least 1"),
    ],
)
def test_sizes_that_do_not_fit_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        RollingSession(WindowMean(), **arguments)
