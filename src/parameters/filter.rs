//! Filters of lists of parameters.

use super::error::ParameterError;
use super::kinds::{ParameterTier, ParameterType};
use super::name::ParameterPath;
use super::record::{ParameterRecord, VersionRecord};
use super::value::DATA_TYPE;
use crate::audit::ParameterValue;
use crate::error::Result;
use crate::kms::noted_pairs;
use crate::text::sanitize_for_error;

/// Maximum number of filters of a request.
const MAX_FILTERS: usize = 50;
/// Maximum number of values of a filter.
const MAX_VALUES: usize = 50;
/// Maximum length of a filter's key and of a value, in bytes.
const MAX_TEXT: usize = 4_096;
/// The prefix of keys of tags.
const TAG: &str = "tag:";

/// A filter of a list of parameters. A parameter matches if one of the values does.
///
/// | key | options | compares |
/// |---|---|---|
/// | `Name` | `Equals` (default), `BeginsWith`, `Contains` | the name; one of one level with and without a slash |
/// | `Path` | `OneLevel` (default), `Recursive` | the parameters below a path |
/// | `Type`, `Tier`, `DataType` | `Equals` | the type, the tier, the data type |
/// | `KeyId` | `Equals` (default), `BeginsWith` | the key of a SecureString |
/// | `Label` | `Equals` | a label, for [`Parameters::by_path`](super::Parameters::by_path) only |
/// | `tag:<key>` | `Equals` | the value of a tag; without values, the presence of the tag |
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::parameters::{DescribeParametersRequest, ParameterFilter, Parameters, PutParameterRequest};
///
/// let parameters = Parameters::new(&Kms::in_memory()?);
/// parameters.put(PutParameterRequest::string("/shop/url", "https://shop.example"))?;
/// parameters.put(PutParameterRequest::string("/mail/url", "https://mail.example"))?;
/// let in_shop = ParameterFilter::new("Name", ["/shop"]).option("BeginsWith");
/// let page = parameters.describe(DescribeParametersRequest::default().filters([in_shop]))?;
/// assert_eq!(page.entries.len(), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParameterFilter {
    key: String,
    option: Option<String>,
    values: Vec<String>,
}

impl ParameterFilter {
    /// Creates a filter with its default option.
    pub fn new<V: Into<String>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self { key: key.into(), option: None, values: values.into_iter().map(Into::into).collect() }
    }

    /// Sets the option.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.option = Some(option.into());
        self
    }
}

/// Returns what the audit trail contains of filters: the key of each, with its option after a space,
/// and every value. A filter without values has an empty one there.
pub(super) fn audited(filters: &[ParameterFilter]) -> Vec<(&'static str, ParameterValue)> {
    if filters.is_empty() {
        return Vec::new();
    }
    let pairs = filters.iter().flat_map(|filter| {
        let name =
            filter.option.as_ref().map_or_else(|| filter.key.clone(), |option| format!("{} {option}", filter.key));
        let none = filter.values.is_empty().then_some("");
        filter.values.iter().map(String::as_str).chain(none).map(move |value| (name.clone(), value))
    });
    let (noted, missing) = noted_pairs(pairs);
    let mut parameters = vec![("parameterFilters", noted)];
    parameters.extend((missing > 0).then_some(("omittedFilterValues", missing.into())));
    parameters
}

/// Returns texts that differ for different filters.
pub(super) fn texts(filters: &[ParameterFilter]) -> Vec<String> {
    let each = filters.iter().flat_map(|ParameterFilter { key, option, values }| {
        let first = [key.clone(), option.clone().unwrap_or_default(), values.len().to_string()];
        first.into_iter().chain(values.iter().cloned())
    });
    each.collect()
}

/// The operation that a filter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterUse {
    ByPath,
    Describe,
}

/// Filters that were checked.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Filter>);

#[derive(Debug)]
struct Filter {
    subject: Subject,
    comparison: Comparison,
    values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    Name,
    Path,
    Type,
    Tier,
    DataType,
    KeyId,
    Label,
    Tag(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equals,
    BeginsWith,
    Contains,
    OneLevel,
    Recursive,
}

impl Filters {
    pub(super) fn parse(filters: Vec<ParameterFilter>, purpose: FilterUse) -> Result<Self> {
        let mut checked: Vec<Filter> = Vec::new();
        for ParameterFilter { key, option, values } in filters {
            let invalid = |reason| ParameterError::InvalidFilterKey { key: sanitize_for_error(&key), reason };
            if checked.len() >= MAX_FILTERS {
                return Err(invalid("there are too many filters").into());
            }
            let subject = Subject::parse(&key).ok_or_else(|| invalid("it is not known"))?;
            if !subject.is_for(purpose) {
                return Err(invalid("this operation does not support it").into());
            }
            if checked.iter().any(|filter| filter.subject == subject) {
                return Err(invalid("it appears twice").into());
            }
            let comparison = subject.comparison(&key, option.as_deref())?;
            subject.check_values(&key, &values)?;
            checked.push(Filter { subject, comparison, values });
        }
        Ok(Self(checked))
    }

    /// Returns `true` if a parameter matches every filter, except those about a label.
    pub(super) fn match_parameter(&self, record: &ParameterRecord) -> bool {
        self.0.iter().all(|filter| filter.matches(record, &record.current))
    }

    /// Returns the version that the filter about a label selects, or the current version. Returns
    /// `None` if no version has any of the labels.
    pub(super) fn version_of(&self, record: &ParameterRecord) -> Option<(u64, Option<String>)> {
        let Some(filter) = self.0.iter().find(|filter| filter.subject == Subject::Label) else {
            return Some((record.current.number, None));
        };
        filter.values.iter().find_map(|label| Some((*record.labels.get(label)?, Some(label.clone()))))
    }
}

impl Filter {
    fn matches(&self, record: &ParameterRecord, version: &VersionRecord) -> bool {
        let any = |text: &str| self.values.iter().any(|value| self.comparison.holds(text, value));
        match &self.subject {
            Subject::Name => any(&record.name) || other_name(&record.name).is_some_and(|name| any(&name)),
            Subject::Path => {
                let key = if record.name.starts_with('/') { record.name.clone() } else { format!("/{}", record.name) };
                self.values.iter().any(|path| self.comparison.is_below(&key, path))
            }
            Subject::Type => any(record.kind.as_str()),
            Subject::Tier => any(version.tier.public().as_str()),
            Subject::DataType => any(DATA_TYPE),
            Subject::KeyId => !version.key_id.is_empty() && any(&version.key_id),
            Subject::Label => true,
            Subject::Tag(key) => match record.tags.get(key) {
                Some(value) => self.values.is_empty() || any(value),
                None => false,
            },
        }
    }
}

/// Returns the other form of a name of one level, which is the same with and without a slash.
fn other_name(name: &str) -> Option<String> {
    match name.strip_prefix('/') {
        Some(level) => (!level.contains('/')).then(|| level.to_owned()),
        None => Some(format!("/{name}")),
    }
}

impl Comparison {
    fn holds(self, text: &str, value: &str) -> bool {
        match self {
            Self::Equals => text == value,
            Self::BeginsWith => text.starts_with(value),
            Self::Contains => text.contains(value),
            Self::OneLevel | Self::Recursive => false,
        }
    }

    fn is_below(self, key: &str, path: &str) -> bool {
        let Ok(path) = ParameterPath::parse(path) else { return false };
        let rest = key.strip_prefix(path.prefix());
        rest.is_some_and(|rest| self == Self::Recursive || !rest.contains('/'))
    }
}

impl Subject {
    fn parse(key: &str) -> Option<Self> {
        Some(match key {
            "Name" => Self::Name,
            "Path" => Self::Path,
            "Type" => Self::Type,
            "Tier" => Self::Tier,
            "DataType" => Self::DataType,
            "KeyId" => Self::KeyId,
            "Label" => Self::Label,
            key => {
                let tag = key.strip_prefix(TAG).filter(|tag| !tag.is_empty() && tag.len() <= MAX_TEXT)?;
                Self::Tag(tag.to_owned())
            }
        })
    }

    const fn is_for(&self, purpose: FilterUse) -> bool {
        match self {
            Self::Type | Self::KeyId => true,
            Self::Label => matches!(purpose, FilterUse::ByPath),
            Self::Name | Self::Path | Self::Tier | Self::DataType | Self::Tag(_) => {
                matches!(purpose, FilterUse::Describe)
            }
        }
    }

    fn comparison(&self, key: &str, option: Option<&str>) -> Result<Comparison> {
        let options = match self {
            Self::Name => "Equals, BeginsWith, Contains",
            Self::Path => "OneLevel, Recursive",
            Self::KeyId => "Equals, BeginsWith",
            Self::Type | Self::Tier | Self::DataType | Self::Label | Self::Tag(_) => "Equals",
        };
        let wanted = option.or_else(|| options.split(", ").next()).unwrap_or_default();
        let known = options.split(", ").find(|known| *known == wanted);
        Ok(match known {
            Some("Equals") => Comparison::Equals,
            Some("BeginsWith") => Comparison::BeginsWith,
            Some("Contains") => Comparison::Contains,
            Some("OneLevel") => Comparison::OneLevel,
            Some("Recursive") => Comparison::Recursive,
            _ => return Err(ParameterError::InvalidFilterOption { key: sanitize_for_error(key), options }.into()),
        })
    }

    fn check_values(&self, key: &str, values: &[String]) -> Result<()> {
        let invalid = |reason| Err(ParameterError::InvalidFilterValue { key: sanitize_for_error(key), reason }.into());
        if values.len() > MAX_VALUES || values.iter().any(|value| value.is_empty() || value.len() > MAX_TEXT) {
            return invalid("a filter has up to 50 values of 1 to 1,024 characters");
        }
        if values.is_empty() && !matches!(self, Self::Tag(_)) {
            return invalid("it has no values");
        }
        let all = |is_valid: &dyn Fn(&str) -> bool| values.iter().all(|value| is_valid(value));
        match self {
            Self::Type if !all(&|value| ParameterType::parse(value).is_ok()) => {
                invalid("the type must be String, StringList or SecureString")
            }
            Self::Tier if !all(&|value| ParameterTier::parse(value).is_ok()) => {
                invalid("the tier must be Standard, Advanced or Intelligent-Tiering")
            }
            Self::Path if !all(&|value| ParameterPath::parse(value).is_ok()) => {
                invalid("a path must begin with a slash and have no empty level")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exception(filters: Vec<ParameterFilter>, purpose: FilterUse) -> Option<&'static str> {
        let error = Filters::parse(filters, purpose).err()?;
        error.downcast_ref::<ParameterError>().map(ParameterError::exception_name)
    }

    #[test]
    fn each_problem_has_its_exception() {
        let filter = |key: &str, value: &str| ParameterFilter::new(key, [value]);
        let describe = |filters| exception(filters, FilterUse::Describe);
        for good in [filter("Name", "x"), filter("Path", "/"), filter("Type", "String"), filter("tag:a", "b")] {
            assert_eq!(describe(vec![good]), None);
        }
        assert_eq!(describe(vec![ParameterFilter::new::<String>("tag:a", [])]), None);
        for key in ["name", "", "tag:", "Label", "Other"] {
            assert_eq!(describe(vec![filter(key, "x")]), Some("InvalidFilterKey"), "{key}");
        }
        assert_eq!(describe(vec![filter("Name", "x"), filter("Name", "y")]), Some("InvalidFilterKey"));
        assert_eq!(describe(vec![filter("Name", "x").option("Recursive")]), Some("InvalidFilterOption"));
        assert_eq!(describe(vec![filter("Type", "String").option("BeginsWith")]), Some("InvalidFilterOption"));
        for (key, value) in [("Type", "Text"), ("Tier", "High"), ("Path", "x"), ("Name", "")] {
            assert_eq!(describe(vec![filter(key, value)]), Some("InvalidFilterValue"), "{key}");
        }
        assert_eq!(describe(vec![ParameterFilter::new::<String>("Name", [])]), Some("InvalidFilterValue"));
        assert_eq!(describe(vec![ParameterFilter::new("Name", vec!["x"; 51])]), Some("InvalidFilterValue"));
        for key in ["Name", "Path", "Tier", "DataType", "tag:a"] {
            assert_eq!(exception(vec![filter(key, "/")], FilterUse::ByPath), Some("InvalidFilterKey"), "{key}");
        }
        assert_eq!(exception(vec![filter("Label", "x"), filter("KeyId", "y")], FilterUse::ByPath), None);
    }
}
