#!/usr/bin/env python3
"""Reads an index of apk-tools 3 as apk does, written from apk-v3(5) and not from openwrt/build-index,
checks its signature with `openssl`, and that it knows the package beside it. Prints it as JSON.

    read_index.py INDEX PUBLIC_KEY PACKAGE
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zlib


def blocks(path, schema):
    with open(path, "rb") as file:
        packed = file.read()
    assert packed[:4] == b"ADBd"
    data = zlib.decompress(packed[4:], -15)
    assert data[:8] == b"ADB." + schema
    at, found = 8, []
    while at < len(data):
        tag = int.from_bytes(data[at : at + 4], "little")
        size = tag & 0x3FFFFFFF
        found.append((tag >> 30, data[at + 4 : at + size]))
        at += size + -size % 8
    return found, len(packed)


def value(tree, tag):
    kind, rest = tag >> 28, tag & 0x0FFFFFFF
    word = lambda at: int.from_bytes(tree[at : at + 4], "little")
    if tag == 0:
        return None
    if kind in (1, 2):
        return rest if kind == 1 else word(rest)
    if kind in (8, 9, 10):
        width = 1 << (kind - 8)
        size = int.from_bytes(tree[rest : rest + width], "little")
        return tree[rest + width : rest + width + size]
    assert kind in (13, 14)
    return [value(tree, word(rest + 4 * place)) for place in range(1, word(rest))]


def verify(tree, signature, key):
    assert signature[:2] == b"\x00\x04", "version 0, SHA-512"
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", key, "-outform", "DER"], capture_output=True, check=True
    ).stdout
    assert signature[2:18] == hashlib.sha512(der[-65:]).digest()[:16], "the key's identity"
    with tempfile.NamedTemporaryFile() as signed, tempfile.NamedTemporaryFile() as by:
        signed.write(b"indx" + signature[:18] + hashlib.sha512(tree).digest())
        by.write(signature[18:])
        signed.flush()
        by.flush()
        subprocess.run(
            ["openssl", "dgst", "-sha512", "-verify", key, "-signature", by.name, signed.name],
            stdout=subprocess.DEVNULL,
            check=True,
        )


def main():
    index, key, package = sys.argv[1:]
    ((kind, tree), (kind_of_signature, signature)), _ = blocks(index, b"indx")
    assert (kind, kind_of_signature) == (0, 1)
    verify(tree, signature, key)
    description, packages = value(tree, int.from_bytes(tree[4:8], "little"))
    (info,) = packages
    (_, inside), *_ = blocks(package, b"pckg")[0]
    assert info[2] == hashlib.sha256(inside).digest(), "the package's identity"
    assert info[12] == blocks(package, b"pckg")[1], "its size"
    print(json.dumps([description.decode(), info[0].decode(), info[1].decode(), info[4].decode()]))


main()
