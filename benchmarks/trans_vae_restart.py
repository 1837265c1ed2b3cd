"""Why the bundled Trans-VAE online misses the trained test: it answers at first, and then hardly.

Run: python benchmarks/trans_vae_restart.py [--clips 28]      (about four minutes on one core)

For every five seconds of simulated validation clips, FRCorr (best CCC with an appropriate listener,
channels that move) of the conversation as it streams, of the same model begun anew at that moment,
and of another real listener.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

import visavis as vv
from visavis.corpora import SimulatedDyads, collate
from visavis.nn.losses import concordance

STEP = 125


def packed(person: vv.Behaviour) -> Tensor:
    return torch.cat([person[n] for n in ("au", "va", "expression")], -1)


def best(drawn: Tensor, real: Tensor, there: Tensor) -> float:
    """Drawn [B, K, T, 25] against real [B, N, T, 25]: mean over B and K of the best of N."""
    agreement = concordance(drawn[:, :, None], real[:, None]).nanmean(-1)
    return float(agreement.masked_fill(~there[:, None], -1.0).amax(-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=28)
    options = parser.parse_args()
    torch.set_num_threads(1)
    corpus = SimulatedDyads("val", size=options.clips)
    batch = collate([corpus[i] for i in range(options.clips)], targets=14)
    model = vv.load("trans_vae_online")
    real, others = packed(batch.targets), batch.target_mask.clone()
    others[:, 0] = False
    streamed = packed(model.generate(batch.speaker, 3))
    print("seconds   streamed  begun anew  a real listener")
    for start in range(0, streamed.shape[2] - STEP + 1, STEP):
        stop = start + STEP
        anew = packed(model.generate(batch.speaker.window(start, stop), 3))
        truth = real[:, :, start:stop]
        row = (
            best(streamed[:, :, start:stop], truth, batch.target_mask),
            best(anew, truth, batch.target_mask),
            best(truth[:, :1], truth, others),
        )
        print(f"{start / 25:2.0f} to {stop / 25:2.0f}  " + "".join(f"{x:11.3f}" for x in row))


if __name__ == "__main__":
    main()
