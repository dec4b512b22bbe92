#!/usr/bin/env python3
"""Recomputes the traces of tr-auth with nothing of tr-auth: Python and its `cryptography` package.

    python3 check.py            compares every value of every trace; exit status 1 if one differs
    python3 check.py --write    puts the computed values in place of the stored ones; inputs stay

A trace of ours holds its inputs (keys, certificates, random octets, texts) under "inputs" and everything that follows
from them under "values". RFC 9528 is written out here once more, from the text of the standard alone.
"""

import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HERE = pathlib.Path(__file__).parent
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


# --- CBOR, the deterministic subset -------------------------------------------------------------------------------


def head(major, value):
    if value < 24:
        return bytes([major << 5 | value])
    for extra, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if value < 1 << (8 * width):
            return bytes([major << 5 | extra]) + value.to_bytes(width, "big")
    raise ValueError(value)


def integer(value):
    return head(0, value) if value >= 0 else head(1, -1 - value)


def bstr(octets):
    return head(2, len(octets)) + octets


def text(string):
    return head(3, len(string)) + string.encode()


def identifier(octets):
    """RFC 9528 §3.3.2: one octet that is itself an encoded integer −24…23 stands for itself."""
    short = len(octets) == 1 and (octets[0] <= 0x17 or 0x20 <= octets[0] <= 0x37)
    return octets if short else bstr(octets)


# --- primitives ---------------------------------------------------------------------------------------------------


def sha256(octets):
    return hashlib.sha256(octets).digest()


def extract(salt, octets):
    return hmac.new(salt, octets, hashlib.sha256).digest()


def expand(prk, info, length):
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha256).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def kdf(prk, label, context, length):
    return expand(prk, integer(label) + bstr(context) + integer(length), length)


def private(scalar):
    return ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())


def coordinate(key):
    return key.public_key().public_numbers().x.to_bytes(32, "big")


def agree(key, x):
    peer = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x02" + x)
    return key.exchange(ec.ECDH(), peer)


def sign(key, message):
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + min(s, ORDER - s).to_bytes(32, "big")


# --- method 0, suite −21, certificates by value -------------------------------------------------------------------


def handshake(given):
    octets = {name: bytes.fromhex(value) for name, value in given.items() if isinstance(value, str)}
    x, y = private(octets["X"]), private(octets["Y"])
    out = {"G_X": coordinate(x), "G_Y": coordinate(y)}
    c_i, c_r = identifier(octets["C_I"]), identifier(octets["C_R"])
    out["message_1"] = integer(0) + integer(-21) + bstr(out["G_X"]) + c_i

    out["G_XY"] = agree(x, out["G_Y"])
    assert out["G_XY"] == agree(y, out["G_X"])
    out["H_message_1"] = sha256(out["message_1"])
    out["TH_2"] = sha256(bstr(out["G_Y"]) + bstr(out["H_message_1"]))
    # Both sides sign, so PRK_3e2m and PRK_4e3m are the same.
    prk = out["PRK_2e"] = extract(out["TH_2"], out["G_XY"])

    def signed(side, number, connection, label, th):
        key, credential = private(octets[f"SK_{side}"]), bstr(octets[f"CRED_{side}"])
        id_cred = out[f"ID_CRED_{side}"] = head(5, 1) + integer(33) + credential
        context = out[f"context_{number}"] = connection + id_cred + bstr(th) + credential
        mac = out[f"MAC_{number}"] = kdf(prk, label, context, 32)
        to_sign = head(4, 4) + text("Signature1") + bstr(id_cred) + bstr(bstr(th) + credential) + bstr(mac)
        out[f"Sig_structure_{number}"] = to_sign
        signature = out[f"Signature_or_MAC_{number}"] = sign(key, to_sign)
        return connection + id_cred + bstr(signature), credential

    plaintext, credential = signed("R", 2, c_r, 2, out["TH_2"])
    out["PLAINTEXT_2"] = plaintext
    keystream = out["KEYSTREAM_2"] = kdf(prk, 0, out["TH_2"], len(plaintext))
    out["CIPHERTEXT_2"] = bytes(a ^ b for a, b in zip(plaintext, keystream))
    out["message_2"] = bstr(out["G_Y"] + out["CIPHERTEXT_2"])
    out["TH_3"] = sha256(bstr(out["TH_2"]) + plaintext + credential)

    def sealed(number, labels, th, plaintext):
        aad = out[f"A_{number}"] = head(4, 3) + text("Encrypt0") + bstr(b"") + bstr(th)
        key = out[f"K_{number}"] = kdf(prk, labels[0], th, 32)
        nonce = out[f"IV_{number}"] = kdf(prk, labels[1], th, 12)
        return bstr(AESGCM(key).encrypt(nonce, plaintext, aad))

    plaintext, credential = signed("I", 3, b"", 6, out["TH_3"])
    out["PLAINTEXT_3"] = plaintext
    out["message_3"] = sealed(3, (3, 4), out["TH_3"], plaintext)
    out["TH_4"] = sha256(bstr(out["TH_3"]) + plaintext + credential)
    out["message_4"] = sealed(4, (8, 9), out["TH_4"], b"")

    out["PRK_out"] = kdf(prk, 7, out["TH_4"], 32)
    out["PRK_exporter"] = kdf(out["PRK_out"], 10, b"", 32)
    export = given["exporter"]
    out["exported"] = kdf(out["PRK_exporter"], export["label"], bytes.fromhex(export["context"]), export["length"])

    chains = {"initiator": kdf(out["PRK_exporter"], 32768, b"", 32), "responder": kdf(out["PRK_exporter"], 32769, b"", 32)}
    indices = {"initiator": 0, "responder": 0}
    messages = []
    for message in given["channel"]:
        sender = message["from"]
        chain, index = chains[sender], indices[sender]
        chains[sender], indices[sender] = expand(chain, b"tr1 chain", 32), index + 1
        key, nonce = expand(chain, b"tr1 message", 32), index.to_bytes(12, "big")
        aad = index.to_bytes(8, "big") + bytes.fromhex(message["routing"])
        sealed_text = AESGCM(key).encrypt(nonce, bytes.fromhex(message["plaintext"]), aad)
        parts = {"chain": chain, "key": key, "nonce": nonce, "aad": aad, "sealed": sealed_text}
        messages.append({"index": index} | {name: value.hex() for name, value in parts.items()})
    return {name: value.hex() for name, value in out.items()} | {"channel": messages}


# --- RFC 9529, chapter 2: what depends on SHA-256 alone -----------------------------------------------------------


def rfc9529(given):
    v = {name: bytes.fromhex(value) for name, value in given.items() if name != "source"}
    cred_r, cred_i = bstr(v["CRED_R"]), bstr(v["CRED_I"])
    th_2, th_3, th_4, prk = v["TH_2"], v["TH_3"], v["TH_4"], v["PRK_2e"]
    plaintext_2 = v["C_R"] + v["ID_CRED_R"] + bstr(v["Signature_or_MAC_2"])
    plaintext_3 = v["ID_CRED_I"] + bstr(v["Signature_or_MAC_3"])
    keystream = kdf(prk, 0, th_2, len(plaintext_2))
    computed = {
        "H_message_1": sha256(v["message_1"]),
        "TH_2": sha256(bstr(v["G_Y"]) + bstr(v["H_message_1"])),
        "PRK_2e": extract(th_2, v["G_XY"]),
        "MAC_2": kdf(prk, 2, v["C_R"] + v["ID_CRED_R"] + bstr(th_2) + cred_r, 32),
        "CIPHERTEXT_2": bytes(a ^ b for a, b in zip(plaintext_2, keystream)),
        "TH_3": sha256(bstr(th_2) + plaintext_2 + cred_r),
        "MAC_3": kdf(prk, 6, v["ID_CRED_I"] + bstr(th_3) + cred_i, 32),
        "K_3": kdf(prk, 3, th_3, 16),
        "IV_3": kdf(prk, 4, th_3, 13),
        "TH_4": sha256(bstr(th_3) + plaintext_3 + cred_i),
        "K_4": kdf(prk, 8, th_4, 16),
        "IV_4": kdf(prk, 9, th_4, 13),
        "PRK_out": kdf(prk, 7, th_4, 32),
        "PRK_exporter": kdf(v["PRK_out"], 10, b"", 32),
        "OSCORE_Master_Secret": kdf(v["PRK_exporter"], 0, b"", 16),
        "OSCORE_Master_Salt": kdf(v["PRK_exporter"], 1, b"", 8),
    }
    return given | {name: value.hex() for name, value in computed.items()}


def main():
    write, wrong = "--write" in sys.argv[1:], 0
    for path in sorted(HERE.glob("*.json")):
        stored = json.loads(path.read_text())
        ours = "inputs" in stored
        computed = handshake(stored["inputs"]) if ours else rfc9529(stored)
        if write and ours:
            path.write_text(json.dumps(stored | {"values": computed}, indent=1, ensure_ascii=False) + "\n")
            print(f"{path.name}: written")
            continue
        expected = stored.get("values", {}) if ours else stored
        differ = [name for name in sorted(computed | expected) if computed.get(name) != expected.get(name)]
        wrong += len(differ)
        print(f"{path.name}: {len(computed)} values, " + (f"DIFFERENT: {', '.join(differ)}" if differ else "all as computed"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
