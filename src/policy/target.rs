//! The target of a request, identified by the ARN that resource patterns are compared with.

use std::cell::OnceCell;

use super::request::PolicyRequest;
use super::text_buffer::TextBuffer;
use crate::key::{AliasArn, KeyArn};

/// The ARN of the request's key or alias, formatted on first use.
pub(super) struct Target<'r> {
    request: &'r PolicyRequest<'r>,
    arn: OnceCell<Option<TextBuffer>>,
}

impl<'r> Target<'r> {
    pub(super) const fn new(request: &'r PolicyRequest<'r>) -> Self {
        Self { request, arn: OnceCell::new() }
    }

    /// Returns the ARN, or `None` for an operation on the account.
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
