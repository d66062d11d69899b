#!/usr/bin/env python3
"""Writes a package of apk-tools 3 (an "ADB" container, see apk-v3(5)).

    apk.py FILES SCRIPTS OUTPUT KEY=VALUE...

FILES is a folder as it lies on the router (all of it becomes root's), SCRIPTS one with a file for
each script, called as apk calls it. The result is not signed: `apk add --allow-untrusted`.

A container is a header and blocks. The first block holds a tree of values, each a 32-bit word
with a type in its upper four bits: small numbers stand in the word itself, everything else
elsewhere in the block, at the offset in the lower 28 bits. Then one block a file with its content.
"""

import hashlib
import os
import stat
import struct
import sys
import zlib

INT, INT_32, BLOB_8, BLOB_16, BLOB_32 = 0x1, 0x2, 0x8, 0x9, 0xA
ARRAY, OBJECT = 0xD, 0xE
BLOCK_TREE, BLOCK_SIGNATURE, BLOCK_DATA = 0, 1, 2
BLOCK_ALIGNMENT = 8

# The places of fields in their objects.
INFO = {
    "name": 1, "version": 2, "hashes": 3, "description": 4, "arch": 5, "license": 6, "origin": 7,
    "installed-size": 12, "file-size": 13,
}  # fmt: skip
PACKAGE = {"info": 1, "paths": 2, "scripts": 3}
DIRECTORY = {"name": 1, "acl": 2, "files": 3}
FILE = {"name": 1, "acl": 2, "size": 3, "mtime": 4, "hashes": 5}
ACL = {"mode": 1, "user": 2, "group": 3}
SCRIPTS = {"post-install": 3, "pre-deinstall": 4, "post-upgrade": 7}

# apk takes this many bytes of a SHA-256 as the identity of a package.
IDENTITY_BYTES = 20


class Tree:
    """The block of values, which begins with a header of eight bytes."""

    def __init__(self):
        self.data = bytearray(8)
        self.known = {}

    def put(self, kind, content, alignment):
        """The word of a value that stands elsewhere; what is there already is used again."""
        if (kind, content) not in self.known:
            self.data += bytes(-len(self.data) % alignment)
            self.known[kind, content] = kind << 28 | len(self.data)
            self.data += content
        return self.known[kind, content]

    def number(self, value):
        if value < 1 << 28:
            return INT << 28 | value
        return self.put(INT_32, struct.pack("<I", value), 4)

    def blob(self, content):
        if isinstance(content, str):
            content = content.encode()
        size = len(content)
        if size == 0:
            return 0
        if size < 1 << 8:
            return self.put(BLOB_8, struct.pack("<B", size) + content, 1)
        if size < 1 << 16:
            return self.put(BLOB_16, struct.pack("<H", size) + content, 2)
        return self.put(BLOB_32, struct.pack("<I", size) + content, 4)

    def slots(self, kind, words):
        """Words with their number in front; those that say nothing at the end are left out."""
        while words and words[-1] == 0:
            words.pop()
        if not words:
            return 0
        content = struct.pack(f"<{len(words) + 1}I", len(words) + 1, *words)
        return self.put(kind, content, 4)

    def array(self, words):
        return self.slots(ARRAY, list(words))

    def object(self, places, fields):
        words = [0] * max(places.values())
        for name, word in fields.items():
            words[places[name] - 1] = word
        return self.slots(OBJECT, words)


def acl(tree, path):
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    return tree.object(
        ACL, {"mode": tree.number(mode), "user": tree.blob("root"), "group": tree.blob("root")}
    )


def directories(root):
    """All folders below root, its own first, by name; the names of their files, by name."""
    found = []
    for folder, _, files in os.walk(root):
        relative = os.path.relpath(folder, root)
        found.append(("" if relative == "." else relative, sorted(files, key=os.fsencode)))
    return sorted(found, key=lambda entry: os.fsencode(entry[0]))


def file_entry(tree, path, time):
    with open(path, "rb") as file:
        content = file.read()
    return tree.object(
        FILE,
        {
            "name": tree.blob(os.path.basename(path)),
            "acl": acl(tree, path),
            "size": tree.number(len(content)),
            "mtime": tree.number(time),
            "hashes": tree.blob(hashlib.sha256(content).digest()),
        },
    )


def block(kind, content):
    size = 4 + len(content)
    return struct.pack("<I", kind << 30 | size) + content + bytes(-size % BLOCK_ALIGNMENT)


def package(files, scripts, info, time):
    tree = Tree()
    paths, data, installed = [], [], 0
    for number, (folder, names) in enumerate(directories(files), start=1):
        entries = []
        for place, name in enumerate(names, start=1):
            path = os.path.join(files, folder, name)
            entries.append(file_entry(tree, path, time))
            with open(path, "rb") as file:
                content = file.read()
            installed += len(content)
            if content:
                data.append(block(BLOCK_DATA, struct.pack("<II", number, place) + content))
        paths.append(
            tree.object(
                DIRECTORY,
                {
                    "name": tree.blob(folder),
                    "acl": acl(tree, os.path.join(files, folder)),
                    "files": tree.array(entries),
                },
            )
        )

    fields = {name: tree.blob(value) for name, value in info.items()}
    fields["installed-size"] = tree.number(max(installed, 1))
    # The identity is that of the tree with zeros in its place.
    fields["hashes"] = tree.blob(bytes(IDENTITY_BYTES))
    identity_at = (fields["hashes"] & 0x0FFFFFFF) + 1
    texts = {}
    for name in SCRIPTS:
        with open(os.path.join(scripts, name), "rb") as file:
            texts[name] = tree.blob(file.read())
    root = tree.object(
        PACKAGE,
        {
            "info": tree.object(INFO, fields),
            "paths": tree.array(paths),
            "scripts": tree.object(SCRIPTS, texts),
        },
    )
    struct.pack_into("<I", tree.data, 4, root)
    identity = hashlib.sha256(tree.data).digest()[:IDENTITY_BYTES]
    tree.data[identity_at : identity_at + IDENTITY_BYTES] = identity
    return b"ADB.pckg" + block(BLOCK_TREE, bytes(tree.data)) + b"".join(data)


def compressed(content):
    deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b"ADBd" + deflate.compress(content) + deflate.flush()


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    files, scripts, output = sys.argv[1:4]
    info = dict(pair.split("=", 1) for pair in sys.argv[4:])
    unknown = set(info) - set(INFO)
    if unknown:
        sys.exit(f"apk.py: unknown: {', '.join(sorted(unknown))}")
    content = package(files, scripts, info, int(os.environ.get("SOURCE_DATE_EPOCH", "0")))
    with open(output, "wb") as file:
        file.write(compressed(content))


if __name__ == "__main__":
    main()
