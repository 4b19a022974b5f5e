"""What the driver in naive.py writes and reads, and its faults: each has("...") is one."""

import base64
import re
import struct
import sys

FAULTS = set(sys.argv[1:])
KEPT = 1000 if "cuts lines short" in FAULTS else 65536


def has(fault):
    return fault in FAULTS


class Failed(Exception):
    pass


# --- what goes out --------------------------------------------------------------------------------


def octets(value):
    """A VALUE of the request as bytes."""
    if isinstance(value, dict):
        data = base64.b64decode(value["base64"])
        return data.decode("utf-8", "replace").encode() if has("takes bytes for text") else data
    return value.encode("latin-1", "replace") if has("writes Latin-1") else value.encode()


def size_of(data):
    if has("writes 16 bits"):
        return struct.pack("<HH", len(data) & 0xFFFF, 0)
    return struct.pack(">I" if has("writes big-endian") else "<I", len(data))


def pair_bytes(entry, limit):
    pair = [octets(part) for part in entry] if isinstance(entry, list) else [b"", octets(entry)]
    if not isinstance(entry, list) and has("takes an entry for a key"):
        pair.reverse()
    if max(map(len, pair)) > limit and not has("has no limit"):
        raise Failed("an item is over the limit")
    if has("skips empty items") and not all(pair):
        return b""
    return b"".join(size_of(part) + part for part in pair)


def entry_bytes(name, value):
    if has("counts characters"):
        return b"%d %b %d %b\n" % (len(name.decode()), name, len(value.decode()), value)
    if has("strips values"):
        value = value.strip()
    return b"%d %b %d %b\n" % (len(name), name, len(value), value)


def param_bytes(request):
    if "params" not in request:
        return b"" if has("sends no empty set") else b"0\n"
    if request["params"] is None:
        return b"0\n" if has("sends a set for none") else b""
    if "raw" in request["params"]:
        data = octets(request["params"]["raw"])
        return b"%d\n%b" % (len(data), data) if has("frames a raw string") else data
    entries = [(octets(name), octets(value)) for name, value in request["params"]["set"]]
    if not has("sends a name twice"):
        entries = list(dict(entries).items())
    body = b"".join(entry_bytes(*one) for one in entries)
    if not body and has("sends no empty set"):
        return b""
    if has("writes no total"):
        return body
    if has("counts characters"):
        return b"%d\n%b" % (len(body.decode()), body)
    return (b"%010d\n%b" if has("writes leading zeros") else b"%d\n%b") % (len(body), body)


# --- what comes in --------------------------------------------------------------------------------


class Lists:
    """The result lists, as bytes come."""

    def __init__(self, limit):
        self.data, self.at, self.limit, self.lists, self.left = bytearray(), 0, limit, [], None

    def feed(self, data):
        if has("takes a short read for the end") and len(data) < 8 and data:
            raise Failed("stdout ends too soon")
        if has("reads a list at a time"):
            del self.data[:]
            self.at = 0
        self.data += data
        while self.step() and not (has("reads a list at a time") and self.left is None):
            pass
        del self.data[: self.at]
        self.at = 0

    def step(self):
        if self.left is None:
            if len(self.data) < self.at + 4:
                return False
            self.left = struct.unpack_from("<I", self.data, self.at)[0]
            if has("allocates by num-pairs"):
                [None] * self.left
            self.lists.append([])
            self.at += 4
        elif self.left == 0:
            self.left = None
        else:
            key, value = self.item(self.at)
            if key is None:
                return False
            value, end = self.item(value)
            if value is None:
                return False
            self.lists[-1].append((bytes(key), bytes(value)))
            self.at, self.left = end, self.left - 1
        return True

    def item(self, at):
        if len(self.data) < at + 4:
            return None, None
        size = struct.unpack_from("<I", self.data, at)[0]
        over = size >= self.limit if has("refuses the limit itself") else size > self.limit
        if over and not has("has no limit"):
            raise Failed("an item is over the limit")
        if len(self.data) < at + 4 + size:
            return None, None
        return self.data[at + 4 : at + 4 + size], at + 4 + size

    def settle(self):
        """A list of which nothing is due any more is complete."""
        self.left = self.left or None

    @property
    def is_whole(self):
        return not self.left and not self.data[self.at :]

    @property
    def n_whole(self):
        return len(self.lists) - bool(self.left)


class Lines:
    """The lines of stderr, as bytes come."""

    def __init__(self):
        self.line, self.n, self.said, self.has_error = bytearray(), 0, [], False

    def feed(self, data, at_end=False):
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self.keep(piece)
            self.take()
        self.keep(rest)
        if at_end and self.n and not has("drops an unended line"):
            self.take()

    def keep(self, piece):
        self.line += piece[: KEPT + 8 - len(self.line)]
        self.n += len(piece)

    def take(self):
        line, n = bytes(self.line), self.n
        self.line, self.n = bytearray(), 0
        tag = re.search if has("looks for tags anywhere") else re.match
        found = tag(rb"\*\*<(MSG|ERR)>( ?)", line)
        kind, n_tag = (found[1].decode(), len(found[0])) if found else ("", 0)
        text = line[n_tag:][:KEPT]
        if has("strips messages"):
            text = text.strip()
        if has("takes bytes for text"):
            text = text.decode("utf-8", "replace").encode()
        self.has_error |= kind == "ERR"
        if kind or not has("drops untagged lines"):
            cut = (
                n - n_tag > len(text) and not has("cuts lines short") and not has("strips messages")
            )
            self.said.append({"kind": kind, "text": base64.b64encode(text).decode(), "cut": cut})
