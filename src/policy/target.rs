//! What a request asks to work on, by the ARN that resource patterns are compared with.

use std::cell::OnceCell;

use super::request::PolicyRequest;
use super::text_buffer::TextBuffer;
use crate::key::{AliasArn, KeyArn};

/// The ARN of the key or alias of a request, written out when it is first asked for.
pub(super) struct Target<'r> {
    request: &'r PolicyRequest<'r>,
    arn: OnceCell<Option<TextBuffer>>,
}

impl<'r> Target<'r> {
    pub(super) const fn new(request: &'r PolicyRequest<'r>) -> Self {
        Self { request, arn: OnceCell::new() }
    }

    /// The ARN; an operation on the account has none.
    pub(super) fn arn(&self) -> Option<&str> {
        self.arn.get_or_init(|| self.written_out()).as_ref().map(TextBuffer::as_str)
    }

    fn written_out(&self) -> Option<TextBuffer> {
        let PolicyRequest { locality, account, .. } = *self.request;
        match (self.request.alias, self.request.key) {
            (Some(alias), _) => Some(TextBuffer::of(AliasArn::new(locality.clone(), account, alias.clone()))),
            (None, Some(key)) => Some(TextBuffer::of(KeyArn::new(locality.clone(), account, key.key_id))),
            (None, None) => None,
        }
    }
}
