"""One or many devices: launch, precision and wrapping, through Lightning Fabric; full states gathered by torch itself.

Fabric's own checkpoints hold pickles and its sampler would re-order films, so neither is used.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
from lightning_fabric.strategies.strategy import Strategy
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor

from hilum.config import TrainSettings
from hilum.errors import PreemptedError, UserError
from hilum.signals import SigTerm

PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def make_fabric(settings: TrainSettings) -> Fabric:
    """A launched Fabric for these settings; under torchrun or SLURM it joins the processes that are there."""
    world = settings.devices * settings.nodes
    fsdp = settings.strategy == "fsdp2" and world > 1
    strategy: str | Strategy = "auto"
    if fsdp:
        strategy = ModelParallelStrategy(
            lambda module, mesh: _shard(module, mesh, settings.precision),
            data_parallel_size=world,
            tensor_parallel_size=1,
        )
    elif world > 1:
        strategy = DDPStrategy(gradient_as_bucket_view=True)
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.nodes,
        strategy=strategy,
        precision="32-true" if fsdp else PRECISION[settings.precision],  # type: ignore[arg-type]  # FSDP2 casts in its own policy
    )
    fabric.launch()
    return fabric


def _shard(module: nn.Module, mesh: DeviceMesh, precision: str) -> nn.Module:
    """FSDP2: every block of every block list is a unit, then the rest; parameters in fp32, arithmetic as asked."""
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if precision == "bf16"
        else MixedPrecisionPolicy()
    )
    rows = mesh["data_parallel"]
    for child in list(module.modules()):
        if isinstance(child, nn.ModuleList):
            for block in child:
                fully_shard(block, mesh=rows, mp_policy=policy)
    fully_shard(module, mesh=rows, mp_policy=policy)
    return module


def place(fabric: Fabric, module: nn.Module, settings: TrainSettings) -> None:
    """Put a module that takes no gradient where the trained one is: on the device, sharded alike."""
    if isinstance(fabric.strategy, ModelParallelStrategy):
        _shard(module, fabric.strategy.device_mesh, settings.precision)
    else:
        module.to(fabric.device)


def in_process_group() -> bool:
    """Whether torchrun or SLURM has already started this process as one of many."""
    return ("LOCAL_RANK" in os.environ and "WORLD_SIZE" in os.environ) or SLURMEnvironment.detect()


def process_rank() -> int:
    """This process's number among those of torchrun or SLURM; 0 when alone. Known before anything is launched."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def launch_children(arguments: Sequence[str], devices: int) -> None:
    """Run `hilum ARGUMENTS` as one process per device of this machine, and wait; SIGTERM is passed on to all.

    The processes find one another by torchrun's environment variables, so the same command also runs under torchrun.

    Raises:
        PreemptedError: the run was stopped by SIGTERM and saved.
        UserError: the run failed; its own words are above.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(devices)}
    children: list[subprocess.Popen[bytes]] = []

    def terminate() -> None:
        for child in children:
            child.terminate()

    with SigTerm() as stop:
        stop.then = terminate
        for rank in range(devices):
            place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(devices), "GROUP_RANK": "0"}
            command = [sys.executable, "-m", "hilum.cli", *arguments]
            children.append(subprocess.Popen(command, env={**os.environ, **world, **place}))
        while any(child.poll() is None for child in children):
            if any(child.poll() for child in children):  # one failed: the others would wait for it for ever
                time.sleep(1.0)  # what fails everywhere at once may say so everywhere
                terminate()
            time.sleep(0.05)
    status = next((child.returncode for child in children if child.returncode), 0)
    if status == PreemptedError.exit_code:
        raise PreemptedError("stopped by SIGTERM; the run is saved", fix="Go on with --resume")
    if status:
        raise UserError(f"the run on {devices} devices failed (exit code {status})", fix="Its own message is above")


def shut_down() -> None:
    """Leave the process group, if there is one; without it gloo's threads abort the process at exit."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch warns about its own internals while gathering shards; nothing a user could act on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_sharded(module: nn.Module) -> bool:
    """Whether FSDP2 has split this module's parameters over devices."""
    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


def gather_model(module: nn.Module) -> dict[str, Tensor]:
    """All weights, whole. Every rank must call it; under sharding only rank 0 gets them."""
    if not is_sharded(module):
        return dict(module.state_dict())
    with _quiet():
        weights: Any = get_model_state_dict(module, options=_WHOLE)
    return dict(weights)


def gather_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimizer state as `<parameter name>/<slot>` -> whole tensor, empty before the first step; all ranks call."""
    if not optimizer.state:
        return {}
    if is_sharded(module):
        with _quiet():
            slots_of: Any = get_optimizer_state_dict(module, optimizer, options=_WHOLE).get("state", {})
    else:
        slots_of = {name: optimizer.state[p] for name, p in module.named_parameters() if p in optimizer.state}
    return {f"{name}/{slot}": value for name, slots in slots_of.items() for slot, value in slots.items()}


def scatter_model(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load whole weights into a possibly sharded module; every rank reads them for itself."""
    if not is_sharded(module):
        module.load_state_dict(dict(weights))
        return
    with _quiet():
        set_model_state_dict(module, dict(weights), options=StateDictOptions(full_state_dict=True))


def scatter_optimizer(module: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Load what `gather_optimizer` gave; group settings (decay, multipliers) stay those of `optimizer`."""
    slots_of: dict[str, dict[str, Tensor]] = {}
    for key, value in state.items():
        name, slot = key.rsplit("/", 1)
        slots_of.setdefault(name, {})[slot] = value
    if not slots_of:
        optimizer.state.clear()
    elif not is_sharded(module):
        for name, parameter in module.named_parameters():
            if name in slots_of:
                optimizer.state[parameter] = {k: v.clone().to(parameter.device) for k, v in slots_of[name].items()}
    else:
        with _quiet():
            whole = get_optimizer_state_dict(module, optimizer, options=StateDictOptions(full_state_dict=True))
            whole["state"] = slots_of  # type: ignore[assignment]
            set_optimizer_state_dict(module, optimizer, whole, options=StateDictOptions(full_state_dict=True))


def clip_gradients(module: nn.Module, max_norm: float | None) -> Tensor:
    """Scale gradients to at most `max_norm` (None: leave them) and return the norm before, over all devices."""
    norm = torch.nn.utils.clip_grad_norm_(module.parameters(), float("inf") if max_norm is None else max_norm)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
