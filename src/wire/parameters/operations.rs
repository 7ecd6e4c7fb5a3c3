//! One function for each operation of the parameter store.

use crate::error::Error;
use crate::key::{Tag, TagSet};
use crate::kms::Page;
use crate::parameters::{
    DescribeParametersRequest, GetParameterHistoryRequest, GetParametersByPathRequest, Parameter, ParameterError,
    ParameterFilter, ParameterHistoryEntry, ParameterInlinePolicy, ParameterMetadata, ParameterTier, ParameterType,
    Parameters, PutParameterRequest, SecureStringForm,
};
use crate::wire::answer::{Answer, Item, texts};
use crate::wire::failure::{Failure, Outcome, Refusal, Unrecorded};
use crate::wire::members::Members;

pub(super) fn put_parameter(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let mut put = PutParameterRequest::new(request.required_text("Name")?, request.required_text("Value")?);
    if let Some(kind) = request.choice("Type", ParameterType::parse)? {
        put = put.parameter_type(kind);
    }
    if let Some(tier) = request.choice("Tier", ParameterTier::parse)? {
        put = put.tier(tier);
    }
    if let Some(description) = request.text("Description")? {
        put = put.description(description);
    }
    if let Some(key_id) = request.text("KeyId")? {
        put = put.key_id(key_id);
    }
    if let Some(pattern) = request.text("AllowedPattern")? {
        put = put.allowed_pattern(pattern);
    }
    if let Some(policies) = request.text("Policies")? {
        put = put.policies(policies);
    }
    if let Some(data_type) = request.text("DataType")? {
        put = put.data_type(data_type);
    }
    if request.flag("Overwrite")? {
        put = put.overwrite();
    }
    let done = parameters.put(put.tags(tags(request)?))?;
    Ok(Answer::new().with("Version", Item::Integer(done.version)).with("Tier", done.tier.as_str()))
}

pub(super) fn get_parameter(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let found = parameters.get_as(request.required_text("Name")?, decryption(request)?)?;
    Ok(Answer::new().with("Parameter", parameter(&found)))
}

pub(super) fn get_parameters(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let found = parameters.get_all(&request.texts("Names")?, decryption(request)?)?;
    let list = found.parameters.iter().map(|found| Item::Structure(parameter(found))).collect();
    Ok(Answer::new().with("Parameters", Item::List(list)).with("InvalidParameters", texts(&found.invalid_parameters)))
}

pub(super) fn get_parameters_by_path(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let mut call = GetParametersByPathRequest::new(request.required_text("Path")?)
        .decryption(decryption(request)?)
        .filters(string_filters(request)?);
    if request.flag("Recursive")? {
        call = call.recursive();
    }
    if let Some(max_results) = request.number("MaxResults")? {
        call = call.max_results(max_results);
    }
    if let Some(token) = request.text("NextToken")? {
        call = call.next_token(token);
    }
    Ok(page(parameters.by_path(call)?, |found| parameter(&found)))
}

pub(super) fn get_parameter_history(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let mut call = GetParameterHistoryRequest::new(request.required_text("Name")?).decryption(decryption(request)?);
    if let Some(max_results) = request.number("MaxResults")? {
        call = call.max_results(max_results);
    }
    if let Some(token) = request.text("NextToken")? {
        call = call.next_token(token);
    }
    Ok(page(parameters.history(call)?, |entry: ParameterHistoryEntry| {
        metadata(entry.metadata()).with("Value", entry.expose_value().to_owned()).with("Labels", texts(entry.labels()))
    }))
}

pub(super) fn describe_parameters(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let mut filters = string_filters(request)?;
    for filter in request.structures("Filters")? {
        // The earlier form of filters compares the beginning of a name.
        let (key, values) = (filter.required_text("Key")?, filter.texts("Values")?);
        let option = if key == "Type" { "Equals" } else { "BeginsWith" };
        filters.push(ParameterFilter::new(key, values).option(option));
    }
    let mut call = DescribeParametersRequest::default().filters(filters);
    if let Some(max_results) = request.number("MaxResults")? {
        call = call.max_results(max_results);
    }
    if let Some(token) = request.text("NextToken")? {
        call = call.next_token(token);
    }
    if request.flag("Shared")? {
        // No account shares parameters with another one.
        parameters.describe(call)?;
        return Ok(Answer::new().with("Parameters", Item::List(Vec::new())));
    }
    Ok(page(parameters.describe(call)?, |found| metadata(&found).with("ARN", found.arn().to_owned())))
}

pub(super) fn delete_parameter(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    parameters.delete(request.required_text("Name")?)?;
    Ok(Answer::new())
}

pub(super) fn delete_parameters(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let deleted = parameters.delete_all(&request.texts("Names")?)?;
    Ok(Answer::new()
        .with("DeletedParameters", texts(&deleted.deleted_parameters))
        .with("InvalidParameters", texts(&deleted.invalid_parameters)))
}

pub(super) fn label_parameter_version(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let done = parameters.label(request.required_text("Name")?, version(request)?, request.texts("Labels")?)?;
    Ok(Answer::new()
        .with("InvalidLabels", texts(&done.invalid_labels))
        .with("ParameterVersion", Item::Integer(done.parameter_version)))
}

pub(super) fn unlabel_parameter_version(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    // A version below zero does not exist, like version zero.
    let version = version(request)?.unwrap_or_default();
    let done = parameters.unlabel(request.required_text("Name")?, version, request.texts("Labels")?)?;
    Ok(Answer::new()
        .with("RemovedLabels", texts(&done.removed_labels))
        .with("InvalidLabels", texts(&done.invalid_labels)))
}

pub(super) fn add_tags_to_resource(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    parameters.add_tags(tagged(request)?, tags(request)?)?;
    Ok(Answer::new())
}

pub(super) fn remove_tags_from_resource(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    parameters.remove_tags(tagged(request)?, &request.texts("TagKeys")?)?;
    Ok(Answer::new())
}

pub(super) fn list_tags_for_resource(parameters: &Parameters, request: Members<'_>) -> Outcome<Answer> {
    let found: TagSet = parameters.list_tags(tagged(request)?)?;
    let tag = |(key, value): (&str, &str)| {
        Item::Structure(Answer::new().with("Key", key.to_owned()).with("Value", value.to_owned()))
    };
    Ok(Answer::new().with("TagList", Item::List(found.iter().map(tag).collect())))
}

/// Returns the name of the parameter whose tags are requested.
fn tagged(request: Members<'_>) -> Outcome<&str> {
    if request.required_text("ResourceType")? == "Parameter" {
        return request.required_text("ResourceId");
    }
    let error = Error::from(ParameterError::InvalidResourceType);
    let message = Some(error.to_string().into());
    Err(Failure::Refused(Refusal { error, message }))
}

fn tags(request: Members<'_>) -> Outcome<Vec<Tag>> {
    let tag = |tag: Members<'_>| Tag::new(tag.required_text("Key")?, tag.required_text("Value")?).or_refuse();
    request.structures("Tags")?.into_iter().map(tag).collect()
}

fn decryption(request: Members<'_>) -> Outcome<SecureStringForm> {
    Ok(if request.flag("WithDecryption")? { SecureStringForm::Decrypted } else { SecureStringForm::AsStored })
}

/// Returns the version of a request. A version below zero does not exist, like version zero.
fn version(request: Members<'_>) -> Outcome<Option<u64>> {
    Ok(request.number("ParameterVersion")?.map(|version: i64| u64::try_from(version).unwrap_or_default()))
}

fn string_filters(request: Members<'_>) -> Outcome<Vec<ParameterFilter>> {
    let filter = |filter: Members<'_>| {
        let made = ParameterFilter::new(filter.required_text("Key")?, filter.texts("Values")?);
        Ok(match filter.text("Option")? {
            Some(option) => made.option(option),
            None => made,
        })
    };
    request.structures("ParameterFilters")?.into_iter().map(filter).collect()
}

fn page<T>(page: Page<T>, entry: impl Fn(T) -> Answer) -> Answer {
    let entries = page.entries.into_iter().map(|found| Item::Structure(entry(found))).collect();
    Answer::new().with("Parameters", Item::List(entries)).with_some("NextToken", page.next_marker)
}

fn parameter(found: &Parameter) -> Answer {
    Answer::new()
        .with("Name", found.name().to_owned())
        .with("Type", found.parameter_type().as_str())
        .with("Value", found.expose_value().to_owned())
        .with("Version", Item::Integer(found.version()))
        .with_some("Selector", found.selector().map(|selector| format!(":{selector}")))
        .with("LastModifiedDate", found.last_modified())
        .with("ARN", found.arn().to_owned())
        .with("DataType", found.data_type())
}

fn metadata(found: &ParameterMetadata) -> Answer {
    let policy = |policy: &ParameterInlinePolicy| {
        Item::Structure(
            Answer::new()
                .with("PolicyText", policy.policy_text.clone())
                .with("PolicyType", policy.policy_type)
                .with("PolicyStatus", policy.policy_status),
        )
    };
    Answer::new()
        .with("Name", found.name().to_owned())
        .with("Type", found.parameter_type().as_str())
        .with_some("KeyId", found.key_id().map(str::to_owned))
        .with("LastModifiedDate", found.last_modified())
        .with("LastModifiedUser", found.last_modified_user().to_owned())
        .with_some("Description", found.description().map(str::to_owned))
        .with_some("AllowedPattern", found.allowed_pattern().map(str::to_owned))
        .with("Version", Item::Integer(found.version()))
        .with("Tier", found.tier().as_str())
        .with("Policies", Item::List(found.policies().iter().map(policy).collect()))
        .with("DataType", found.data_type())
}
