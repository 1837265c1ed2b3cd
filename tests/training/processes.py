"""Real processes for tests: forked, so that each need not import torch again."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import lightning_fabric  # noqa: F401  (once, before the forks)
import torch


def forked(work: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A started child process; its exit code is 1 where `work` raised."""

    def run() -> None:
        torch.set_num_threads(1)
        try:
            work(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    return child


def side_by_side(world: int, work: Callable[..., None], *arguments: Any) -> None:
    """`work` in `world` processes that Lightning Fabric finds to be ranks of one machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def ranked(rank: int) -> None:
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "NODE_RANK": "0",
            "LOCAL_RANK": str(rank),
        }
        work(*arguments)

    children = [forked(ranked, rank) for rank in range(world)]
    for child in children:
        child.join(120)
        if child.is_alive():
            child.kill()
    assert [child.exitcode for child in children] == [0] * world


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(path)
