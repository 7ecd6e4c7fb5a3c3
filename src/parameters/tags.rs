//! Tags of parameters.

use super::error::ParameterError;
use super::handle::{Loaded, Parameters, key_of};
use super::name::ParameterName;
use super::put::{exhausted, too_many_tags};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{ParameterOperation, Tag, TagSet};
use crate::kms::{
    ParameterCall, ParameterConditions, ParameterEdit, ParameterRecordKind, noted, noted_tags, noted_texts,
};

/// Maximum number of tag keys of a request.
const MAX_TAG_KEYS: usize = 50;

impl Parameters {
    /// Adds tags to a parameter, which has at most 50. A tag replaces the one with the same key.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter does not exist.
    /// - [`Tag`](ErrorKind::Tag) if there would be too many tags, or a key appears twice.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::Tag;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// parameters.add_tags("/shop/url", [Tag::new("team", "shop")?])?;
    /// assert_eq!(parameters.list_tags("/shop/url")?.get("team"), Some("shop"));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn add_tags(&self, name: &str, tags: impl IntoIterator<Item = Tag>) -> Result<()> {
        let tags: Vec<Tag> = tags.into_iter().collect();
        let parameters = vec![("resourceId", noted(name)), ("tags", noted_tags(&tags))];
        let operation = ParameterOperation::AddTagsToResource;
        self.call(operation, parameters, |call| {
            let name = self.name(name)?;
            let conditions = ParameterConditions { request_tags: &tags, ..ParameterConditions::default() };
            let changed = call.commit(|call| {
                let loaded = self.tagged(call, operation, &name, conditions)?;
                let mut changed = loaded.record.tags.clone();
                changed.put(tags.iter().cloned()).map_err(too_many_tags)?;
                Ok((retagged(loaded, changed)?, ()))
            });
            changed.map_err(|error| exhausted(&name, error))
        })
    }

    /// Removes tags from a parameter. Keys that it does not have are ignored.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter does not exist.
    /// - [`Validation`](ErrorKind::Validation) if there are more than 50 keys.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::key::Tag;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// let request = PutParameterRequest::string("/shop/url", "https://shop.example");
    /// parameters.put(request.tags([Tag::new("team", "shop")?]))?;
    /// parameters.remove_tags("/shop/url", &["team"])?;
    /// assert!(parameters.list_tags("/shop/url")?.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn remove_tags<T: AsRef<str>>(&self, name: &str, keys: &[T]) -> Result<()> {
        let parameters = vec![("resourceId", noted(name)), ("tagKeys", noted_texts(keys))];
        let operation = ParameterOperation::RemoveTagsFromResource;
        self.call(operation, parameters, |call| {
            let name = self.name(name)?;
            if keys.len() > MAX_TAG_KEYS {
                let text = format!("a request must contain at most {MAX_TAG_KEYS} tag keys");
                return Err(Error::new(ErrorKind::Validation, text));
            }
            let tag_keys: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
            let conditions = ParameterConditions { tag_keys: &tag_keys, ..ParameterConditions::default() };
            let changed = call.commit(|call| {
                let loaded = self.tagged(call, operation, &name, conditions)?;
                let mut changed = loaded.record.tags.clone();
                changed.remove(keys);
                Ok((retagged(loaded, changed)?, ()))
            });
            changed.map_err(|error| exhausted(&name, error))
        })
    }

    /// Returns the tags of a parameter.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter does not exist.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// assert!(parameters.list_tags("/shop/url")?.is_empty());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn list_tags(&self, name: &str) -> Result<TagSet> {
        let operation = ParameterOperation::ListTagsForResource;
        self.call(operation, vec![("resourceId", noted(name))], |call| {
            let name = self.name(name)?;
            Ok(self.tagged(call, operation, &name, ParameterConditions::default())?.record.tags)
        })
    }

    fn tagged(
        &self,
        call: &mut ParameterCall<'_>,
        operation: ParameterOperation,
        name: &ParameterName,
        conditions: ParameterConditions<'_>,
    ) -> Result<Loaded> {
        let loaded = self.authorized(call, operation, name, conditions)?;
        let now = call.now();
        let found = loaded.filter(|loaded| !loaded.record.is_expired(now));
        Ok(found.ok_or_else(|| ParameterError::InvalidResourceId { name: name.as_str().to_owned() })?)
    }
}

fn retagged(loaded: Loaded, tags: TagSet) -> Result<Vec<ParameterEdit>> {
    let Loaded { revision, mut record } = loaded;
    if record.tags == tags {
        return Ok(Vec::new());
    }
    record.tags = tags;
    let name = key_of(&record).into_bytes();
    let (kind, body) = (ParameterRecordKind::Parameter, Some(record.encode()?));
    Ok(vec![ParameterEdit { kind, name, expected: Some(revision), body }])
}
