//! What a KMS with symmetric keys must do, in plain data and with no regard for how it does it. Time counts in days.
//!
//! Written from the rules of the service (key states, rotation, aliases, deletion), not from the code under test.

use std::collections::BTreeMap;

use strongroom::ErrorKind;

/// On-demand rotations in the life of a key, in this model.
pub const ON_DEMAND_LIMIT: u32 = 3;

/// Aliases of one key, in this model.
pub const ALIASES_PER_KEY: usize = 2;

/// Days that the clock may move in one step and is believed.
const TOLERANCE: u32 = 1;

/// Days after a doubt in which a sweep confirms it.
const DOUBT_LIFETIME: u32 = 31;

/// The states that a symmetric key made here can be in.
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
    /// Period of automatic rotation, and the day it is due next.
    pub rotation: Option<(u32, u32)>,
    pub versions: usize,
    pub on_demand: u32,
    pub description: String,
}

/// A ciphertext: what it was made under, and what is in it.
#[derive(Clone, Debug)]
pub struct Sealed {
    pub key: usize,
    /// Counts from 0.
    pub version: usize,
    pub context: usize,
    pub plaintext: Vec<u8>,
}

/// The whole service. Keys are named by their number.
#[derive(Debug, Default)]
pub struct Model {
    pub today: u32,
    pub keys: Vec<Key>,
    pub aliases: BTreeMap<u8, usize>,
    /// The day up to which the process believes the clock.
    believed: u32,
    /// The day of the last sweep that might destroy.
    trusted: u32,
    /// The day of the last one that might not.
    doubted: Option<u32>,
}

/// Succeeds, or fails with this kind of error and changes nothing.
pub type Outcome<T = ()> = Result<T, ErrorKind>;

impl Model {
    /// Lets days pass, after which the process looks at the clock.
    pub fn wait(&mut self, days: u32) {
        self.today += days;
        if self.today <= self.believed + TOLERANCE {
            self.believed = self.today;
        }
    }

    /// Makes a key.
    pub fn create(&mut self) {
        self.keys.push(Key {
            state: State::Enabled,
            rotation: None,
            versions: 1,
            on_demand: 0,
            description: String::new(),
        });
    }

    /// A key that exists today: not deleted, and its waiting period is not over.
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

    /// A key that may work: it is enabled.
    fn usable(&self, key: usize) -> Outcome<&Key> {
        let found = self.find(key)?;
        match found.state {
            State::Enabled => Ok(found),
            State::Disabled => Err(ErrorKind::Disabled),
            State::Pending(_) | State::Gone => Err(ErrorKind::InvalidState),
        }
    }

    /// A key that may be changed: its deletion is not pending.
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

    /// Rotation on demand gives way to an automatic one that is due.
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

    /// The same period again leaves the schedule as it is.
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

    /// Automatic rotation keeps to its rhythm, unless it is so late that the next date has passed too.
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

    /// The version that a new ciphertext is made under.
    pub fn encrypt(&mut self, key: usize) -> Outcome<usize> {
        self.usable(key)?;
        self.rotate_if_due(key);
        Ok(self.keys[key].versions - 1)
    }

    /// Opens a ciphertext; `named` is the key that the caller insists on.
    pub fn decrypt(&self, sealed: &Sealed, context: usize, named: Option<usize>) -> Outcome {
        match named {
            Some(named) => {
                self.usable(named)?;
                if named != sealed.key {
                    return Err(ErrorKind::IncorrectKey);
                }
            }
            // Who sends a ciphertext must not learn which keys exist.
            None => drop(self.usable(sealed.key).map_err(|kind| match kind {
                ErrorKind::NotFound => ErrorKind::AccessDenied,
                other => other,
            })?),
        }
        if context == sealed.context { Ok(()) } else { Err(ErrorKind::InvalidCiphertext) }
    }

    /// The key that an alias stands for.
    pub fn resolve(&self, alias: u8) -> Outcome<usize> {
        self.aliases.get(&alias).copied().ok_or(ErrorKind::NotFound)
    }

    /// A name is taken until the key it stood for is swept away.
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

    /// How many days from today a key's deletion or rotation is due; none if there is nothing to wait for.
    pub fn days_until_due(&self, key: usize) -> u32 {
        let due = self.keys.get(key).and_then(|key| match key.state {
            State::Pending(last_day) => Some(last_day),
            State::Enabled | State::Disabled | State::Gone => key.rotation.map(|(_, due)| due),
        });
        due.map_or(0, |due| due.saturating_sub(self.today))
    }

    /// Returns `true` if a sweep today may destroy anything: not at first after more than a day in which the process did not look at the
    /// clock, but when a later sweep finds the clock a day or more after that, and at most 31 days.
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

    /// Does what is due. Returns the keys that were rotated, those that were deleted, and whether any might be.
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
