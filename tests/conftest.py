"""One thread a worker (two workers share two cores), and no hub at test time."""

from __future__ import annotations

import os
import tempfile

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["VISAVIS_CACHE"] = os.path.join(tempfile.gettempdir(), f"visavis-{os.getuid()}")

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
