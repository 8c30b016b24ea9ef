"""What the child process of `hilum.models.unpickle` runs: a reader of other people's pickles that builds only records.

A pickle is a program in a small stack language. `machine.py` walks through it without the means to run anything: each
name it asks for becomes an inert record, or is refused where `names.py` does not list it. Standard library alone, so
that the child starts in a twentieth of a second and holds no code worth calling.

    child.py        the process: source on stdin, result on stdout, one sentence on stderr
    confinement.py  limits of the system, no files, no network, no other program
    archive.py      the zip archives of torch.save and torch.jit.save
    stream.py       the format of torch < 1.6, and bare pickles
    machine.py      opcode by opcode
    names.py        which names a checkpoint may ask for
    builders.py     what a call of such a name stands for
    records.py      the records: names, objects, storages, tensors
    modules.py      a pickled network as its state dict
    tree.py         the whole content as JSON
    layout.py       tensors checked against their storages, and written as safetensors
"""
