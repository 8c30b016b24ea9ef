"""A hundred and more hostile checkpoints: programs, bombs, lies about sizes and places, and files that are none.

Each entry of `HOSTILE` writes one file into a folder; if any code in it ran, a file named `ran` would appear there.
"""

from __future__ import annotations

import io
import os
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch

from tests.models.unpickling.assembly import (
    STOP,
    Zip,
    archive,
    mapping,
    name,
    number,
    packed,
    row,
    storage,
    stream,
    tensor,
    text,
    whole,
    write,
)

Writer = Callable[[Path], Path]
MARKER = "ran"

# names that would run code, reach out or destroy, and what they would be called with; {marker} is a path
GADGETS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("os", "system", ("touch {marker}",)),
    ("posix", "system", ("touch {marker}",)),
    ("nt", "system", ("touch {marker}",)),
    ("os", "popen", ("touch {marker}",)),
    ("os", "execlp", ("touch", "touch", "{marker}")),
    ("os", "mkdir", ("{marker}",)),
    ("os", "symlink", ("x", "{marker}")),
    ("os", "_wrap_close", ("{marker}",)),
    ("posix", "abort", ()),
    ("pty", "spawn", ("touch {marker}",)),
    ("platform", "popen", ("touch {marker}",)),
    ("commands", "getoutput", ("touch {marker}",)),
    ("subprocess", "Popen", ("touch {marker}",)),
    ("subprocess", "getoutput", ("touch {marker}",)),
    ("subprocess", "check_output", ("touch {marker}",)),
    ("_posixsubprocess", "fork_exec", ("touch {marker}",)),
    ("multiprocessing.util", "spawnv_passfds", ("touch {marker}",)),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start", ("touch {marker}",)),
    ("builtins", "eval", ("open('{marker}', 'w')",)),
    ("builtins", "exec", ("open('{marker}', 'w')",)),
    ("__builtin__", "eval", ("open('{marker}', 'w')",)),
    ("__builtin__", "execfile", ("{marker}",)),
    ("builtins", "compile", ("open('{marker}', 'w')", "x", "exec")),
    ("builtins", "open", ("{marker}", "w")),
    ("io", "open", ("{marker}", "w")),
    ("_io", "FileIO", ("{marker}", "w")),
    ("io", "FileIO", ("{marker}", "w")),
    ("builtins", "getattr", ("x", "join")),
    ("builtins", "setattr", ("x", "y", "z")),
    ("builtins", "__import__", ("antigravity",)),
    ("builtins", "globals", ()),
    ("builtins", "breakpoint", ()),
    ("builtins", "input", ()),
    ("builtins", "type", ("X",)),
    ("importlib", "import_module", ("antigravity",)),
    ("importlib._bootstrap", "_call_with_frames_removed", ("x",)),
    ("importlib.machinery", "SourceFileLoader", ("x", "{marker}")),
    ("zipimport", "zipimporter", ("{marker}",)),
    ("runpy", "run_path", ("{marker}",)),
    ("runpy", "_run_code", ("open('{marker}', 'w')",)),
    ("pip", "main", ("install",)),
    ("pip._internal", "main", ("install",)),
    ("ensurepip", "bootstrap", ()),
    ("setuptools.sandbox", "run_setup", ("{marker}",)),
    ("distutils.file_util", "write_file", ("{marker}", "x")),
    ("venv", "create", ("{marker}",)),
    ("webbrowser", "open", ("file://{marker}",)),
    ("antigravity", "geohash", ("1", "2", "3")),
    ("operator", "attrgetter", ("system",)),
    ("operator", "methodcaller", ("system", "touch {marker}")),
    ("_operator", "attrgetter", ("system",)),
    ("functools", "reduce", ("x", "y")),
    ("itertools", "starmap", ("x", "y")),
    ("types", "FunctionType", ("x",)),
    ("types", "CodeType", ("x",)),
    ("code", "InteractiveInterpreter", ()),
    ("codecs", "open", ("{marker}", "w")),
    ("codecs", "decode", ("x", "zip")),
    ("timeit", "timeit", ("open('{marker}', 'w')",)),
    ("cProfile", "run", ("open('{marker}', 'w')",)),
    ("profile", "run", ("open('{marker}', 'w')",)),
    ("pdb", "run", ("open('{marker}', 'w')",)),
    ("bdb", "Bdb", ()),
    ("trace", "Trace.run", ("open('{marker}', 'w')",)),
    ("doctest", "debug_script", ("open('{marker}', 'w')",)),
    ("idlelib.run", "Executive.runcode", ("x",)),
    ("lib2to3.pgen2.grammar", "Grammar.loads", ("x",)),
    ("logging.config", "listen", ()),
    ("ctypes", "CDLL", ("libc.so.6",)),
    ("ctypes", "string_at", ("x",)),
    ("signal", "raise_signal", ("9",)),
    ("sys", "exit", ("0",)),
    ("faulthandler", "_sigsegv", ()),
    ("shutil", "rmtree", ("{marker}",)),
    ("shutil", "copyfile", ("x", "{marker}")),
    ("pathlib", "Path.write_text", ("{marker}", "x")),
    ("tempfile", "mkdtemp", ("{marker}",)),
    ("socket", "create_connection", ("localhost",)),
    ("urllib.request", "urlopen", ("file://{marker}",)),
    ("urllib", "urlretrieve", ("x", "{marker}")),
    ("http.client", "HTTPSConnection", ("localhost",)),
    ("smtplib", "SMTP", ("localhost",)),
    ("ftplib", "FTP", ("localhost",)),
    ("pickle", "loads", ("x",)),
    ("_pickle", "Unpickler", ("x",)),
    ("marshal", "loads", ("x",)),
    ("shelve", "open", ("{marker}",)),
    ("dill", "loads", ("x",)),
    ("cloudpickle", "loads", ("x",)),
    ("joblib", "load", ("{marker}",)),
    ("pandas", "read_pickle", ("{marker}",)),
    ("yaml", "unsafe_load", ("x",)),
    ("numpy", "load", ("{marker}",)),
    ("numpy", "fromfile", ("{marker}",)),
    ("numpy.testing._private.utils", "runstring", ("open('{marker}', 'w')",)),
    ("numpy.f2py.crackfortran", "getlincoef", ("open('{marker}', 'w')",)),
    ("torch", "load", ("{marker}",)),
    ("torch", "save", ("x", "{marker}")),
    ("torch.hub", "load", ("x", "y")),
    ("torch.hub", "download_url_to_file", ("x", "{marker}")),
    ("torch.jit", "load", ("{marker}",)),
    ("torch.storage", "_load_from_bytes", ("x",)),
    ("torch.utils.cpp_extension", "load_inline", ("x",)),
    ("torch.utils._config_module", "ConfigModule.load_config", ("x",)),
    ("torch.ops", "load_library", ("x",)),
    ("torch._dynamo.guards", "GuardBuilder.get", ("open('{marker}', 'w')",)),
    ("torch.nn.modules", "module.sys.modules", ("x",)),
    ("IPython.utils.process", "system", ("touch {marker}",)),
    ("fsspec", "open", ("{marker}",)),
)


def called(module: str, attribute: str, arguments: bytes, how: int) -> bytes:
    """The opcodes that would call a name with a tuple of arguments, in one of eight ways.

    Args:
        module: of the name.
        attribute: of the name.
        arguments: opcodes that push each argument.
        how: 0 to 7.
    """
    plain, stacked = name(module, attribute), text(module) + text(attribute) + b"\x93"
    return (
        lambda: plain + b"(" + arguments + b"tR",  # REDUCE
        lambda: stacked + b"(" + arguments + b"tR",  # STACK_GLOBAL, the name from strings
        lambda: b"(" + arguments + f"i{module}\n{attribute}\n".encode(),  # INST
        lambda: b"(" + plain + arguments + b"o",  # OBJ
        lambda: plain + b"(" + arguments + b"t\x81",  # NEWOBJ
        lambda: plain + b"(" + arguments + b"t}\x92",  # NEWOBJ_EX
        lambda: b"]" + plain + b"(" + arguments + b"tRa",  # hidden in a list
        lambda: name("collections", "OrderedDict") + b")R" + plain + b"(" + arguments + b"tRb",  # as a state
    )[how]()


def gadget(place: int, folder: Path, how: int) -> bytes:
    """The opcodes of one of `GADGETS`."""
    module, attribute, arguments = GADGETS[place]
    pushed = b"".join(text(argument.format(marker=folder / MARKER)) for argument in arguments)
    return called(module, attribute, pushed, how)


def _gadget_file(place: int) -> Writer:
    """A gadget as an archive, a stream, or a bare pickle, in turn."""

    def writer(folder: Path) -> Path:
        body = mapping(model=mapping(weight=tensor(), evil=gadget(place, folder, place % 8)))
        content = (packed(body), stream(body), whole(mapping(model=gadget(place, folder, place % 8))))[place % 3]
        return write(folder / "gadget.pth", content)

    return writer


def _bytes(content: Callable[[], bytes]) -> Writer:
    return lambda folder: write(folder / "file.pth", content())


def _pickle(body: Callable[[], bytes]) -> Writer:
    return _bytes(lambda: packed(body()))


def _model(**options: object) -> Writer:
    return _pickle(lambda: mapping(model=mapping(weight=tensor(**options))))  # type: ignore[arg-type]


def _honest() -> bytes:
    """A small file of torch.save itself."""
    out = io.BytesIO()
    torch.manual_seed(0)
    torch.save({"model": torch.nn.Linear(64, 64).state_dict(), "epoch": 3}, out)
    return out.getvalue()


def _old() -> bytes:
    out = io.BytesIO()
    torch.manual_seed(0)
    content = {"model": torch.nn.Linear(64, 64).state_dict()}
    torch.save(content, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def _changed(entry: int = 0, end: dict[str, int] | None = None, before: bytes = b"", **values: object) -> Writer:
    """An honest archive with one lie in the directory."""
    entries = archive(mapping(model=mapping(weight=tensor())))
    declared: dict[int, dict[str, int | bytes]] = {entry: values} if values else {}  # type: ignore[dict-item]
    return _bytes(lambda: Zip(entries, declared, end or {}, before).bytes())


def _named(title: str) -> Writer:
    return _bytes(lambda: Zip([*archive(mapping(weight=tensor())), (title, b"x")]).bytes())


def _laughs(opcode: bytes, close: bytes, first: bytes = text("ha")) -> bytes:
    """Ten containers, each holding the one before a hundred times: 10^20 values in a few kilobytes."""
    body = first + b"q\x000"
    for level in range(10):
        keys = [text(str(place)) if close == b"u" else b"" for place in range(100)]
        items = b"".join(key + b"h" + bytes([level]) for key in keys)
        body += opcode + b"(" + items + close + b"q" + bytes([level + 1]) + b"0"
    return body + b"h\x0a"


def _deflated() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for title, content in archive(mapping(weight=tensor()), {"0": bytes(64 << 20)}):
            file.writestr(title, content)
    return out.getvalue()


def _tar(kind: bytes, title: str, target: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        member = tarfile.TarInfo(title)
        member.type, member.linkname = kind, target
        file.addfile(member)
    return out.getvalue()


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "file.pth")
    return folder / "file.pth"


def _loop(folder: Path) -> Path:
    (folder / "a.pth").symlink_to(folder / "b.pth")
    (folder / "b.pth").symlink_to(folder / "a.pth")
    return folder / "a.pth"


def _folder(folder: Path) -> Path:
    (folder / "file.pth").mkdir()
    return folder / "file.pth"


def _link_to_device(folder: Path) -> Path:
    (folder / "file.pth").symlink_to("/dev/zero")
    return folder / "file.pth"


def _many_entries() -> bytes:
    return Zip([*archive(mapping(weight=tensor())), *((f"archive/x/{i}", b"") for i in range(40_000))]).bytes()[
        :-22
    ] + (b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 65535, 65535, 10, 10, 0))


def _zip64(count: int, start: int) -> bytes:
    entries = Zip(archive(mapping(weight=tensor()))).bytes()
    body, (entry_count, size, begin) = entries[:-22], struct.unpack("<HII", entries[-12:-2])
    end64 = b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 45, 45, 0, 0, count, count, size, start or begin)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(body), 1)
    del entry_count
    return body + end64 + locator + b"PK\x05\x06" + struct.pack("<4H2IH", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)


def _mutant(seed: int, old: bool) -> Writer:
    """An honest file with bytes changed where its structure lies: at the start and at the end."""

    def writer(folder: Path) -> Path:
        dice, content = random.Random(seed), bytearray(_old() if old else _honest())
        for _ in range(12):
            place = dice.randrange(min(600, len(content)))
            content[place if old or dice.random() < 0.5 else -1 - place] = dice.randrange(256)
        return write(folder / "mutant.pth", bytes(content))

    return writer


def _cut(share: float, old: bool) -> Writer:
    return _bytes(lambda: (content := _old() if old else _honest())[: int(len(content) * share)])


def _array(kind: str, shape: bytes, raw: bytes) -> bytes:
    """A NumPy array."""
    dtype = name("numpy", "dtype") + b"(" + text(kind) + b"\x89\x88tR"
    made = name("numpy.core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + b"K\x00\x85C\x01btR"
    return mapping(a=made + b"(K\x01" + shape + dtype + b"\x89" + raw + b"tb")


HOSTILE: dict[str, Writer] = {
    **{f"gadget {module}.{attribute}": _gadget_file(i) for i, (module, attribute, _) in enumerate(GADGETS)},
    # --- calls that go through something allowed ---
    "a call of what was called": _pickle(lambda: name("argparse", "Namespace") + b")R" + text("x") + b"\x85R"),
    "a call of text": _pickle(lambda: text("os.system") + text("touch") + b"\x85R"),
    "a class changed": _pickle(lambda: name("argparse", "Namespace") + mapping(__init__=text("x")) + b"b"),
    "_codecs.encode to zip": _pickle(lambda: called("_codecs", "encode", text("x") + text("zip"), 0)),
    "a subclass of tensor made by a gadget": _pickle(
        lambda: called("torch._tensor", "_rebuild_from_type_v2", name("os", "system") + b"N" + row(1) + b"N", 0)
    ),
    "a partial of a gadget": _pickle(lambda: called("functools", "partial", name("os", "system") + text("touch x"), 0)),
    "a default factory": _pickle(lambda: called("collections", "defaultdict", name("os", "getcwd"), 0)),
    "a name of dots": _pickle(lambda: text("torch.nn.modules") + text("Module.__init__.__globals__") + b"\x93"),
    "a name with a line break": _pickle(lambda: text("torch\nos") + text("system") + b"\x93"),
    "a name in full-width letters": _pickle(lambda: text("ｏｓ") + text("system") + b"\x93"),
    "a name of a million letters": _pickle(lambda: text("torch.nn." + "A" * 1_000_000) + text("X") + b"\x93"),
    "a name that is a number": _pickle(lambda: number(1) + number(2) + b"\x93"),
    "the extension registry, 1 byte": _pickle(lambda: b"\x82\x01"),
    "the extension registry, 4 bytes": _pickle(lambda: b"\x84\x01\x00\x00\x00"),
    "a buffer from outside": _bytes(lambda: whole(b"\x97", 5)),
    "a persistent identity of text": _bytes(lambda: whole(b"Pabc\n")),
    "a persistent identity of a gadget": _pickle(
        lambda: b"(" + text("storage") + name("os", "system") + text("0") + text("cpu") + number(4) + b"tQ"
    ),
    "a persistent identity of a short tuple": _pickle(lambda: row(1) + b"Q"),
    "a persistent identity of a module": _bytes(
        lambda: stream(b"(" + text("module") + text("os") + text("x") + text("open('x')") + b"tQ")
    ),
    # --- bombs ---
    "a memo slot of 2^31": _bytes(lambda: whole(b"Nr\xff\xff\xff\xff" + b"j\xff\xff\xff\xff" + b"K\x01\x86")),
    "a memo slot of 10^4000": _bytes(lambda: whole(b"Np" + b"9" * 4000 + b"\n")),
    "a memo slot never written": _bytes(lambda: whole(b"h\x07")),
    "a billion laughs of lists": _pickle(lambda: _laughs(b"]", b"e")),
    "a billion laughs of dictionaries": _pickle(lambda: _laughs(b"}", b"u")),
    "a billion laughs of tuples": _pickle(lambda: _laughs(b"", b"t")),
    "a billion laughs of one tensor": _pickle(lambda: _laughs(b"]", b"e", tensor())),
    "a text of 2^32": _bytes(lambda: whole(b"X\xff\xff\xff\xffabc")),
    "a text of 2^63": _bytes(lambda: whole(b"\x8d" + b"\xff" * 7 + b"\x7fabc", 4)),
    "bytes of 2^64": _bytes(lambda: whole(b"\x8e" + b"\xff" * 8 + b"abc", 4)),
    "a byte array of 2^40": _bytes(lambda: whole(b"\x96" + struct.pack("<Q", 1 << 40), 5)),
    "a frame of 2^64": _bytes(lambda: b"\x80\x04\x95" + b"\xff" * 8 + b"cos\nsystem\n" + STOP),
    "a number of 2^31 bytes": _bytes(lambda: whole(b"\x8b\xff\xff\xff\x7f\x01")),
    "a number of negative length": _bytes(lambda: whole(b"\x8b\xff\xff\xff\xff\x01")),
    "a number of a million digits": _bytes(lambda: whole(b"L" + b"9" * 1_000_000 + b"L\n")),
    "lists 100,000 deep": _pickle(lambda: mapping(model=b"]" * 100_001 + b"a" * 100_000)),
    "tuples 200,000 deep as a key": _pickle(lambda: b"}" + b")" + b"\x85" * 200_000 + b"Ns"),
    "marks, five million": _pickle(lambda: b"(" * 5_000_000),
    "a list that holds itself": _pickle(lambda: mapping(model=b"]q\x01h\x01a")),
    "a dictionary that holds itself": _pickle(lambda: b"}q\x01" + text("a") + b"h\x01s"),
    "a network that holds itself": _pickle(
        lambda: (
            name("torch.nn.modules.linear", "Linear")
            + b")\x81q\x01"
            + mapping(_parameters=b"}", _buffers=b"}", _modules=mapping(a=b"h\x01"))
            + b"b"
        )
    ),
    "a stack that is empty": _bytes(lambda: whole(b"a")),
    "a mark as a value": _bytes(lambda: whole(b"](a")),
    "no end": _bytes(lambda: b"\x80\x02}"),
    "something behind the end": _bytes(lambda: whole(b"}") + b"cos\nsystem\n"),
    # --- tensors that lie ---
    "a storage of 10 GB": _model(count=2_500_000_000),
    "a tensor of 10^9 numbers": _model(shape=(1_000_000_000,)),
    "a tensor of 10^9 numbers without strides": _model(shape=(1_000_000_000,), strides=(0,)),
    "a tensor of 10^18 numbers": _model(shape=(10**9, 10**9), strides=(0, 0)),
    "a tensor of 10^400 numbers": _model(shape=(10**200, 10**200), strides=(0, 0)),
    "an empty tensor of 10^18 rows": _model(shape=(0, 10**18), strides=(1, 1)),
    "a negative size": _model(shape=(-4,)),
    "a negative stride": _model(offset=3, strides=(-1,)),
    "a negative offset": _model(offset=-1),
    "an offset beyond the end": _model(offset=1),
    "a stride beyond the end": _model(strides=(2,)),
    "shape and strides of different length": _model(shape=(2, 2), strides=(1,)),
    "a million dimensions": _model(shape=(1,) * 1_000_000, strides=(1,) * 1_000_000),
    "a bool as a size": _pickle(lambda: mapping(a=tensor().replace(row(4), b"(\x88t"))),
    "a type that PyTorch lacks": _model(kind=name("torch", "SecretStorage")),
    "a storage that is missing": _model(key="7"),
    "a storage in another folder": _model(key="../../version"),
    "a tensor of no storage": _pickle(
        lambda: called("torch._utils", "_rebuild_tensor_v2", text("x") + number(0) + row(4) + row(1), 0)
    ),
    "a tensor of too few arguments": _pickle(lambda: called("torch._utils", "_rebuild_tensor_v2", storage(), 0)),
    "an array of 10^9 numbers": _bytes(lambda: whole(_array("f4", row(10**9), b"C\x04abcd"), 3)),
    "an array of no bytes": _bytes(lambda: whole(_array("f4", row(4), text("x" * 3) + b"0N"), 3)),
    "a hundred thousand tensors": _pickle(lambda: mapping(model=b"](" + tensor(shape=(1,)) * 100_001 + b"e")),
    # --- archives that lie ---
    "an entry ../x": _named("archive/../x"),
    "an entry /etc/x": _named("/etc/x"),
    "an entry C:/x": _named("C:/x"),
    "an entry with a NUL": _named("archive/data.pkl\x00.txt"),
    "an entry with a backslash": _named("archive\\..\\x"),
    "an entry of 60,000 letters": _named("archive/" + "x" * 60_000 + "\x1b[2J"),
    "two folders": _named("other/data.pkl"),
    "two pickles of one name": _bytes(
        lambda: Zip([*archive(mapping(a=tensor())), ("archive/data.pkl", whole(name("os", "system")))]).bytes()
    ),
    "a symbolic link": _changed(2, mode=0o120777 << 16),
    "an encrypted entry": _changed(0, flags=1),
    "an entry on another disk": _changed(0, disk=3),
    "a wrong check sum": _changed(0, crc=1),
    "a wrong check sum of the numbers": _changed(2, crc=1),
    "a size beyond the file": _changed(2, size=1 << 30, packed=1 << 30),
    "a size without the bytes": _changed(2, size=1 << 30),
    "an entry beyond the file": _changed(2, header=1 << 30),
    "two entries in one place": _changed(2, header=0),
    "two names of one entry": _changed(0, local_name=b"archive/data.pkx"),
    "two methods of one entry": _changed(0, local_method=8),
    "deflated, a thousand to one": _bytes(_deflated),
    "deflated by name alone": _changed(2, method=8, local_method=8),
    "a program before the archive": _changed(before=b"#!/bin/sh\ntouch ran\n"),
    "zeros before the archive": _changed(before=b"PK\x03\x04" + b"\0" * 60),
    "65,535 entries declared": _changed(end={"count": 65_535}),
    "a directory of 4 GB": _changed(end={"size": 0xFFFFFFF0}),
    "a directory elsewhere": _changed(end={"start": 5}),
    "an archive of two disks": _changed(end={"disk": 1}),
    "a comment that is not there": _changed(end={"comment": 500}),
    "a zip64 end of 2^60 entries": _bytes(lambda: _zip64(1 << 60, 0)),
    "a zip64 end elsewhere": _bytes(lambda: _zip64(3, 1 << 50)),
    "a zip64 size that is missing": _changed(2, size=0xFFFFFFFF, packed=0xFFFFFFFF),
    "forty thousand entries and a false end": _bytes(_many_entries),
    "an archive in an archive": _bytes(lambda: Zip([("archive/data.pkl", _honest())]).bytes()),
    "a byte order of neither kind": _bytes(lambda: packed(mapping(a=tensor()), byteorder=b"middle")),
    "an archive without a pickle": _bytes(lambda: Zip([("archive/version", b"3")]).bytes()),
    # --- streams that lie ---
    "a stream of 10 GB": _bytes(lambda: stream(mapping(a=tensor(count=1 << 32)), numbers=struct.pack("<q", 1 << 32))),
    "a stream with a negative count": _bytes(lambda: stream(mapping(a=tensor()), numbers=struct.pack("<q", -4))),
    "a stream without its numbers": _bytes(lambda: stream(mapping(a=tensor()), numbers=b"")),
    "a stream with one storage twice": _bytes(lambda: stream(mapping(a=tensor()), b"](" + text("0") * 2 + b"e")),
    "a stream with unknown storages": _bytes(lambda: stream(mapping(a=tensor()), b"](" + text("9") + b"e")),
    "a stream with keys that are a bomb": _bytes(lambda: stream(mapping(a=tensor()), _laughs(b"]", b"e"))),
    "a stream with a view beyond its end": _bytes(
        lambda: stream(
            mapping(a=tensor().replace(number(4) + b"tQ", number(4) + b"(" + text("v") + row(9, 9)[1:] + b"tQ"))
        )
    ),
    "a stream of another version": _bytes(lambda: whole(b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19") + whole(b"K\x07")),
    # --- damage ---
    **{f"an archive cut at {share:.2%}": _cut(share, False) for share in (0.01, 0.3, 0.9, 0.99, 0.9999)},
    **{f"a stream cut at {share:.2%}": _cut(share, True) for share in (0.001, 0.02, 0.5, 0.99)},
    **{f"a mutant archive {seed}": _mutant(seed, False) for seed in range(6)},
    **{f"a mutant stream {seed}": _mutant(seed, True) for seed in range(6)},
    **{f"random bytes {seed}": _bytes(lambda seed=seed: random.Random(seed).randbytes(5000)) for seed in range(4)},  # type: ignore[misc]
    "random bytes behind PROTO": _bytes(lambda: b"\x80\x02" + random.Random(9).randbytes(5000)),
    # --- no checkpoint at all ---
    "empty": _bytes(bytes),
    "zeros": _bytes(lambda: bytes(100_000)),
    "an HTML page": _bytes(lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>"),
    "a tar with a link": _bytes(lambda: _tar(tarfile.SYMTYPE, "storages", "/etc/passwd")),
    "a tar with a device": _bytes(lambda: _tar(tarfile.CHRTYPE, "x")),
    "a named pipe": _pipe,
    "a device": lambda folder: Path("/dev/zero"),
    "a link to a device": _link_to_device,
    "links in a circle": _loop,
    "a folder": _folder,
    "a path with a NUL": lambda folder: folder / "a\0b.pth",
    "a name of a thousand letters": lambda folder: folder / ("a" * 1000),
}

# one of each family, for the quick suite
REPRESENTATIVE = (
    *("gadget os.system", "gadget builtins.eval", "gadget torch.hub.load", "gadget importlib.import_module"),
    *("a class changed", "the extension registry, 1 byte", "a persistent identity of a gadget", "a memo slot of 2^31"),
    *("a billion laughs of dictionaries", "a text of 2^63", "lists 100,000 deep", "a list that holds itself"),
    *("a storage of 10 GB", "a tensor of 10^9 numbers without strides", "a negative stride", "a stride beyond the end"),
    *("an entry ../x", "two pickles of one name", "a symbolic link", "deflated, a thousand to one"),
    *("a wrong check sum of the numbers", "a zip64 end of 2^60 entries", "a stream of 10 GB", "a mutant archive 0"),
    *("an archive cut at 90.00%", "a named pipe", "an HTML page"),
)
