"""Writes the seeds of the message targets from the test vectors. Run after adding vectors: python3 fuzz/make_seeds.py

The seeds of the other targets were found by fuzzing and thinned out with `cargo fuzz cmin`.
"""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parent
VECTORS = ROOT.parent / "tests" / "vectors" / "message"

for vector in sorted(VECTORS.glob("*.txt")):
    lines = vector.read_text().splitlines()
    fields = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("#"))
    message = bytes.fromhex(fields["ciphertext"]) if "ciphertext" in fields else b""
    # The open target takes a byte 0 for "this is a message as it came".
    for target, prefix in [("message_header", b""), ("message_open", b"\0")]:
        folder = ROOT / "corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{vector.stem}.seed").write_bytes(prefix + message)
