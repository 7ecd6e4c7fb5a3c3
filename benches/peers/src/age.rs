//! `age`, which encrypts files to recipients.

use std::io::{Read, Write};
use std::iter;
use std::time::Duration;

use age::x25519::{Identity, Recipient};
use age::{Decryptor, Encryptor};

use crate::subject::{Result, Subject, time};

pub(crate) struct Age {
    identity: Identity,
    recipient: Recipient,
    message: Vec<u8>,
    plaintext: Vec<u8>,
}

impl Age {
    pub(crate) fn new() -> Self {
        let identity = Identity::generate();
        Self { recipient: identity.to_public(), identity, message: Vec::new(), plaintext: Vec::new() }
    }
}

impl Subject for Age {
    fn encrypt(&mut self, plaintext: &[u8], times: u32) -> Result<Duration> {
        let Self { recipient, message, .. } = self;
        time(times, || {
            message.clear();
            let encryptor = Encryptor::with_recipients(iter::once(&*recipient as &dyn age::Recipient))?;
            let mut writer = encryptor.wrap_output(&mut *message)?;
            writer.write_all(plaintext)?;
            writer.finish()?;
            Ok(())
        })
    }

    fn decrypt(&mut self, times: u32) -> Result<Duration> {
        let Self { identity, message, plaintext, .. } = self;
        time(times, || {
            plaintext.clear();
            let decryptor = Decryptor::new(&message[..])?;
            decryptor.decrypt(iter::once(&*identity as &dyn age::Identity))?.read_to_end(plaintext)?;
            Ok(())
        })
    }

    fn decrypted(&self) -> &[u8] {
        &self.plaintext
    }
}
