//! A Tokio stream, after one of the standard library.

use strongroom::{EncryptionContext, Envelope, Result};
use tokio::io::AsyncReadExt;

use crate::blocking;

/// Reads a message to its end in both ways, a few bytes at a time, and discards its plaintext.
pub(crate) fn read_through(envelope: &Envelope, message: &[u8], context: &EncryptionContext) -> Result<()> {
    blocking::read_through(envelope, message, context)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = envelope.async_reader(message, context).await?;
        let mut part = [0; 7];
        while reader.read(&mut part).await.expect("the message is complete") > 0 {}
        Ok(())
    })
}
