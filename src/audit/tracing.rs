//! A trail that emits events of the `tracing` crate.

use std::sync::OnceLock;

use tracing::Level;

use super::{Attachment, AuditEvent, AuditSink, ChainState, Outcome, to_json};
use crate::error::{ErrorKind, Result};
use crate::identity::Locality;

/// The target of the `tracing` events.
const TARGET: &str = "strongroom::audit";

/// Emits every event through `tracing` with the target `strongroom::audit`.
///
/// | outcome | level | message | field `outcome` |
/// |---|---|---|---|
/// | a change is about to be committed; another event with its outcome follows | `DEBUG` | `intends a change` | `intent` |
/// | the operation succeeded | `INFO` | `succeeded` | `success` |
/// | a dry run passed every check, and changed nothing | `INFO` | `dry run passed` | `dry_run` |
/// | the request was rejected, for example by a policy, or because of the state of the key or an invalid argument | `WARN` | `refused` | `refused` |
/// | the request was valid, but a store, an HSM, or another component failed | `ERROR` | `failed` | `failure` |
///
/// Further fields are `action`, `principal`, `keys` (key IDs separated by spaces), and `event`, the
/// [JSON](super::to_json) of the event. After a failure or a refusal, `kind` contains the
/// [`ErrorKind`]. An intent and the outcome of the same change have the same
/// `change` in their JSON.
///
/// A subscriber may drop events, so this trail proves nothing. Where the trail matters, use a
/// [`Tee`](super::Tee) to also write it to files.
///
/// # Examples
/// ```
/// use std::sync::Arc;
///
/// use strongroom::Kms;
/// use strongroom::audit::{MemoryTrail, Tee, TracingTrail};
///
/// // Events also go to the subscribers of the program.
/// let recent = Arc::new(MemoryTrail::default());
/// let kms = Kms::builder().audit(Tee(Arc::clone(&recent), TracingTrail::default())).build()?;
/// kms.list_keys(Default::default())?;
/// assert_eq!(recent.events().len(), 1);
/// # Ok::<(), strongroom::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TracingTrail {
    /// The partition and region of the `Kms`, set once the trail is attached.
    locality: OnceLock<Locality>,
}

impl TracingTrail {
    fn json(&self, event: &AuditEvent) -> Result<String> {
        to_json(event, self.locality.get_or_init(Locality::default))
    }
}

/// Emits an event with a message and the fields that all events have, unless its level is disabled.
macro_rules! emit {
    ($trail:expr, $event:expr, $level:expr, $message:literal, $($field:tt)*) => {
        if tracing::enabled!(target: TARGET, $level) {
            let (action, principal) = ($event.action, &$event.principal);
            let keys: Vec<_> = $event.keys.iter().flatten().map(|key| key.key_id.to_string()).collect();
            let (keys, json) = (keys.join(" "), $trail.json(&$event)?);
            tracing::event!(target: TARGET, $level, $($field)*, %action, %principal, %keys, event = json, $message);
        }
    };
}

impl AuditSink for TracingTrail {
    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        self.locality.get_or_init(|| attachment.locality.clone());
        Ok(None)
    }

    fn record(&self, event: AuditEvent) -> Result<()> {
        match event.outcome {
            Outcome::Intent => emit!(self, event, Level::DEBUG, "intends a change", outcome = "intent"),
            Outcome::Success => emit!(self, event, Level::INFO, "succeeded", outcome = "success"),
            Outcome::Failure(ErrorKind::DryRun) => {
                emit!(self, event, Level::INFO, "dry run passed", outcome = "dry_run");
            }
            Outcome::Failure(kind) if is_fault(kind) => {
                emit!(self, event, Level::ERROR, "failed", outcome = "failure", ?kind);
            }
            Outcome::Failure(kind) => emit!(self, event, Level::WARN, "refused", outcome = "refused", ?kind),
            Outcome::Ambiguous(kind) => {
                emit!(self, event, Level::ERROR, "may have taken effect", outcome = "ambiguous", ?kind);
            }
        }
        Ok(())
    }
}

/// Returns `true` if the kind is a failure of a component rather than of the request: the same
/// request may succeed once the component is repaired.
const fn is_fault(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Internal
            | ErrorKind::Store
            | ErrorKind::RootKey
            | ErrorKind::Integrity
            | ErrorKind::Audit
            | ErrorKind::Io
            | ErrorKind::KeyUnavailable
            | ErrorKind::CopiedStore
            | ErrorKind::ClusterInvalidConfiguration
            | ErrorKind::ClusterNotFound
            | ErrorKind::ClusterNotRelated
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;
    use crate::audit::Action;
    use crate::clock::Timestamp;
    use crate::crypto::CryptoBackend;
    use crate::error::ErrorKind;
    use crate::identity::{AccountId, Principal};
    use crate::key::Operation;

    /// Records the events that it receives.
    struct Listener(Arc<Mutex<Vec<String>>>);

    struct Fields(String);

    impl Visit for Fields {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Listener {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut fields = Fields(format!("{} {} ", event.metadata().level(), event.metadata().target()));
            event.record(&mut fields);
            self.0.lock().expect("no thread panicked").push(fields.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// Returns the events that a subscriber receives while `run` runs.
    fn heard(run: impl FnOnce() -> Result<()>) -> Result<Vec<String>> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        tracing::subscriber::with_default(Listener(Arc::clone(&heard)), run)?;
        let heard = heard.lock().expect("no thread panicked");
        Ok(heard.clone())
    }

    fn listed() -> AuditEvent {
        let principal = Principal::root(AccountId::default());
        AuditEvent::new(Timestamp::from_unix_millis(0), Action::Call(Operation::ListKeys), principal)
    }

    #[test]
    fn level_message_and_fields_distinguish_the_outcomes() -> Result<()> {
        let cases = [
            (Outcome::Intent, "DEBUG", "intends a change", "intent", None),
            (Outcome::Success, "INFO", "succeeded", "success", None),
            (Outcome::Failure(ErrorKind::DryRun), "INFO", "dry run passed", "dry_run", None),
            (Outcome::Failure(ErrorKind::AccessDenied), "WARN", "refused", "refused", Some("AccessDenied")),
            (Outcome::Failure(ErrorKind::InvalidState), "WARN", "refused", "refused", Some("InvalidState")),
            (Outcome::Failure(ErrorKind::Store), "ERROR", "failed", "failure", Some("Store")),
            (Outcome::Ambiguous(ErrorKind::Store), "ERROR", "may have taken effect", "ambiguous", Some("Store")),
            (Outcome::Failure(ErrorKind::KeyUnavailable), "ERROR", "failed", "failure", Some("KeyUnavailable")),
        ];
        for (outcome, level, message, field, kind) in cases {
            let event = AuditEvent { outcome: outcome.clone(), ..listed() };
            let heard = heard(|| TracingTrail::default().record(event))?;
            let [line] = heard.as_slice() else { panic!("{heard:?}") };
            assert!(line.starts_with(&format!("{level} strongroom::audit ")), "{outcome:?}: {line}");
            assert!(line.contains(&format!("message={message} ")), "{outcome:?}: {line}");
            assert!(line.contains(&format!("outcome=\"{field}\" ")), "{outcome:?}: {line}");
            assert_eq!(line.contains(" kind="), kind.is_some(), "{outcome:?}: {line}");
            assert!(kind.is_none_or(|kind| line.contains(&format!(" kind={kind} "))), "{outcome:?}: {line}");
            assert!(line.contains("action=ListKeys ") && line.contains("eventName"), "{outcome:?}: {line}");
        }
        Ok(())
    }

    #[test]
    fn a_change_is_reported_as_done_only_after_its_intent() -> Result<()> {
        let heard = heard(|| {
            let kms = crate::Kms::builder().audit(TracingTrail::default()).build()?;
            kms.create_key(Default::default()).map(drop)
        })?;
        let events: Vec<&String> = heard.iter().filter(|line| line.contains("action=CreateKey ")).collect();
        let [intent, outcome] = events.as_slice() else { panic!("{heard:?}") };
        assert!(intent.starts_with("DEBUG ") && intent.contains("intends a change"), "{intent}");
        assert!(outcome.starts_with("INFO ") && outcome.contains("succeeded"), "{outcome}");
        assert!(!intent.contains("succeeded") && !intent.contains("done"), "{intent}");
        Ok(())
    }

    #[test]
    fn the_json_has_the_region_of_the_kms() -> Result<()> {
        let (backend, locality) = (CryptoBackend::default(), Locality::new("aws-cn", "cn-north-1")?);
        let trail = TracingTrail::default();
        trail.attach(&Attachment::new(&backend, &locality, &Mutex::new(Vec::new())))?;
        let heard = heard(|| trail.record(listed()))?;
        assert!(heard[0].contains("cn-north-1"), "{heard:?}");
        Ok(())
    }
}
