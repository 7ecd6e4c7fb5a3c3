//! A KMS and its model agree on every step of any history: on rejected requests and their error
//! kinds, and on all visible state afterwards.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use strongroom::identity::{AccountId, Principal};
use strongroom::key::{DeletionWindow, KeyArn, KeyId, KeyIdentifier, KeyState, OnDemandRotationLimit, RotationPeriod};
use strongroom::request::{
    DecryptRequest, EncryptRequest, GenerateDataKeyRequest, IncludeKeyMaterial, PageRequest, ReEncryptRequest,
};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms, KmsLimits, ManualClock, Timestamp};
use strongroom_fuzz::backend;
use strongroom_fuzz::model::{ALIASES_PER_KEY, Model, ON_DEMAND_LIMIT, Outcome, Sealed, State};

/// Maximum number of created keys. The number itself refers to a key that does not exist.
const MOST_KEYS: usize = 5;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    Id(u8),
    Arn(u8),
    Alias(u8),
}

#[derive(Arbitrary, Clone, Debug)]
enum Step {
    Create,
    Enable(u8),
    Disable(u8),
    Schedule {
        key: u8,
        days: u8,
    },
    Cancel(u8),
    Describe {
        key: u8,
        text: u8,
    },
    Rotate(u8),
    RotateEvery {
        key: u8,
        days: u16,
    },
    RotateNoMore(u8),
    CreateAlias {
        alias: u8,
        key: u8,
    },
    UpdateAlias {
        alias: u8,
        key: u8,
    },
    DeleteAlias(u8),
    Encrypt {
        under: Name,
        context: u8,
        length: u8,
    },
    DataKey {
        under: Name,
        context: u8,
    },
    Decrypt {
        sealed: u8,
        context: u8,
        named: Option<u8>,
    },
    ReEncrypt {
        sealed: u8,
        under: Name,
        context: u8,
    },
    Outsider {
        key: u8,
        sealed: u8,
    },
    Wait(u8),
    /// Waits until the exact day on which an event is due for a key.
    WaitFor(u8),
    Sweep,
}

struct World {
    kms: Kms,
    outsider: Kms,
    clock: Arc<ManualClock>,
    model: Model,
    arns: Vec<KeyArn>,
    sealed: Vec<(Vec<u8>, Sealed)>,
    contexts: [EncryptionContext; 3],
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new().expect("a KMS in memory");
    for step in steps.iter().take(64) {
        world.take(step);
    }
    world.compare().expect("everything can be listed");
});

impl World {
    fn new() -> Result<Self, Error> {
        let clock = Arc::new(ManualClock::new(Timestamp::from_unix_millis(0)));
        let limits = KmsLimits {
            on_demand_rotations: OnDemandRotationLimit::new(ON_DEMAND_LIMIT),
            aliases_per_key: ALIASES_PER_KEY,
            // Less than the number of keys, so that keys are evicted and opened again.
            cached_keys: 3,
            ..KmsLimits::default()
        };
        let kms = Kms::builder().backend(backend()).clock(Arc::clone(&clock)).limits(limits).build()?;
        let outsider = kms.as_principal(Principal::root(AccountId::parse("111122223333")?))?;
        let contexts =
            [EncryptionContext::new(), EncryptionContext::from([("a", "bc")]), EncryptionContext::from([("ab", "c")])];
        Ok(Self { kms, outsider, clock, model: Model::default(), arns: Vec::new(), sealed: Vec::new(), contexts })
    }

    /// Performs a step in both and compares the results.
    fn take(&mut self, step: &Step) {
        let (real, expected) = match step.clone() {
            Step::Create => self.create(),
            Step::Enable(key) => (self.kms.enable_key(self.id(key)), self.model.enable(self.number(key))),
            Step::Disable(key) => (self.kms.disable_key(self.id(key)), self.model.disable(self.number(key))),
            Step::Schedule { key, days } => self.schedule(key, 7 + u32::from(days) % 24),
            Step::Cancel(key) => {
                (self.kms.cancel_key_deletion(self.id(key)).map(drop), self.model.cancel(self.number(key)))
            }
            Step::Describe { key, text } => {
                let (text, key_id) = (format!("text {text}"), self.id(key));
                (self.kms.update_key_description(key_id, &text), self.model.describe(self.number(key), &text))
            }
            Step::Rotate(key) => {
                (self.kms.rotate_key_on_demand(self.id(key)).map(drop), self.model.rotate(self.number(key)))
            }
            Step::RotateEvery { key, days } => self.rotate_every(key, 90 + u32::from(days) % 2471),
            Step::RotateNoMore(key) => {
                (self.kms.disable_key_rotation(self.id(key)), self.model.rotate_no_more(self.number(key)))
            }
            Step::CreateAlias { alias, key } => (
                self.kms.create_alias(alias_name(alias), self.id(key)),
                self.model.create_alias(alias_number(alias), self.number(key)),
            ),
            Step::UpdateAlias { alias, key } => (
                self.kms.update_alias(alias_name(alias), self.id(key)),
                self.model.update_alias(alias_number(alias), self.number(key)),
            ),
            Step::DeleteAlias(alias) => {
                (self.kms.delete_alias(alias_name(alias)), self.model.delete_alias(alias_number(alias)))
            }
            Step::Encrypt { under, context, length } => self.encrypt(under, context, length),
            Step::DataKey { under, context } => self.data_key(under, context),
            Step::Decrypt { sealed, context, named } => self.decrypt(sealed, context, named),
            Step::ReEncrypt { sealed, under, context } => self.re_encrypt(sealed, under, context),
            Step::Outsider { key, sealed } => return self.outsider(key, sealed),
            Step::Wait(days) => return self.wait(u32::from(days)),
            Step::WaitFor(key) => return self.wait(self.model.days_until_due(self.number(key))),
            Step::Sweep => self.sweep(),
        };
        assert_eq!(real.map_err(|error| error.kind()), expected, "{step:?}");
    }

    fn number(&self, key: u8) -> usize {
        usize::from(key) % (self.arns.len() + 1)
    }

    fn arn(&self, key: u8) -> KeyArn {
        let stranger = || KeyArn::new(self.kms.locality().clone(), AccountId::default(), KeyId::from_bytes([7; 16]));
        self.arns.get(self.number(key)).cloned().unwrap_or_else(stranger)
    }

    fn id(&self, key: u8) -> KeyId {
        self.arn(key).key_id()
    }

    /// Returns a key by any of its names, and the number of the key that it refers to.
    fn name(&self, name: Name) -> (KeyIdentifier, Outcome<usize>) {
        match name {
            Name::Id(key) => (KeyIdentifier::KeyId(self.id(key)), Ok(self.number(key))),
            Name::Arn(key) => (KeyIdentifier::KeyArn(self.arn(key)), Ok(self.number(key))),
            Name::Alias(alias) => {
                let parsed = KeyIdentifier::parse(&alias_name(alias)).expect("the alias name is valid");
                (parsed, self.model.resolve(alias_number(alias)))
            }
        }
    }

    fn create(&mut self) -> (Result<(), Error>, Outcome) {
        if self.arns.len() < MOST_KEYS {
            let key = self.kms.create_key(Default::default()).expect("a key can always be created");
            self.arns.push(key.arn().clone());
            self.model.create();
        }
        (Ok(()), Ok(()))
    }

    fn schedule(&mut self, key: u8, days: u32) -> (Result<(), Error>, Outcome) {
        let window = DeletionWindow::from_days(days).expect("7 to 30 days");
        let scheduled = self.kms.schedule_key_deletion(self.id(key), window);
        if let Ok(scheduled) = &scheduled {
            assert_eq!(scheduled.deletion_date, day(self.model.today + days));
        }
        (scheduled.map(drop), self.model.schedule(self.number(key), days))
    }

    fn rotate_every(&mut self, key: u8, days: u32) -> (Result<(), Error>, Outcome) {
        let period = RotationPeriod::from_days(days).expect("90 to 2560 days");
        (self.kms.enable_key_rotation(self.id(key), period), self.model.rotate_every(self.number(key), days))
    }

    fn encrypt(&mut self, under: Name, context: u8, length: u8) -> (Result<(), Error>, Outcome) {
        let (name, key) = self.name(under);
        let (plaintext, context) = (vec![length; usize::from(length % 4)], usize::from(context % 3));
        let request = EncryptRequest::new(&name, &plaintext).context(&self.contexts[context]);
        let real = self.kms.encrypt(request).map(|made| made.ciphertext_blob);
        // Lengths are judged before keys, so that a refused request rotates nothing either.
        let expected = match plaintext.is_empty() {
            true => Err(ErrorKind::Validation),
            false => key.and_then(|key| Ok((key, self.model.encrypt(key)?))),
        };
        self.keep(real, expected, context, plaintext)
    }

    fn data_key(&mut self, under: Name, context: u8) -> (Result<(), Error>, Outcome) {
        let (name, key) = self.name(under);
        let context = usize::from(context % 3);
        let made = self.kms.generate_data_key(GenerateDataKeyRequest::new(&name).context(&self.contexts[context]));
        let expected = key.and_then(|key| Ok((key, self.model.encrypt(key)?)));
        let plaintext = made.as_ref().map_or(Vec::new(), |made| made.plaintext.expose_secret().to_vec());
        assert!(made.is_err() || plaintext.len() == 32);
        self.keep(made.map(|made| made.ciphertext_blob), expected, context, plaintext)
    }

    fn decrypt(&self, sealed: u8, context: u8, named: Option<u8>) -> (Result<(), Error>, Outcome) {
        let Some((blob, sealed)) = self.pick(sealed) else { return (Ok(()), Ok(())) };
        let context = usize::from(context % 3);
        let mut request = DecryptRequest::new(blob).context(&self.contexts[context]);
        if let Some(key) = named {
            request = request.key(self.id(key)).expect("a parsed key id");
        }
        let real = self.kms.decrypt(request).map(|opened| {
            assert_eq!(opened.plaintext.expose_secret(), sealed.plaintext);
            assert_eq!(opened.key_arn, self.arns[sealed.key]);
            assert_eq!(opened.key_material_id, Some(self.materials(sealed.key)[sealed.version]));
        });
        (real, self.model.decrypt(sealed, context, named.map(|key| self.number(key))))
    }

    fn re_encrypt(&mut self, sealed: u8, under: Name, context: u8) -> (Result<(), Error>, Outcome) {
        let Some((blob, sealed)) = self.pick(sealed).cloned() else { return (Ok(()), Ok(())) };
        let (name, key) = self.name(under);
        let context = usize::from(context % 3);
        let request = ReEncryptRequest::new(&blob, &name)
            .source_context(&self.contexts[sealed.context])
            .destination_context(&self.contexts[context]);
        let real = self.kms.re_encrypt(request).map(|made| made.ciphertext_blob);
        let opened = self.model.decrypt(&sealed, sealed.context, None);
        let expected = opened.and(key).and_then(|key| Ok((key, self.model.encrypt(key)?)));
        self.keep(real, expected, context, sealed.plaintext)
    }

    fn pick(&self, sealed: u8) -> Option<&(Vec<u8>, Sealed)> {
        self.sealed.get(usize::from(sealed) % self.sealed.len().max(1))
    }

    /// Stores a new ciphertext for later steps.
    fn keep(
        &mut self,
        real: Result<Vec<u8>, Error>,
        expected: Outcome<(usize, usize)>,
        context: usize,
        plaintext: Vec<u8>,
    ) -> (Result<(), Error>, Outcome) {
        let expected = expected.map(|(key, version)| Sealed { key, version, context, plaintext });
        match (real, expected) {
            (Ok(blob), Ok(sealed)) => {
                self.sealed.push((blob, sealed));
                (Ok(()), Ok(()))
            }
            (real, expected) => (real.map(drop), expected.map(drop)),
        }
    }

    /// Another account learns nothing, whether or not the resource exists.
    fn outsider(&self, key: u8, sealed: u8) {
        let kind = |result: Result<(), Error>| result.expect_err("the ciphertext belongs to another key").kind();
        assert_eq!(kind(self.outsider.describe_key(self.arn(key)).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(self.outsider.describe_key(self.id(key)).map(drop)), ErrorKind::NotFound);
        assert_eq!(kind(self.outsider.disable_key(self.arn(key))), ErrorKind::NotFound);
        if let Some((blob, sealed)) = self.pick(sealed) {
            let request = DecryptRequest::new(blob).context(&self.contexts[sealed.context]);
            assert_eq!(kind(self.outsider.decrypt(request).map(drop)), ErrorKind::AccessDenied);
        }
    }

    fn wait(&mut self, days: u32) {
        self.clock.advance_days(days);
        self.kms.generate_random(1).expect("randomness");
        self.model.wait(days);
    }

    fn sweep(&mut self) -> (Result<(), Error>, Outcome) {
        let (rotated, deleted, may_destroy) = self.model.sweep();
        let real = self.kms.run_maintenance().map(|report| {
            assert!(report.failed.is_empty() && report.unfinished.is_empty() && report.not_scrubbed.is_none());
            assert_eq!(report.destruction_postponed_until.is_none(), may_destroy);
            assert_eq!(sorted(report.rotated), sorted(rotated.iter().map(|key| self.arns[*key].clone())));
            assert_eq!(sorted(report.deleted), sorted(deleted.iter().map(|key| self.arns[*key].clone())));
        });
        (real, Ok(()))
    }

    /// Returns the ids of all versions of a key's material, oldest first.
    fn materials(&self, key: usize) -> Vec<strongroom::key::KeyMaterialId> {
        let all = IncludeKeyMaterial::AllKeyMaterial;
        let page = self.kms.list_key_rotations(&self.arns[key], all, PageRequest::default().limit(1000));
        page.expect("the key exists").entries.iter().map(|entry| entry.key_material_id).collect()
    }

    /// Compares all visible state.
    fn compare(&self) -> Result<(), Error> {
        for (number, arn) in self.arns.iter().enumerate() {
            let seen = self.kms.describe_key(arn).map_err(|error| error.kind());
            let Ok(key) = self.model.find(number) else {
                assert_eq!(seen.err(), Some(ErrorKind::NotFound));
                continue;
            };
            let seen = seen.expect("the key exists");
            let state = match key.state {
                State::Enabled => KeyState::Enabled,
                State::Disabled => KeyState::Disabled,
                State::Pending(_) | State::Gone => KeyState::PendingDeletion,
            };
            assert_eq!((seen.state(), seen.is_enabled()), (state, key.state == State::Enabled));
            assert_eq!(seen.description().as_str(), key.description);
            assert_eq!(self.materials(number).len(), key.versions);
            let status = self.kms.get_key_rotation_status(arn)?;
            let rotation = key.rotation.filter(|_| !matches!(key.state, State::Pending(_)));
            assert_eq!(status.next_rotation_date, rotation.map(|(_, due)| day(due)));
        }
        let listed = self.kms.list_keys(PageRequest::default())?.entries.into_iter().map(|entry| entry.key_arn);
        let alive = (0..self.arns.len()).filter(|key| self.model.find(*key).is_ok());
        assert_eq!(sorted(listed), sorted(alive.map(|key| self.arns[key].clone())));

        let aliases = self.kms.list_aliases(PageRequest::default().limit(100))?.entries;
        let aliases = aliases.iter().map(|entry| (entry.alias_name.to_string(), entry.target_key_id));
        let expected = self.model.aliases.iter().map(|(alias, key)| (alias_name(*alias), self.arns[*key].key_id()));
        assert_eq!(sorted(aliases), sorted(expected));
        Ok(())
    }
}

fn alias_number(alias: u8) -> u8 {
    alias % 6
}

fn alias_name(alias: u8) -> String {
    format!("alias/name{}", alias_number(alias))
}

fn day(number: u32) -> Timestamp {
    Timestamp::from_unix_millis(0).plus_days(number)
}

/// Sorts items by their debug representation.
fn sorted<T: std::fmt::Debug>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    let mut texts: Vec<String> = items.into_iter().map(|item| format!("{item:?}")).collect();
    texts.sort();
    texts
}
