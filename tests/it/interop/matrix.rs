//! Every suite under every keyring, with every context, framed and unframed, between the official
//! SDKs and us.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::crypto::KeyPairKind;
use strongroom::envelope::CommitmentPolicy::{
    ForbidEncryptAllowDecrypt, RequireEncryptAllowDecrypt, RequireEncryptRequireDecrypt,
};
use strongroom::envelope::{
    DefaultMaterialsManager, Keyring, MaterialsManager, MultiKeyring, RawEcdhKeyring, RawRsaKeyring,
    RequiredContextManager,
};
use strongroom::message::{AlgorithmSuite, KeyDerivation, SuiteSupport, inspect};
use strongroom::{EncryptionContext, Envelope, Result};

use crate::interop::key_pairs::Pair;
use crate::support::sdk_process::{Key, Peer, bytes, contexts, failure, json_of, plaintext};
use crate::support::vectors::PADDINGS;

const FRAME: u32 = 128;

/// Returns the length of the message with a context: no plaintext with one of them, and two frames plus
/// a partial one with the others. Other tests cover the sizes in between.
fn size_with(context: &EncryptionContext) -> usize {
    if context.get("ключ").is_some() { 0 } else { 300 }
}

/// Our keyring that writes for a peer, our keyring that reads what the peer writes, and the peer's
/// descriptions of both.
struct Row {
    name: String,
    /// `None` if we only read what the peer writes.
    writer: Option<Arc<dyn MaterialsManager>>,
    reader: Arc<dyn MaterialsManager>,
    their_writer: Value,
    their_reader: Value,
    /// A context name that the header omits.
    required: Option<&'static str>,
}

impl Row {
    fn new(name: impl Into<String>, keyring: impl Keyring + 'static, theirs: Value) -> Self {
        let manager: Arc<dyn MaterialsManager> = Arc::new(DefaultMaterialsManager::new(keyring));
        Self {
            name: name.into(),
            writer: Some(Arc::clone(&manager)),
            reader: manager,
            their_writer: theirs.clone(),
            their_reader: theirs,
            required: None,
        }
    }

    fn read_by(mut self, keyring: impl Keyring + 'static, theirs: Value) -> Self {
        self.reader = Arc::new(DefaultMaterialsManager::new(keyring));
        self.their_reader = theirs;
        self
    }

    /// Returns the contexts that it accepts.
    fn contexts(&self) -> Vec<EncryptionContext> {
        contexts().into_iter().filter(|context| self.required.is_none_or(|name| context.get(name).is_some())).collect()
    }

    /// Returns the context that a reader must supply.
    fn reproduced(&self, context: &EncryptionContext) -> EncryptionContext {
        context.iter().filter(|(name, _)| self.required == Some(name)).collect()
    }

    /// Returns `true` if the peer writes messages of a suite under this row. For suites without key
    /// derivation, the peer uses its own master key providers, which support raw AES and RSA keys.
    fn is_written_by(&self, peer: &Peer, suite: AlgorithmSuite) -> bool {
        let is_one_key = ["ecdh", "children", "required"].iter().all(|field| self.their_writer.get(field).is_none());
        suite.derivation() != KeyDerivation::None || (is_one_key && peer.implementations().contains(&false))
    }
}

fn aes_rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for length in [16, 24, 32] {
        let key = Key::new(length, true);
        rows.push(Row::new(format!("raw AES, {length} bytes"), key.raw_keyring(), key.request(json!({}))));
    }
    let key = Key::new(32, true);
    let required = "tenant";
    let manager = RequiredContextManager::new(key.raw_keyring(), [required])?;
    let theirs = key.request(json!({"required": [required]}));
    let row = Row::new("required context", key.raw_keyring(), theirs);
    rows.push(Row { writer: Some(Arc::new(manager)), required: Some(required), ..row });
    Ok(rows)
}

/// Three raw AES keys write, and only the last one reads.
fn several_row() -> Row {
    let [first, second, third] =
        [("a", 32), ("ab", 16), ("b", 24)].map(|(name, length)| Key { name, ..Key::new(length, true) });
    let all = MultiKeyring::new(first.raw_keyring()).with_child(second.raw_keyring()).with_child(third.raw_keyring());
    let children = [second.request(json!({})), third.request(json!({}))];
    let theirs = first.request(json!({"children": children}));
    Row::new("several keyrings", all, theirs).read_by(third.raw_keyring(), third.request(json!({})))
}

fn rsa_rows() -> Result<Vec<Row>> {
    let pair = Pair::make(KeyPairKind::Rsa2048)?;
    let (private, public) = (pair.private_pem(), pair.public_pem());
    let theirs = |padding| {
        json!({"keyring": true, "namespace": "laboratory", "name": "key é",
            "rsa": {"padding": padding, "public": public, "private": private}})
    };
    let mut rows = Vec::new();
    for (padding, oaep) in PADDINGS {
        let writer = RawRsaKeyring::with_public_key("laboratory", "key é", oaep, public.as_bytes())?;
        let reader = RawRsaKeyring::with_private_key("laboratory", "key é", oaep, private.as_bytes())?;
        rows.push(Row::new(format!("raw RSA, {padding}"), writer, theirs(padding)).read_by(reader, theirs(padding)));
    }
    let old = RawRsaKeyring::decrypt_only_pkcs1_v15("laboratory", "key é", private.as_bytes())?;
    let row = Row::new("raw RSA, PKCS1", old, theirs("PKCS1"));
    rows.push(Row { writer: None, ..row });
    Ok(rows)
}

fn ecdh_rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (kind, curve) in [
        (KeyPairKind::EccP256, "ECC_NIST_P256"),
        (KeyPairKind::EccP384, "ECC_NIST_P384"),
        (KeyPairKind::EccP521, "ECC_NIST_P521"),
    ] {
        let (one, two) = (Pair::make(kind)?, Pair::make(kind)?);
        let theirs = |scheme: &str, own: Option<&Pair>, other: Option<&Pair>| {
            let private = own.map_or(String::new(), Pair::private_pem);
            let public = other.map_or(String::new(), |pair| hex::encode(&pair.public));
            json!({"keyring": true, "namespace": "", "name": "",
                "ecdh": {"scheme": scheme, "curve": curve, "private": private, "public": public}})
        };
        let fixed = |own: &Pair, other: &Pair| RawEcdhKeyring::static_keys(own.private.expose_secret(), &other.public);
        let row = Row::new(format!("static {kind:?}"), fixed(&one, &two)?, theirs("static", Some(&one), Some(&two)));
        rows.push(row.read_by(fixed(&two, &one)?, theirs("static", Some(&two), Some(&one))));
        let writer = RawEcdhKeyring::ephemeral(&two.public)?;
        let row = Row::new(format!("ephemeral {kind:?}"), writer, theirs("ephemeral", None, Some(&two)));
        let reader = RawEcdhKeyring::discovery(two.private.expose_secret())?;
        rows.push(row.read_by(reader, theirs("discovery", Some(&two), None)));
    }
    Ok(rows)
}

/// The number of messages of a suite that the peer read, and the number that it wrote.
type Counts = BTreeMap<u16, (usize, usize)>;

fn compare(peer: &mut Peer, rows: &[Row], counts: &mut Counts) {
    for row in rows {
        for &suite in AlgorithmSuite::ALL {
            for context in row.contexts() {
                let size = size_with(&context);
                let case = format!("{}, {suite}, {context:?}, {size} bytes", row.name);
                let count = counts.entry(suite.id()).or_default();
                if suite.support() == SuiteSupport::Full && row.writer.is_some() {
                    peer_reads(peer, row, suite, &context, size).unwrap_or_else(|error| panic!("{case}: {error}"));
                    count.0 += 1;
                }
                for frame_length in [FRAME, 0] {
                    if peer.writes_frames_of(frame_length) && row.is_written_by(peer, suite) {
                        peer_writes(peer, row, suite, &context, frame_length, size)
                            .unwrap_or_else(|error| panic!("{case} in frames of {frame_length}: {error}"));
                        count.1 += 1;
                    }
                }
            }
        }
    }
}

fn peer_reads(
    peer: &mut Peer,
    row: &Row,
    suite: AlgorithmSuite,
    context: &EncryptionContext,
    size: usize,
) -> Result<(), String> {
    let policy = if suite.is_committing() { RequireEncryptRequireDecrypt } else { ForbidEncryptAllowDecrypt };
    let writer = Arc::clone(row.writer.as_ref().expect("asked before"));
    let builder = Envelope::builder(writer).commitment_policy(policy).algorithm_suite(suite);
    let envelope = builder.frame_length(FRAME).build().map_err(|error| error.to_string())?;
    let ours = envelope.encrypt(&plaintext(size), context).map_err(|error| error.to_string())?;
    let mut request = row.their_reader.clone();
    request["do"] = json!("decrypt");
    request["ciphertext"] = json!(hex::encode(&ours));
    request["allow_version_1"] = json!(true);
    request["context"] = json_of(&row.reproduced(context));
    let answer = peer.ask(&request);
    failure(&answer)?;
    if bytes(&answer["plaintext"]) == plaintext(size) { Ok(()) } else { Err("the peer read other data".to_owned()) }
}

fn peer_writes(
    peer: &mut Peer,
    row: &Row,
    suite: AlgorithmSuite,
    context: &EncryptionContext,
    frame_length: u32,
    size: usize,
) -> Result<(), String> {
    let mut request = row.their_writer.clone();
    request["do"] = json!("encrypt");
    request["plaintext"] = json!(hex::encode(plaintext(size)));
    request["context"] = json_of(context);
    request["frame_length"] = json!(frame_length);
    request["suite"] = json!(suite.id());
    request["keyring"] = json!(suite.derivation() != KeyDerivation::None);
    let answer = peer.ask(&request);
    failure(&answer)?;
    let theirs = bytes(&answer["ciphertext"]);
    let header = inspect(&theirs).map_err(|error| error.to_string())?;
    let framed = Some(frame_length).filter(|length| *length > 0);
    if (header.suite(), header.frame_length()) != (suite, framed) {
        return Err(format!("the peer wrote {}, {:?}", header.suite(), header.frame_length()));
    }
    let builder = Envelope::builder(Arc::clone(&row.reader));
    let envelope: Envelope =
        builder.commitment_policy(RequireEncryptAllowDecrypt).build().map_err(|error| error.to_string())?;
    let opened = match row.required {
        Some(_) => envelope.decrypt_with_reproduced_context(&theirs, &row.reproduced(context)),
        None => envelope.decrypt(&theirs, context),
    };
    if opened.map_err(|error| error.to_string())? == plaintext(size) {
        Ok(())
    } else {
        Err("this crate read other data".to_owned())
    }
}

/// Compares, prints the counts, and returns the sums.
fn compared(peer: Option<Peer>, rows: &[Row]) -> Option<(usize, usize)> {
    let (mut peer, mut counts) = (peer?, Counts::new());
    compare(&mut peer, rows, &mut counts);
    let lines = counts.iter().map(|(suite, (read, written))| format!("{suite:#06x}: {read} and {written}"));
    println!("read by the peer, and written by it: {}", lines.collect::<Vec<_>>().join(", "));
    Some(counts.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1)))
}

/// Asserts the sums, if the peer was available.
fn assert_compared(sums: Option<(usize, usize)>, expected: (usize, usize)) {
    assert!(sums.is_none_or(|sums| sums == expected), "{sums:?}");
}

// 8 suites are written and 11 are read, with 3 contexts. The peer writes framed and unframed messages.

#[test]
fn every_suite_under_raw_aes_is_the_same_to_the_official_sdk() -> Result<()> {
    let peer = Peer::python("every_suite_under_raw_aes_is_the_same_to_the_official_sdk");
    let rows: Vec<_> = aes_rows()?.into_iter().chain([several_row()]).collect();
    assert_compared(compared(peer, &rows), (4 * 8 * 3 + 8, (4 * 8 + 3 * 3) * 6 + 8 * 2));
    Ok(())
}

#[test]
fn every_suite_under_raw_rsa_is_the_same_to_the_official_sdk() -> Result<()> {
    let peer = Peer::python("every_suite_under_raw_rsa_is_the_same_to_the_official_sdk");
    assert_compared(compared(peer, &rsa_rows()?), (4 * 8 * 3, 5 * 11 * 6));
    Ok(())
}

#[test]
fn every_suite_under_raw_ecdh_is_the_same_to_the_official_sdk() -> Result<()> {
    let peer = Peer::python("every_suite_under_raw_ecdh_is_the_same_to_the_official_sdk");
    assert_compared(compared(peer, &ecdh_rows()?), (6 * 8 * 3, 6 * 8 * 6));
    Ok(())
}

#[test]
fn every_suite_under_raw_rsa_is_the_same_to_the_node_sdk() -> Result<()> {
    let peer = Peer::node("every_suite_under_raw_rsa_is_the_same_to_the_node_sdk");
    assert_compared(compared(peer, &rsa_rows()?), (4 * 8 * 3, 5 * 8 * 3));
    Ok(())
}
