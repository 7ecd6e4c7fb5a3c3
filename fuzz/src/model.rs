//! A model of the required behavior of a KMS with symmetric keys, in plain data and independent of
//! the implementation. Time is counted in days.
//!
//! Derived from the rules of the service (key states, rotation, aliases, deletion), and not from the
//! code under test.

use std::collections::BTreeMap;

use strongroom::ErrorKind;

/// Maximum number of on-demand rotations of a key, in this model.
pub const ON_DEMAND_LIMIT: u32 = 3;

/// Maximum number of aliases per key, in this model.
pub const ALIASES_PER_KEY: usize = 2;

/// Number of days by which the clock may advance in one step and still be trusted.
const TOLERANCE: u32 = 1;

/// Number of days after a doubt within which a sweep confirms it.
const DOUBT_LIFETIME: u32 = 31;

/// States of a symmetric key with locally generated material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Enabled,
    Disabled,
    /// Deletion is pending until this day.
    Pending(u32),
    /// Deleted by maintenance.
    Gone,
}

/// A key.
#[derive(Debug)]
pub struct Key {
    pub state: State,
    /// Period of automatic rotation, and the day of the next one.
    pub rotation: Option<(u32, u32)>,
    pub versions: usize,
    pub on_demand: u32,
    pub description: String,
}

/// A ciphertext: its key and version, and its contents.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub key: usize,
    /// Starts at 0.
    pub version: usize,
    pub context: usize,
    pub plaintext: Vec<u8>,
}

/// The complete service. Keys are identified by their number.
#[derive(Debug, Default)]
pub struct Model {
    pub today: u32,
    pub keys: Vec<Key>,
    pub aliases: BTreeMap<u8, usize>,
    /// The day up to which the process trusts the clock.
    believed: u32,
    /// The day of the last sweep that was allowed to destroy.
    trusted: u32,
    /// The day of the last sweep that was not.
    doubted: Option<u32>,
}

/// Succeeds, or fails with this kind of error and changes nothing.
pub type Outcome<T = ()> = Result<T, ErrorKind>;

impl Model {
    /// Lets days pass, after which the process reads the clock.
    pub fn wait(&mut self, days: u32) {
        self.today += days;
        if self.today <= self.believed + TOLERANCE {
            self.believed = self.today;
        }
    }

    /// Creates a key.
    pub fn create(&mut self) {
        self.keys.push(Key {
            state: State::Enabled,
            rotation: None,
            versions: 1,
            on_demand: 0,
            description: String::new(),
        });
    }

    /// Returns a key that exists today: it is not deleted, and its waiting period has not expired.
    pub fn find(&self, key: usize) -> Outcome<&Key> {
        self.keys.get(key).filter(|key| !self.is_over(key)).ok_or(ErrorKind::NotFound)
    }

    fn is_over(&self, key: &Key) -> bool {
        match key.state {
            State::Gone => true,
            State::Pending(last_day) => last_day <= self.believed,
            State::Enabled | State::Disabled => false,
        }
    }

    /// Returns a key that may be used, which must be enabled.
    fn usable(&self, key: usize) -> Outcome<&Key> {
        let found = self.find(key)?;
        match found.state {
            State::Enabled => Ok(found),
            State::Disabled => Err(ErrorKind::Disabled),
            State::Pending(_) | State::Gone => Err(ErrorKind::InvalidState),
        }
    }

    /// Returns a key that may be changed, whose deletion must not be pending.
    fn alive(&mut self, key: usize) -> Outcome<&mut Key> {
        match self.find(key)?.state {
            State::Pending(_) => Err(ErrorKind::InvalidState),
            State::Enabled | State::Disabled | State::Gone => Ok(&mut self.keys[key]),
        }
    }

    pub fn enable(&mut self, key: usize) -> Outcome {
        self.alive(key)?.state = State::Enabled;
        Ok(())
    }

    pub fn disable(&mut self, key: usize) -> Outcome {
        self.alive(key)?.state = State::Disabled;
        Ok(())
    }

    pub fn schedule(&mut self, key: usize, days: u32) -> Outcome {
        let last_day = self.today + days;
        self.alive(key)?.state = State::Pending(last_day);
        Ok(())
    }

    pub fn cancel(&mut self, key: usize) -> Outcome {
        match self.find(key)?.state {
            State::Pending(_) => self.keys[key].state = State::Disabled,
            State::Enabled | State::Disabled | State::Gone => return Err(ErrorKind::InvalidState),
        }
        Ok(())
    }

    pub fn describe(&mut self, key: usize, description: &str) -> Outcome {
        self.alive(key)?.description = description.to_owned();
        Ok(())
    }

    /// Rotates on demand. If an automatic rotation is due, it takes precedence.
    pub fn rotate(&mut self, key: usize) -> Outcome {
        let found = self.usable(key)?;
        if found.on_demand >= ON_DEMAND_LIMIT {
            return Err(ErrorKind::LimitExceeded);
        }
        if self.is_rotation_due(found) {
            return Err(ErrorKind::Conflict);
        }
        self.keys[key].versions += 1;
        self.keys[key].on_demand += 1;
        Ok(())
    }

    /// Enables automatic rotation. Setting the same period again leaves the schedule unchanged.
    pub fn rotate_every(&mut self, key: usize, period: u32) -> Outcome {
        let kept = self.usable(key)?.rotation.filter(|(old, _)| *old == period);
        self.keys[key].rotation = Some(kept.unwrap_or((period, self.today + period)));
        Ok(())
    }

    pub fn rotate_no_more(&mut self, key: usize) -> Outcome {
        self.usable(key)?;
        self.keys[key].rotation = None;
        Ok(())
    }

    fn is_rotation_due(&self, key: &Key) -> bool {
        key.state == State::Enabled && key.rotation.is_some_and(|(_, due)| due <= self.today)
    }

    /// Performs an automatic rotation. The schedule is kept unless the next date has passed too.
    fn rotate_if_due(&mut self, key: usize) -> bool {
        if !self.is_rotation_due(&self.keys[key]) {
            return false;
        }
        let today = self.today;
        let found = &mut self.keys[key];
        found.versions += 1;
        if let Some((period, due)) = &mut found.rotation {
            *due = if *due + *period > today { *due + *period } else { today + *period };
        }
        true
    }

    /// Returns the version under which a new ciphertext is encrypted.
    pub fn encrypt(&mut self, key: usize) -> Outcome<usize> {
        self.usable(key)?;
        self.rotate_if_due(key);
        Ok(self.keys[key].versions - 1)
    }

    /// Decrypts a ciphertext. `named` is the key that the caller requires.
    pub fn decrypt(&self, sealed: &Sealed, context: usize, named: Option<usize>) -> Outcome {
        match named {
            // A wrong key is reported before its state.
            Some(named) => {
                self.find(named)?;
                if named != sealed.key {
                    return Err(ErrorKind::IncorrectKey);
                }
                self.usable(named)?;
            }
            // The sender of a ciphertext must not learn which keys exist.
            None => drop(self.usable(sealed.key).map_err(|kind| match kind {
                ErrorKind::NotFound => ErrorKind::AccessDenied,
                other => other,
            })?),
        }
        if context == sealed.context { Ok(()) } else { Err(ErrorKind::InvalidCiphertext) }
    }

    /// Returns the key that an alias refers to.
    pub fn resolve(&self, alias: u8) -> Outcome<usize> {
        self.aliases.get(&alias).copied().ok_or(ErrorKind::NotFound)
    }

    /// Creates an alias. A name remains in use until a sweep deletes its key.
    pub fn create_alias(&mut self, alias: u8, key: usize) -> Outcome {
        self.alive(key)?;
        if self.aliases.contains_key(&alias) {
            return Err(ErrorKind::AlreadyExists);
        }
        self.check_room(key)?;
        self.aliases.insert(alias, key);
        Ok(())
    }

    pub fn update_alias(&mut self, alias: u8, key: usize) -> Outcome {
        self.alive(key)?;
        if self.resolve(alias)? != key {
            self.check_room(key)?;
            self.aliases.insert(alias, key);
        }
        Ok(())
    }

    pub fn delete_alias(&mut self, alias: u8) -> Outcome {
        self.find(self.resolve(alias)?)?;
        self.aliases.remove(&alias);
        Ok(())
    }

    fn check_room(&self, key: usize) -> Outcome {
        let names = self.aliases.values().filter(|target| **target == key).count();
        if names < ALIASES_PER_KEY { Ok(()) } else { Err(ErrorKind::LimitExceeded) }
    }

    /// Returns the number of days until a key's deletion or rotation is due, or 0 if neither is
    /// scheduled.
    pub fn days_until_due(&self, key: usize) -> u32 {
        let due = self.keys.get(key).and_then(|key| match key.state {
            State::Pending(last_day) => Some(last_day),
            State::Enabled | State::Disabled | State::Gone => key.rotation.map(|(_, due)| due),
        });
        due.map_or(0, |due| due.saturating_sub(self.today))
    }

    /// Returns `true` if a sweep today may destroy anything. The first sweep after more than a day
    /// in which the process did not read the clock may not. A later sweep may, if it runs at least
    /// one and at most 31 days after that.
    fn believes(&mut self) -> bool {
        let believed = self.today <= self.believed.max(self.trusted) + TOLERANCE
            || self.doubted.is_some_and(|doubted| self.today > doubted && self.today <= doubted + DOUBT_LIFETIME);
        if believed {
            (self.trusted, self.believed, self.doubted) = (self.today, self.today, None);
        } else {
            self.doubted = Some(self.today);
        }
        believed
    }

    /// Performs all due actions. Returns the rotated keys, the deleted keys, and whether deletion
    /// was allowed.
    pub fn sweep(&mut self) -> (Vec<usize>, Vec<usize>, bool) {
        let (mut rotated, mut deleted) = (Vec::new(), Vec::new());
        let may_destroy = self.believes();
        for number in 0..self.keys.len() {
            if may_destroy && self.keys[number].state != State::Gone && self.is_over(&self.keys[number]) {
                self.keys[number].state = State::Gone;
                self.aliases.retain(|_, target| *target != number);
                deleted.push(number);
            } else if self.rotate_if_due(number) {
                rotated.push(number);
            }
        }
        (rotated, deleted, may_destroy)
    }
}
