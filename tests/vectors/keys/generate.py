#!/usr/bin/env python3
"""Writes the keys of this folder, each with the verdict that both backends must give.

    python3 generate.py

Needs the standard library only, and writes the same files in every run: the numbers are drawn from a fixed seed. None of
these keys is for use.
"""

import random
from math import gcd, isqrt, lcm
from pathlib import Path

HERE = Path(__file__).parent
RANDOM = random.Random("strongroom")
E = 65537


SMALL = [n for n in range(2, 5000) if all(n % d for d in range(2, isqrt(n) + 1))]


def is_prime(n):
    """Miller-Rabin with fixed bases, for numbers that nobody chose with malice."""
    if any(n % p == 0 for p in SMALL):
        return n in SMALL
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for base in SMALL[:12]:
        x = pow(base, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def prime_from(start, e=E):
    """The first prime from `start` on whose order is coprime to `e`."""
    p = start | 1
    while not (gcd(p - 1, e) == 1 and is_prime(p)):
        p += 2
    return p


def random_prime(bits, e=E):
    """A prime with its two top bits set."""
    return prime_from(RANDOM.getrandbits(bits) | 3 << (bits - 2), e)


# DER.

def tlv(tag, content):
    length = len(content)
    if length < 128:
        head = bytes([length])
    else:
        digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
        head = bytes([0x80 | len(digits)]) + digits
    return bytes([tag]) + head + content


def integer(n):
    return tlv(0x02, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def sequence(*parts):
    return tlv(0x30, b"".join(parts))


def oid(dotted):
    first, second, *rest = map(int, dotted.split("."))
    content = [40 * first + second]
    for arc in rest:
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.insert(0, 0x80 | arc & 0x7F)
        content += digits
    return tlv(0x06, bytes(content))


RSA = sequence(oid("1.2.840.113549.1.1.1"), tlv(0x05, b""))


def rsa(p, q, e=E, others=(), **numbers):
    """PKCS#8 of an RSA key; `numbers` replace those that the primes give."""
    order = lcm(p - 1, q - 1)
    d = numbers.get("d", pow(e, -1, order) if gcd(e, order) == 1 else 3)
    key = {
        "version": 1 if others else 0,
        "n": p * q,
        "e": e,
        "d": d,
        "p": p,
        "q": q,
        "dp": d % (p - 1) if p > 1 else 0,
        "dq": d % (q - 1),
        "coefficient": pow(q, -1, p) if gcd(p, q) == 1 else 1,
    }
    key |= numbers
    more = [sequence(*(sequence(*map(integer, other)) for other in others))] if others else []
    return sequence(integer(0), RSA, tlv(0x04, sequence(*map(integer, key.values()), *more)))


def write(name, kind, form, expect, reason, key):
    text = f"# {reason}\nkind: {kind}\nform: {form}\nexpect: {expect}\nkey: {key.hex()}\n"
    (HERE / f"{name}.txt").write_text(text)


def rsa_keys():
    p, q = random_prime(1024), random_prime(1024)
    if p < q:
        p, q = q, p
    phi, carmichael = (p - 1) * (q - 1), lcm(p - 1, q - 1)
    short, inverse = pow(E, -1, carmichael), pow(E, -1, phi)
    large = inverse + carmichael if inverse < carmichael else inverse

    def good(name, reason, key, kind="Rsa2048"):
        write(f"rsa_{name}", kind, "private", "accepted", reason, key)

    def bad(name, reason, key, kind="Rsa2048"):
        write(f"rsa_{name}", kind, "private", "refused", reason, key)

    good("carmichael_exponent", "The private exponent is reduced modulo lcm(p - 1, q - 1), as FIPS 186-5 has it.",
         rsa(p, q, d=short))
    good("euler_exponent", "The private exponent is reduced modulo (p - 1)(q - 1), as much software has it.",
         rsa(p, q, d=large))
    good("smaller_prime_first", "The first prime is the smaller one.", rsa(q, p))
    for bits in (3072, 4096):
        good(f"{bits}_bits", "A good key of another size.",
             rsa(random_prime(bits // 2), random_prime(bits // 2)), f"Rsa{bits}")
    # Java up to version 8 drew primes of 1,024 bits and compared the modulus alone.
    low = prime_from(isqrt(2 << 2046) * 9 // 10)
    assert low.bit_length() == 1024 and low < isqrt(2 << 2046)
    good("prime_below_root_of_two", "A prime is below the square root of two times 2^1023, and the modulus is long enough.",
         rsa(prime_from((15 << 1020) + RANDOM.getrandbits(1000)), low))
    e = (1 << 32) + 15
    good("large_public_exponent", "The public exponent has 33 bits.", rsa(random_prime(1024, e), random_prime(1024, e), e=e))
    far = prime_from(q + (1 << 924) + (1 << 923))
    good("distant_primes", "The primes differ by a little more than 2^924.", rsa(far, q))

    close = prime_from(q + (1 << 923))
    assert close - q <= 1 << 924 < far - q
    bad("close_primes", "The primes differ by less than 2^924.", rsa(close, q))
    bad("neighbouring_primes", "The primes follow each other: Fermat's method finds them at once.", rsa(prime_from(q + 2), q))
    bad("equal_primes", "Both primes are the same.", rsa(q, q, coefficient=1))
    bad("prime_of_8_bits", "A prime has 8 bits.", rsa(partner(251), 251))
    bad("prime_of_8_bits_first", "The first prime has 8 bits.", rsa(251, partner(251)))
    bad("prime_3", "A prime is three.", rsa(partner(3), 3))
    bad("prime_of_1000_bits", "A prime has 1,000 bits.", rsa(random_prime(1048), random_prime(1000)))
    bad("prime_of_1023_bits", "A prime has 1,023 bits.", rsa(random_prime(1025), random_prime(1023)))
    bad("factor_one", "A factor is one.", rsa_of_one())

    bad("exponent_of_another_key", "The private exponent is another's; the values for the remainder theorem are good.",
        rsa(p, q, d=short ^ 2, dp=short % (p - 1), dq=short % (q - 1)))
    bad("exponent_of_one_prime", "The private exponent is right modulo one of the primes' orders only.",
        rsa(p, q, d=short + (p - 1)))
    bad("exponent_unreduced", "The private exponent is above the modulus.", rsa(p, q, d=large + phi))
    bad("exponent_as_long", "The private exponent is above the modulus and has as many bits.",
        rsa(p, q, d=short + (p * q - short) // carmichael * carmichael + carmichael))
    bad("small_exponent", "The private exponent has 1,024 bits at most: the primes' orders share a factor.", small_exponent())
    bad("exponent_zero", "The private exponent is zero.", rsa(p, q, d=0, dp=short % (p - 1), dq=short % (q - 1)))
    bad("exponent_1_wrong", "The first exponent of the remainder theorem is one too large.", rsa(p, q, dp=short % (p - 1) + 1))
    bad("exponent_1_unreduced", "The first exponent of the remainder theorem is not reduced.",
        rsa(p, q, dp=short % (p - 1) + p - 1))
    bad("exponents_swapped", "The exponents of the remainder theorem are exchanged.",
        rsa(p, q, dp=short % (q - 1), dq=short % (p - 1)))
    bad("exponent_2_wrong", "The second exponent of the remainder theorem is one too large.", rsa(p, q, dq=short % (q - 1) + 1))
    bad("coefficient_wrong", "The coefficient is one too large.", rsa(p, q, coefficient=pow(q, -1, p) + 1))
    bad("coefficient_unreduced", "The coefficient is not reduced.", rsa(p, q, coefficient=pow(q, -1, p) + p))
    bad("coefficient_of_the_other_prime", "The coefficient is the inverse of the first prime.",
        rsa(p, q, coefficient=pow(p, -1, q)))
    bad("coefficient_zero", "The coefficient is zero.", rsa(p, q, coefficient=0))
    bad("modulus_of_other_primes", "The modulus is not the product of the primes.", rsa(p, q, n=p * q + 2))
    RANDOM.seed("a composite factor")
    composite = random_prime(512) * random_prime(512)
    while gcd(E, composite - 1) > 1 or composite.bit_length() != 1024:
        composite = random_prime(512) * random_prime(512)
    write("rsa_composite_prime", "Rsa2048", "private", "faulty",
          "A factor is composite: its numbers belong together, and what it computes is wrong.", rsa(composite, q))

    bad("three_primes", "There is a third prime.", three_primes())
    bad("modulus_of_2047_bits", "The modulus has 2,047 bits.", rsa(random_prime(1024), prime_from(1 << 1022)))
    bad("public_exponent_3", "The public exponent is three.", rsa(random_prime(1024, 3), random_prime(1024, 3), e=3))
    bad("public_exponent_even", "The public exponent is even.", rsa(p, q, e=E + 1, d=short))


def partner(small):
    """A prime whose product with `small` has 2,048 bits."""
    return prime_from((3 << 2046) // small + RANDOM.getrandbits(1500))


def rsa_of_one():
    n = prime_from(3 << 2046)
    d = pow(E, -1, n - 1)
    numbers = {"version": 0, "n": n, "e": E, "d": d, "p": n, "q": 1, "dp": d, "dq": 0, "coefficient": 1}
    return sequence(integer(0), RSA, tlv(0x04, sequence(*map(integer, numbers.values()))))


def small_exponent():
    """Primes whose orders share a factor of 1,010 bits, and the smallest exponent that a public one under 2^33 leaves."""
    while True:
        shared = prime_from((15 << 1006) + RANDOM.getrandbits(1000))
        primes = []
        for factor in range(13 << 10, 1 << 14, 2):
            candidate = shared * factor + 1
            if candidate.bit_length() == 1024 and is_prime(candidate):
                primes.append(candidate)
            if len(primes) == 2:
                break
        if len(primes) < 2:
            continue
        q, p = primes
        if (p * q).bit_length() != 2048:
            continue
        order = lcm(p - 1, q - 1)
        # The private exponent is (1 + k * order) / e for some k under e.
        for e in range((1 << 33) - 1, (1 << 33) - (1 << 24), -2):
            if gcd(e, order) != 1:
                continue
            d = pow(e, -1, order)
            if d.bit_length() <= 1024:
                assert p - q > 1 << 924
                return rsa(p, q, e=e, d=d)


def three_primes():
    RANDOM.seed("three primes")
    p, q, r = random_prime(682), random_prime(683), random_prime(683)
    while (p * q * r).bit_length() != 2048:
        r = random_prime(683)
    d = pow(E, -1, lcm(p - 1, q - 1, r - 1))
    return rsa(p, q, others=[(r, d % (r - 1), pow(p * q, -1, r))], n=p * q * r, d=d)


# Public keys of curves: p, a, b and the bytes of a coordinate (SP 800-186, SEC 2).
CURVES = {
    "EccP256": (
        "1.2.840.10045.3.1.7",
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        -3,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        32,
    ),
    "EccP384": (
        "1.3.132.0.34",
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        -3,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        48,
    ),
    "EccP521": (
        "1.3.132.0.35",
        2**521 - 1,
        -3,
        int(
            "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E1"
            "56193951EC7E937B1652C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00", 16),
        66,
    ),
    "EccSecp256k1": ("1.3.132.0.10", 2**256 - 2**32 - 977, 0, 7, 32),
}


def spki(algorithm, point):
    return sequence(algorithm, tlv(0x03, b"\0" + point))


def points():
    for kind, (curve, p, a, b, length) in CURVES.items():
        algorithm = sequence(oid("1.2.840.10045.2.1"), oid(curve))
        coordinate = lambda n: n.to_bytes(length, "big")
        x, y = next((x, root) for x in range(p) if (root := square_root(x**3 + a * x + b, p)) is not None)
        name = kind.removeprefix("Ecc").lower()
        forms = [
            ("point", "accepted", "A point with a small coordinate.", b"\4" + coordinate(x) + coordinate(y)),
            ("compressed", "accepted", "The same, compressed.", bytes([2 + y % 2]) + coordinate(x)),
            ("x_unreduced", "refused", "The first coordinate is not below p (SEC 1, section 2.3.4).",
             b"\4" + coordinate(x + p) + coordinate(y)),
            ("compressed_x_unreduced", "refused", "The coordinate of a compressed point is not below p.",
             bytes([2 + y % 2]) + coordinate(x + p)),
        ]
        small = small_y(p, a, b) if kind == "EccSecp256k1" else None
        if kind == "EccP521":
            small = x, y
        if small:
            forms.append(("y_unreduced", "refused", "The second coordinate is not below p.",
                          b"\4" + coordinate(small[0]) + coordinate(small[1] + p)))
        for form, expect, reason, point in forms:
            write(f"{name}_{form}", kind, "public", expect, reason, spki(algorithm, point))


def square_root(n, p):
    """The even root modulo a prime that is three modulo four; `None` if there is none."""
    root = pow(n, (p + 1) // 4, p)
    if (root * root - n) % p:
        return None
    return root if root % 2 == 0 else p - root


def small_y(p, a, b):
    """A point of secp256k1 with a small second coordinate: where `y^2 - 7` is a cube."""
    assert a == 0 and p % 9 == 7
    for y in range(1, 1000):
        root = pow(y * y - b, (p + 2) // 9, p)
        if (root**3 - y * y + b) % p == 0:
            return root, y


def edwards_points():
    """RFC 8032, section 5.1.3: a coordinate that is not below p does not decode, nor zero with a sign."""
    p = 2**255 - 19
    d = -121665 * pow(121666, -1, p) % p
    algorithm = sequence(oid("1.3.101.112"))
    one = 1

    def on_curve(y):
        return pow((y * y - 1) * pow(d * y * y + 1, -1, p), (p - 1) // 2, p) in (0, 1)

    def case(name, expect, reason, y, sign=0):
        point = (y | sign << 255).to_bytes(32, "little")
        write(f"ed25519_{name}", "Ed25519", "public", expect, reason, spki(algorithm, point))

    small = [y for y in range(2, 19) if on_curve(y)]
    for y in small:
        case(f"y_{y}", "accepted", f"A point whose coordinate is {y}.", y)
        case(f"y_{y}_unreduced", "refused", f"The same, written as p + {y}.", y + p)
        case(f"y_{y}_unreduced_and_signed", "refused", f"The opposite point, written with p + {y}.", y + p, 1)
    off = next(y for y in range(2, 19) if not on_curve(y))
    case("off_curve", "refused", "There is no point with this coordinate.", off)
    case("neutral", "refused", "The neutral point.", one)
    case("neutral_signed", "refused", "The neutral point, with a sign for a coordinate of zero.", one, 1)
    case("neutral_unreduced", "refused", "The neutral point, written with p + 1.", one + p)
    case("order_2", "refused", "The point of order 2.", p - 1)
    case("order_2_signed", "refused", "The point of order 2, with a sign for a coordinate of zero.", p - 1, 1)
    case("order_4", "refused", "A point of order 4.", 0)
    case("order_4_unreduced", "refused", "A point of order 4, written with p.", p)
    # x^2 = (y^2 - 1) / (d y^2 + 1) = -y^2 where twice the point has order 4: d y^4 + 2 y^2 - 1 = 0.
    root = even_root_of_5_mod_8((1 + d) % p, p)
    for sign in (0, 1):
        square = (-1 + (root if sign else -root)) * pow(d, -1, p) % p
        y = even_root_of_5_mod_8(square, p)
        if y is not None:
            case("order_8", "refused", "A point of order 8.", y)
            case("order_8_opposite", "refused", "Its opposite.", y, 1)


def even_root_of_5_mod_8(n, p):
    root = pow(n, (p + 3) // 8, p)
    if (root * root - n) % p:
        root = root * pow(2, (p - 1) // 4, p) % p
    if (root * root - n) % p:
        return None
    return root if root % 2 == 0 else p - root


rsa_keys()
points()
edwards_points()
