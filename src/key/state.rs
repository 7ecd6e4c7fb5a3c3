//! The state machine of a key: one total function from state and event to the next state.

use crate::text::string_enum;

string_enum! {
    /// Where in its life a key is. Decides, with [`verdict()`](super::verdict()), what may be done with it.
    pub enum KeyState as "key state" {
        /// Being made; not usable yet.
        Creating => "Creating",
        /// In use.
        Enabled => "Enabled",
        /// Switched off by its owner.
        Disabled => "Disabled",
        /// Waiting for material to be imported, for the first time or again.
        PendingImport => "PendingImport",
        /// Going to be destroyed when its window is over; until then that can be called off.
        PendingDeletion => "PendingDeletion",
        /// Its material cannot be reached, as the key store that holds it is disconnected.
        Unavailable => "Unavailable",
    }
}

/// Something that happens to a key and may move its state.
///
/// Where what follows depends on more than the state (is material there, was the key switched off before its store was
/// disconnected), each answer is an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KeyEvent {
    /// The key was made and has its material.
    CreatedWithMaterial,
    /// The key was made and waits for its material.
    CreatedWithoutMaterial,
    /// The owner switches it on.
    Enable,
    /// The owner switches it off.
    Disable,
    /// The owner schedules its deletion.
    ScheduleDeletion,
    /// The owner calls the deletion off, and all material is there.
    CancelDeletion,
    /// The owner calls the deletion off, and imported material is missing.
    CancelDeletionWithoutMaterial,
    /// Material was imported, and now all that belongs to the key is there.
    MaterialImported,
    /// Imported material was deleted or has expired.
    MaterialRemoved,
    /// The key store that holds the material was disconnected.
    StoreDisconnected,
    /// The key store is connected again, and the key was last switched on.
    StoreConnectedEnabled,
    /// The key store is connected again, and the key was last switched off.
    StoreConnectedDisabled,
}

impl KeyEvent {
    /// Every value.
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
    /// The state after an event; `None` if the event is refused or cannot happen in this state.
    ///
    /// Switching on or off an unavailable key leaves it unavailable: remember the wish, and report it with
    /// [`KeyEvent::StoreConnectedEnabled`] or [`KeyEvent::StoreConnectedDisabled`]. What happens to the key store is
    /// never refused, and a pending deletion wins over it.
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

    /// Whether the key is in use: the `Enabled` member of its metadata.
    pub const fn is_enabled(self) -> bool {
        matches!(self, Self::Enabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written from the description of the states, not from the match. Columns: the state before the event. `=` means
    /// unchanged, `-` refused or impossible; otherwise the state after it by its letter.
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
