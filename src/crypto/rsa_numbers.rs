//! Checks of the numbers in an RSA private key. They are implemented here so that every backend
//! gives the same verdict.
//!
//! The libraries differ: AWS-LC accepts primes of any size, and neither library rejects primes that
//! are close to each other. The rules are those for key pairs in FIPS 186-5, appendix A.1.1, and
//! NIST SP 800-56B revision 2, section 6.4.1.
//!
//! One bound is omitted: that primes are at least `√2 · 2^(k-1)` for a modulus of `2k` bits. It
//! ensures that the modulus has all its bits, which is checked directly. Software that checks the
//! modulus instead has generated keys with a prime below that bound. Primality is not tested
//! either, because a key pair with a composite factor fails on its first signature.
//!
//! All numbers that are allocated here are wiped. The arithmetic uses the big integers of the `rsa`
//! crate, and its running time depends only on the size of the key.

use pkcs1::RsaPrivateKeyRef;
use pkcs8::der::asn1::UintRef;
use rsa::BoxedUint;
use zeroize::Zeroizing;

/// Primes of `k` bits must differ by more than `2^(k - 100)` (FIPS 186-5, appendix A.1.3, step
/// 5.4).
const DIFFERENCE_BITS: u32 = 100;

/// Number of bits of the largest public exponent, rounded up to a whole word.
const EXPONENT_BITS: u32 = 64;

type Number = Zeroizing<BoxedUint>;

/// The first check that an RSA private key fails, as the end of a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RsaFlaw {
    #[error("it has more than two primes")]
    MorePrimes,
    #[error("one of its primes does not have half the bits of the modulus")]
    PrimeSize,
    #[error("its modulus is not the product of its primes")]
    Modulus,
    #[error("its two primes are equal")]
    EqualPrimes,
    #[error("its primes are so close together that the modulus can be factored")]
    ClosePrimes,
    #[error("its private exponent is not less than the modulus")]
    LargeExponent,
    #[error("its private exponent is too small")]
    SmallExponent,
    #[error("its private exponent does not match its public exponent and primes")]
    Exponent,
    #[error(
        "its exponents or coefficient for the Chinese remainder theorem do not match its primes and private exponent"
    )]
    Remainders,
}

/// Checks the secret numbers of a key. Its modulus has exactly `bits` bits, and its public exponent
/// has at most 64.
pub(super) fn check(bits: u32, key: &RsaPrivateKeyRef<'_>) -> Result<(), RsaFlaw> {
    if key.other_prime_infos.is_some() {
        return Err(RsaFlaw::MorePrimes);
    }
    let half = bits / 2;
    let (p, q) = (number(&key.prime1, half), number(&key.prime2, half));
    let (p, q) = (p.ok_or(RsaFlaw::PrimeSize)?, q.ok_or(RsaFlaw::PrimeSize)?);
    if p.bit_width() != half || q.bit_width() != half {
        return Err(RsaFlaw::PrimeSize);
    }
    if p == q {
        return Err(RsaFlaw::EqualPrimes);
    }
    let modulus = number(&key.modulus, bits).ok_or(RsaFlaw::Modulus)?;
    // Both primes have half the bits of the modulus, so their product has at most the bits of the
    // modulus. The modulus is odd, and so are the primes.
    if product(&p, &q, bits) != modulus {
        return Err(RsaFlaw::Modulus);
    }
    if difference(&p, &q).bit_width() <= half - DIFFERENCE_BITS {
        return Err(RsaFlaw::ClosePrimes);
    }
    check_exponents(bits, key, &modulus, [&p, &q])?;
    check_coefficient(bits, key, &p, &q)
}

/// Checks that `2^(bits / 2) < d < n` and that `d` is the inverse of `e` modulo `p - 1` and
/// `q - 1`. It may be reduced modulo the least common multiple of these, as the standards specify,
/// or modulo their product, as in much software.
fn check_exponents(
    bits: u32,
    key: &RsaPrivateKeyRef<'_>,
    modulus: &BoxedUint,
    primes: [&BoxedUint; 2],
) -> Result<(), RsaFlaw> {
    let d = number(&key.private_exponent, bits).filter(|d| **d < *modulus).ok_or(RsaFlaw::LargeExponent)?;
    if d.bit_width() <= bits / 2 {
        return Err(RsaFlaw::SmallExponent);
    }
    let e = number(&key.public_exponent, EXPONENT_BITS).ok_or(RsaFlaw::Exponent)?;
    let de = product(&d, &e, bits + EXPONENT_BITS);
    for (prime, exponent) in primes.into_iter().zip([&key.exponent1, &key.exponent2]) {
        let mut order = Zeroizing::new(prime.clone());
        order.wrapping_sub_assign(BoxedUint::one());
        if !bool::from(remainder(&de, &order).ok_or(RsaFlaw::Exponent)?.is_one()) {
            return Err(RsaFlaw::Exponent);
        }
        let exponent = number(exponent, bits / 2).ok_or(RsaFlaw::Remainders)?;
        if remainder(&d, &order).ok_or(RsaFlaw::Exponent)? != exponent {
            return Err(RsaFlaw::Remainders);
        }
    }
    Ok(())
}

/// Checks that the coefficient is the reduced inverse of `q` modulo `p`.
fn check_coefficient(bits: u32, key: &RsaPrivateKeyRef<'_>, p: &BoxedUint, q: &BoxedUint) -> Result<(), RsaFlaw> {
    let coefficient = number(&key.coefficient, bits / 2).filter(|number| **number < *p).ok_or(RsaFlaw::Remainders)?;
    let one = remainder(&product(&coefficient, q, bits), p).ok_or(RsaFlaw::Remainders)?;
    if one.is_one().into() { Ok(()) } else { Err(RsaFlaw::Remainders) }
}

/// Returns the number in `bits` bits, or `None` if it has more.
fn number(value: &UintRef<'_>, bits: u32) -> Option<Number> {
    BoxedUint::from_be_slice(value.as_bytes(), bits).ok().map(Zeroizing::new)
}

/// Returns the product in `bits` bits, which must be sufficient.
fn product(one: &BoxedUint, two: &BoxedUint, bits: u32) -> Number {
    let mut wide = Zeroizing::new(BoxedUint::zero_with_precision(bits));
    wide.wrapping_add_assign(one);
    Zeroizing::new(wide.wrapping_mul(two))
}

fn difference(one: &BoxedUint, two: &BoxedUint) -> Number {
    let (larger, smaller) = if one > two { (one, two) } else { (two, one) };
    Zeroizing::new(larger.wrapping_sub(smaller))
}

/// Returns the remainder, or `None` if the divisor is zero.
fn remainder(dividend: &BoxedUint, divisor: &BoxedUint) -> Option<Number> {
    // Both results are kept, because the library would drop a quotient without wiping it.
    let (quotient, remainder) = dividend.div_rem(divisor.as_nz_vartime()?);
    drop(Zeroizing::new(quotient));
    Some(Zeroizing::new(remainder))
}

#[cfg(test)]
mod tests {
    use pkcs8::der::Decode;

    use super::*;
    use crate::crypto::{CryptoBackend, KeyPairKind, key_encoding};

    const BITS: u32 = 2_048;

    fn sum(number: &UintRef<'_>, term: u8) -> Vec<u8> {
        let mut number = BoxedUint::from_be_slice(number.as_bytes(), BITS).expect("a number of the key");
        number.wrapping_add_assign(BoxedUint::from(term));
        number.to_be_bytes().to_vec()
    }

    fn reason<'a>(key: &RsaPrivateKeyRef<'a>, change: impl FnOnce(&mut RsaPrivateKeyRef<'a>)) -> Option<RsaFlaw> {
        let mut changed = key.clone();
        change(&mut changed);
        check(BITS, &changed).err()
    }

    #[test]
    fn each_check_names_its_flaw() -> Result<(), Box<dyn std::error::Error>> {
        let backend = CryptoBackend::default();
        let pkcs8 = backend.key_pairs().generate(KeyPairKind::Rsa2048, backend.random())?.to_pkcs8()?;
        let secret = key_encoding::parse_private(KeyPairKind::Rsa2048, pkcs8.expose_secret())?.secret;
        let key = RsaPrivateKeyRef::from_der(secret.expose_secret())?;
        let (short, one) = (UintRef::new(&[0x7f; 128])?, UintRef::new(&[1])?);
        let (modulus, exponent) = (sum(&key.modulus, 2), sum(&key.private_exponent, 2));
        let (modulus, exponent) = (UintRef::new(&modulus)?, UintRef::new(&exponent)?);
        let (remainder, coefficient) = (sum(&key.exponent2, 1), sum(&key.coefficient, 1));
        let (remainder, coefficient) = (UintRef::new(&remainder)?, UintRef::new(&coefficient)?);
        let (next, after) = ([vec![0xff; 127], vec![0xfd]].concat(), vec![0xff; 128]);
        let (next, after) = (UintRef::new(&next)?, UintRef::new(&after)?);
        let [one_below, two_below] = [next, after].map(|number| super::number(&number, BITS / 2).expect("1,024 bits"));
        let between = product(&one_below, &two_below, BITS).to_be_bytes();
        let between = UintRef::new(&between)?;

        assert_eq!(reason(&key, |_| {}), None);
        assert_eq!(reason(&key, |key| key.prime2 = short), Some(RsaFlaw::PrimeSize));
        assert_eq!(reason(&key, |key| key.prime1 = key.modulus), Some(RsaFlaw::PrimeSize));
        assert_eq!(reason(&key, |key| key.modulus = modulus), Some(RsaFlaw::Modulus));
        let double = |key: &mut RsaPrivateKeyRef<'_>| key.prime2 = key.prime1;
        assert_eq!(reason(&key, double), Some(RsaFlaw::EqualPrimes));
        let close = reason(&key, |key| (key.prime1, key.prime2, key.modulus) = (next, after, between));
        assert_eq!(close, Some(RsaFlaw::ClosePrimes));
        assert_eq!(reason(&key, |key| key.private_exponent = key.modulus), Some(RsaFlaw::LargeExponent));
        assert_eq!(reason(&key, |key| key.private_exponent = one), Some(RsaFlaw::SmallExponent));
        assert_eq!(reason(&key, |key| key.private_exponent = exponent), Some(RsaFlaw::Exponent));
        assert_eq!(reason(&key, |key| key.public_exponent = one), Some(RsaFlaw::Exponent));
        assert_eq!(reason(&key, |key| key.exponent2 = remainder), Some(RsaFlaw::Remainders));
        assert_eq!(reason(&key, |key| key.coefficient = coefficient), Some(RsaFlaw::Remainders));
        assert_eq!(reason(&key, |key| key.coefficient = key.prime1), Some(RsaFlaw::Remainders));
        Ok(())
    }
}
