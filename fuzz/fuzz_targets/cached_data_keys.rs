//! A data key cache only changes the calls to the key source. Reading with a cache returns the same
//! result as reading without it, for every key, context, policy and message. No data key is used
//! longer or more often than allowed.

#![no_main]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::crypto::CryptoBackend;
use strongroom::envelope::{
    CachingMaterialsManager, CommitmentPolicy, DataKeyCache, DefaultMaterialsManager, MaterialsManager, RawAesKeyring,
    RequiredContextManager,
};
use strongroom::message::{AlgorithmSuite, MessageError, SuiteSupport, inspect};
use strongroom::{Clock, EncryptionContext, Envelope, Error, ManualClock, SecretBytes, Timestamp};
use strongroom_fuzz::{Edit, backend};

#[derive(Arbitrary, Debug)]
struct Case {
    capacity: u8,
    max_age: u8,
    max_messages: u8,
    max_bytes: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Encrypt { who: u8, suite: u8, context: u8, length: u8 },
    Decrypt { who: u8, message: u8, known: u8, reproduces: bool, edits: Vec<Edit> },
    Advance(u8),
    Clear,
}

/// Number of clients, each with a key and a partition. The first two share a partition, as they
/// have the same key. Half of the clients accept more than the others, and one omits part of the
/// context.
const CLIENTS: usize = 6;

/// State shared by all managers, and the use of each data key.
struct World {
    backend: CryptoBackend,
    clock: Arc<ManualClock>,
    cache: DataKeyCache,
    max_age: Duration,
    max_messages: u64,
    max_bytes: u64,
    used: HashMap<Vec<u8>, (Timestamp, u64, u64)>,
}

fuzz_target!(|case: Case| {
    let mut world = World {
        backend: backend(),
        clock: Arc::new(ManualClock::new(Timestamp::from_unix_millis(1_000_000))),
        cache: DataKeyCache::new(1 + usize::from(case.capacity % 8)).expect("not zero"),
        max_age: Duration::from_secs(1 + u64::from(case.max_age)),
        max_messages: 1 + u64::from(case.max_messages % 5),
        max_bytes: u64::from(case.max_bytes) * 4,
        used: HashMap::new(),
    };
    let mut written: Vec<Vec<u8>> = Vec::new();
    for step in case.steps.iter().take(40) {
        match step {
            Step::Encrypt { who, suite, context, length } => {
                let (who, suite) = (usize::from(*who) % CLIENTS, suite_of(*suite));
                let (context, text) = (context_of(*context).with("b", "2"), vec![7; usize::from(*length)]);
                let envelope = world.cached(who, suite);
                let message = envelope.encrypt(&text, &context).expect("the backend works");
                world.count(&message, suite, text.len());
                let opened = world.plain(who, suite).decrypt_with_reproduced_context(&message, &context);
                assert!(opened.is_ok_and(|opened| opened == text), "the message cannot be decrypted by any key");
                written.push(message);
            }
            Step::Decrypt { who, message, known, reproduces, edits } => {
                let Some(message) = written.get(usize::from(*message) % written.len().max(1)) else { continue };
                let mut message = message.clone();
                edits.iter().for_each(|edit| edit.apply(&mut message));
                let who = usize::from(*who) % CLIENTS;
                let suite = AlgorithmSuite::default();
                let known = context_of(*known);
                let known = if *reproduces { known.with("b", "2") } else { known };
                let read = |envelope: &Envelope| {
                    let opened = match reproduces {
                        true => envelope.decrypt_with_reproduced_context(&message, &known),
                        false => envelope.decrypt(&message, &known),
                    };
                    opened.map_err(|error| told(&error))
                };
                assert_eq!(read(&world.cached(who, suite)), read(&world.plain(who, suite)), "client {who}");
            }
            Step::Advance(seconds) => world.clock.advance(Duration::from_secs(u64::from(*seconds))),
            Step::Clear => world.cache.clear(),
        }
    }
    assert!(world.cache.statistics().entries() <= 1 + usize::from(case.capacity % 8));
});

impl World {
    /// Counts a written message for its data key, which is identified by its wrapped form.
    fn count(&mut self, message: &[u8], suite: AlgorithmSuite, length: usize) {
        let now = self.clock.now();
        let header = inspect(message).expect("a message");
        let wrapped = header.data_keys()[0].ciphertext().to_vec();
        let (made, messages, bytes) = self.used.entry(wrapped).or_insert((now, 0, 0));
        (*messages, *bytes) = (*messages + 1, *bytes + u64::try_from(length).expect("small"));
        assert!(*messages == 1 || suite.signature().is_none(), "a signed message shares its data key");
        assert!(*messages <= self.max_messages, "{messages} messages under one data key");
        // A longer message has its own data key.
        assert!(*messages == 1 || *bytes <= self.max_bytes, "{bytes} bytes under one data key");
        assert!(now.since(*made) <= self.max_age, "the data key is too old");
    }

    fn keyring(&self, who: usize) -> DefaultMaterialsManager {
        let key = [1 + u8::try_from(who / 2).expect("small"); 32];
        let keyring = RawAesKeyring::new("ns", "kn", SecretBytes::copy_from_slice(&key))
            .and_then(|keyring| keyring.with_backend(self.backend));
        DefaultMaterialsManager::new(keyring.expect("32 bytes"))
    }

    fn plain(&self, who: usize, suite: AlgorithmSuite) -> Envelope {
        self.envelope(who, suite, self.keyring(who))
    }

    fn cached(&self, who: usize, suite: AlgorithmSuite) -> Envelope {
        let builder = CachingMaterialsManager::builder(self.keyring(who), self.max_age).cache(&self.cache);
        let builder = builder.clock(Arc::clone(&self.clock)).max_messages(self.max_messages).max_bytes(self.max_bytes);
        // Clients with the same key are interchangeable, whatever else they accept.
        self.envelope(
            who,
            suite,
            builder.partition(format!("key {}", who / 2)).build().expect("the settings are valid"),
        )
    }

    /// Applies the settings of a client to its manager.
    fn envelope(&self, who: usize, suite: AlgorithmSuite, manager: impl MaterialsManager + 'static) -> Envelope {
        let policy = match (suite.is_committing(), who % 2) {
            (false, _) => CommitmentPolicy::ForbidEncryptAllowDecrypt,
            (true, 0) => CommitmentPolicy::RequireEncryptRequireDecrypt,
            (true, _) => CommitmentPolicy::RequireEncryptAllowDecrypt,
        };
        let builder = match who {
            5 => Envelope::builder(RequiredContextManager::new(manager, ["b"]).expect("a name")),
            _ => Envelope::builder(manager),
        };
        let builder = builder.algorithm_suite(suite).commitment_policy(policy).backend(self.backend);
        let builder = if who % 2 == 1 { builder.accept_javascript_context_order() } else { builder };
        builder.build().expect("the settings are valid")
    }
}

fn suite_of(suite: u8) -> AlgorithmSuite {
    // Signed suites are slow, and their data keys are never cached for encryption. A few of them
    // are enough.
    let written = AlgorithmSuite::ALL.iter().filter(|suite| suite.support() == SuiteSupport::Full);
    let mut written: Vec<_> = written.copied().collect();
    written.sort_by_key(|suite| suite.signature().is_some());
    written[usize::from(suite) % written.len()]
}

fn context_of(context: u8) -> EncryptionContext {
    let all = EncryptionContext::from([("a", "1"), ("Tenant", "x"), ("tenant", "y")]);
    all.iter().zip(0..).filter(|(_, bit)| context >> bit & 1 == 1).map(|(pair, _)| pair).collect()
}

fn told(error: &Error) -> String {
    format!("{:?} {:?} {error}", error.kind(), error.downcast_ref::<MessageError>())
}
