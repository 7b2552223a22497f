"""Ways to damage a file, each drawn from a `random.Random`, so that a seed and a number give the same input again."""

import io
import json
import struct
import zipfile

ODD_NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 10**20)
ODD_TEXTS = (
    "", " ", "0", "-1", "nan", "inf", "1e999", "1e-999", "1e99999999", "1/0", "١", "²", "\x00", "\ufeff", "a" * 300,
    "../../x", "/etc/passwd", "__import__('os')", "{}", "[", '"', "'", "\\", "\r", "é", "\U0001f600", "9" * 5000,
)  # fmt: skip
ODD_NAMES = ("../escape.npy", "/escape.npy", "H.npy", "H", "a/../../escape.npy", "", "W.npy", "\x00.npy", "step.npy")
ODD_DTYPES = (
    "<f8", ">f8", "<f4", "<f2", "<i8", "|i1", "|b1", "|O", "<U9", "<U99999999", "|S0", "|V8", "<M8[ns]", "<c16", "<f16",
    "x", "", "O", "<U", "('<f8', (1000000000,))",
)  # fmt: skip


def damaged(data: bytes, random, others: tuple[bytes, ...] = (b"",)) -> bytes:
    """Bytes after one to four changes: flips, numbers, cuts, copies, splices, truncation."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(data) + 1)
        kind = random.randrange(9)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << random.randrange(8)
        elif kind == 1 and data:
            data[at % len(data)] = random.randrange(256)
        elif kind == 2:
            del data[at : at + random.choice((1, 2, 4, 16, 256))]
        elif kind == 3:
            data[at:at] = data[at : at + random.choice((1, 4, 64))] * random.choice((1, 2, 30))
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            width, number = random.choice("BHIQ"), random.choice(ODD_NUMBERS)
            packed = struct.pack(random.choice("<>") + width, number % 2 ** (8 * struct.calcsize("<" + width)))
            data[at : at + len(packed)] = packed
        elif kind == 6:
            other = random.choice(others)
            place = random.randrange(len(other) + 1)
            data[at:] = other[place:]
        elif kind == 7:
            data[at:at] = random.choice(ODD_TEXTS).encode()
        else:
            data[at:at] = random.randbytes(random.choice((1, 3, 20)))
    return bytes(data)


def odd_value(random, depth: int = 0):
    """A value that JSON or TOML can hold, and a reader may not expect."""
    kind = random.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return random.choice(ODD_NUMBERS)
    if kind == 1:
        return random.choice((0.0, -0.0, 1e-300, 1e300, -1.5, 0.1, float("inf"), float("nan"), 1e-12, 1e12))
    if kind == 2:
        return random.choice(ODD_TEXTS)
    if kind == 3:
        return random.choice((True, False))
    if kind == 4:
        return random.choice((3, 4, 0.5, "1/3", 1e-3))
    if kind == 5:
        return "".join(random.choice("ab[]()*/ 12^:,._-") for _ in range(random.randrange(12)))
    if kind == 6:
        return [odd_value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(("a", "b", "a:b", "1", "from", "to", "count", "")): odd_value(random, depth + 1)
            for _ in range(random.randrange(3))}  # fmt: skip


def with_odd_part(value, random):
    """A copy of nested tables and lists in which one part is another, gone, or twice there."""
    value = json.loads(json.dumps(value))
    holder = value
    while isinstance(holder, (dict, list)) and holder:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = random.choice(keys)
        if not isinstance(holder[key], (dict, list)) or not holder[key] or random.random() < 0.3:
            break
        holder = holder[key]
    if not isinstance(holder, (dict, list)) or not holder:
        return odd_value(random)
    kind = random.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[random.choice(("a", "id", "", "shape", "model", "ｍ"))] = holder.pop(key)
    elif kind == 2 and isinstance(holder, list):
        holder.append(holder[key])
    else:
        holder[key] = odd_value(random)
    return value


def damaged_npy(data: bytes, random) -> bytes:
    """A .npy whose header says something else, or whose bytes are damaged."""
    if random.random() < 0.3 or data[:6] != b"\x93NUMPY":
        return damaged(data, random)
    dtype = random.choice(ODD_DTYPES)
    shape = tuple(random.choice(ODD_NUMBERS) if random.random() < 0.5 else random.randrange(5)
                  for _ in range(random.choice((0, 1, 2, 3, 3, 33))))  # fmt: skip
    length = struct.unpack("<H", data[8:10])[0]
    header = data[10 : 10 + length].decode("latin1", "replace")
    kind = random.randrange(4)
    if kind == 0:
        header = "{'descr': %r, 'fortran_order': False, 'shape': %r, }" % (dtype, shape)
    elif kind == 1:
        header = header.replace("<f8", dtype).replace("<i8", dtype).replace("<f4", dtype)
    elif kind == 2:
        header = header[: header.find("(")] + repr(shape) + ", }"
    else:
        header = damaged(header.encode("latin1"), random).decode("latin1")
    text = header.encode("latin1", "replace").ljust(random.choice((1, 118, 400))) + b"\n"
    return data[:8] + struct.pack("<H", len(text) % 65536) + text + data[10 + length :]


def damaged_zip(data: bytes, random, damage=damaged) -> bytes:
    """An archive with bytes damaged, or made anew (checksums right) with a member damaged, renamed, doubled or gone."""
    if random.random() < 0.25:
        return damaged(data, random)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(random.choice((1, 1, 2))):
        at = random.randrange(len(members))
        name, content = members[at]
        kind = random.randrange(8)
        if kind == 0:
            del members[at]
            if not members:
                break
        elif kind == 1:
            members.append((name, damage(content, random)))
        elif kind == 2:
            members[at] = (random.choice(ODD_NAMES), content)
        elif kind == 3:
            members[at] = (name, random.choice(members)[1])
        else:
            members[at] = (name, damage(content, random))
    packed = io.BytesIO()
    way = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(packed, "w", way) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name or "empty")
            info.compress_type = way
            if random.random() < 0.03:
                info.external_attr = 0o120777 << 16  # a link
            archive.writestr(info, content)
    made = packed.getvalue()
    return made if random.random() < 0.8 else damaged(made, random)


def damaged_tree(files: dict[str, bytes], random) -> dict[str, bytes]:
    """A folder of files with some damaged, gone, or renamed; metadata (JSON) changed part by part."""
    files = dict(files)
    for _ in range(random.choice((1, 1, 2))):
        if not files:
            break
        name = random.choice(sorted(files))
        kind = random.randrange(6)
        if kind == 0:
            del files[name]
        elif kind == 1:
            files[random.choice(sorted(files)) + random.choice(("", "x", ".partial"))] = files.pop(name)
        elif kind in (2, 3) and name.rsplit("/", 1)[-1] in (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"):
            try:
                files[name] = json.dumps(with_odd_part(json.loads(files[name]), random)).encode()
            except ValueError:
                files[name] = b"{}"
        else:
            files[name] = damaged(files[name], random)
    return files
