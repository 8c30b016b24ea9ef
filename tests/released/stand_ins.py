"""One stand-in for each file of an image and report encoder, tiny or as large as the release."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tests.released.report_files import RESNET_50, Maker, bert_file, mgca_heads, resnet_file

File = dict[str, Tensor]
VOCABULARY = 100  # of the tiny ones


def _resnet(make: Maker, prefix: str, full: bool, *, stages: int = 4, numbered: bool = False, fc: int = 0) -> File:
    blocks = RESNET_50[:stages] if full else (1, 2, 1, 1)[:stages]
    stem, planes = (64, 64) if full else (6, 2)
    return resnet_file(make, prefix, blocks=blocks, stem=stem, planes=planes, fc=fc, numbered=numbered)


def biovil(make: Maker, full: bool = False) -> File:
    """The image file of BioViL."""
    width, dim = (2048, 128) if full else (64, 12)
    return {
        **_resnet(make, "encoder.encoder.", full, fc=1000 if full else 5),
        **make.linear("projector.model.0", width, dim, bias=False, axes=2),
        **make.batch_norm("projector.model.1", dim),
        **make.linear("projector.model.3", dim, dim, axes=2),
    }


def biovil_t(make: Maker, full: bool = False) -> File:
    """The image file of BioViL-T."""
    last, half, dim = (2048, 256, 128) if full else (64, 8, 12)
    file = {
        **_resnet(make, "encoder.encoder.", full, fc=1000 if full else 5),
        **make.linear("encoder.backbone_to_vit", last, half, bias=False, axes=2),
        "encoder.missing_previous_emb": make(1, half, 1, 1),
        "encoder.vit_pooler.type_embed": make(2, 1, half),
        **make.norm("encoder.vit_pooler.norm_post", half),
        **make.linear("projector.model.0", 2 * half, dim, bias=False, axes=2),
        **make.batch_norm("projector.model.1", dim),
        **make.linear("projector.model.3", dim, dim, axes=2),
    }
    for number in range(3):
        block = f"encoder.vit_pooler.blocks.{number}."
        for name in ("proj_q", "proj_k", "proj_v"):
            file |= make.linear(f"{block}attn.{name}", half, half, bias=False)
        for name in ("attn.proj", "mlp.fc1", "mlp.fc2"):
            file |= make.linear(block + name, half, half)
        file |= make.norm(f"{block}norm1", half) | make.norm(f"{block}norm2", half)
    return file


def cxr_bert(make: Maker, full: bool = False) -> File:
    """The tensors of CXR-BERT's folder."""
    width, dim = (768, 128) if full else (16, 12)
    vocabulary = 30522 if full else VOCABULARY
    sizes = {"width": width, "depth": 12 if full else 2, "positions": 512 if full else 40}
    return {
        **bert_file(make, "bert.", vocabulary=vocabulary, **sizes),
        **make.linear("cls_projection_head.dense_to_hidden", width, dim),
        **make.norm("cls_projection_head.LayerNorm", dim),
        **make.linear("cls_projection_head.dense_to_output", dim, dim),
        "cls.predictions.bias": make(vocabulary),
        **make.linear("cls.predictions.transform.dense", width, width),
    }


def gloria(make: Maker, full: bool = False) -> File:
    """GLoRIA's Lightning file."""
    local, whole, dim = (1024, 2048, 768) if full else (32, 64, 16)
    vocabulary = 28996 if full else VOCABULARY
    sizes = {"width": dim, "depth": 12 if full else 5, "positions": 512 if full else 40}
    return {
        **_resnet(make, "gloria.img_encoder.model.", full),
        **make.linear("gloria.img_encoder.global_embedder", whole, dim),
        **make.linear("gloria.img_encoder.local_embedder", local, dim, bias=False, axes=2),
        **bert_file(make, "gloria.text_encoder.model.", vocabulary=vocabulary, pooler=True, **sizes),
    }


def _mgca_sides(make: Maker, full: bool, suffix: str) -> File:
    width, hidden, dim = (768, 2048, 128) if full else (16, 24, 12)
    vocabulary = 28996 if full else VOCABULARY
    whole, local = (2048, 1024) if full else (64, 32)
    sizes = {"width": width, "depth": 6 if full else 2, "positions": 512 if full else 40}
    return {
        **mgca_heads(make, f"img_encoder{suffix}", whole=whole, local=local, hidden=hidden, dim=dim),
        **bert_file(make, f"text_encoder{suffix}.model.", vocabulary=vocabulary, **sizes),
        **mgca_heads(make, f"text_encoder{suffix}", whole=width, local=width, hidden=hidden, dim=dim),
    }


def mgca(make: Maker, full: bool = False) -> File:
    """MGCA's Lightning file with a ResNet, and what else lies in it."""
    width = 768 if full else 16
    return {
        **_resnet(make, "img_encoder_q.model.", full),
        **_mgca_sides(make, full, "_q"),
        **make.linear("text_encoder_q.model.encoder.layer.0.crossattention.self.query", width, width),
        "prototype_layer.weight": make(500 if full else 6, 128 if full else 12),
        "img_decoder_q.model.decoder_1.0.weight": make(3, 3),
        "patch_local_atten_layer.in_proj_weight": make(36, 12),
    }


def convirt(make: Maker, full: bool = False) -> File:
    """MGCA's and BenchX's re-training of ConVIRT."""
    return {**_resnet(make, "img_encoder.model.", full), **_mgca_sides(make, full, "")}


def convirt_pytorch(make: Maker, full: bool = False) -> File:
    """edreisMD/ConVIRT-pytorch's names: numbered, with a BERT and two linear layers a side."""
    width = 2048 if full else 64
    file = _resnet(make, "res_features.", full, numbered=True) | bert_file(make, "bert_model.", vocabulary=VOCABULARY)
    file |= make.linear("res_l1", width, width) | make.linear("res_l2", width, 12)
    return file | make.linear("bert_l1", 16, 16) | make.linear("bert_l2", 16, 12)


def medklip(make: Maker, full: bool = False) -> File:
    """MedKLIP's checkpoint, saved from DataParallel."""
    width, inside = (1024, 256) if full else (32, 8)
    file = _resnet(make, "res_features.", full, stages=3, numbered=True)
    file |= make.linear("res_l1", width, width) | make.linear("res_l2", width, inside)
    file |= make.linear("disease_embedding_layer", 768, inside) | make.linear("cl_fc", inside, 768)
    file |= make.linear("classifier", inside, 2) | make.norm("decoder.norm", inside)
    for number in range(4 if full else 1):
        layer = f"decoder.layers.{number}."
        file[f"{layer}self_attn.in_proj_weight"] = make(3 * inside, inside)
        file |= make.linear(f"{layer}linear1", inside, 4 * inside) | make.norm(f"{layer}norm1", inside)
    return {f"module.{key}": value for key, value in file.items()}


def refers(make: Maker, full: bool = False) -> File:
    """REFERS' whole training file."""
    width, depth, side = (768, 12, 14) if full else (16, 2, 3)
    prefix = "visual.vit.transformer."
    file = {
        f"{prefix}embeddings.cls_token": make(1, 1, width),
        f"{prefix}embeddings.position_embeddings": make(1, side * side + 1, width),
        f"{prefix}embeddings.patch_embeddings.weight": make(width, 3, 16, 16, scale=0.05),
        f"{prefix}embeddings.patch_embeddings.bias": make(width),
        **make.norm(f"{prefix}encoder.encoder_norm", width),
    }
    for number in range(depth):
        block = f"{prefix}encoder.layer.{number}."
        for name in ("attn.query", "attn.key", "attn.value", "attn.out"):
            file |= make.linear(block + name, width, width)
        file |= make.linear(f"{block}ffn.fc1", width, 4 * width) | make.linear(f"{block}ffn.fc2", 4 * width, width)
        file |= make.norm(f"{block}attention_norm", width) | make.norm(f"{block}ffn_norm", width)
    for number in (1, 2, 3):
        file |= make.linear(f"fusion.fc{number}", 3 * width, 1)
    file |= bert_file(make, "contrastive_bert.bert.", vocabulary=VOCABULARY)
    return file | make.linear("textual.output", 8, 20) | make.linear("backward_textual.output", 8, 20)


def m3ae(make: Maker, full: bool = False) -> File:
    """M3AE's Lightning file: eleven of CLIP's twelve blocks."""
    width, depth, side = (768, 11, 18) if full else (16, 2, 3)
    visual = "vision_encoder.visual."
    file = {
        f"{visual}class_embedding": make(width),
        f"{visual}positional_embedding": make(side * side + 1, width),
        f"{visual}conv1.weight": make(width, 3, 16, 16, scale=0.05),
        **make.norm(f"{visual}ln_pre", width),
        **make.norm(f"{visual}ln_post", width),
        "vision_encoder.positional_embedding": make(77, 8),
        "vision_encoder.token_embedding.weight": make(50, 8),
        **make.norm("vision_encoder.ln_final", 8),
    }
    for number in range(depth):
        block = f"{visual}transformer.resblocks.{number}."
        file |= {f"{block}attn.in_proj_weight": make(3 * width, width), f"{block}attn.in_proj_bias": make(3 * width)}
        file |= make.linear(f"{block}attn.out_proj", width, width)
        file |= make.linear(f"{block}mlp.c_fc", width, 4 * width) | make.linear(f"{block}mlp.c_proj", 4 * width, width)
        file |= make.norm(f"{block}ln_1", width) | make.norm(f"{block}ln_2", width)
    file |= bert_file(make, "language_encoder.", vocabulary=VOCABULARY)
    file |= make.linear("multi_modal_vision_proj", width, width)
    file |= make.linear("multi_modal_vision_layers.0.attention.self.query", width, width)
    file |= {"modality_type_embeddings.weight": make(2, width)} | make.linear("itm_head.fc", width, 2)
    return file | make.linear("mim_head.decoder.resblocks.0.mlp.c_fc", 8, 8)


STAND_INS: dict[str, tuple[str, Callable[[Maker, bool], File], str]] = {  # layout, file, a tensor of a block
    "biovil": ("biovil", biovil, "encoder.encoder.layer2.1.conv2.weight"),
    "biovil-t": ("biovil-t", biovil_t, "encoder.encoder.layer4.0.bn3.running_var"),
    "gloria": ("gloria", gloria, "gloria.img_encoder.model.layer2.0.downsample.0.weight"),
    "mgca": ("mgca", mgca, "img_encoder_q.model.layer3.0.bn1.bias"),
    "convirt": ("convirt", convirt, "img_encoder.model.layer1.0.conv3.weight"),
    "convirt-pytorch": ("convirt", convirt_pytorch, "res_features.5.1.conv1.weight"),
    "medklip": ("medklip", medklip, "module.res_features.6.0.conv2.weight"),
    "refers": ("refers", refers, "visual.vit.transformer.encoder.layer.1.attn.key.weight"),
    "m3ae": ("m3ae", m3ae, "vision_encoder.visual.transformer.resblocks.1.mlp.c_fc.weight"),
}
