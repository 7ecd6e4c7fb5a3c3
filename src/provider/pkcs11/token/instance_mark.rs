//! Marks of stores in a token ([`InstanceMarks`](crate::provider::InstanceMarks)), each in a
//! separate object.
//!
//! A mark is a data object whose value is the mark. Tokens that store only keys get an unused AES
//! key with the mark as its CKA_ID. All marks of a store have the same label. Objects are only
//! created and destroyed, as some tokens do not allow attributes to be changed.

use std::thread;
use std::time::Duration;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::Token;
use super::retry::{RetryPolicy, Task};
use crate::provider::InstanceMark;
use crate::provider::pkcs11::connection::SessionContext;
use crate::provider::pkcs11::error::{ErrorClass, TokenError};
use crate::provider::pkcs11::object::{self, NewKey, ValueSource};
use crate::provider::pkcs11::reference::{TokenKeyKind, id_text};

/// Maximum number of marks of a store that are read.
const MAX_MARKS: usize = 1_024;

/// Delay before a second search, if the first one found no mark. SoftHSM does not always list an
/// object that another process has just created.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

impl Token {
    /// Returns the marks of a store.
    pub(in crate::provider::pkcs11) fn marks(&self, store: [u8; 16]) -> Result<Vec<InstanceMark>, TokenError> {
        self.run(Task {
            retry: RetryPolicy::SafeAlone,
            key: None,
            work: move |context: SessionContext<'_>| {
                let mut found = find(context.session, store)?;
                if found.is_empty() {
                    // A search without results is conclusive only if the token is present.
                    object::token_is_well(context)?;
                    thread::sleep(LOOK_AGAIN);
                    found = find(context.session, store)?;
                }
                Ok(found.into_iter().map(|(mark, _)| mark).collect())
            },
        })
    }

    /// Adds a mark of a store, unless it exists, and removes marks of a lower generation.
    pub(in crate::provider::pkcs11) fn add_mark(&self, store: [u8; 16], mark: InstanceMark) -> Result<(), TokenError> {
        self.run(Task {
            retry: RetryPolicy::SafeAlone,
            key: None,
            work: move |context: SessionContext<'_>| {
                let found = find(context.session, store)?;
                if !found.iter().any(|(other, _)| *other == mark) {
                    create(context.session, store, mark)?;
                }
                for (_, object) in found.into_iter().filter(|(other, _)| other.generation < mark.generation) {
                    // A remaining mark is superseded anyway, and is removed with the next one.
                    let _ = context.session.destroy_object(object);
                }
                Ok(())
            },
        })
    }
}

/// Returns the label by which the marks of a store are found.
fn label(store: [u8; 16]) -> String {
    format!("strongroom store {}", id_text(&store))
}

fn find(session: &Session, store: [u8; 16]) -> Result<Vec<(InstanceMark, ObjectHandle)>, TokenError> {
    let objects = session.find_objects(&[Attribute::Token(true), Attribute::Label(label(store).into_bytes())])?;
    let mut marks = Vec::new();
    for object in objects.into_iter().take(MAX_MARKS) {
        let class = session.get_attributes(object, &[AttributeType::Class])?;
        let wanted = match class.as_slice() {
            [Attribute::Class(class)] if *class == ObjectClass::DATA => AttributeType::Value,
            [Attribute::Class(class)] if *class == ObjectClass::SECRET_KEY => AttributeType::Id,
            _ => continue,
        };
        let bytes = match session.get_attributes(object, &[wanted])?.pop() {
            Some(Attribute::Value(bytes) | Attribute::Id(bytes)) => bytes,
            _ => continue,
        };
        let bytes = bytes.try_into().map_err(|_| {
            let text = format!("an object with the label '{}' is not the mark of a store", label(store));
            TokenError::new(ErrorClass::Fatal, text)
        })?;
        marks.push((InstanceMark::from_bytes(bytes), object));
    }
    Ok(marks)
}

fn create(session: &Session, store: [u8; 16], mark: InstanceMark) -> Result<(), TokenError> {
    let data = [
        Attribute::Class(ObjectClass::DATA),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Label(label(store).into_bytes()),
        Attribute::Value(mark.to_bytes().to_vec()),
    ];
    let Err(error) = session.create_object(&data).map_err(TokenError::from) else { return Ok(()) };
    if matches!(error.class(), ErrorClass::SessionLost | ErrorClass::TokenLost | ErrorClass::Busy) {
        return Err(error);
    }
    let key = NewKey::new(&mark.to_bytes(), label(store), TokenKeyKind::Aes256);
    match session.generate_key(&Mechanism::AesKeyGen, &object::secret_template(&key, ValueSource::Generated)) {
        Ok(_) => Ok(()),
        Err(other) => Err(error.at(&format!("cannot store the mark: {}", TokenError::from(other)))),
    }
}
