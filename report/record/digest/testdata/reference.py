"""The digests of temper, from their definition: python3 reference.py prints those of TestGolden."""
import hashlib
import struct


def sha(b):
    return hashlib.sha256(b).digest()


def number(n):
    return struct.pack("<Q", n)


def state(tensors, period, step):
    """tensors: name -> ("F32" or "I32", bytes of its values, little-endian)"""
    out, block = b"temper-state/1\n" + number(period) + number(step % period) + number(len(tensors)), 0
    for name in sorted(tensors, key=lambda n: n.encode()):
        kind, values = tensors[name]
        inner = b"temper-tensor/1\n"
        for lo in range(0, len(values), 4096):
            if block % period == step % period:
                inner += sha(values[lo:lo + 4096])
            block += 1
        name = name.encode()
        out += number(len(name)) + name + kind.encode() + number(len(values) // 4) + sha(inner)
    return sha(out)


def ints(label, *lists):
    out = b"temper-ints/1\n" + number(len(label)) + label.encode() + number(len(lists))
    for values in lists:
        out += number(len(values) // 4) + values
    return sha(out)


def listed(label, digests):
    return sha(b"temper-list/1\n" + number(len(label)) + label.encode() + number(len(digests)) + b"".join(digests))


def fill(n, x):
    out = []
    for _ in range(n):
        x = (x * 1664525 + 1013904223) % 2**32
        out.append(x)
    return struct.pack("<%dI" % n, *out)


if __name__ == "__main__":
    tensors = {
        "w": ("F32", fill(5000, 1)),
        "empty": ("F32", b""),
        "b": ("F32", struct.pack("<4I", 0x80000000, 0x7FC00001, 0xFF800000, 1)),
        "n": ("I32", fill(1024, 7)),
    }
    for period, step in [(1, 0), (3, 0), (3, 1), (3, 1000001), (50, 49)]:
        print("state", period, step, state(tensors, period, step).hex())
    print("ints", ints("row", struct.pack("<2i", 1, -1), b"", fill(700, 3)).hex())
    print("list", listed("batch", [ints("a"), ints("b")]).hex())
