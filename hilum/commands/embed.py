"""`hilum embed`: films to a folder of features that every head can read."""

from __future__ import annotations

from typing import Literal


def embed(
    encoder: str,
    *,
    data: str,
    out: str,
    kinds: tuple[str, ...] = ("cls", "mean"),
    blocks: int = 4,
    split: Literal["train", "val", "test"] | None = None,
    views: tuple[str, ...] = (),
    where: str | None = None,
    shard: int = 2048,
    batch_size: int = 64,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    precision: Literal["fp32", "bf16"] = "fp32",
    workers: int = 0,
    dry_run: bool = False,
) -> str:
    """Run every film through an encoder once and keep its features on disk; a stopped run goes on when repeated.

    Args:
        encoder: a pretraining run, an encoder folder, or a released file.
        data: folder with a manifest.
        out: folder for the features; new, empty, or begun by the same command.
        kinds: what is kept: class tokens (cls), means of the patch tokens (mean), all patch tokens (patch: large).
        blocks: how many of the encoder's last blocks; a convolution has one.
        split: only films of this split; all films if omitted.
        views: only films with these view positions, e.g. PA,AP.
        where: only films whose manifest columns meet these conditions, e.g. --where "view_position=PA,AP; age>=18".
        shard: films a file; a run that is killed loses the shard it was making.
        batch_size: films a forward pass.
        device: cpu, cuda, or whichever is there.
        devices: processes on this machine that share the work, one a GPU.
        precision: arithmetic of the forward pass; features are kept in float16 either way.
        workers: loader processes per device.
        dry_run: say as JSON what would be written and how large it is, and stop.
    """
    given = dict(locals())
    import sys

    from hilum.evaluation.embedding import KEPT, begin, place_among_processes, plan_embedding, run_embedding
    from hilum.evaluation.features import Runner

    rank, world = place_among_processes()
    plan = plan_embedding(
        encoder,
        data,
        out,
        kinds=kinds,
        blocks=blocks,
        split=split,
        views=views,
        where=[condition.strip() for condition in (where or "").split(";") if condition.strip()],
        shard=shard,
        precision=precision,
    )
    if dry_run:
        import json

        sys.stdout.write(json.dumps(plan.to_json(), indent=2) + "\n")
        return out
    if world > 1:  # one of several; who started them speaks
        run_embedding(plan, Runner(device, batch_size, workers, precision), rank=rank, world=world)
        return out
    sys.stdout.writelines(f"{line}\n" for line in plan.lines())
    sys.stdout.flush()
    if devices > 1:
        from hilum.commands.arguments import as_words
        from hilum.distributed import launch_children
        from hilum.errors import PreemptedError

        begin(plan)
        try:
            launch_children(as_words(embed, given), devices)
        except PreemptedError as error:
            raise PreemptedError("stopped by SIGTERM; the shards that are whole are kept", fix=KEPT) from error
    else:
        run_embedding(plan, Runner(device, batch_size, workers, precision))
    sys.stdout.write(f"features in {out}; read them with hilum.FeatureStore.open({str(out)!r})\n")
    return out
