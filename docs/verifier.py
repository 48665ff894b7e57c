"""Check a proof of evlog without evlog: `python verifier.py FILE POLICY`. Needs Python 3.11 and `cryptography`, no store, no network.

It prints what is proven, as JSON, and exits 0; or says what is wrong and exits 1. docs/verifier.md says what it checks, step by
step, so that you need not trust this file either.
"""

import base64
import binascii
import json
import re
import struct
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LOG_KEY, WITNESS_KEY = 1, 4
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SIZED = {0xC4: ("bin", "B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xC7: ("ext", "B"), 0xC8: ("ext", ">H")}
SIZED |= {0xC9: ("ext", ">I"), 0xD9: ("text", "B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I")}
SIZED |= {0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")}


class Wrong(Exception):  # noqa: N818 - it is an outcome
    """The proof does not hold."""


def require(truth, what):
    if not truth:
        raise Wrong(what)


def decode64(text, size=None):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Wrong(f"{text[:60]!r} is not base64") from None
    require(base64.b64encode(data).decode() == text, f"{text[:60]!r} is not base64 as it is written")
    require(size in (None, len(data)), f"{text[:60]!r} has not {size} bytes")
    return data


def node_hash(left, right):
    return sha256(b"\x01" + left + right).digest()


def root_from(digest, index, size, path):
    """Return the root to which a path leads from the leaf `index` of a tree of `size` leaves. Source: RFC 9162 2.1.3.2."""
    require(0 <= index < size, "the leaf is not in the tree")
    at, last = index, size - 1
    for other in path:
        require(last, "the path is too long")
        if at & 1 or at == last:
            digest = node_hash(other, digest)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            digest = node_hash(digest, other)
        at, last = at >> 1, last >> 1
    require(last == 0, "the path is too short")
    return digest


def parse_vkey(text, kind):
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    material = decode64(encoded, 33)
    computed = sha256(name.encode("utf-8", "surrogateescape") + b"\n" + material).hexdigest()[:8]
    require(name and key_id == computed and material[0] == kind, f"{text!r} is no key of type {kind}")
    return name, bytes.fromhex(key_id), kind, material[1:]


def has_signed(key, text, signatures):
    """Tell whether a key signed; a wrong signature of it makes the whole note worthless."""
    name, key_id, kind, public = key
    mine = [value for signer, found, value in signatures if (signer, found) == (name, key_id)]
    for value in mine:
        message, signature = text.encode(), value
        if kind == WITNESS_KEY:
            time, signature = int.from_bytes(value[:8]), value[8:]
            message = f"cosignature/v1\ntime {time}\n".encode() + message
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise Wrong(f"the signature of {name} is wrong") from None
    return bool(mine)


def parse_note(data):
    """Return the text of a note and its signatures: (name, key id, signature)."""
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise Wrong("the checkpoint is not UTF-8") from None
    require(not re.search(r"[\x00-\x09\x0b-\x1f]", whole), "the checkpoint holds control characters")
    text, blank, below = whole.rpartition("\n\n")
    require(blank and text and (not below or below.endswith("\n")), "there is no checkpoint")
    signatures = []
    for line in below.split("\n")[:-1]:
        match = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
        require(match, "a line below the checkpoint is no signature")
        value = decode64(match[2])
        signatures.append((match[1], value[:4], value[4:]))
    return text + "\n", signatures


def parse_policy(data):
    """Return the keys of the logs, the keys of the witnesses by name, the groups, and the name of the quorum."""
    logs, witnesses, groups, used, quorum = [], {}, {}, [], None
    for line in data.split("\n"):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if words == [""] or words[0].startswith("#"):
            continue
        taken = {**witnesses, **groups, "none": None}
        if words[0] == "log" and len(words) in (2, 3):
            logs.append(parse_vkey(words[1], LOG_KEY))
        elif words[0] == "witness" and len(words) in (3, 4) and words[1] not in taken:
            witnesses[words[1]] = parse_vkey(words[2], WITNESS_KEY)
        elif words[0] == "group" and len(words) > 3 and words[1] not in taken:
            members = words[3:]
            used += members  # Each name is a member at most once.
            fit = len(set(used)) == len(used) and all(one in {**witnesses, **groups} for one in members)
            require(fit, f"the members of the group {words[1]!r} do not fit")
            require(re.fullmatch(r"all|any|[1-9]\d{0,8}", words[2], re.ASCII), f"{words[2]!r} is no number")
            least = {"all": len(members), "any": 1}.get(words[2]) or int(words[2])
            require(least <= len(members), f"the group {words[1]!r} asks for too many")
            groups[words[1]] = least, members
        elif words[0] == "quorum" and len(words) == 2 and quorum is None and words[1] in taken:
            quorum = words[1]
        else:
            raise Wrong(f"the policy has a line that does not fit: {line!r}")
    require(quorum is not None, "the policy has no quorum")
    keys = [key[2:] for key in [*logs, *witnesses.values()]]
    require(len(set(keys)) == len(keys), "the policy names a key twice")
    return logs, witnesses, groups, quorum


def check_checkpoint(note, policy):
    """Return origin, size, root and who signed, if the policy trusts a checkpoint."""
    text, signatures = parse_note(note)
    lines = text.split("\n")[:-1]
    require(len(lines) > 2 and all(lines), "the checkpoint is none")
    require(re.fullmatch(r"0|[1-9]\d{0,18}", lines[1], re.ASCII), "the checkpoint has no size")
    logs, witnesses, groups, quorum = parse_policy(policy)
    signed = [key[0] for key in logs if key[0] == lines[0] and has_signed(key, text, signatures)]
    require(signed, f"no log that the policy trusts signed the checkpoint of {lines[0]!r}")
    agreed = [name for name, key in witnesses.items() if has_signed(key, text, signatures)]

    def agrees(name):
        if name == "none" or name in witnesses:
            return name == "none" or name in agreed
        least, members = groups[name]
        return sum(map(agrees, members)) >= least

    require(agrees(quorum), f"the quorum {quorum!r} is not reached; signed by the witnesses {agreed}")
    return lines[0], int(lines[1]), decode64(lines[2], 32), signed + agreed


class Reader:
    """Takes what a proof shows, and MessagePack, from bytes."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, size):
        self.at += size
        require(self.at <= len(self.data), "the proof ends too early")
        return self.data[self.at - size : self.at]

    def number(self, form="<I"):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def value(self):
        """Return the next MessagePack value; bytes become hexadecimal."""
        tag = self.number("B")
        if tag <= 0x7F or tag >= 0xE0:
            return tag if tag <= 0x7F else tag - 256
        if tag <= 0xBF:  # A short map, array or string.
            return self.sized(
                "map" if tag <= 0x8F else "array" if tag <= 0x9F else "text", tag & (31 if tag >= 0xA0 else 15)
            )
        if tag in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[tag]
        if 0xCA <= tag <= 0xD3:
            return self.number(">" + "fdBHIQbhiq"[tag - 0xCA])
        if 0xD4 <= tag <= 0xD8:
            return self.sized("ext", 1 << tag - 0xD4)
        kind, form = SIZED.get(tag, ("", "B"))
        require(kind, "a value of an unknown kind")
        return self.sized(kind, self.number(form))

    def sized(self, kind, size):
        if kind == "map":
            return {str(self.value()): self.value() for _ in range(size)}
        if kind == "array":
            return [self.value() for _ in range(size)]
        data = self.take(size + (kind == "ext"))
        return data.decode("utf-8", "replace") if kind == "text" else data.hex()


def verify(proof, policy):
    """Return what a proof proves under a policy. Raises Wrong."""
    head, blank, note = proof.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    require(blank and len(lines) > 2 and lines[0] == "c2sp.org/tlog-proof@v1", "this is no proof")
    index = re.fullmatch(r"index (0|[1-9]\d{0,18})", lines[2], re.ASCII)
    require(lines[1].startswith("extra ") and index, "the proof does not say what it proves")
    path = [decode64(line, 32) for line in lines[3:]]
    origin, size, root, signers = check_checkpoint(note, policy)
    extra = Reader(decode64(lines[1][6:]))
    leaf = extra.take(96)
    magic, kind, hashed, flags, count, offset, time_us, envelope_hash, changes_root = struct.unpack(
        "<8sBBHIQQ32s32s", leaf
    )
    require((magic, kind, hashed, flags) == (b"MLJLEAF1", 1, 1, 0), "the leaf is of an unknown kind")
    require(offset == int(index[1]), "the leaf is that of another record")
    require(root_from(sha256(b"\0" + leaf).digest(), offset, size, path) == root, "the record is not in the log")
    envelope = extra.take(extra.number())
    require(sha256(envelope).digest() == envelope_hash, "the envelope was changed")
    shown = {}
    for _ in range(extra.number()):
        number, change = extra.number(), extra.take(extra.number())
        inner = [extra.take(32) for _ in range(extra.number("B"))]
        require(
            root_from(sha256(b"\0" + change).digest(), number, count, inner) == changes_root,
            f"change {number} was changed",
        )
        require(number not in shown and change[:1] == b"\0", f"change {number} cannot be read")
        shown[number] = Reader(change[1:]).value()
    require(extra.at == len(extra.data), "bytes follow the proof")
    time = (EPOCH + timedelta(microseconds=time_us)).isoformat() if time_us < 1 << 57 else f"{time_us} us"
    facts = {"log": origin, "size": size, "root": root.hex(), "signed_by": signers, "offset": offset, "time": time}
    return {**facts, "changes_of_record": count, "envelope": Reader(envelope).value(), "shown": shown}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python verifier.py FILE POLICY")
    try:
        _, proof_file, policy_file = sys.argv
        policy_text = Path(policy_file).read_bytes().decode("utf-8", "surrogateescape")
        print(json.dumps(verify(Path(proof_file).read_bytes(), policy_text), indent=1))
    except (Wrong, OSError, RecursionError) as wrong:
        sys.exit(f"NOT PROVEN: {wrong}")
