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

#[cfg(test)]
mod tests {
    use strongroom_pkcs11_faults::{Action, Function};

    use super::super::tests::soft_token;
    use super::*;

    const STORE: [u8; 16] = [7; 16];

    fn mark(generation: u64) -> InstanceMark {
        InstanceMark { generation, nonce: [1; 16] }
    }

    #[test]
    fn a_token_that_stores_only_keys_holds_marks_as_keys() {
        let Some((hsm, token)) = soft_token("a_token_that_stores_only_keys_holds_marks_as_keys") else { return };
        let generated = || hsm.shim().calls(Function::GenerateKey);
        let before = generated();
        // CKR_ATTRIBUTE_VALUE_INVALID, for the class of data objects.
        hsm.shim().rule(Function::CreateObject, 0, u64::MAX, Action::Return(0x13));
        for (generation, keys) in [(1, 1), (1, 1), (2, 2)] {
            token.add_mark(STORE, mark(generation)).expect("it takes keys");
            assert_eq!(token.marks(STORE), Ok(vec![mark(generation)]));
            assert_eq!(generated() - before, keys);
        }
        hsm.shim().rule(Function::GenerateKey, 0, u64::MAX, Action::Return(0x54));
        let error = token.add_mark(STORE, mark(3)).expect_err("it takes neither");
        assert!(error.to_string().contains("cannot store the mark"), "{error}");
        assert_eq!(token.marks(STORE), Ok(vec![mark(2)]), "the last one stays");
        hsm.shim().clear();
        token.add_mark(STORE, mark(3)).expect("it takes data");
        assert_eq!((token.marks(STORE), generated() - before), (Ok(vec![mark(3)]), 3));
    }

    #[test]
    fn a_lost_token_is_not_taken_for_one_that_stores_only_keys() {
        let Some((hsm, token)) = soft_token("a_lost_token_is_not_taken_for_one_that_stores_only_keys") else { return };
        let generated = hsm.shim().calls(Function::GenerateKey);
        for code in [0x32, 0xB3, 0x31] {
            hsm.shim().rule(Function::CreateObject, 0, u64::MAX, Action::Return(code));
            let error = token.add_mark(STORE, mark(1)).expect_err("it does not answer");
            assert!(!error.to_string().contains("cannot store the mark"), "{error}");
            hsm.shim().clear();
        }
        assert_eq!(hsm.shim().calls(Function::GenerateKey), generated);
        token.add_mark(STORE, mark(1)).expect("the token responds");
        assert_eq!(token.marks(STORE), Ok(vec![mark(1)]));
    }

    #[test]
    fn an_object_that_is_no_mark_is_not_overlooked() {
        let Some((_hsm, token)) = soft_token("an_object_that_is_no_mark_is_not_overlooked") else { return };
        token.generate_key(&NewKey::new(&[1; 32], label(STORE), TokenKeyKind::Aes256)).expect("a key");
        let error = token.marks(STORE).expect_err("it is too long");
        assert!(error.to_string().contains("is not the mark of a store"), "{error}");
        assert_eq!(token.marks([8; 16]), Ok(Vec::new()), "another store has none");
    }
}
