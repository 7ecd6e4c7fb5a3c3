//! Deletion of parameters.

use super::get::{check_names, is_missing, missing};
use super::handle::{Loaded, Parameters};
use super::name::ParameterName;
use super::put::{count_edit, earlier_versions, exhausted, read_count};
use super::record::CountRecord;
use super::response::DeleteParametersResponse;
use crate::error::Result;
use crate::key::ParameterOperation;
use crate::kms::{ParameterCall, ParameterConditions, ParameterEdit, ParameterRecordKind, noted, noted_texts};

impl Parameters {
    /// Deletes a parameter with all its versions. A parameter that is created later under the same
    /// name begins with version 1.
    ///
    /// # Errors
    /// - [`NotFound`](crate::ErrorKind::NotFound) if the parameter does not exist.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// parameters.delete("/shop/url")?;
    /// assert!(parameters.get("/shop/url").is_err());
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete(&self, name: &str) -> Result<()> {
        self.call(ParameterOperation::DeleteParameter, vec![("name", noted(name))], |call| {
            let name = self.name(name)?;
            let deleted = call.commit(|call| {
                let (mut count_revision, mut count) = (None, None);
                let found = self.removal(call, ParameterOperation::DeleteParameter, &name)?;
                let Some((loaded, mut edits)) = found else { return Ok((Vec::new(), false)) };
                subtract(call, &loaded, &mut count_revision, &mut count)?;
                edits.extend(count.map(|count| count_edit(count_revision, count)));
                Ok((edits, true))
            });
            match deleted.map_err(|error| exhausted(&name, error))? {
                true => Ok(()),
                false => Err(missing(&name)),
            }
        })
    }

    /// Deletes up to 10 parameters in one commit, and returns the names that do not exist. The caller
    /// needs the permission for each of them.
    ///
    /// # Errors
    /// - [`Validation`](crate::ErrorKind::Validation) unless there are 1 to 10 different names.
    /// - The errors of [`Parameters::delete`], except for missing parameters.
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let deleted = parameters.delete_all(&["/shop/url", "/shop/missing"])?;
    /// assert_eq!(deleted.deleted_parameters, ["/shop/url"]);
    /// assert_eq!(deleted.invalid_parameters, ["/shop/missing"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn delete_all<T: AsRef<str>>(&self, names: &[T]) -> Result<DeleteParametersResponse> {
        self.call(ParameterOperation::DeleteParameters, vec![("names", noted_texts(names))], |call| {
            check_names(names)?;
            call.commit(|call| self.removals(call, names))
        })
    }

    fn removals<T: AsRef<str>>(
        &self,
        call: &mut ParameterCall<'_>,
        names: &[T],
    ) -> Result<(Vec<ParameterEdit>, DeleteParametersResponse)> {
        let mut response = DeleteParametersResponse { deleted_parameters: Vec::new(), invalid_parameters: Vec::new() };
        let (mut count_revision, mut count, mut edits) = (None, None, Vec::new());
        let mut keys = Vec::new();
        for text in names.iter().map(AsRef::as_ref) {
            let name = match self.name(text) {
                Ok(name) => name,
                Err(error) if is_missing(&error) => {
                    response.invalid_parameters.push(text.to_owned());
                    continue;
                }
                Err(error) => return Err(error),
            };
            let found = self.removal(call, ParameterOperation::DeleteParameters, &name)?;
            match found.filter(|_| !keys.contains(&name.key())) {
                Some((loaded, removal)) => {
                    keys.push(name.key());
                    subtract(call, &loaded, &mut count_revision, &mut count)?;
                    edits.extend(removal);
                    response.deleted_parameters.push(text.to_owned());
                }
                None => response.invalid_parameters.push(text.to_owned()),
            }
        }
        edits.extend(count.map(|count| count_edit(count_revision, count)));
        Ok((edits, response))
    }

    /// Returns the writes that delete a parameter, if it exists. One that has expired is left to
    /// maintenance, which trusts no wrong clock.
    fn removal(
        &self,
        call: &mut ParameterCall<'_>,
        operation: ParameterOperation,
        name: &ParameterName,
    ) -> Result<Option<(Loaded, Vec<ParameterEdit>)>> {
        let loaded = self.authorized(call, operation, name, ParameterConditions::default())?;
        let now = call.now();
        let Some(loaded) = loaded.filter(|loaded| !loaded.record.is_expired(now)) else { return Ok(None) };
        let edits = removal_of(call, &name.key(), &loaded)?;
        Ok(Some((loaded, edits)))
    }
}

/// Returns the writes that delete a parameter with its versions.
pub(super) fn removal_of(call: &ParameterCall<'_>, key: &str, loaded: &Loaded) -> Result<Vec<ParameterEdit>> {
    let mut edits = earlier_versions(call, key, &loaded.record)?;
    let (kind, expected) = (ParameterRecordKind::Parameter, Some(loaded.revision));
    edits.push(ParameterEdit { kind, name: key.as_bytes().to_vec(), expected, body: None });
    Ok(edits)
}

/// Subtracts a parameter from the count of the account, which is read once for each commit.
fn subtract(
    call: &ParameterCall<'_>,
    loaded: &Loaded,
    revision: &mut Option<crate::store::Revision>,
    count: &mut Option<CountRecord>,
) -> Result<()> {
    let current = match count {
        Some(count) => count,
        None => {
            let (found, read) = read_count(call)?;
            *revision = found;
            count.insert(read)
        }
    };
    let tier = loaded.record.current.tier;
    *current.of_mut(tier) = current.of(tier).saturating_sub(1);
    Ok(())
}
