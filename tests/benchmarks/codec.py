"""The codec: encode and decode 1 M pairs in one process, against msgpack's C packer and unpacker on
the same pairs.
"""

import msgpack
from measure import alternate, random_pairs, row

from kvproto import decode_pairs, encode_pairs
from kvproto.protocol import native as _native
from kvproto.protocol import reference as _reference

N_PAIRS = 1_000_000
ROUNDS = 11
MAX_ITEM = 1 << 30


def reference_decode(frames):
    _reference.scan_pairs(frames, 0, N_PAIRS, MAX_ITEM, [])


def main():
    if not _native.NATIVE:
        raise SystemExit("the compiled codec is not built; that is what this measures")
    for key_size, value_size in (8, 8), (16, 100):
        measure(key_size, value_size)


def measure(key_size, value_size):
    size = f"{key_size}+{value_size}"
    pairs = random_pairs(N_PAIRS, key_size, value_size)
    frames, packed = encode_pairs(pairs), msgpack.packb(pairs)
    assert decode_pairs(frames) == pairs
    ours, theirs = alternate(
        lambda: decode_pairs(frames),
        lambda: msgpack.unpackb(packed, use_list=False),
        rounds=ROUNDS,
    )
    row(f"decode {size}, M pairs/s", N_PAIRS / ours / 1e6)
    row(f"decode {size}, times msgpack", theirs / ours, at_least=1.1)
    reference = alternate(lambda: reference_decode(frames), rounds=1)[0]
    row(f"decode {size}, times the reference in Python", reference / ours)
    ours, theirs = alternate(
        lambda: encode_pairs(pairs), lambda: msgpack.packb(pairs), rounds=ROUNDS
    )
    row(f"encode {size}, M pairs/s", N_PAIRS / ours / 1e6)
    row(f"encode {size}, times msgpack", theirs / ours, at_least=1.5)
    reference = alternate(lambda: _reference.pack_pairs(pairs, MAX_ITEM), rounds=1)[0]
    row(f"encode {size}, times the reference in Python", reference / ours)


main()
