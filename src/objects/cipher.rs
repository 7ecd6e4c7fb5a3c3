//! Encryption and decryption of the header of an object.

use std::fmt;
use std::sync::Arc;

use object_store::path::Path;

use super::binding::{self, BUCKET, BoundManager, PATH, PathBinding};
use super::geometry::Geometry;
use crate::context::EncryptionContext;
use crate::crypto::CryptoBackend;
use crate::envelope::{MaterialsManager, operations::Envelope};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{self, FrameOpener, FrameSealer, Header, Limits};

/// The settings of a store, and the source of its data keys.
#[derive(Clone)]
pub(super) struct ObjectCipher {
    pub(super) manager: Arc<dyn MaterialsManager>,
    pub(super) bucket: String,
    pub(super) context: EncryptionContext,
    pub(super) binding: PathBinding,
    pub(super) geometry: Geometry,
    pub(super) backend: CryptoBackend,
    pub(super) threads: usize,
}

impl ObjectCipher {
    /// Starts an object, and returns its header. `length` is the length of its plaintext, if known.
    pub(super) fn seal_header(&self, path: &Path, length: Option<usize>) -> Result<(Vec<u8>, FrameSealer)> {
        let (header, sealer) = self.envelope(path)?.begin_frames(&self.context_of(path), length)?;
        if header.len() != self.geometry.header_bytes() {
            let text = format!("the header of the object has {} bytes, not the length of this store", header.len());
            return Err(Error::new(ErrorKind::Internal, text));
        }
        Ok((header, sealer))
    }

    /// Verifies the header of an object.
    ///
    /// # Errors
    /// - [`ErrorKind::InvalidMessage`] if it is not the header of an object, or has other lengths
    /// - [`ErrorKind::ContextMismatch`] if it belongs to another bucket or path
    pub(super) fn open_header(&self, path: &Path, bytes: &[u8]) -> Result<FrameOpener> {
        let header = self.parse_header(bytes)?;
        let (length, frame) = (header.encoded_length(), header.frame_length());
        if length != self.geometry.header_bytes() || frame != Some(self.geometry.frame_length()) {
            let text = format!(
                "the object has a header of {length} bytes and frames of {} bytes, but this store has headers of {} \
                 and frames of {}: read it with a store that has these lengths",
                frame.unwrap_or(0),
                self.geometry.header(),
                self.geometry.frame()
            );
            return Err(Error::new(ErrorKind::InvalidMessage, text));
        }
        let mut expected = self.bucket_context();
        binding::check(&header, self.binding, path.as_ref(), &mut expected)?;
        self.envelope(path)?.open_frames(&header, &expected)
    }

    /// Parses a header without verifying it.
    pub(super) fn parse_header(&self, bytes: &[u8]) -> Result<Header> {
        Ok(message::inspect_with_limits(bytes, &self.limits())?)
    }

    /// Returns `true` if the header of an object has the lengths, binding and context that this store
    /// writes for a path.
    pub(super) fn has_settings(&self, header: &Header, path: &Path) -> bool {
        header.encoded_length() == self.geometry.header_bytes()
            && header.frame_length() == Some(self.geometry.frame_length())
            && binding::is_written_with(header, self.binding, path.as_ref())
            && *header.context() == self.context_of(path)
    }

    /// Returns the encryption context of a new object.
    fn context_of(&self, path: &Path) -> EncryptionContext {
        let mut context = self.bucket_context();
        if self.binding == PathBinding::Context {
            context.extend([(PATH, path.as_ref())]);
        }
        context
    }

    fn bucket_context(&self) -> EncryptionContext {
        let mut context = self.context.clone();
        context.extend([(BUCKET, self.bucket.as_str())]);
        context
    }

    fn envelope(&self, path: &Path) -> Result<Envelope> {
        let manager = BoundManager {
            inner: Arc::clone(&self.manager),
            binding: self.binding,
            path: path.as_ref().to_owned(),
            header_length: self.geometry.header_bytes(),
        };
        let builder = Envelope::builder(manager).backend(self.backend).limits(self.limits());
        builder.frame_length(self.geometry.frame_length()).build()
    }

    fn limits(&self) -> Limits {
        Limits::default().with_max_header_bytes(usize::from(u16::MAX) + 1)
    }
}

impl fmt::Debug for ObjectCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectCipher")
            .field("bucket", &self.bucket)
            .field("binding", &self.binding)
            .field("geometry", &self.geometry)
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}
