"""The same function over many items, in processes of this machine or of a cluster.

An engine yields (item, result) as they come, in any order. A process that dies (no memory left, a
crash inside a decoder) costs the item it worked on alone: its result is then a `Lost`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from visavis.errors import InputError, VisavisError, nearest, require

Item = TypeVar("Item")
Result = TypeVar("Result")

_POOLS = ("OMP", "MKL", "OPENBLAS", "NUMBA")
ONE_THREAD = {f"{pool}_NUM_THREADS": "1" for pool in _POOLS}
"""Processes share the cores; threads within each would only wait for one another."""
_AHEAD = 2
"""Items a worker of a cluster is given ahead of time, so that it never waits for the next."""


@dataclass(frozen=True)
class Lost:
    """An item whose process died, or whose result could not travel."""

    reason: str


class Engine(Protocol):
    def __call__(
        self,
        work: Callable[[Item], Result],
        items: Sequence[Item],
        *,
        jobs: int,
        address: str | None,
    ) -> Iterator[tuple[Item, Result | Lost]]: ...


def engine_named(name: str) -> Engine:
    """The engine "loky", "dask" or "ray".

    Raises:
        InputError: there is no such engine; the nearest is named.
    """
    try:
        return ENGINES[name]
    except KeyError:
        raise InputError(f"there is no engine {name!r}. {nearest(name, ENGINES)}") from None


def by_loky(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, address: str | None
) -> Iterator[tuple[Item, Result | Lost]]:
    """Processes of this machine.

    No more items are given out than there are processes. So when one dies, and the pool with it,
    few items are under suspicion; each is tried again in a process of its own.
    """
    loky = require("loky", extra="scale")
    from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait

    if address is not None:
        raise InputError("the engine 'loky' runs on this machine and takes no address.")
    waiting, suspects = deque(items), deque[Any]()
    while waiting or suspects:
        alone = bool(suspects)
        source = suspects if alone else waiting
        pool = loky.ProcessPoolExecutor(max_workers=1 if alone else jobs, env=ONE_THREAD)
        flying: dict[Future[Any], Any] = {}
        broken = False
        try:
            while (source or flying) and not (broken and not flying):
                while source and len(flying) < (1 if alone else jobs) and not broken:
                    item = source.popleft()
                    try:
                        flying[pool.submit(work, item)] = item
                    except BrokenExecutor:  # it broke since the last result
                        source.appendleft(item)
                        broken = True
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    item = flying.pop(future)
                    try:
                        result = future.result()
                    except BrokenExecutor as error:
                        broken = True
                        if not alone:
                            suspects.append(item)
                            continue
                        result = Lost(f"its process died ({_first_line(error)})")
                    except Exception as error:
                        result = Lost(_first_line(error))
                    yield item, result
        finally:
            pool.shutdown(wait=True, kill_workers=True)


def by_dask(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, address: str | None
) -> Iterator[tuple[Item, Result | Lost]]:
    """A dask cluster: one of `jobs` processes here, or the one whose scheduler has `address`.

    Its workers must see the same folders under the same names.
    """
    distributed = require("distributed", extra="scale")
    from contextlib import ExitStack

    with ExitStack() as stack:
        if address is None:
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )
            client = stack.enter_context(distributed.Client(cluster))
        else:
            try:
                client = stack.enter_context(distributed.Client(address, timeout="30s"))
            except (OSError, ValueError) as error:
                raise InputError(
                    f"no dask scheduler answers at {address} ({_first_line(error)})."
                ) from error
        waiting = deque(items)
        width = _AHEAD * max(1, sum(client.nthreads().values()))
        flying: dict[Any, Any] = {}
        arriving = distributed.as_completed()
        while waiting or flying:
            while waiting and len(flying) < width:
                item = waiting.popleft()
                future = client.submit(work, item, pure=False)
                flying[future.key] = item
                arriving.add(future)
            future = next(arriving)
            item = flying.pop(future.key)
            try:
                result = future.result()
            except distributed.KilledWorker:
                result = Lost("its process died, on every worker that tried it")
            except Exception as error:
                result = Lost(_first_line(error))
            future.release()
            yield item, result


def by_ray(
    work: Callable[[Item], Result], items: Sequence[Item], *, jobs: int, address: str | None
) -> Iterator[tuple[Item, Result | Lost]]:
    """Ray: `jobs` processes here, or the cluster at `address` ("auto": the one this machine is
    in). Its workers must see the same folders under the same names."""
    ray = require("ray", extra="ray")
    ours = not ray.is_initialized()
    if ours:
        here = {"num_cpus": jobs, "include_dashboard": False} if address is None else {}
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"ray does not start ({_first_line(error)}).") from error
    try:
        remote = ray.remote(num_cpus=1, max_retries=0)(work)
        width = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", jobs)))
        waiting = deque(items)
        flying: dict[Any, Any] = {}
        while waiting or flying:
            while waiting and len(flying) < width:
                item = waiting.popleft()
                flying[remote.remote(item)] = item
            (reference, *_), _ = ray.wait(list(flying), num_returns=1)
            item = flying.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.WorkerCrashedError:
                result = Lost("its process died")
            except Exception as error:
                result = Lost(_first_line(error))
            yield item, result
    finally:
        if ours:
            ray.shutdown()


ENGINES: dict[str, Engine] = {"loky": by_loky, "dask": by_dask, "ray": by_ray}


def _first_line(error: BaseException) -> str:
    text = str(error).strip().partition("\n")[0]
    if isinstance(error, VisavisError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
