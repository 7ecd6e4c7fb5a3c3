//! A subscriber of `tracing` that records spans.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, Once};

use strongroom::Result;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// A span as a subscriber sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) level: String,
    pub(crate) parent: Option<usize>,
    pub(crate) fields: String,
    is_closed: bool,
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.fields, "{field}={value:?} ").expect("strings grow");
    }
}

/// Records all spans, and the spans that are entered.
#[derive(Default)]
struct Spans {
    seen: Vec<Seen>,
    entered: Vec<usize>,
}

struct Listener(Arc<Mutex<Spans>>);

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("few spans") - 1
}

impl Subscriber for Listener {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut spans = self.0.lock().expect("no thread panicked");
        let (metadata, parent) = (attributes.metadata(), spans.entered.last().copied());
        let mut seen = Seen { name: metadata.name(), level: metadata.level().to_string(), parent, ..Seen::default() };
        attributes.record(&mut seen);
        spans.seen.push(seen);
        Id::from_u64(u64::try_from(spans.seen.len()).expect("few spans"))
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        values.record(&mut self.0.lock().expect("no thread panicked").seen[index(id)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, id: &Id) {
        self.0.lock().expect("no thread panicked").entered.push(index(id));
    }

    fn exit(&self, id: &Id) {
        assert_eq!(self.0.lock().expect("no thread panicked").entered.pop(), Some(index(id)), "spans are nested");
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.lock().expect("no thread panicked").seen[index(&id)].is_closed = true;
        true
    }
}

/// The subscriber of all threads, which asks for no span and does not rule any out.
///
/// `tracing` decides about a span once, when a thread first comes to it. With a single subscriber, that of
/// this thread counts: without one, another test would disable the span for all threads.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Returns the spans that a subscriber sees while `run` runs.
pub(crate) fn during(run: impl FnOnce() -> Result<()>) -> Result<Vec<Seen>> {
    static ALL_THREADS: Once = Once::new();
    ALL_THREADS.call_once(|| {
        tracing::subscriber::set_global_default(Undecided).expect("no other test sets a subscriber for all threads");
    });
    let spans = Arc::new(Mutex::new(Spans::default()));
    tracing::subscriber::with_default(Listener(Arc::clone(&spans)), run)?;
    let spans = spans.lock().expect("no thread panicked");
    assert!(spans.entered.is_empty());
    assert!(spans.seen.iter().all(|span| span.is_closed), "{:?}", spans.seen);
    Ok(spans.seen.clone())
}

/// Returns the names of the children of the first span.
pub(crate) fn children(spans: &[Seen]) -> Vec<&'static str> {
    spans.iter().filter(|span| span.parent == Some(0)).map(|span| span.name).collect()
}
