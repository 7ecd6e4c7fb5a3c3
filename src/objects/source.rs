//! The bytes of a stored object, as they arrive.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{GetResult, GetResultPayload};

use super::chunks::Chunks;
use super::error::invalid;

/// The longest part of a file that is read at once.
const MAX_AT_ONCE: u64 = 4 << 20;

/// A stream of bytes, from which exact lengths are taken.
pub(super) struct Source {
    path: Path,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    held: Chunks,
}

impl Source {
    fn new(path: &Path, stream: BoxStream<'static, object_store::Result<Bytes>>) -> Self {
        Self { path: path.clone(), stream, held: Chunks::default() }
    }

    /// Starts to read the body of a response. A short part of a file is read at once, because a stream
    /// of it has pieces of 8 KiB, and each of them costs a change of threads.
    pub(super) async fn of_response(path: &Path, found: GetResult) -> object_store::Result<Self> {
        let length = found.range.end.saturating_sub(found.range.start);
        if matches!(found.payload, GetResultPayload::Stream(_)) || length > MAX_AT_ONCE {
            return Ok(Self::new(path, found.into_stream()));
        }
        let mut source = Self::new(path, stream::empty().boxed());
        source.held.push(found.bytes().await?);
        Ok(source)
    }

    /// Returns `true` if this many bytes have arrived, so that taking them does not wait.
    pub(super) fn has_arrived(&self, length: usize) -> bool {
        self.held.len() >= length
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
