//! Authorizes the use of keys with Cedar policies instead of key policies and grants.
//!
//! Run it in this folder: `cargo run`

use std::collections::HashSet;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression,
};
use strongroom::identity::{AccountId, Principal, PrincipalKind};
use strongroom::key::Operation;
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest};
use strongroom::request::{CreateKeyRequest, DecryptRequest, EncryptRequest};
use strongroom::{EncryptionContext, Error, ErrorKind, Kms};

/// Members of the account may encrypt and decrypt if the encryption context names them as the
/// tenant. Only the administrator may create or manage keys.
const POLICIES: &str = r#"
    permit(principal in Account::"111122223333", action in [Action::"Encrypt", Action::"Decrypt"], resource)
    when { context.encryptionContext has tenant && context.encryptionContext.tenant == principal.name };

    permit(principal == User::"admin", action, resource)
    unless { action == Action::"Decrypt" };

    forbid(principal, action == Action::"ScheduleKeyDeletion", resource);
"#;

/// Authorizes requests against a set of Cedar policies.
#[derive(Debug)]
struct CedarPolicy {
    authorizer: Authorizer,
    policies: PolicySet,
}

impl CedarPolicy {
    fn parse(text: &str) -> Result<Self, Error> {
        let policies = text.parse().map_err(|error| undecided("the policies do not parse", error))?;
        Ok(Self { authorizer: Authorizer::new(), policies })
    }

    /// Submits a request to Cedar: principal, action, key, and encryption context.
    fn ask(&self, request: &PolicyRequest<'_>) -> Result<Decision, Error> {
        let uid = |kind: &str, id: &str| -> Result<EntityUid, Error> {
            let kind: EntityTypeName = kind.parse().map_err(|error| undecided("not the name of a type", error))?;
            Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
        };
        // A session has the rights of its role.
        let role = request.principal.assumed();
        let caller = role.as_ref().unwrap_or(request.principal);
        let kind = match caller.kind() {
            PrincipalKind::Root => "Root",
            PrincipalKind::User => "User",
            PrincipalKind::Role => "Role",
            PrincipalKind::FederatedUser => "FederatedUser",
            PrincipalKind::Service => "Service",
            _ => return Err(Error::new(ErrorKind::AccessDenied, "the policies do not know this kind of principal")),
        };
        let name = caller.name().unwrap_or("root");
        let principal = uid(kind, name)?;
        let account = uid("Account", request.principal.account().as_str())?;
        let attributes = [("name".to_owned(), RestrictedExpression::new_string(name.to_owned()))];
        let entity = Entity::new(principal.clone(), attributes.into(), HashSet::from([account.clone()]))
            .map_err(|error| undecided("the principal is not an entity", error))?;
        let entities = Entities::from_entities([entity], None)
            .map_err(|error| undecided("the principal is not an entity", error))?;

        let pairs = request.context.into_iter().flat_map(EncryptionContext::iter);
        let pairs = pairs.map(|(name, value)| (name.to_owned(), RestrictedExpression::new_string(value.to_owned())));
        let record = RestrictedExpression::new_record(pairs).map_err(|error| undecided("no record", error))?;
        let context = Context::from_pairs([("encryptionContext".to_owned(), record)])
            .map_err(|error| undecided("the encryption context is not a record", error))?;

        let resource = match request.key {
            Some(key) => uid("Key", &key.key_id.to_string())?,
            None => account,
        };
        let question = Request::new(principal, uid("Action", request.operation.as_str())?, resource, context, None)
            .map_err(|error| undecided("not a request", error))?;
        let answer = self.authorizer.is_authorized(&question, &self.policies, &entities);
        // Cedar skips a policy that cannot be evaluated. It could have been a `forbid` policy.
        if let Some(error) = answer.diagnostics().errors().next() {
            return Err(undecided("a policy cannot be evaluated", error.clone()));
        }
        Ok(match answer.decision() {
            cedar_policy::Decision::Allow => Decision::Allow,
            cedar_policy::Decision::Deny => Decision::Deny,
        })
    }
}

impl Policy for CedarPolicy {
    fn decide(&self, request: &PolicyRequest<'_>, _: &AttachedPolicies<'_>) -> Result<Decision, Error> {
        self.ask(request)
    }
}

/// Returns the error for a request that cannot be evaluated.
fn undecided(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Internal, what).with_source(error)
}

fn main() -> Result<(), Error> {
    let account = AccountId::parse("111122223333")?;
    let kms = Kms::builder().account(account).policy(CedarPolicy::parse(POLICIES)?).build()?;
    let admin = kms.as_principal(Principal::user(account, "admin")?)?;
    let north = kms.as_principal(Principal::user(account, "north")?)?;
    let south = kms.as_principal(Principal::user(account, "south")?)?;

    let key = admin.create_key(CreateKeyRequest::default())?.key_id();
    let context = EncryptionContext::from([("tenant", "north")]);
    let sealed = north.encrypt(EncryptRequest::new(key, b"a secret").context(&context))?.ciphertext_blob;
    let request = || DecryptRequest::new(&sealed).context(&context);
    assert_eq!(north.decrypt(request())?.plaintext.expose_secret(), b"a secret");

    for (who, refused) in [
        ("another tenant", south.decrypt(request()).map(drop)),
        ("the administrator", admin.decrypt(request()).map(drop)),
        ("a user who creates a key", north.create_key(CreateKeyRequest::default()).map(drop)),
        ("the administrator who deletes one", admin.schedule_key_deletion(key, Default::default()).map(drop)),
    ] {
        let error = refused.expect_err("Cedar forbids it");
        assert_eq!(error.kind(), ErrorKind::AccessDenied, "{error}");
        println!("{who}: {error}");
    }
    assert!(Operation::ALL.iter().all(|operation| operation.as_str().parse::<EntityId>().is_ok()));
    println!("Cedar decides over {} operations", Operation::ALL.len());
    Ok(())
}
