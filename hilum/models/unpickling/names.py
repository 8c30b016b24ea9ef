"""Which names a checkpoint may ask for. All become inert records; a name that is not here refuses the file.

Nothing listed is ever imported or called, so the list guards no door: the machine has none. It tells an honest
checkpoint from a program, and its user deserves to hear the name of `os.system` rather than get the tensors beside it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from hilum.models.unpickling.records import Name, RefusedError

# torch.<X>Storage and torch.<dtype>, by safetensors' names; those that safetensors lacks keep their own
STORAGES: Final[Mapping[str, str]] = MappingProxyType({
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8",
    "ByteStorage": "U8", "BoolStorage": "BOOL", "UntypedStorage": "U8",
    "ComplexFloatStorage": "complex64", "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "qint8", "QUInt8Storage": "quint8", "QInt32Storage": "qint32",
    "QUInt4x2Storage": "quint4x2", "QUInt2x4Storage": "quint2x4",
})  # fmt: skip
DTYPES: Final[Mapping[str, str]] = MappingProxyType({
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "half": "F16", "float": "F32",
    "double": "F64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "long": "I64", "int": "I32",
    "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8", "bool": "BOOL",
    "complex64": "complex64", "complex128": "complex128", "complex32": "complex32",
    "qint8": "qint8", "quint8": "quint8", "qint32": "qint32",
})  # fmt: skip
WIDTHS: Final[Mapping[str, int]] = MappingProxyType(  # bytes of the types that are stepped over, never read
    {"complex32": 4, "complex64": 8, "complex128": 16, "qint8": 1, "quint8": 1, "qint32": 4}
    | {"quint4x2": 1, "quint2x4": 1}
)

_BUILTINS: Final = (
    "bool|bytearray|bytes|complex|dict|float|frozenset|int|list|object|range|set|slice|str|tuple|NoneType|Ellipsis"
    "|long|unicode|basestring|xrange"  # Python 2
)
_REBUILDS: Final = (
    "tensor|tensor_v2|tensor_v3|parameter|parameter_with_state|qtensor|sparse_tensor|sparse_csr_tensor|nested_tensor"
    "|xla_tensor|device_tensor_from_numpy|device_tensor_from_cpu_tensor|meta_tensor_no_storage"
)
_CLASS: Final = r"(?:\w+\.)*_*[A-Z]\w*"  # a class by the custom of capitals, in any module below

_ALLOWED: Final = re.compile(
    "|".join(
        (
            rf"(?:builtins|__builtin__)\.(?:{_BUILTINS})",
            r"(?:copyreg|copy_reg)\._reconstructor|(?:copyreg|copy_reg)\.__newobj(?:_ex)?__",
            r"_codecs\.encode",
            r"collections\.(?:OrderedDict|defaultdict|deque|Counter)",
            r"argparse\.Namespace|types\.SimpleNamespace|functools\.partial",
            r"pathlib(?:\._local)?\.(?:Pure)?(?:Posix|Windows)?Path",
            r"datetime\.(?:date|datetime|time|timedelta|timezone)|decimal\.Decimal|fractions\.Fraction|uuid\.UUID",
            r"typing\.(?:Any|Union|Optional|Dict|List|Tuple|Set|Sequence|Mapping|Callable)",
            rf"torch\.(?:{'|'.join((*STORAGES, *DTYPES))})",
            rf"torch\.cuda\.(?:{'|'.join(STORAGES)})",
            r"torch\.(?:Size|device|dtype|layout|memory_format|Tensor|Generator)",
            r"torch\.(?:strided|sparse_coo|sparse_csr|per_tensor_affine|per_channel_affine|contiguous_format|channels_last)",
            rf"torch\._utils\._rebuild_(?:{_REBUILDS})",
            r"torch\._tensor\._rebuild_from_type_v2|torch\.serialization\._get_layout",
            r"torch\.storage\.(?:Typed|Untyped|_\w+)?Storage|torch\.torch_version\.TorchVersion",
            r"torch\.jit\._pickle\.(?:build_(?:int|tensor|double|bool|)list|restore_type_tag)",
            rf"torch\.(?:nn|optim|utils\.data|distributions|cuda\.amp|amp)\.{_CLASS}",
            r"torch\.nn\.(?:functional|init)\.\w+|torch\._C\._nn\.\w+|torch\.nn\.backends\.thnn\._get_thnn_function_backend",
            r"__torch__\.[\w.]+",
            r"numpy\.(?:_core|core)\.multiarray\.(?:_reconstruct|scalar)|numpy\.(?:_core|core)\.numeric\._frombuffer",
            r"numpy\.(?:ndarray|dtype|bool_?|u?int\d+|float\d+|complex\d+|str_|bytes_)",
            r"numpy\.dtypes\.\w+DType",
            r"numpy\.random\._pickle\.__\w+_ctor|numpy\.random\.(?:__RandomState_ctor|_\w+\.[A-Z]\w+)",
            rf"(?:omegaconf|yacs|easydict|addict|ml_collections|hydra|mmcv|mmengine|fvcore)\.{_CLASS}",
            rf"(?:pytorch_lightning|lightning|lightning_fabric|lightning_utilities|torchmetrics)\.{_CLASS}",
            rf"(?:torchvision|torchxrayvision|timm|transformers|tokenizers|open_clip)\.{_CLASS}",
        )
    )
)


def allowed(module: str, name: str) -> Name:
    """The record of a name.

    Raises:
        RefusedError: no checkpoint needs it.
    """
    text = f"{module}.{name}"
    if len(text) > 500 or not text.isascii() or not _ALLOWED.fullmatch(text):
        raise RefusedError(f"it asks for {readable(text)}, which no checkpoint needs")
    return Name(module, name)


def readable(text: str) -> str:
    """A name as its file gave it, without what a terminal would act upon."""
    kept = "".join(letter if letter.isprintable() else "?" for letter in text[:100])
    return kept + ("..." if len(text) > 100 else "")
