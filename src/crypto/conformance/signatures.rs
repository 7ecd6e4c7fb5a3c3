//! Requirements on ECDSA in every backend: known answers, keys from given bytes, rejected keys and
//! signatures, and fixed lengths.

use std::sync::Mutex;

use super::{bytes, is_invalid_length, signing_backends};
use crate::crypto::{
    CryptoBackend, CryptoError, RUST_CRYPTO, SecureRandom, SignatureAlgorithm, SigningKey, VerifyingKey,
};

struct Case {
    algorithm: SignatureAlgorithm,
    secret: &'static str,
    x: &'static str,
    y: &'static str,
    /// The signatures of `sample` and `test`, as (message, r, s).
    signatures: [(&'static str, &'static str, &'static str); 2],
}

/// RFC 6979, appendices A.2.5 and A.2.6, with the hash function of the algorithm.
#[rustfmt::skip]
const CASES: [Case; 2] = [
    Case {
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        secret: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
        x: "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
        y: "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        signatures: [
            (
                "sample",
                "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
                "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
            ),
            (
                "test",
                "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
                "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
            ),
        ],
    },
    Case {
        algorithm: SignatureAlgorithm::EcdsaP384Sha384,
        secret: "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
        x: "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13",
        y: "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
        signatures: [
            (
                "sample",
                "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
                "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
            ),
            (
                "test",
                "8203b63d3c853e8d77227fb377bcf7b7b772e97892a80f36ab775d509d7a5feb0542a7f0812998da8f1dd3ca3cf023db",
                "ddd0760448d42d8a43af45af836fce4de8be06b485e9b61b827c2f13173923e06a739f040649a667bf3b828246baa5a5",
            ),
        ],
    },
];

impl Case {
    fn point(&self) -> Vec<u8> {
        [&[4], &*bytes(self.x), &*bytes(self.y)].concat()
    }

    fn compressed_point(&self) -> Vec<u8> {
        let y = bytes(self.y);
        [&[2 | (y[y.len() - 1] & 1)], &*bytes(self.x)].concat()
    }

    fn signing_key(&self, backend: &CryptoBackend) -> Result<Box<dyn SigningKey>, CryptoError> {
        backend.signature().generate(self.algorithm, &Fixed::new([bytes(self.secret)]))
    }

    fn verifying_key(&self, backend: &CryptoBackend) -> Result<Box<dyn VerifyingKey>, CryptoError> {
        backend.signature().verifying_key(self.algorithm, &self.compressed_point())
    }

    /// Returns the hash value, r, and s of the signature of `sample`.
    fn sample(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let (message, r, s) = self.signatures[0];
        (digest_of(self.algorithm, message.as_bytes()), bytes(r), bytes(s))
    }

    /// Returns the order of the curve (FIPS 186-5 by reference to SP 800-186, sections 3.2.1.3 and
    /// 3.2.1.4).
    fn order(&self) -> Vec<u8> {
        bytes(match self.algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
            SignatureAlgorithm::EcdsaP384Sha384 => {
                "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
            }
        })
    }

    /// Returns the x coordinate of the curve's base point.
    fn base_x(&self) -> Vec<u8> {
        bytes(match self.algorithm {
            SignatureAlgorithm::EcdsaP256Sha256 => "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            SignatureAlgorithm::EcdsaP384Sha384 => {
                "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7"
            }
        })
    }
}

/// A generator that returns prepared values in sequence and fails when none are left.
#[derive(Debug)]
pub(super) struct Fixed(Mutex<Vec<Vec<u8>>>);

impl Fixed {
    pub(super) fn new(values: impl Into<Vec<Vec<u8>>>) -> Self {
        let mut values = values.into();
        values.reverse();
        Self(Mutex::new(values))
    }
}

impl SecureRandom for Fixed {
    fn library(&self) -> &'static str {
        "prepared values"
    }

    fn fill(&self, output: &mut [u8]) -> Result<(), CryptoError> {
        let value =
            self.0.lock().expect("no test panics while holding the lock").pop().ok_or(CryptoError::RandomFailed)?;
        output.copy_from_slice(&value);
        Ok(())
    }
}

pub(super) fn digest_of(algorithm: SignatureAlgorithm, message: &[u8]) -> Vec<u8> {
    RUST_CRYPTO.digest().digest(algorithm.digest_algorithm(), &[message]).as_ref().to_vec()
}

/// Encodes numbers below 2^1000 as `Ecdsa-Sig-Value` in DER.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    sequence(&[integer(&minimal(r)), integer(&minimal(s))].concat())
}

fn sequence(content: &[u8]) -> Vec<u8> {
    [&[0x30, u8::try_from(content.len()).expect("short")], content].concat()
}

fn integer(content: &[u8]) -> Vec<u8> {
    [&[0x02, u8::try_from(content.len()).expect("short")], content].concat()
}

/// Returns the content of the shortest DER integer: no leading zero byte, except one if the next
/// bit is set.
fn minimal(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = &number[zeros..];
    let pad = digits.first().is_none_or(|byte| *byte >= 0x80);
    [if pad { &[0_u8][..] } else { &[] }, digits].concat()
}

/// Returns `a + b` and `a - b` for numbers of equal length, which must not overflow.
fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = vec![0; a.len() + 1];
    let mut carry = 0;
    for index in (0..a.len()).rev() {
        carry += u16::from(a[index]) + u16::from(b[index]);
        sum[index + 1] = carry.to_be_bytes()[1];
        carry >>= 8;
    }
    sum[0] = carry.to_be_bytes()[1];
    sum
}

fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = vec![0; a.len()];
    let mut borrow = 0;
    for index in (0..a.len()).rev() {
        let value = 256 + u16::from(a[index]) - u16::from(b[index]) - borrow;
        difference[index] = value.to_be_bytes()[1];
        borrow = u16::from(value < 256);
    }
    assert_eq!(borrow, 0);
    difference
}

fn one(length: usize) -> Vec<u8> {
    let mut one = vec![0; length];
    one[length - 1] = 1;
    one
}

#[test]
fn lengths_are_those_of_the_message_format() {
    let lengths: Vec<_> = SignatureAlgorithm::ALL
        .iter()
        .map(|algorithm| {
            let digest = algorithm.digest_algorithm().output_length();
            (digest, algorithm.public_key_length(), algorithm.fixed_signature_length())
        })
        .collect();
    assert_eq!(lengths, [(32, 33, 71), (48, 49, 103)]);
}

#[test]
fn ecdsa_gives_the_answers_of_rfc_6979() -> Result<(), CryptoError> {
    for case in &CASES {
        let signer = case.signing_key(&RUST_CRYPTO)?;
        for (message, r, s) in case.signatures {
            let digest = digest_of(case.algorithm, message.as_bytes());
            let expected = der(&bytes(r), &bytes(s));
            // AWS-LC uses random nonces, so it can only verify the signatures from the standard.
            assert_eq!(hex::encode(signer.sign_digest(&digest)?), hex::encode(&expected), "{:?}", case.algorithm);
            for backend in signing_backends() {
                case.verifying_key(backend)?.verify_digest(&digest, &expected)?;
                let uncompressed = backend.signature().verifying_key(case.algorithm, &case.point())?;
                assert_eq!(uncompressed.algorithm(), case.algorithm);
                uncompressed.verify_digest(&digest, &expected)?;
            }
        }
    }
    Ok(())
}

#[test]
fn a_key_is_made_of_the_given_random_bytes_and_nothing_else() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let key = case.signing_key(backend)?;
            assert_eq!(key.public_key(), case.compressed_point(), "{} {:?}", backend.name(), case.algorithm);
            assert_eq!(key.algorithm(), case.algorithm);
        }
    }
    Ok(())
}

#[test]
fn secret_scalars_are_above_zero_and_below_the_order() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let (order, length) = (case.order(), case.order().len());
            let highest = subtract(&order, &one(length));
            let bad = [vec![0; length], order.clone(), vec![0xFF; length]];
            let key = backend.signature().generate(case.algorithm, &Fixed::new([&bad[..], &[highest]].concat()))?;
            let lowest = backend.signature().generate(case.algorithm, &Fixed::new([one(length)]))?;
            // The lowest secret gives the base point, and the highest gives its negation.
            let (mirrored, base) = (key.public_key(), lowest.public_key());
            assert_eq!((&mirrored[1..], &base[1..]), (&case.base_x()[..], &case.base_x()[..]));
            assert_eq!(mirrored[0] ^ base[0], 1, "{} {:?}", backend.name(), case.algorithm);

            for stuck in bad {
                let refused = backend.signature().generate(case.algorithm, &Fixed::new(vec![stuck; 1000]));
                assert_eq!(refused.err(), Some(CryptoError::RandomFailed), "{}", backend.name());
            }
            let refused = backend.signature().generate(case.algorithm, &Fixed::new([]));
            assert_eq!(refused.err(), Some(CryptoError::RandomFailed), "{}", backend.name());
        }
    }
    Ok(())
}

#[test]
fn generated_keys_differ() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for algorithm in SignatureAlgorithm::ALL {
            let one = backend.signature().generate(*algorithm, backend.random())?.public_key();
            let two = backend.signature().generate(*algorithm, backend.random())?.public_key();
            assert_eq!((one.len(), two.len()), (algorithm.public_key_length(), algorithm.public_key_length()));
            assert_ne!(one, two, "{} {algorithm:?}", backend.name());
        }
    }
    Ok(())
}

/// Inputs that resemble a public key but are invalid.
fn bad_points(case: &Case) -> Vec<(&'static str, Vec<u8>)> {
    let (point, compressed) = (case.point(), case.compressed_point());
    let length = case.order().len();
    let with_prefix = |prefix: u8, point: &[u8]| [&[prefix], &point[1..]].concat();
    let y_is_odd = compressed[0] & 1;
    let mut off_curve = point.clone();
    off_curve[2 * length] ^= 1;
    let mut swapped = point.clone();
    swapped[1..].rotate_left(length);
    let foreign = CASES.iter().find(|other| other.algorithm != case.algorithm).expect("there are two keys");
    // A library might also accept the header of a `SubjectPublicKeyInfo`.
    let spki = [
        &bytes(match length {
            32 => "3059301306072a8648ce3d020106082a8648ce3d030107034200",
            _ => "3076301006072a8648ce3d020106052b81040022036200",
        })[..],
        &point,
    ]
    .concat();
    vec![
        ("nothing", vec![]),
        ("infinity", vec![0]),
        ("long infinity", vec![0; 1 + length]),
        ("zeros", [&[4][..], &vec![0; 2 * length]].concat()),
        ("prefix alone", vec![2]),
        ("no prefix", point[1..].to_vec()),
        ("hybrid", with_prefix(6 | y_is_odd, &point)),
        ("hybrid, wrong sign", with_prefix(7 - y_is_odd, &point)),
        ("compact", with_prefix(5, &compressed)),
        ("unknown prefix", with_prefix(1, &compressed)),
        ("compressed prefix, uncompressed", with_prefix(2, &point)),
        ("uncompressed prefix, compressed", with_prefix(4, &compressed)),
        ("short", point[..point.len() - 1].to_vec()),
        ("short, compressed", compressed[..length].to_vec()),
        ("long", [&point[..], &[0]].concat()),
        ("long, compressed", [&compressed[..], &[0]].concat()),
        ("off the curve", off_curve),
        ("coordinates swapped", swapped),
        ("x above the field", [&[2][..], &vec![0xFF; length]].concat()),
        ("x and y above the field", [&[4][..], &vec![0xFF; 2 * length]].concat()),
        ("point of another curve", foreign.point()),
        ("compressed point of another curve", foreign.compressed_point()),
        ("in a SubjectPublicKeyInfo", spki),
    ]
}

#[test]
fn a_public_key_is_a_whole_point_of_its_curve() {
    for backend in signing_backends() {
        for case in &CASES {
            for (what, point) in bad_points(case) {
                let refused = backend.signature().verifying_key(case.algorithm, &point).err();
                assert_eq!(refused, Some(CryptoError::InvalidPublicKey), "{} {what}", backend.name());
            }
            // About half of all x coordinates belong to no point. The others are valid with both
            // signs.
            let (mut on_curve, length) = (0, case.order().len());
            for low in 0..64 {
                let mut point = [&[2][..], &vec![0; length]].concat();
                point[length] = low;
                let found = backend.signature().verifying_key(case.algorithm, &point).is_ok();
                point[0] = 3;
                assert_eq!(backend.signature().verifying_key(case.algorithm, &point).is_ok(), found);
                on_curve += usize::from(found);
            }
            assert!((16..48).contains(&on_curve), "{} {:?}: {on_curve}", backend.name(), case.algorithm);
        }
    }
}

#[test]
fn a_hash_value_has_exactly_the_length_of_its_hash() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let (signer, verifier) = (case.signing_key(backend)?, case.verifying_key(backend)?);
            let (digest, r, s) = case.sample();
            let signature = der(&r, &s);
            for length in (0..=65).filter(|length| *length != digest.len()) {
                let other = [&digest[..], &[0; 64]].concat()[..length].to_vec();
                assert!(is_invalid_length(&signer.sign_digest(&other)), "{} {length}", backend.name());
                assert!(is_invalid_length(&signer.sign_digest_to_fixed_length(&other)), "{} {length}", backend.name());
                assert!(is_invalid_length(&verifier.verify_digest(&other, &signature)), "{} {length}", backend.name());
            }
        }
    }
    Ok(())
}

/// Values that are not signatures of the sample.
fn bad_signatures(case: &Case) -> Vec<(&'static str, Vec<u8>)> {
    let (_, r, s) = case.sample();
    let (order, zero) = (case.order(), vec![0; r.len()]);
    let good = der(&r, &s);
    let (r_der, s_der) = (integer(&minimal(&r)), integer(&minimal(&s)));
    let content = [&r_der[..], &s_der].concat();
    let long_form = [&[0x30, 0x81, u8::try_from(content.len()).expect("short")], &content[..]].concat();
    let indefinite = [&[0x30, 0x80], &content[..], &[0, 0]].concat();
    let padded = integer(&[&[0], &minimal(&r)[..]].concat());
    vec![
        ("nothing", vec![]),
        ("r and s swapped", der(&s, &r)),
        ("r twice", der(&r, &r)),
        ("r is zero", der(&zero, &s)),
        ("s is zero", der(&r, &zero)),
        ("both are zero", der(&zero, &zero)),
        ("r is the order", der(&order, &s)),
        ("s is the order", der(&r, &order)),
        ("r above the order", der(&add(&r, &order), &s)),
        ("s above the order", der(&r, &add(&s, &order))),
        ("r negated", der(&subtract(&order, &r), &s)),
        ("r without its sign byte", sequence(&[&integer(&r)[..], &s_der].concat())),
        ("r with an extra byte", sequence(&[&padded[..], &s_der].concat())),
        ("r alone", sequence(&r_der)),
        ("a third number", sequence(&[&content[..], &integer(&[1])].concat())),
        ("an empty sequence", sequence(&[])),
        ("empty numbers", sequence(&[integer(&[]), integer(&[])].concat())),
        ("length in long form", long_form),
        ("indefinite length", indefinite),
        ("trailing bytes", [&good[..], &[0]].concat()),
        ("repeated", [&good[..], &good].concat()),
        ("both numbers without DER encoding", [&r[..], &s].concat()),
        ("a set", [&[0x31], &good[1..]].concat()),
    ]
}

#[test]
fn what_is_not_strict_der_of_the_right_numbers_is_no_signature() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let verifier = case.verifying_key(backend)?;
            let (digest, r, s) = case.sample();
            let good = der(&r, &s);
            verifier.verify_digest(&digest, &good)?;
            let mut bad = bad_signatures(case);
            bad.extend((0..good.len()).map(|end| ("cut off", good[..end].to_vec())));
            for index in 0..good.len() {
                let mut flipped = good.clone();
                flipped[index] ^= 1 << (index % 8);
                bad.push(("a flipped bit", flipped));
            }
            for (what, signature) in bad {
                let refused = verifier.verify_digest(&digest, &signature);
                let text = format!("{} {:?} {what} {}", backend.name(), case.algorithm, hex::encode(signature));
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{text}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_signature_fits_one_key_and_one_hash_value() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let verifier = case.verifying_key(backend)?;
            let signature = case.signing_key(backend)?.sign_digest(&case.sample().0)?;
            let digest = case.sample().0;
            verifier.verify_digest(&digest, &signature)?;
            for bit in 0..digest.len() * 8 {
                let mut flipped = digest.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let refused = verifier.verify_digest(&flipped, &signature);
                assert_eq!(refused, Err(CryptoError::InvalidSignature), "{} bit {bit}", backend.name());
            }
            let mut mirrored = case.compressed_point();
            mirrored[0] ^= 1;
            let other = backend.signature().verifying_key(case.algorithm, &mirrored)?;
            assert_eq!(other.verify_digest(&digest, &signature), Err(CryptoError::InvalidSignature));
        }
    }
    Ok(())
}

#[test]
fn high_and_low_s_are_both_valid() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let verifier = case.verifying_key(backend)?;
            let (digest, r, s) = case.sample();
            verifier.verify_digest(&digest, &der(&r, &s))?;
            verifier.verify_digest(&digest, &der(&r, &subtract(&case.order(), &s)))?;
        }
    }
    Ok(())
}

#[test]
fn signatures_of_fixed_length_have_it_and_are_valid() -> Result<(), CryptoError> {
    for backend in signing_backends() {
        for case in &CASES {
            let (signer, verifier) = (case.signing_key(backend)?, case.verifying_key(backend)?);
            let mut other_lengths = 0;
            for number in 0..60_u8 {
                let digest = digest_of(case.algorithm, &[number]);
                let signature = signer.sign_digest_to_fixed_length(&digest)?;
                assert_eq!(signature.len(), case.algorithm.fixed_signature_length(), "{}", backend.name());
                verifier.verify_digest(&digest, &signature)?;
                let plain = signer.sign_digest(&digest)?;
                verifier.verify_digest(&digest, &plain)?;
                other_lengths += usize::from(plain.len() != signature.len());
            }
            // About half of all regular signatures have a different length.
            assert!((5..55).contains(&other_lengths), "{} {:?}: {other_lengths}", backend.name(), case.algorithm);
        }
    }
    Ok(())
}
