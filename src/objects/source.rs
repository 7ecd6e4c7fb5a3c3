//! The bytes of a stored object, as they arrive.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;

use super::chunks::Chunks;
use super::error::invalid;

/// A stream of bytes, from which exact lengths are taken.
pub(super) struct Source {
    path: Path,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    held: Chunks,
}

impl Source {
    pub(super) fn new(path: &Path, stream: BoxStream<'static, object_store::Result<Bytes>>) -> Self {
        Self { path: path.clone(), stream, held: Chunks::default() }
    }

    /// Takes the next `length` bytes.
    ///
    /// # Errors
    /// - An invalid message if the object ends before, and the errors of the store
    pub(super) async fn take(&mut self, length: usize) -> object_store::Result<Chunks> {
        while self.held.len() < length {
            match self.stream.next().await {
                Some(bytes) => self.held.push(bytes?),
                None => return Err(invalid(&self.path, "the object ends before its end: it is truncated")),
            }
        }
        Ok(self.held.split_to(length))
    }

    /// Drops the next `length` bytes.
    pub(super) async fn skip(&mut self, length: u64) -> object_store::Result<()> {
        let mut left = length;
        while left > 0 {
            let step = left.min(1 << 20);
            self.take(usize::try_from(step).unwrap_or(usize::MAX)).await?;
            left -= step;
        }
        Ok(())
    }

    /// Checks that no bytes are left.
    pub(super) async fn expect_end(&mut self) -> object_store::Result<()> {
        while self.held.len() == 0 {
            match self.stream.next().await {
                Some(bytes) => self.held.push(bytes?),
                None => return Ok(()),
            }
        }
        Err(invalid(&self.path, "the object continues after its end: it was extended"))
    }
}
