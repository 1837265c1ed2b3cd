"""From one core to many machines: asking Lightning Fabric for devices, and what they share."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from visavis.errors import InputError, nearest

if TYPE_CHECKING:
    from lightning_fabric import Fabric

STRATEGIES = ("auto", "ddp", "fsdp")
_PRECISION = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


def fabric(
    *,
    accelerator: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    precision: str = "32",
) -> Fabric:
    """Processes on devices, launched: `world_size` of them run what follows.

    Args:
        accelerator: "cpu", "cuda", "mps" or "auto".
        devices: processes on each machine, one a device.
        nodes: machines; more than one are started by `torchrun`, which also says which is which.
        strategy: "ddp" copies the model to every device, "fsdp" shares weights, gradients and
            optimisers among them.
        precision: of the computation; see `TrainingRecipe.precision`.

    Raises:
        InputError: more devices than there are, or a request that contradicts torchrun's.
    """
    kind = _accelerator(accelerator)
    devices, nodes = _asked(devices, nodes)
    _check(kind, devices, nodes, strategy, precision)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        from lightning_fabric import Fabric

    for name in ("lightning_fabric", "lightning.fabric"):  # its import asks for more
        logging.getLogger(name).setLevel(logging.WARNING)
    made = Fabric(
        accelerator=kind,
        devices=devices,
        num_nodes=nodes,
        strategy=_strategy(strategy, devices * nodes),
        precision=_PRECISION[precision],  # type: ignore[arg-type]
    )
    made.launch()
    return made


def _accelerator(name: str) -> str:
    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("there is no CUDA device here; leave --accelerator out, or take cpu.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise InputError("there is no MPS device here; leave --accelerator out, or take cpu.")
    if name not in ("cpu", "cuda", "mps"):
        raise InputError(f"there is no accelerator {name!r}; known: auto, cpu, cuda, mps.")
    return name


def _asked(devices: int, nodes: int) -> tuple[int, int]:
    """Devices and nodes as torchrun started them, if it did."""
    world, local = os.environ.get("WORLD_SIZE"), os.environ.get("LOCAL_WORLD_SIZE")
    if "TORCHELASTIC_RUN_ID" not in os.environ or world is None or local is None:
        if nodes > 1 and "MASTER_ADDR" not in os.environ:
            raise InputError(
                f"{nodes} machines find each other through torchrun. On each of them: torchrun "
                f"--nnodes {nodes} --nproc-per-node {devices} --rdzv-backend c10d "
                "--rdzv-endpoint HOST:29500 -m visavis train ... (docs/scaling.md)."
            )
        return devices, nodes
    there = (int(local), int(world) // int(local))
    if (devices, nodes) not in ((1, 1), there):
        raise InputError(
            f"torchrun started {there[0]} process(es) on {there[1]} machine(s), but --devices "
            f"{devices} --nodes {nodes} were asked for; leave them out under torchrun."
        )
    return there


def _check(kind: str, devices: int, nodes: int, strategy: str, precision: str) -> None:
    if devices < 1 or nodes < 1:
        raise InputError(f"devices and nodes must be at least 1, not {devices} and {nodes}.")
    there = {"cuda": torch.cuda.device_count(), "mps": 1}.get(kind, os.cpu_count() or 1)
    what = "CPU core" if kind == "cpu" else f"{kind} device"
    if devices > there:
        raise InputError(
            f"{devices} devices were asked for, but there are {there} {what}(s) here; "
            f"--devices {there} takes all."
        )
    if strategy not in STRATEGIES:
        raise InputError(f"there is no strategy {strategy!r}. {nearest(strategy, STRATEGIES)}")
    if precision not in _PRECISION:
        raise InputError(f"there is no precision {precision!r}; known: {', '.join(_PRECISION)}.")
    if precision == "16" and kind == "cpu":
        raise InputError("precision 16 needs a GPU; on a CPU take bf16 or 32.")


def _strategy(name: str, world: int) -> Any:
    if name == "fsdp":
        from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

        return ModelParallelStrategy(_sharded, data_parallel_size=world, tensor_parallel_size=1)
    if name == "ddp" or world > 1:
        from lightning_fabric.strategies.ddp import DDPStrategy

        # a stage trains some parameters, and of several objectives each reaches some of them
        return DDPStrategy(find_unused_parameters=True)
    return "auto"


def _sharded(module: Any, mesh: Any) -> Any:
    """The whole model as one sharded group: right for any model, whatever calls what inside."""
    from torch.distributed.fsdp import fully_shard

    # sharded again after every forward: weights that a validation saw must not be used for a step
    return fully_shard(module, mesh=mesh["data_parallel"], reshard_after_forward=True)


@contextmanager
def put_together(wrapped: Any) -> Iterator[None]:
    """Inside, the parameters of a sharded module are whole, and may be read outside `forward`."""
    module: Any = None if wrapped is None else wrapped.module
    if not hasattr(module, "unshard"):
        yield
        return
    module.unshard()
    try:
        yield
    finally:
        module.reshard()


def shared_flag(fabric: Fabric, value: int) -> int:
    """The largest of all processes' values: all of them stop, or none."""
    if fabric.world_size == 1:
        return value
    flag = torch.tensor(value, device=fabric.device)
    torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
    return int(flag)


def gathered(fabric: Fabric, value: Tensor) -> Tensor:
    """Every process's tensor (equal shapes), [W, ...]."""
    if fabric.world_size == 1:
        return value[None]
    mine = value.to(fabric.device)
    found = [torch.empty_like(mine) for _ in range(fabric.world_size)]
    torch.distributed.all_gather(found, mine)
    return torch.stack(found).cpu()


def whole(value: Tensor) -> Tensor:
    """A sharded tensor put together (all processes must ask); any other as it is."""
    full = getattr(value, "full_tensor", None)
    return value if full is None else full()


def like(value: Tensor, model: Tensor) -> Tensor:
    """A whole tensor on `model`'s device, sharded as `model` is."""
    mesh = getattr(model, "device_mesh", None)
    if mesh is None:
        return value.to(model.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(model.device), mesh, model.placements)  # type: ignore[attr-defined]
