#!/usr/bin/env python3
"""Reads a package as apk-tools 3 does, written from apk-v3(5) and not from openwrt/apk.py, and prints
what is in it as JSON. Ends with words when something is not as apk wants it."""

import hashlib
import json
import sys
import zlib


def word(data, at):
    assert at % 4 == 0, f"the word at {at} is not aligned"
    assert at + 4 <= len(data), f"the word at {at} lies outside"
    return int.from_bytes(data[at : at + 4], "little")


def value(tree, tag):
    kind, rest = tag >> 28, tag & 0x0FFFFFFF
    if tag == 0:
        return None
    if kind == 0x1:
        return rest
    if kind == 0x2:
        return word(tree, rest)
    if kind in (0x8, 0x9, 0xA):
        width = {0x8: 1, 0x9: 2, 0xA: 4}[kind]
        assert rest % width == 0, "the length of a blob is not aligned"
        size = int.from_bytes(tree[rest : rest + width], "little")
        assert rest + width + size <= len(tree), "a blob lies outside"
        return bytes(tree[rest + width : rest + width + size])
    if kind in (0xD, 0xE):
        count = word(tree, rest)
        return [value(tree, word(tree, rest + 4 * place)) for place in range(1, count)]
    sys.exit(f"a value of type {kind:#x}")


def fields(slots, names):
    slots = (slots or []) + [None] * len(names)
    return {name: slots[place - 1] for name, place in names.items()}


def blocks(data):
    at = 0
    while at < len(data):
        tag = word(data, at)
        kind, size = tag >> 30, tag & 0x3FFFFFFF
        assert at % 8 == 0, "a block is not aligned"
        assert size >= 4 and at + size <= len(data), "a block lies outside"
        yield kind, data[at + 4 : at + size]
        at += size + -size % 8


def acl(slots):
    found = fields(slots, {"mode": 1, "user": 2, "group": 3})
    return oct(found["mode"]), found["user"].decode(), found["group"].decode()


def identity(tree, hashes):
    assert len(hashes) == 20
    assert tree.count(hashes) == 1
    zeroed = tree.replace(hashes, bytes(20))
    return hashlib.sha256(zeroed).digest()[:20] == hashes


def main():
    with open(sys.argv[1], "rb") as file:
        packed = file.read()
    assert packed[:4] == b"ADBd"
    inflate = zlib.decompressobj(-15)
    data = inflate.decompress(packed[4:])
    assert inflate.eof and not inflate.unused_data
    assert data[:8] == b"ADB.pckg"
    (kind, tree), *rest = blocks(data[8:])
    assert kind == 0 and tree[:4] == bytes(4)
    package = fields(value(tree, word(tree, 4)), {"info": 1, "paths": 2, "scripts": 3})
    info = fields(
        package["info"],
        {"name": 1, "version": 2, "hashes": 3, "description": 4, "arch": 5, "size": 12, "depends": 15},
    )
    assert identity(tree, info.pop("hashes")), "the identity is wrong"

    contents = {}
    for kind, content in rest:
        assert kind == 2
        contents[word(content, 0), word(content, 4)] = content[8:]
    files, folders = {}, {}
    last = None
    for number, slots in enumerate(package["paths"], start=1):
        folder = fields(slots, {"name": 1, "acl": 2, "files": 3})
        path = folder["name"] or b""
        assert last is None or last < path, "folders are in order"
        last = path
        folders[path.decode()] = acl(folder["acl"])
        names = []
        for place, slots in enumerate(folder["files"] or [], start=1):
            entry = fields(slots, {"name": 1, "acl": 2, "size": 3, "hash": 5})
            names.append(entry["name"])
            content = contents.pop((number, place), b"")
            assert len(content) == entry["size"]
            assert hashlib.sha256(content).digest() == entry["hash"]
            files["/".join(filter(None, [path.decode(), entry["name"].decode()]))] = {
                "acl": acl(entry["acl"]),
                "text": content.decode() if len(content) < 20_000 else None,
            }
        assert names == sorted(names), "files are in order"
    assert not contents, "content of no file"
    scripts = fields(
        package["scripts"], {"post-install": 3, "pre-deinstall": 4, "post-upgrade": 7}
    )
    text = {name: part.decode() if isinstance(part, bytes) else part for name, part in info.items()}
    scripts = {name: script.decode() for name, script in scripts.items()}
    print(json.dumps({"info": text, "files": files, "folders": folders, "scripts": scripts}))


main()
