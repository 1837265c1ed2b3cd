"""How the challenge's own loader gets a window of a clip: it parses the whole clip, every time.

Written plainly after the description of its steps: the emotion table by pandas without a header,
the first row dropped; the coefficients by `np.load`; both cut afterwards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor


def window(table: Path, coefficients: Path, start: int, length: int) -> tuple[Tensor, Tensor]:
    """Attributes [length, 25] and coefficients [length, 58] of one person."""
    rows = pd.read_csv(table, header=None, delimiter=",", low_memory=False).drop(0)
    emotion = torch.from_numpy(np.array(rows).astype(np.float32))[start : start + length]
    faces = torch.from_numpy(np.load(coefficients)).squeeze().float()[start : start + length]
    return emotion, faces
