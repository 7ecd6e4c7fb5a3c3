//! The order of a reader's checks: if a message has two faults, the one that is checked first is
//! reported.

use std::io::Read;

use strongroom::envelope::{
    CommitmentPolicy, DecryptionMaterials, EncryptionMaterials, Keyring, SignaturePolicy, UnwrapFailures,
};
use strongroom::message::{AlgorithmSuite, EncryptedDataKey, MessageError, inspect};
use strongroom::{EncryptionContext, Envelope, Error, Result, SecretBytes};

const FRAME: usize = 16;

/// "Wraps" data keys by storing them in plaintext. They are not bound to a context, so that every
/// later check can be reached.
#[derive(Debug)]
struct Open(&'static str);

impl Keyring for Open {
    fn on_encrypt(&self, materials: &mut EncryptionMaterials) -> Result<()> {
        let data_key = materials.data_key_or_generate()?.expose_secret().to_vec();
        materials.push(EncryptedDataKey::new(self.0, *b"", data_key))
    }

    fn on_decrypt(&self, materials: &mut DecryptionMaterials, data_keys: &[EncryptedDataKey]) -> Result<()> {
        match data_keys.iter().find(|data_key| data_key.provider_id() == self.0) {
            Some(data_key) => materials.set_data_key(SecretBytes::copy_from_slice(data_key.ciphertext())),
            None => Err(UnwrapFailures::default().into_error()),
        }
    }
}

/// The parts of a message, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Version,
    Type,
    Suite,
    MessageId,
    Context,
    Count,
    DataKeys,
    ContentType,
    Reserved,
    IvLength,
    FrameLength,
    Commitment,
    HeaderIv,
    HeaderTag,
    FirstFrame,
    FinalFrame,
    Footer,
    Trailing,
}

use Part::*;

/// A message in parts, and the way in which it is read.
#[derive(Clone)]
struct Case {
    parts: Vec<(Part, Vec<u8>)>,
    /// The part in the middle of which the message is truncated.
    cut: Option<Part>,
    commitment_policy: CommitmentPolicy,
    signature_policy: SignaturePolicy,
    expected: EncryptionContext,
    provider: &'static str,
}

impl Case {
    /// Creates a valid, signed message of two frames.
    fn sound(suite: AlgorithmSuite) -> Result<Self> {
        let policy = match suite.is_committing() {
            true => CommitmentPolicy::RequireEncryptAllowDecrypt,
            false => CommitmentPolicy::ForbidEncryptAllowDecrypt,
        };
        let builder = Envelope::builder(Open("open")).commitment_policy(policy).algorithm_suite(suite);
        let envelope = builder.frame_length(u32::try_from(FRAME).expect("small")).build()?;
        let message = envelope.encrypt(&[7; 2 * FRAME], &EncryptionContext::from([("a", "b")]))?;
        let header = inspect(&message).expect("a header");
        let version_1 = !suite.is_committing();
        let only_1 = |length| if version_1 { length } else { 0 };
        let context = 2 + header.context().to_canonical_bytes().expect("short").len();
        let data_keys = 6 + "open".len() + suite.data_key_length();
        let lengths = [
            (Version, 1),
            (Type, only_1(1)),
            (Suite, 2),
            (MessageId, if version_1 { 16 } else { 32 }),
            (Context, context),
            (Count, 2),
            (DataKeys, data_keys),
            (ContentType, 1),
            (Reserved, only_1(4)),
            (IvLength, only_1(1)),
            (FrameLength, 4),
            (Commitment, if version_1 { 0 } else { 32 }),
            (HeaderIv, only_1(12)),
            (HeaderTag, 16),
            (FirstFrame, FRAME + 32),
            (FinalFrame, FRAME + 40),
        ];
        let (mut rest, mut parts) = (&message[..], Vec::new());
        for (part, length) in lengths {
            let (bytes, behind) = rest.split_at(length);
            parts.push((part, bytes.to_vec()));
            rest = behind;
        }
        parts.extend([(Footer, rest.to_vec()), (Trailing, Vec::new())]);
        Ok(Self {
            parts,
            cut: None,
            commitment_policy: CommitmentPolicy::RequireEncryptAllowDecrypt,
            signature_policy: SignaturePolicy::ReleaseBeforeVerification,
            expected: EncryptionContext::new(),
            provider: "open",
        })
    }

    fn part(&mut self, wanted: Part) -> &mut Vec<u8> {
        &mut self.parts.iter_mut().find(|(part, _)| *part == wanted).expect("every part is present").1
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        for (part, bytes) in &self.parts {
            if self.cut == Some(*part) {
                message.extend_from_slice(&bytes[..bytes.len() / 2]);
                break;
            }
            message.extend_from_slice(bytes);
        }
        message
    }

    fn envelope(&self) -> Envelope {
        let builder = Envelope::builder(Open(self.provider)).commitment_policy(self.commitment_policy);
        builder.signature_policy(self.signature_policy).build().expect("an envelope")
    }

    fn decrypt(&self) -> Result<Vec<u8>> {
        self.envelope().decrypt(&self.message(), &self.expected)
    }

    fn stream(&self) -> Result<Vec<u8>> {
        let mut plaintext = Vec::new();
        let message = self.message();
        let mut reader = self.envelope().reader(&message[..], &self.expected)?;
        match reader.read_to_end(&mut plaintext) {
            Ok(_) => Ok(plaintext),
            Err(error) => Err(error.downcast().expect("an error of this crate")),
        }
    }
}

/// A single fault: the part of the message that it affects, if any, and the check that must detect
/// it.
struct Fault {
    name: &'static str,
    part: Option<Part>,
    check: &'static str,
    make: fn(&mut Case),
}

const fn fault(name: &'static str, part: Part, check: &'static str, make: fn(&mut Case)) -> Fault {
    Fault { name, part: Some(part), check, make }
}

const fn reader(name: &'static str, check: &'static str, make: fn(&mut Case)) -> Fault {
    Fault { name, part: None, check, make }
}

/// All faults, in the order of the checks.
const FAULTS: [Fault; 31] = [
    fault("version 9", Version, "UnsupportedVersion", |case| case.part(Version)[0] = 9),
    fault("type 0x81", Type, "InvalidType", |case| case.part(Type)[0] = 0x81),
    fault("suite 0", Suite, "UnknownSuite", |case| case.part(Suite).fill(0)),
    fault("a suite of the other version", Suite, "SuiteVersionMismatch", |case| {
        let other: [u8; 2] = if case.part(Suite)[0] == 5 { [3, 0x78] } else { [5, 0x78] };
        case.part(Suite).copy_from_slice(&other);
    }),
    fault("a context that counts one pair more", Context, "InvalidEncryptionContext", |case| {
        case.part(Context)[3] += 1;
    }),
    fault("no data keys", Count, "NoDataKeys", |case| case.part(Count).fill(0)),
    fault("65 data keys", Count, "TooManyDataKeys", |case| case.part(Count)[1] = 65),
    fault("a provider id that is not UTF-8", DataKeys, "InvalidDataKey", |case| case.part(DataKeys)[2] = 0xFF),
    fault("content type 3", ContentType, "InvalidContentType", |case| case.part(ContentType)[0] = 3),
    fault("a reserved byte", Reserved, "InvalidHeader", |case| case.part(Reserved)[3] = 1),
    fault("an IV of 16 bytes", IvLength, "InvalidHeader", |case| case.part(IvLength)[0] = 16),
    fault("frame length 0", FrameLength, "InvalidFrameLength", |case| case.part(FrameLength).fill(0)),
    fault("cut in the commitment", Commitment, "Truncated", |case| case.cut = Some(Commitment)),
    fault("cut in the header's tag", HeaderTag, "Truncated", |case| case.cut = Some(HeaderTag)),
    reader("a commitment policy that refuses", "CommitmentPolicy", |case| {
        case.commitment_policy = CommitmentPolicy::RequireEncryptRequireDecrypt;
    }),
    reader("a signature policy that refuses", "SignaturePolicy", |case| {
        case.signature_policy = SignaturePolicy::ForbidSigned;
    }),
    fault("no public key", Context, "PublicKeyPresence", |case| {
        *case.part(Context) = [&[0, 8, 0, 1, 0, 1][..], b"a", &[0, 1], b"b"].concat();
    }),
    reader("an expected context that is missing", "ContextMismatch", |case| {
        case.expected = EncryptionContext::from([("a", "c")]);
    }),
    reader("another wrapping key", "NoDataKeyUnwrapped", |case| case.provider = "other"),
    fault("a public key that is not a point", Context, "InvalidPublicKey", |case| {
        *case.part(Context).last_mut().expect("not empty") = b'!';
    }),
    fault("another commitment", Commitment, "CommitmentMismatch", |case| case.part(Commitment)[31] ^= 1),
    fault("another header tag", HeaderTag, "HeaderAuth", |case| case.part(HeaderTag)[15] ^= 1),
    fault("a first frame with number 2", FirstFrame, "BadSequence", |case| case.part(FirstFrame)[3] = 2),
    fault("cut in the first frame", FirstFrame, "Truncated", |case| case.cut = Some(FirstFrame)),
    fault("an altered first frame", FirstFrame, "BodyAuth", |case| case.part(FirstFrame)[20] ^= 1),
    fault("a final frame over the frame length", FinalFrame, "BadFinalLength", |case| case.part(FinalFrame)[23] += 1),
    fault("cut in the final frame", FinalFrame, "Truncated", |case| case.cut = Some(FinalFrame)),
    // The footer belongs to the last frame: it must be available before that frame is opened.
    fault("cut in the footer", Footer, "Truncated", |case| case.cut = Some(Footer)),
    fault("an altered final frame", FinalFrame, "BodyAuth", |case| case.part(FinalFrame)[30] ^= 1),
    fault("an altered signature", Footer, "Signature", |case| *case.part(Footer).last_mut().expect("not empty") ^= 1),
    fault("a byte after the end", Trailing, "TrailingData", |case| case.part(Trailing).push(0)),
];

/// Returns the name of the check that failed.
fn check(error: &Error) -> String {
    let source = error.downcast_ref::<MessageError>();
    let text = source.map_or_else(|| format!("{:?}", error.kind()), |refusal| format!("{refusal:?}"));
    text.chars().take_while(|character| character.is_alphanumeric()).collect()
}

/// Returns `true` if a message of this suite can have the fault. Version 2 has no type, reserved
/// field, IV length, or commitment policy to violate; version 1 has no commitment.
fn possible(case: &Case, fault: &Fault) -> bool {
    let is_there = |part| case.parts.iter().any(|(name, bytes)| *name == part && !bytes.is_empty());
    let version_1 = is_there(Type);
    match fault.part {
        Some(Trailing) => true,
        Some(part) => is_there(part),
        None => version_1 || fault.check != "CommitmentPolicy",
    }
}

/// Returns `true` if one message can have both faults: in different parts, and neither of them
/// after the end of a truncated message.
fn both(one: &Fault, two: &Fault) -> bool {
    let hidden = |cut: &Fault, other: &Fault| cut.check == "Truncated" && cut.part < other.part;
    one.part.is_none() || (one.part != two.part && !hidden(one, two) && !hidden(two, one))
}

fn assert_refused(sound: &Case, faults: &[&Fault]) {
    let mut case = sound.clone();
    faults.iter().for_each(|fault| (fault.make)(&mut case));
    let names: Vec<_> = faults.iter().map(|fault| fault.name).collect();
    let refused = case.decrypt().expect_err("a fault");
    assert_eq!(check(&refused), faults[0].check, "{names:?}: {refused}");
    // A stream looks for the end of the input before it opens the last frame.
    if case.parts.last().is_some_and(|(_, trailing)| trailing.is_empty()) || faults[0].part < Some(FinalFrame) {
        let refused = case.stream().expect_err("a fault");
        assert_eq!(check(&refused), faults[0].check, "{names:?} in a stream: {refused}");
    }
}

#[test]
fn of_two_faults_the_one_that_is_checked_first_is_reported() -> Result<()> {
    let mut pairs = 0;
    for suite in [AlgorithmSuite::Aes256GcmHkdfSha384EcdsaP384, AlgorithmSuite::Aes256GcmHkdfSha512CommitEcdsaP384] {
        let sound = Case::sound(suite)?;
        assert_eq!(sound.decrypt()?, [7; 2 * FRAME]);
        assert_eq!(sound.stream()?, [7; 2 * FRAME]);
        let faults: Vec<_> = FAULTS.iter().filter(|fault| possible(&sound, fault)).collect();
        for (index, first) in faults.iter().enumerate() {
            assert_refused(&sound, &[first]);
            for second in faults[index + 1..].iter().filter(|second| both(first, second)) {
                assert_refused(&sound, &[first, second]);
                pairs += 1;
            }
        }
    }
    println!("{pairs} pairs of faults");
    assert!(pairs > 600, "{pairs}");
    Ok(())
}
