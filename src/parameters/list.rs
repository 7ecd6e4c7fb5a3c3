//! Lists of parameters and of versions, in pages.

use super::error::ParameterError;
use super::filter::{self, FilterUse, Filters};
use super::get::{MAX_READS, changed_meanwhile};
use super::handle::{Loaded, Parameters, check_name, key_of, read_parameter};
use super::name::{ParameterPath, account_arn};
use super::record::ParameterRecord;
use super::request::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, SecureStringForm,
};
use super::response::{Parameter, ParameterHistoryEntry, ParameterMetadata};
use super::token::{Query, page_size};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ParameterOperation;
use crate::kms::{Page, ParameterCall, ParameterConditions, noted};

/// Number of records that are read at once.
const BATCH: usize = 50;
/// Maximum number of records that one page examines. A page may be empty although more follow.
const MAX_EXAMINED: usize = 1_000;

impl Parameters {
    /// Returns a page of the parameters below a path, in ascending order of their names. A page may be
    /// empty although more follow: continue until there is no marker. The caller needs the permission
    /// for the path; those for the parameters below it are not checked, as in AWS.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if the path, a filter or the page size is invalid.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the token is not that of an earlier page.
    /// - The refusal of the KMS if the key of a SecureString cannot be used.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{GetParametersByPathRequest, Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// for name in ["/shop/a", "/shop/b", "/shop/c"] {
    ///     parameters.put(PutParameterRequest::string(name, "value"))?;
    /// }
    /// let (mut names, mut token) = (Vec::new(), None);
    /// loop {
    ///     let mut request = GetParametersByPathRequest::new("/shop").max_results(2);
    ///     if let Some(token) = token {
    ///         request = request.next_token(token);
    ///     }
    ///     let page = parameters.by_path(request)?;
    ///     names.extend(page.entries.iter().map(|parameter| parameter.name().to_owned()));
    ///     token = page.next_marker;
    ///     if token.is_none() {
    ///         break;
    ///     }
    /// }
    /// assert_eq!(names, ["/shop/a", "/shop/b", "/shop/c"]);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn by_path(&self, request: GetParametersByPathRequest) -> Result<Page<Parameter>> {
        let mut parameters = vec![
            ("path", noted(&request.path)),
            ("recursive", request.recursive.into()),
            ("withDecryption", (request.decryption == SecureStringForm::Decrypted).into()),
        ];
        parameters.extend(filter::audited(&request.filters));
        self.call(ParameterOperation::GetParametersByPath, parameters, |call| {
            let path = ParameterPath::parse(&request.path)?;
            let conditions =
                ParameterConditions { recursive: Some(request.recursive), ..ParameterConditions::default() };
            let arn = path.arn(self.kms.locality(), self.account());
            call.authorize(ParameterOperation::GetParametersByPath, &arn, conditions)?;
            let filter_texts = filter::texts(&request.filters);
            let filters = Filters::parse(request.filters, FilterUse::ByPath)?;
            let depth = if request.recursive { "recursive" } else { "one level" };
            let mut texts = vec![path.prefix(), depth];
            texts.extend(filter_texts.iter().map(String::as_str));
            let walk = Walk {
                query: Query::new(call, ParameterOperation::GetParametersByPath, &texts),
                prefix: path.prefix(),
                recursive: request.recursive,
                size: page_size(request.max_results, 10, 10)?,
                token: request.next_token.as_deref(),
            };
            walk.page(call, |call, loaded| self.matching(call, loaded, &filters, request.decryption))
        })
    }

    /// Returns the version of a parameter that filters select, if any. If the parameter was changed
    /// since it was read, it is read again.
    fn matching(
        &self,
        call: &ParameterCall<'_>,
        loaded: &Loaded,
        filters: &Filters,
        decryption: SecureStringForm,
    ) -> Result<Option<Parameter>> {
        let (key, mut latest) = (key_of(&loaded.record), None);
        for _ in 0..MAX_READS {
            let loaded = latest.as_ref().unwrap_or(loaded);
            let record = &loaded.record;
            let Some((number, selector)) = filters.version_of(record) else { return Ok(None) };
            if record.is_expired(call.now()) || !filters.match_parameter(record) {
                return Ok(None);
            }
            let found = Self::with_version(call, &key, loaded, number, |version| {
                self.to_parameter(record, version, selector, decryption)
            })?;
            if found.is_some() {
                return Ok(found);
            }
            latest = read_parameter(call, &key)?;
            if latest.is_none() {
                return Ok(None);
            }
        }
        Err(changed_meanwhile())
    }

    /// Returns a page of the metadata of the account's parameters, in ascending order of their names.
    /// A page may be empty although more follow: continue until there is no marker.
    ///
    /// # Errors
    /// - [`Validation`](ErrorKind::Validation) if a filter or the page size is invalid.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the token is not that of an earlier page.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let page = parameters.describe(Default::default())?;
    /// assert_eq!((page.entries.len(), page.next_marker), (1, None));
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn describe(&self, request: DescribeParametersRequest) -> Result<Page<ParameterMetadata>> {
        self.call(ParameterOperation::DescribeParameters, filter::audited(&request.filters), |call| {
            let arn = account_arn(self.kms.locality(), self.account());
            call.authorize(ParameterOperation::DescribeParameters, &arn, ParameterConditions::default())?;
            let filter_texts = filter::texts(&request.filters);
            let texts: Vec<&str> = filter_texts.iter().map(String::as_str).collect();
            let filters = Filters::parse(request.filters, FilterUse::Describe)?;
            let walk = Walk {
                query: Query::new(call, ParameterOperation::DescribeParameters, &texts),
                prefix: "/",
                recursive: true,
                size: page_size(request.max_results, 10, 50)?,
                token: request.next_token.as_deref(),
            };
            walk.page(call, |call, loaded| {
                let record = &loaded.record;
                let is_wanted = filters.match_parameter(record);
                Ok(is_wanted.then(|| self.metadata_of(record, &record.current, call.now())))
            })
        })
    }

    /// Returns a page of the retained versions of a parameter, the oldest first.
    ///
    /// # Errors
    /// - [`NotFound`](ErrorKind::NotFound) if the parameter does not exist.
    /// - [`Validation`](ErrorKind::Validation) if the page size is invalid.
    /// - [`InvalidMarker`](ErrorKind::InvalidMarker) if the token is not that of an earlier page.
    /// - The refusal of the KMS if the key of a SecureString cannot be used.
    /// - The [errors of every operation](Parameters#errors-of-every-operation).
    ///
    /// # Examples
    /// ```
    /// use strongroom::Kms;
    /// use strongroom::parameters::{GetParameterHistoryRequest, Parameters, PutParameterRequest};
    ///
    /// let parameters = Parameters::new(&Kms::in_memory()?);
    /// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
    /// let page = parameters.history(GetParameterHistoryRequest::new("/shop/url"))?;
    /// assert_eq!(page.entries[0].metadata().version(), 1);
    /// # Ok::<(), strongroom::Error>(())
    /// ```
    pub fn history(&self, request: GetParameterHistoryRequest) -> Result<Page<ParameterHistoryEntry>> {
        let parameters = vec![
            ("name", noted(&request.name)),
            ("withDecryption", (request.decryption == SecureStringForm::Decrypted).into()),
        ];
        self.call(ParameterOperation::GetParameterHistory, parameters, |call| {
            let name = self.name(&request.name)?;
            let size = page_size(request.max_results, 50, 50)?;
            let query = Query::new(call, ParameterOperation::GetParameterHistory, &[&name.key()]);
            let after = request.next_token.as_deref().map(|token| version_in(query, token)).transpose()?.unwrap_or(0);
            for _ in 0..MAX_READS {
                let loaded = self.existing(call, ParameterOperation::GetParameterHistory, &name)?;
                if let Some(page) = self.versions(call, &loaded, (query, after), size, request.decryption)? {
                    return Ok(page);
                }
            }
            Err(changed_meanwhile())
        })
    }

    /// Returns a page of versions, or `None` if the parameter was changed since it was read.
    fn versions(
        &self,
        call: &ParameterCall<'_>,
        loaded: &Loaded,
        (query, after): (Query, u64),
        size: usize,
        decryption: SecureStringForm,
    ) -> Result<Option<Page<ParameterHistoryEntry>>> {
        let record = &loaded.record;
        let (key, arn) = (key_of(record), self.arn_of_key(&key_of(record)));
        let mut entries = Vec::new();
        let mut numbers = record.retained().filter(|number| *number > after);
        for number in numbers.by_ref().take(size) {
            let entry = Self::with_version(call, &key, loaded, number, |version| {
                Ok(ParameterHistoryEntry {
                    metadata: self.metadata_of(record, version, call.now()),
                    value: self.value_of(record.kind, version, &arn, decryption)?,
                    labels: record.labels_of(number),
                })
            })?;
            let Some(entry) = entry else { return Ok(None) };
            entries.push(entry);
        }
        let last = entries.last().map(|entry| entry.metadata.version);
        let next_marker =
            last.filter(|last| *last < record.current.number).map(|last| query.token_after(&last.to_be_bytes()));
        Ok(Some(Page { entries, next_marker }))
    }
}

fn version_in(query: Query, token: &str) -> Result<u64> {
    let bytes = query.position_in(token)?;
    let bytes: [u8; 8] = bytes.as_slice().try_into().map_err(|_| ParameterError::InvalidNextToken)?;
    Ok(u64::from_be_bytes(bytes))
}

/// A walk over the parameters below a prefix, which ends with a slash.
struct Walk<'a> {
    query: Query,
    prefix: &'a str,
    recursive: bool,
    size: usize,
    token: Option<&'a str>,
}

impl Walk<'_> {
    /// Returns a page of the results of `take` for the parameters. Expired parameters do not exist.
    fn page<T>(
        &self,
        call: &ParameterCall<'_>,
        mut take: impl FnMut(&ParameterCall<'_>, &Loaded) -> Result<Option<T>>,
    ) -> Result<Page<T>> {
        let mut position = self.start()?;
        let (mut entries, mut examined, now) = (Vec::new(), 0, call.now());
        loop {
            let batch = call.scan(&position, BATCH)?;
            let is_last = batch.len() < BATCH;
            for stored in batch {
                if !stored.name.starts_with(self.prefix.as_bytes()) {
                    return Ok(Page { entries, next_marker: None });
                }
                if stored.name <= position {
                    continue; // below a level that was passed over
                }
                examined += 1;
                if let Some(after) = self.level_to_skip(&stored.name) {
                    position = after;
                    continue;
                }
                let record = ParameterRecord::decode(stored.body.expose_secret())?;
                let key = std::str::from_utf8(&stored.name).map_err(|_| misnamed())?;
                check_name(key, &record)?;
                position.clone_from(&stored.name);
                if !record.is_expired(now) {
                    entries.extend(take(call, &Loaded { revision: stored.revision, record })?);
                }
                if entries.len() >= self.size || examined >= MAX_EXAMINED {
                    return Ok(Page { entries, next_marker: Some(self.query.token_after(&position)) });
                }
            }
            if is_last {
                return Ok(Page { entries, next_marker: None });
            }
            if examined >= MAX_EXAMINED {
                return Ok(Page { entries, next_marker: Some(self.query.token_after(&position)) });
            }
        }
    }

    /// Returns the position after which to start. No parameter has the name of the prefix itself,
    /// because no name ends with a slash.
    fn start(&self) -> Result<Vec<u8>> {
        let Some(token) = self.token else { return Ok(self.prefix.as_bytes().to_vec()) };
        let position = self.query.position_in(token)?;
        if position.starts_with(self.prefix.as_bytes()) {
            return Ok(position);
        }
        Err(ParameterError::InvalidNextToken.into())
    }

    /// Returns the end of a deeper level that the walk does not enter.
    fn level_to_skip(&self, name: &[u8]) -> Option<Vec<u8>> {
        if self.recursive {
            return None;
        }
        let rest = &name[self.prefix.len()..];
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let level = &name[..=self.prefix.len() + slash];
        // Greater than every name below the level, because names are ASCII.
        Some([level, &[0xFF]].concat())
    }
}

fn misnamed() -> Error {
    Error::new(ErrorKind::Internal, "the store returned a parameter with an invalid name")
}
