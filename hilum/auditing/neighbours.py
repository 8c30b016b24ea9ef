"""All pairs of 256-bit hashes within a distance, exactly, without comparing all with all.

Multi-index hashing (Norouzi, Punjani and Fleet, 2012): cut the bits into distance + 1 chunks; two hashes within the
distance agree in at least one whole chunk. So only hashes that share a chunk are compared. Chunks take every n-th bit,
because neighbouring bits of a film's hash are alike and would fill few, large buckets.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


def near_pairs(hashes: NDArray[np.uint8], distance: int) -> NDArray[np.int64]:
    """Every pair of rows whose hashes differ in at most `distance` bits.

    Args:
        hashes: (N, 32) bytes of 256-bit hashes.
        distance: 0 to 63 bits.

    Returns:
        (P, 2) row numbers, the smaller first, each pair once, sorted.
    """
    if len(hashes) < 2:
        return np.empty((0, 2), dtype=np.int64)
    words = np.ascontiguousarray(hashes).view(np.uint64).reshape(len(hashes), -1)
    chunks = _chunks(hashes, distance + 1)
    found = []
    for chunk in range(chunks.shape[1]):
        order = np.argsort(chunks[:, chunk], kind="stable")
        room = max(1024, len(hashes))
        while True:
            pairs = np.empty((room, 2), dtype=np.int64)
            count = _pairs_of_chunk(words, chunks, order, chunk, distance, pairs)
            if count <= room:
                break
            room = count
        found.append(pairs[:count])
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def _chunks(hashes: NDArray[np.uint8], number: int) -> NDArray[np.uint64]:
    """(N, number): bits c, c + number, c + 2 number ... of each hash, as one integer."""
    bits = np.unpackbits(hashes, axis=1)
    chunks = np.zeros((len(hashes), number), dtype=np.uint64)
    for bit in range(bits.shape[1]):
        column = bit % number
        # With few chunks a chunk has more than 64 bits: folding keeps the property that equal bits give equal integers.
        chunks[:, column] = (chunks[:, column] * np.uint64(2) + bits[:, bit]) % np.uint64(2**61 - 1)
    return chunks


@njit(cache=True)
def _pairs_of_chunk(words, chunks, order, chunk, distance, pairs):  # type: ignore[no-untyped-def]
    """Fill `pairs` with those that agree in `chunk` and in no earlier one; return how many there are."""
    count = 0
    total = order.shape[0]
    start = 0
    while start < total:
        end = start + 1
        value = chunks[order[start], chunk]
        while end < total and chunks[order[end], chunk] == value:
            end += 1
        for i in range(start, end):
            a = order[i]
            for j in range(i + 1, end):
                b = order[j]
                differing = 0
                for word in range(words.shape[1]):
                    x = words[a, word] ^ words[b, word]
                    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
                    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
                    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                    differing += (x * np.uint64(0x0101010101010101)) >> np.uint64(56)
                if differing > distance:
                    continue
                seen = False
                for earlier in range(chunk):
                    if chunks[a, earlier] == chunks[b, earlier]:
                        seen = True
                        break
                if not seen:
                    if count < pairs.shape[0]:
                        pairs[count, 0] = min(a, b)
                        pairs[count, 1] = max(a, b)
                    count += 1
        start = end
    return count
