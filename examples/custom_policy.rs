//! Makes authorization decisions in an application-defined closure: office hours, combined with the
//! policies of keys and principals.

use std::fmt;

use strongroom::identity::{AccountId, Locality, Principal};
use strongroom::key::Operation;
use strongroom::policy::{AttachedPolicies, Decision, Policy, PolicyRequest, evaluate};
use strongroom::request::{CreateKeyRequest, EncryptRequest};
use strongroom::{ErrorKind, Kms, Result, Timestamp};

/// Adapts any function to a policy.
struct Closure<F>(F);

impl<F> Policy for Closure<F>
where
    F: Fn(&PolicyRequest<'_>, &AttachedPolicies<'_>) -> Result<Decision> + Send + Sync,
{
    fn decide(&self, request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>) -> Result<Decision> {
        (self.0)(request, attached)
    }
}

impl<F> fmt::Debug for Closure<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Closure")
    }
}

/// Returns `true` if keys may be managed at that time: from 6:00 to 18:00 UTC.
fn is_office_hour(time: Timestamp) -> bool {
    (6..18).contains(&(time.unix_millis() / 3_600_000).rem_euclid(24))
}

fn main() -> Result<()> {
    // The clerk may use keys, and the account owner may manage them during office hours. The
    // attached policies decide everything else.
    let policy = Closure(|request: &PolicyRequest<'_>, attached: &AttachedPolicies<'_>| {
        let works = matches!(request.operation, Operation::Encrypt | Operation::Decrypt);
        match request.principal.name() {
            Some("clerk") => Ok(if works { Decision::Allow } else { Decision::Deny }),
            None if !works && !is_office_hour(request.time) => Ok(Decision::Deny),
            _ => Ok(evaluate(request, attached)?.decision()),
        }
    });

    // Calls the closure directly, as a KMS does.
    let (account, locality) = (AccountId::default(), Locality::default());
    let root = Principal::root(account);
    let hour = |hour: i64| Timestamp::from_unix_millis(hour * 3_600_000);
    let at = |time| PolicyRequest::new(&root, Operation::CreateKey, account).at(&locality, time);
    assert_eq!(policy.decide(&at(hour(12)), &AttachedPolicies::none())?, Decision::Allow);
    assert_eq!(policy.decide(&at(hour(23)), &AttachedPolicies::none())?, Decision::Deny);

    // Uses the closure in a KMS whose clock is stopped at noon.
    let clock = strongroom::ManualClock::new(hour(12));
    let kms = Kms::builder().account(account).clock(clock).policy(policy).build()?;
    let key = kms.create_key(CreateKeyRequest::default())?.key_id();
    let clerk = kms.as_principal(Principal::user(account, "clerk")?)?;
    clerk.encrypt(EncryptRequest::new(key, b"a note"))?;
    let refused = clerk.disable_key(key).expect_err("the clerk may only use keys");
    assert_eq!(refused.kind(), ErrorKind::AccessDenied);
    println!("{refused}");
    Ok(())
}
