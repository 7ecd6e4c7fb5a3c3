//! A Tokio stream.

use strongroom::{EncryptionContext, Envelope, Result};
use tokio::io::AsyncReadExt;

/// Reads a message to its end, a few bytes at a time, and discards its plaintext.
pub(crate) fn read_through(envelope: &Envelope, message: &[u8], context: &EncryptionContext) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = envelope.async_reader(message, context).await?;
        let mut part = [0; 7];
        while reader.read(&mut part).await.expect("the message is complete") > 0 {}
        Ok(())
    })
}
