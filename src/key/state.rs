//! The state machine of a key: a total function from state and event to the next state.

use crate::text::string_enum;

string_enum! {
    /// The state of a key in its life cycle. Together with the operation, it determines the
    /// [`verdict()`](super::verdict()).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::{DeletionWindow, KeyState};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?.key_id();
    /// let state = || kms.describe_key(key).map(|key| key.state());
    /// assert_eq!(state()?, KeyState::Enabled);
    /// kms.disable_key(key)?;
    /// assert_eq!(state()?, KeyState::Disabled);
    /// kms.schedule_key_deletion(key, DeletionWindow::default())?;
    /// assert_eq!(state()?, KeyState::PendingDeletion);
    /// kms.cancel_key_deletion(key)?;
    /// assert_eq!(state()?, KeyState::Disabled);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub enum KeyState as "key state" {
        /// Being created; not usable yet.
        Creating => "Creating",
        /// Available for use.
        Enabled => "Enabled",
        /// Disabled by its owner.
        Disabled => "Disabled",
        /// Waiting for material to be imported, for the first time or again.
        PendingImport => "PendingImport",
        /// Scheduled for deletion at the end of its waiting period. Until then, the deletion can be
        /// canceled.
        PendingDeletion => "PendingDeletion",
        /// Its material is unreachable because the key store that contains it is disconnected.
        Unavailable => "Unavailable",
    }
}

/// An event that may change the state of a key.
///
/// If the next state depends on more than the current state, each case has its own event. Examples
/// are whether all material is present, or whether the key was enabled before its store was
/// disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyEvent {
    /// The key was created with its material.
    CreatedWithMaterial,
    /// The key was created without material.
    CreatedWithoutMaterial,
    /// The owner enables the key.
    Enable,
    /// The owner disables the key.
    Disable,
    /// The owner schedules its deletion.
    ScheduleDeletion,
    /// The owner cancels the deletion, and all material is present.
    CancelDeletion,
    /// The owner cancels the deletion, and imported material is missing.
    CancelDeletionWithoutMaterial,
    /// Material was imported, and all material of the key is now present.
    MaterialImported,
    /// Imported material was deleted or has expired.
    MaterialRemoved,
    /// The key store that contains the material was disconnected.
    StoreDisconnected,
    /// The key store was reconnected, and the key was last enabled.
    StoreConnectedEnabled,
    /// The key store was reconnected, and the key was last disabled.
    StoreConnectedDisabled,
}

impl KeyEvent {
    /// All values.
    pub const ALL: &'static [Self] = &[
        Self::CreatedWithMaterial,
        Self::CreatedWithoutMaterial,
        Self::Enable,
        Self::Disable,
        Self::ScheduleDeletion,
        Self::CancelDeletion,
        Self::CancelDeletionWithoutMaterial,
        Self::MaterialImported,
        Self::MaterialRemoved,
        Self::StoreDisconnected,
        Self::StoreConnectedEnabled,
        Self::StoreConnectedDisabled,
    ];
}

impl KeyState {
    /// Returns the state after an event, or `None` if the event is rejected or impossible in this
    /// state.
    ///
    /// Enabling or disabling an unavailable key leaves it unavailable. Remember the requested
    /// setting and report it with [`KeyEvent::StoreConnectedEnabled`] or
    /// [`KeyEvent::StoreConnectedDisabled`]. Events of the key store are never rejected, and a
    /// pending deletion takes precedence over them.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::{KeyEvent, KeyState};
    ///
    /// let pending = KeyState::Enabled.next(KeyEvent::ScheduleDeletion);
    /// assert_eq!(pending, Some(KeyState::PendingDeletion));
    /// assert_eq!(KeyState::PendingDeletion.next(KeyEvent::CancelDeletion), Some(KeyState::Disabled));
    /// assert_eq!(KeyState::PendingDeletion.next(KeyEvent::Enable), None);
    /// ```
    #[must_use]
    pub const fn next(self, event: KeyEvent) -> Option<Self> {
        use KeyEvent as Event;
        match event {
            Event::CreatedWithMaterial => self.created(Self::Enabled),
            Event::CreatedWithoutMaterial => self.created(Self::PendingImport),
            Event::Enable => self.switched(Self::Enabled),
            Event::Disable => self.switched(Self::Disabled),
            Event::ScheduleDeletion => match self {
                Self::PendingDeletion => None,
                Self::Creating | Self::Enabled | Self::Disabled | Self::PendingImport | Self::Unavailable => {
                    Some(Self::PendingDeletion)
                }
            },
            Event::CancelDeletion => self.rescued(Self::Disabled),
            Event::CancelDeletionWithoutMaterial => self.rescued(Self::PendingImport),
            Event::MaterialImported => match self {
                Self::PendingImport => Some(Self::Enabled),
                Self::Enabled | Self::Disabled => Some(self),
                Self::Creating | Self::PendingDeletion | Self::Unavailable => None,
            },
            Event::MaterialRemoved => match self {
                Self::Enabled | Self::Disabled | Self::PendingImport => Some(Self::PendingImport),
                Self::PendingDeletion => Some(self),
                Self::Creating | Self::Unavailable => None,
            },
            Event::StoreDisconnected => match self {
                Self::Enabled | Self::Disabled | Self::Unavailable => Some(Self::Unavailable),
                Self::Creating | Self::PendingImport | Self::PendingDeletion => Some(self),
            },
            Event::StoreConnectedEnabled => Some(self.reconnected(Self::Enabled)),
            Event::StoreConnectedDisabled => Some(self.reconnected(Self::Disabled)),
        }
    }

    const fn created(self, first: Self) -> Option<Self> {
        match self {
            Self::Creating => Some(first),
            Self::Enabled | Self::Disabled | Self::PendingImport | Self::PendingDeletion | Self::Unavailable => None,
        }
    }

    const fn switched(self, to: Self) -> Option<Self> {
        match self {
            Self::Enabled | Self::Disabled => Some(to),
            Self::Unavailable => Some(self),
            Self::Creating | Self::PendingImport | Self::PendingDeletion => None,
        }
    }

    const fn rescued(self, to: Self) -> Option<Self> {
        match self {
            Self::PendingDeletion => Some(to),
            Self::Creating | Self::Enabled | Self::Disabled | Self::PendingImport | Self::Unavailable => None,
        }
    }

    const fn reconnected(self, to: Self) -> Self {
        match self {
            Self::Unavailable => to,
            Self::Creating | Self::Enabled | Self::Disabled | Self::PendingImport | Self::PendingDeletion => self,
        }
    }

    /// Returns `true` if the key can be used: the `Enabled` member of its metadata.
    ///
    /// # Examples
    /// ```
    /// use strongroom::key::KeyState;
    ///
    /// assert!(KeyState::Enabled.is_enabled());
    /// assert!(!KeyState::Disabled.is_enabled() && !KeyState::PendingDeletion.is_enabled());
    /// ```
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derived from the description of the states, not from the `match`. The columns are the states
    /// before the event. `=` means unchanged and `-` means rejected or impossible; a letter is the
    /// state after the event.
    const TABLE: &str = "
        event                          C E D I P U
        CreatedWithMaterial            E - - - - -
        CreatedWithoutMaterial         I - - - - -
        Enable                         - = E - - =
        Disable                        - D = - - =
        ScheduleDeletion               P P P P - P
        CancelDeletion                 - - - - D -
        CancelDeletionWithoutMaterial  - - - - I -
        MaterialImported               - = = E - -
        MaterialRemoved                - I I = = -
        StoreDisconnected              = U U = = =
        StoreConnectedEnabled          = = = = = E
        StoreConnectedDisabled         = = = = = D
    ";

    fn state(letter: &str) -> KeyState {
        match letter {
            "C" => KeyState::Creating,
            "E" => KeyState::Enabled,
            "D" => KeyState::Disabled,
            "I" => KeyState::PendingImport,
            "P" => KeyState::PendingDeletion,
            "U" => KeyState::Unavailable,
            other => panic!("no state {other}"),
        }
    }

    #[test]
    fn every_pair_of_state_and_event_is_as_the_table_says() {
        let mut lines = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
        let columns: Vec<KeyState> = lines.next().unwrap().split_whitespace().skip(1).map(state).collect();
        let mut pairs = 0;
        for (&event, line) in KeyEvent::ALL.iter().zip(lines.by_ref()) {
            let (name, cells) = line.split_once(' ').unwrap();
            assert_eq!(format!("{event:?}"), name);
            let cells: Vec<&str> = cells.split_whitespace().collect();
            assert_eq!(cells.len(), columns.len(), "{line}");
            for (&before, cell) in columns.iter().zip(cells) {
                let after = match cell {
                    "-" => None,
                    "=" => Some(before),
                    letter => Some(state(letter)),
                };
                assert_eq!(before.next(event), after, "{before} {event:?}");
                pairs += 1;
            }
        }
        assert_eq!(lines.next(), None);
        assert_eq!((columns.len(), pairs), (KeyState::ALL.len(), 72));
    }

    #[test]
    fn a_pending_deletion_ends_only_by_calling_it_off() {
        for &event in KeyEvent::ALL {
            let left = KeyState::PendingDeletion.next(event).is_some_and(|next| next != KeyState::PendingDeletion);
            let called_off = matches!(event, KeyEvent::CancelDeletion | KeyEvent::CancelDeletionWithoutMaterial);
            assert_eq!(left, called_off, "{event:?}");
        }
    }

    #[test]
    fn enabled_is_true_in_one_state_only() {
        for &state in KeyState::ALL {
            assert_eq!(state.is_enabled(), state.as_str() == "Enabled");
        }
    }
}
