#!/usr/bin/env python3
"""Makes the vectors that differ from a good message in one thing.

The good ones are version_1.txt and version_2.txt (the same plaintext, context and keys in either version of the format)
and unframed.txt. Nothing here needs a key: what is altered is structure, or bytes whose authentication then fails.
Run it in this folder; it overwrites what it made before.
"""

import base64
from pathlib import Path

HERE = Path(__file__).parent


def fields(name):
    lines = (HERE / f"{name}.txt").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def ciphertext(name):
    return bytes.fromhex(fields(name)["ciphertext"])


V1 = ciphertext("version_1")
V2 = ciphertext("version_2")
UNFRAMED = ciphertext("unframed")

# Where the parts of V2 begin.
SUITE, MESSAGE_ID, CONTEXT, KEYS, CONTENT, FRAME_LENGTH, COMMITMENT, TAG, BODY, FINAL = (
    1, 3, 35, 52, 132, 133, 137, 169, 185, 233,
)
FIRST_FRAME, FINAL_FRAME = V2[BODY:FINAL], V2[FINAL:]


def altered(message, offset, replacement):
    return message[:offset] + replacement + message[offset + len(replacement):]


def flipped(message, offset):
    return altered(message, offset, bytes([message[offset] ^ 1]))


def swapped_context():
    """The two pairs of the context in the other order: the keys still open, the header is another one."""
    first, second = V2[CONTEXT + 4:CONTEXT + 11], V2[CONTEXT + 11:KEYS]
    return altered(V2, CONTEXT + 4, second + first)


# name: (reason, message, error, other fields)
CASES = {
    # 1 to 3: the first bytes
    "empty_message": ("There is nothing at all", b"", "Truncated"),
    "version_0": ("Version 0 does not exist", altered(V2, 0, b"\0"), "UnsupportedVersion"),
    "version_3": ("Version 3 does not exist", altered(V2, 0, b"\3"), "UnsupportedVersion"),
    "base64_version_1": ("Base64 text of a version 1 message", base64.b64encode(V1), "LooksBase64"),
    "base64_version_2": ("Base64 text of a version 2 message", base64.b64encode(V2), "LooksBase64"),
    "type_unknown": ("Version 1 has a type byte, and 0x80 is the only one", altered(V1, 1, b"\x81"), "InvalidType"),
    "suite_zero": ("Suite 0 is reserved", altered(V2, SUITE, b"\0\0"), "UnknownSuite"),
    "suite_of_other_library": (
        "Suite 0x0070 belongs to another library of the same family", altered(V2, SUITE, b"\0\x70"), "UnknownSuite"),
    "suite_of_version_1_in_version_2": (
        "A suite of version 1 under version byte 2", altered(V2, SUITE, b"\1\x78"), "SuiteVersionMismatch"),
    "suite_of_version_2_in_version_1": (
        "A suite of version 2 under version byte 1", altered(V1, 2, b"\4\x78"), "SuiteVersionMismatch"),
    # 4: encryption context
    "context_counts_too_many": (
        "The context has fewer pairs than its count", altered(V2, CONTEXT + 2, b"\0\3"), "InvalidEncryptionContext"),
    "context_counts_too_few": (
        "The context has more bytes than its pairs", altered(V2, CONTEXT + 2, b"\0\1"), "InvalidEncryptionContext"),
    "context_counts_none": (
        "A count of zero and bytes behind it", altered(V2, CONTEXT + 2, b"\0\0"), "InvalidEncryptionContext"),
    "context_pair_overruns": (
        "A value that is longer than the context", altered(V2, CONTEXT + 14, b"\0\2"), "InvalidEncryptionContext"),
    "context_not_utf8": (
        "A name in the context that is not UTF-8", altered(V2, CONTEXT + 6, b"\xff"), "InvalidEncryptionContext"),
    # 5 and 6: encrypted data keys
    "no_data_keys": ("A message without a wrapped data key", altered(V2, KEYS, b"\0\0"), "NoDataKeys"),
    "too_many_data_keys": (
        "A count of data keys over the default limit of 64", altered(V2, KEYS, b"\0\x41"), "TooManyDataKeys"),
    "provider_id_not_utf8": ("A provider id that is not UTF-8", altered(V2, KEYS + 4, b"\xff"), "InvalidDataKey"),
    # 7 to 11: the end of the header
    "content_type_unknown": ("Content type 3 does not exist", altered(V2, CONTENT, b"\3"), "InvalidContentType"),
    "reserved_field_set": ("The reserved field of version 1 is not zero", altered(V1, 118, b"\1"), "InvalidHeader"),
    "iv_length_16": ("An IV length other than 12", altered(V1, 122, b"\x10"), "InvalidHeader"),
    "frame_length_over_limit": (
        "A frame length over the default limit of 16 MiB",
        altered(V2, FRAME_LENGTH, b"\1\0\0\1"), "InvalidFrameLength"),
    "cut_in_message_id": ("The message ends in its id", V2[:20], "Truncated"),
    "cut_in_context": ("The message ends in its context", V2[:45], "Truncated"),
    "cut_in_data_key": ("The message ends in a wrapped data key", V2[:100], "Truncated"),
    "cut_in_commitment": ("The message ends in its commitment key", V2[:TAG - 1], "Truncated"),
    "cut_in_header_tag": ("The message ends in the tag of its header", V2[:BODY - 1], "Truncated"),
    # 12 and 13: policy and context
    "signed_suite_without_public_key": (
        "A signed suite, and no public key in the context", altered(V2, SUITE, b"\5\x78"), "PublicKeyPresence"),
    "version_1_not_allowed": ("The commitment policy refuses suites of version 1", V1, "CommitmentPolicy"),
    "version_1_header_iv_altered": (
        "One bit of the IV that version 1 shows is flipped", flipped(V1, 127), "HeaderAuth", {"commitment policy": "allow"}),
    "version_1_message_id_altered": (
        "One bit of the message id is flipped", flipped(V1, 4), "HeaderAuth", {"commitment policy": "allow"}),
    "context_not_as_expected": (
        "The caller expects another value in the context", V2, "ContextMismatch", {"expect context": "b=3"}),
    "context_lacks_expected": (
        "The caller expects a name that the context lacks", V2, "ContextMismatch", {"expect context": "c="}),
    # 14: keyring
    "wrong_wrapping_key": (
        "The wrapping key is another one", V2, "NoDataKeyUnwrapped", {"wrapping key": "ff" * 32}),
    "wrong_namespace": ("The key is of another namespace", V2, "NoDataKeyUnwrapped", {"namespace": "n"}),
    "name_is_prefix": (
        "The name of the keyring's key is the beginning of the message's", V2, "NoDataKeyUnwrapped", {"name": "k"}),
    "name_is_longer": (
        "The name of the keyring's key begins with the message's", V2, "NoDataKeyUnwrapped", {"name": "kn1"}),
    "wrapped_key_altered": (
        "One bit of the wrapped data key is flipped", flipped(V2, KEYS + 40), "NoDataKeyUnwrapped"),
    "context_altered": (
        "One bit of the context is flipped, to which the data key is bound",
        flipped(V2, CONTEXT + 16), "NoDataKeyUnwrapped"),
    # 16 and 17: commitment and header tag
    "message_id_altered": (
        "One bit of the message id is flipped, from which the commitment comes",
        flipped(V2, MESSAGE_ID), "CommitmentMismatch"),
    "commitment_altered": (
        "One bit of the commitment key is flipped", flipped(V2, COMMITMENT), "CommitmentMismatch"),
    "context_reordered": (
        "The pairs of the context in another order: the header is authenticated as it stands",
        swapped_context(), "HeaderAuth"),
    "frame_length_altered": ("The frame length is another one", flipped(V2, FRAME_LENGTH + 3), "HeaderAuth"),
    "header_tag_altered": ("One bit of the header's tag is flipped", flipped(V2, TAG), "HeaderAuth"),
    # 18: frames
    "cut_before_body": ("The message ends after its header", V2[:BODY], "Truncated"),
    "cut_in_frame": ("The message ends in its first frame", V2[:BODY + 30], "Truncated"),
    "cut_before_final_frame": ("The final frame is missing", V2[:FINAL], "Truncated"),
    "cut_in_final_frame": ("The last byte is missing", V2[:-1], "Truncated"),
    "frame_lost": ("The first frame is missing", V2[:BODY] + FINAL_FRAME, "BadSequence"),
    "frame_repeated": ("The first frame comes twice", V2[:FINAL] + FIRST_FRAME + FINAL_FRAME, "BadSequence"),
    "frames_reordered": ("The final frame comes first", V2[:BODY] + FINAL_FRAME + FIRST_FRAME, "BadSequence"),
    "frame_zero": ("Frames count from 1", altered(V2, BODY, b"\0\0\0\0"), "BadSequence"),
    "final_frame_too_long": (
        "The final frame is longer than a frame", altered(V2, FINAL + 20, b"\0\0\0\x11"), "BadFinalLength"),
    "final_length_understated": (
        "The final frame says a byte less than it has", altered(V2, FINAL + 20, b"\0\0\0\3"), "BodyAuth"),
    "frame_altered": ("One bit of the first frame is flipped", flipped(V2, BODY + 16), "BodyAuth"),
    "frame_iv_altered": ("One bit of the IV of the first frame is flipped", flipped(V2, BODY + 15), "BodyAuth"),
    "frame_tag_altered": ("One bit of the tag of the first frame is flipped", flipped(V2, FINAL - 1), "BodyAuth"),
    "final_frame_altered": ("One bit of the final frame is flipped", flipped(V2, FINAL + 24), "BodyAuth"),
    "regular_frame_as_final": (
        "A message is cut short by dressing its first frame as the final one",
        V2[:BODY] + b"\xff\xff\xff\xff" + FIRST_FRAME[:16] + b"\0\0\0\x10" + FIRST_FRAME[16:], "BodyAuth"),
    "unframed_cut": ("A body in one piece that ends early", UNFRAMED[:-1], "Truncated"),
    "unframed_too_long": (
        "A body in one piece whose length is over every limit",
        altered(UNFRAMED, len(UNFRAMED) - 44, b"\xff" * 8), "BodyTooLong"),
    "unframed_altered": ("One bit of a body in one piece is flipped", flipped(UNFRAMED, len(UNFRAMED) - 20), "BodyAuth"),
    # 20: the end
    "second_message_appended": ("A whole message follows the message", V2 + V2, "TrailingData"),
    "final_frame_repeated": ("The final frame comes twice", V2 + FINAL_FRAME, "TrailingData"),
    "unframed_trailing": ("A byte follows a body in one piece", UNFRAMED + b"\0", "TrailingData"),
}


def main():
    base = fields("version_2")
    for name, (reason, message, error, *other) in CASES.items():
        case = {key: base[key] for key in ("namespace", "name", "wrapping key")}
        case.update(*other)
        case.update({"expect": f"refused {error}", "ciphertext": message.hex()})
        lines = [f"# {reason}."] + [f"{key}: {value}" for key, value in case.items()]
        (HERE / f"{name}.txt").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
