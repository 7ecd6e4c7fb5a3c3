//! Grants.

use crate::context::EncryptionContext;
use crate::identity::Principal;
use crate::key::Operation;
use crate::kms::{CreateGrantRequest, GrantFilter, GrantListEntry, GrantToken, Kms};
use crate::policy::{GrantConstraints, GrantId, GrantTerms};
use crate::wire::answer::{Answer, Item, text, texts};
use crate::wire::failure::{Outcome, Unrecorded};
use crate::wire::members::{Members, invalid, missing, unsupported};

pub(in crate::wire) fn create_grant(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    // A service as the grantee requires the constraint SourceArn, which the library lacks. So
    // `GranteePrincipal` must not name one either.
    request.refuse_members(&["GranteeServicePrincipal", "RetiringServicePrincipal"])?;
    let terms = terms(request)?;
    let tokens = request.grant_tokens()?;
    let mut call = CreateGrantRequest::new(request.required_text("KeyId")?, terms)
        .grant_tokens(&tokens)
        .dry_run_if(request.flag("DryRun")?);
    if let Some(name) = request.text("Name")? {
        call = call.name(name);
    }
    let made = kms.create_grant(call)?;
    let answer =
        Answer::new().with("GrantToken", made.grant_token.as_str().to_owned()).with("GrantId", text(made.grant_id));
    Ok(Some(answer))
}

fn terms(request: Members<'_>) -> Outcome<GrantTerms> {
    let grantee = request.identity("GranteePrincipal")?.ok_or_else(|| missing("GranteePrincipal"))?;
    let parse = |name: &str| Operation::parse(name).map_err(|_| unsupported(format!("{name} is not supported.")));
    let operations = request.texts("Operations")?.into_iter().map(parse).collect::<Outcome<Vec<_>>>()?;
    let mut terms = GrantTerms::new(grantee, operations).or_refuse()?;
    if let Some(retiring) = request.identity("RetiringPrincipal")? {
        terms = terms.with_retiring_principal(retiring);
    }
    let Some(members) = request.structure("Constraints")? else { return Ok(terms) };
    members.refuse_members(&["SourceArn"])?;
    let mut constraints = GrantConstraints::new();
    if let Some(pairs) = members.map("EncryptionContextEquals")? {
        constraints = constraints.with_encryption_context_equals(pairs).or_refuse()?;
    }
    if let Some(pairs) = members.map("EncryptionContextSubset")? {
        constraints = constraints.with_encryption_context_subset(pairs).or_refuse()?;
    }
    Ok(terms.with_constraints(constraints))
}

pub(in crate::wire) fn list_grants(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let (grantee, service) =
        (request.principal(kms, "GranteePrincipal")?, request.principal(kms, "GranteeServicePrincipal")?);
    if grantee.is_some() && service.is_some() {
        return Err(invalid("GranteePrincipal and GranteeServicePrincipal cannot both be specified."));
    }
    let grantee = grantee.or(service);
    let mut filter = GrantFilter::default();
    if let Some(grantee) = &grantee {
        filter = filter.grantee(grantee);
    }
    if let Some(id) = request.text("GrantId")? {
        filter = filter.grant_id(GrantId::parse(id).or_refuse()?);
    }
    let page = kms.list_grants(request.required_text("KeyId")?, filter, request.page()?)?;
    Ok(Some(Answer::page("Grants", page, |grant| entry(kms, grant))))
}

pub(in crate::wire) fn list_retirable_grants(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let retiring =
        match (request.principal(kms, "RetiringPrincipal")?, request.principal(kms, "RetiringServicePrincipal")?) {
            (Some(principal), None) | (None, Some(principal)) => principal,
            (Some(_), Some(_)) => {
                return Err(invalid("RetiringPrincipal and RetiringServicePrincipal cannot both be specified."));
            }
            (None, None) => return Err(missing("RetiringPrincipal")),
        };
    let page = kms.list_retirable_grants(&retiring, request.page()?)?;
    Ok(Some(Answer::page("Grants", page, |grant| entry(kms, grant))))
}

fn entry(kms: &Kms, grant: GrantListEntry) -> Item {
    let terms = &grant.terms;
    let operations: Vec<Operation> = terms.operations().iter().collect();
    let constraints = terms.constraints();
    let pairs = |context: &EncryptionContext| {
        Item::Map(context.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    };
    let named = Answer::new()
        .with_some("EncryptionContextSubset", constraints.encryption_context_subset().map(pairs))
        .with_some("EncryptionContextEquals", constraints.encryption_context_equals().map(pairs));
    let members = Answer::new()
        .with("KeyId", text(&grant.key_arn))
        .with("GrantId", text(grant.grant_id))
        .with_some("Name", grant.name.clone())
        .with("CreationDate", grant.creation_date)
        .with("GranteePrincipal", text(terms.grantee()))
        .with_some("RetiringPrincipal", terms.retiring_principal().map(text))
        .with("IssuingAccount", text(Principal::root(grant.issuing_account).with_partition_of(kms.locality())))
        .with("Operations", texts(&operations))
        .with_some("Constraints", (!constraints.is_empty()).then_some(named));
    Item::Structure(members)
}

pub(in crate::wire) fn retire_grant(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let dry_run = request.flag("DryRun")?.into();
    match (request.text("GrantToken")?, request.text("KeyId")?, request.text("GrantId")?) {
        (Some(token), None, None) => kms.retire_grant_by_token(&GrantToken::parse(token).or_refuse()?, dry_run)?,
        (None, Some(key), Some(id)) => kms.retire_grant(key, GrantId::parse(id).or_refuse()?, dry_run)?,
        _ => return Err(invalid("Specify either GrantToken, or both KeyId and GrantId.")),
    }
    Ok(None)
}

pub(in crate::wire) fn revoke_grant(kms: &Kms, request: Members<'_>) -> Outcome<Option<Answer>> {
    let id = GrantId::parse(request.required_text("GrantId")?).or_refuse()?;
    kms.revoke_grant(request.required_text("KeyId")?, id, request.flag("DryRun")?.into())?;
    Ok(None)
}
