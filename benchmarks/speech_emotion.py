"""Teach the speech-emotion head by the speakers' faces, and report how far it got.

Run: python benchmarks/speech_emotion.py [--write]     (about three minutes; --write replaces the
weights in the package)

Teacher: valence, arousal and expressions of the same frame of the same simulated speaker's face.
The report is on the corpus's test speakers, beside the constant that is best on the training ones.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import torch
from torch import Tensor

from visavis.corpora import SimulatedDyads
from visavis.features import speech_emotion
from visavis.features.speech_emotion import READS, SpeechEmotionHead
from visavis.nn.losses import concordance

CROP, BATCH = 250, 24


def people(split: str, clips: int) -> tuple[Tensor, Tensor]:
    """Speakers' mfcc78 [N, T, 78] and what their faces show [N, T, 10]."""
    corpus = SimulatedDyads(split, size=clips)
    sounds, faces = [], []
    for i in range(clips):
        speaker = corpus[i].speaker
        sounds.append(speaker[READS])
        faces.append(torch.cat([speaker["va"], speaker["expression"]], dim=-1))
    return torch.stack(sounds), torch.stack(faces)


def error(told: Tensor, wanted: Tensor) -> Tensor:
    """1 - CCC of valence and arousal over time, their squared error, and the cross-entropy of the
    expressions beyond the teacher's own."""
    agreement = concordance(told[..., :2], wanted[..., :2]).nan_to_num(1.0)
    squares = ((told[..., :2] - wanted[..., :2]) ** 2).mean()
    chances, real = told[..., 2:].clamp(min=1e-6), wanted[..., 2:].clamp(min=1e-6)
    return (1 - agreement).mean() + squares + (real * (real / chances).log()).sum(-1).mean()


def learned(sounds: Tensor, faces: Tensor, width: int, steps: int) -> SpeechEmotionHead:
    head = SpeechEmotionHead(width)
    head.mean.copy_(sounds.mean((0, 1)))
    head.std.copy_(sounds.std((0, 1)).clamp(min=1e-3))
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3, weight_decay=1e-3)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    there = torch.ones(BATCH, CROP, dtype=torch.bool)
    for _ in range(steps):
        rows = torch.randint(len(sounds), (BATCH,))
        start = int(torch.randint(sounds.shape[1] - CROP + 1, ()))
        told, _ = head(sounds[rows, start : start + CROP], there)
        loss = error(told, faces[rows, start : start + CROP])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        plan.step()
    return head.eval()


def report(name: str, told: Tensor, wanted: Tensor) -> str:
    agreement = concordance(told[..., :2], wanted[..., :2]).nanmean(0)
    right = (told[..., 2:].argmax(-1) == wanted[..., 2:].argmax(-1)).float().mean()
    squares = ((told - wanted) ** 2).mean((0, 1))
    return (
        f"{name:<10} CCC over time valence {agreement[0]:.3f} arousal {agreement[1]:.3f}; RMSE "
        f"{squares[0].sqrt():.3f} {squares[1].sqrt():.3f}; expression agrees in {right:.1%} of "
        f"frames, its squared error {squares[2:].mean():.4f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--width", type=int, default=64)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sounds, faces = people("train", options.clips)
    began = time.process_time()
    head = learned(sounds, faces, options.width, options.steps)
    print(
        f"{sum(p.numel() for p in head.parameters()):,} parameters, "
        f"{time.process_time() - began:.0f} CPU s"
    )
    sounds, wanted = people("test", 60)
    with torch.no_grad():
        told, _ = head(sounds, torch.ones(sounds.shape[:2], dtype=torch.bool))
    print(report("head", told, wanted))
    print(report("constant", faces.mean((0, 1)).expand_as(wanted), wanted))
    print(report("shuffled", told.roll(7, 0), wanted))
    if options.write:
        from safetensors.torch import save_file

        path = Path(speech_emotion.__file__).parent / speech_emotion.FILE
        save_file({n: x.half().contiguous() for n, x in head.state_dict().items()}, path)
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
