//! A trail that emits events of the `tracing` crate.

use std::sync::OnceLock;

use super::{Attachment, AuditEvent, AuditSink, ChainState, Outcome, to_json};
use crate::error::Result;
use crate::identity::Locality;

/// The target of the `tracing` events.
const TARGET: &str = "strongroom::audit";

/// Emits every event through `tracing` with the target `strongroom::audit`. Intents and successes
/// have level `INFO`; denials and failures have level `WARN`.
///
/// A subscriber may drop events, so this trail proves nothing. Where the trail matters, use a
/// [`Tee`](super::Tee) to also write it to files.
///
/// # Examples
/// ```
/// use strongroom::Kms;
/// use strongroom::audit::TracingTrail;
///
/// let kms = Kms::builder().audit(TracingTrail::default()).build()?;
/// kms.list_keys(Default::default())?;
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

impl AuditSink for TracingTrail {
    fn attach(&self, attachment: &Attachment<'_>) -> Result<Option<ChainState>> {
        self.locality.get_or_init(|| attachment.locality.clone());
        Ok(None)
    }

    fn record(&self, event: AuditEvent) -> Result<()> {
        let (action, principal) = (event.action, &event.principal);
        let keys: Vec<_> = event.keys.iter().flatten().map(|key| key.key_id.to_string()).collect();
        let keys = keys.join(" ");
        match event.outcome {
            Outcome::Failure(kind) if tracing::enabled!(target: TARGET, tracing::Level::WARN) => {
                let json = self.json(&event)?;
                tracing::warn!(target: TARGET, %action, %principal, %keys, ?kind, event = json, "refused or failed");
            }
            Outcome::Intent | Outcome::Success if tracing::enabled!(target: TARGET, tracing::Level::INFO) => {
                let json = self.json(&event)?;
                let intent = event.outcome == Outcome::Intent;
                tracing::info!(target: TARGET, %action, %principal, %keys, intent, event = json, "done");
            }
            Outcome::Failure(_) | Outcome::Intent | Outcome::Success => {}
        }
        Ok(())
    }
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
            self.0.lock().expect("no panic").push(fields.0);
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn events_reach_the_subscriber_with_their_json_and_refusals_as_warnings() -> Result<()> {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let principal = Principal::root(AccountId::default());
        let good = AuditEvent::new(Timestamp::from_unix_millis(0), Action::Call(Operation::ListKeys), principal);
        let mut bad = good.clone();
        bad.outcome = Outcome::Failure(ErrorKind::AccessDenied);
        let (backend, locality) = (CryptoBackend::default(), Locality::new("aws-cn", "cn-north-1")?);
        let trail = TracingTrail::default();
        trail.attach(&Attachment::new(&backend, &locality, &Mutex::new(Vec::new())))?;
        tracing::subscriber::with_default(Listener(Arc::clone(&heard)), || {
            trail.record(good).and_then(|()| trail.record(bad))
        })?;
        let heard = heard.lock().expect("no panic");
        assert!(heard[0].starts_with("INFO strongroom::audit") && heard[0].contains("eventName"), "{heard:?}");
        assert!(heard[0].contains("cn-north-1"), "the region of the Kms: {heard:?}");
        assert!(heard[1].starts_with("WARN strongroom::audit") && heard[1].contains("AccessDenied"), "{heard:?}");
        Ok(())
    }
}
