//! Tags of keys.

use crate::audit::ParameterValue;
use crate::error::Result;
use crate::key::{Operation, Tag, check_tag_count, check_tag_key};
use crate::kms::engine::handle::Kms;
use crate::kms::pipeline::call::{CallSpec, tags_for_audit};
use crate::kms::request::pagination::{self, PageLimits};
use crate::kms::request::{KeyReference, Page, PageRequest};
use crate::policy::RequestParameter;
use crate::text::sanitize_for_error;

/// Page sizes of [`Kms::list_resource_tags`].
const TAG_PAGES: PageLimits = PageLimits { most: 50, default: 50 };

impl Kms {
    /// Adds tags to a key, replacing the values of existing tags. A key can have up to 50 tags.
    ///
    /// # Errors
    /// - [`Tag`](crate::ErrorKind::Tag) if a tag key is duplicated or reserved, or there are too
    ///   many tags.
    /// - [`Validation`](crate::ErrorKind::Validation) if a tag is too long.
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key is pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::Tag;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(Default::default())?;
    /// kms.tag_resource(key.key_id(), [Tag::new("team", "billing")?])?;
    /// assert_eq!(kms.list_resource_tags(key.key_id(), Default::default())?.entries[0].value(), "billing");
    /// kms.untag_resource(key.key_id(), ["team"])?;
    /// assert!(kms.list_resource_tags(key.key_id(), Default::default())?.entries.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn tag_resource(&self, key: impl KeyReference, tags: impl IntoIterator<Item = Tag>) -> Result<()> {
        let tags: Vec<Tag> = tags.into_iter().collect();
        let conditions = [RequestParameter::RequestTags(&tags)];
        let pairs = tags_for_audit(&tags).map(|tag| (tag.key(), tag.value()));
        let call = CallSpec::new(Operation::TagResource)
            .conditions(&conditions)
            .valid(check_tag_count(tags.len()))
            .parameter("tags", ParameterValue::pairs(pairs));
        self.key_change(call, &key, |target, _| {
            let mut record = target.record().clone();
            record.tags.put(tags.iter().cloned())?;
            Ok((target.put(record), ()))
        })
    }

    /// Removes tags from a key. Tag keys that do not exist are ignored.
    ///
    /// # Errors
    /// - [`Tag`](crate::ErrorKind::Tag) if there are more than 50 tag keys.
    /// - [`Validation`](crate::ErrorKind::Validation) if a tag key is empty or too long.
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - [`InvalidState`](crate::ErrorKind::InvalidState) if the key is pending deletion.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::CreateKeyRequest;
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().tag("team", "billing").tag("stage", "test"))?.key_id();
    /// kms.untag_resource(key, ["stage", "missing"])?;
    /// let tags = kms.list_resource_tags(key, Default::default())?.entries;
    /// assert_eq!((tags.len(), tags[0].key()), (1, "team"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn untag_resource<T: AsRef<str>>(
        &self,
        key: impl KeyReference,
        tag_keys: impl IntoIterator<Item = T>,
    ) -> Result<()> {
        let tag_keys: Vec<T> = tag_keys.into_iter().collect();
        let names: Vec<&str> = tag_keys.iter().map(AsRef::as_ref).collect();
        let conditions = [RequestParameter::TagKeys(&names)];
        let keys = tags_for_audit(&names).map(|name| sanitize_for_error(name));
        let call = CallSpec::new(Operation::UntagResource)
            .conditions(&conditions)
            .valid(check_tag_count(names.len()))
            .valid(names.iter().try_for_each(|name| check_tag_key(name)))
            .parameter("tagKeys", ParameterValue::texts(keys));
        self.key_change(call, &key, |target, _| {
            let mut record = target.record().clone();
            record.tags.remove(&tag_keys);
            Ok((target.put(record), ()))
        })
    }

    /// Lists the tags of a key in the order of their keys. A page has 1 to 50 entries.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the key does not exist.
    /// - [`Validation`](crate::ErrorKind::Validation) if the page limit is out of range.
    /// - [`InvalidMarker`](crate::ErrorKind::InvalidMarker) if the marker was not returned by an
    ///   earlier page.
    /// - The [errors of every operation](Kms#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::request::{CreateKeyRequest, PageRequest};
    ///
    /// let kms = Kms::in_memory()?;
    /// let key = kms.create_key(CreateKeyRequest::default().tag("team", "billing").tag("stage", "live"))?.key_id();
    /// let page = kms.list_resource_tags(key, PageRequest::default().limit(1))?;
    /// assert_eq!((page.entries[0].key(), page.entries[0].value()), ("stage", "live"));
    /// let rest = PageRequest::default().marker(page.next_marker.unwrap_or_default());
    /// assert_eq!(kms.list_resource_tags(key, rest)?.entries[0].key(), "team");
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_resource_tags(&self, key: impl KeyReference, page: PageRequest) -> Result<Page<Tag>> {
        self.key_call(CallSpec::new(Operation::ListResourceTags).valid(TAG_PAGES.valid(&page)), &key, |target, _| {
            let tags: Vec<Tag> =
                target.record().tags.iter().map(|(key, value)| Tag::new(key, value)).collect::<Result<_>>()?;
            pagination::page_of(tags.into_iter(), &page, TAG_PAGES, |tag| tag.key().as_bytes())
        })
    }
}
