"""Pixels leave their hospital form here and nowhere else: one door for PNG, JPEG and DICOM.

`read.read_film` is the door. `scan` finds candidate files, `decode_worker` runs untrusted decoding in limited child
processes, `deidentify` turns header ids into keyed hashes, `store` writes a film at training size.
"""
