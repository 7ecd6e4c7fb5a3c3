//! The date of a request, and how long it is accepted.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::refusal::Refusal;

/// The maximum difference between the date of a request and the time of the server.
pub(super) const SKEW: Duration = Duration::from_secs(5 * 60);

const FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// A date in the form `YYYYMMDDTHHMMSSZ`.
#[derive(Clone, Debug)]
pub(super) struct RequestDate {
    pub(super) text: String,
    pub(super) time: SystemTime,
}

impl RequestDate {
    /// Parses a date. Accepts only the form that the signer writes, so that the signature covers
    /// every character.
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let malformed = || {
            Refusal::incomplete("Date must be in ISO-8601 'basic format', which is YYYYMMDDTHHMMSSZ, in X-Amz-Date.")
        };
        let time = DateTime::strptime(FORMAT, text)
            .and_then(|civil| Offset::UTC.to_timestamp(civil))
            .and_then(SystemTime::try_from)
            .map_err(|_| malformed())?;
        let date = Self { text: text.to_owned(), time };
        if format(date.time) == text { Ok(date) } else { Err(malformed()) }
    }

    /// Checks that the date is at most [`SKEW`] from now.
    pub(super) fn check_skew(&self, now: SystemTime) -> Result<(), Refusal> {
        self.check_not_early(now)?;
        self.check_expiry(now, SKEW, "5 min.")
    }

    /// Checks that a presigned request is valid now.
    pub(super) fn check_presigned(&self, now: SystemTime, expires: Duration) -> Result<(), Refusal> {
        self.check_not_early(now)?;
        self.check_expiry(now, expires, &format!("{} s", expires.as_secs()))
    }

    fn check_not_early(&self, now: SystemTime) -> Result<(), Refusal> {
        match self.time.duration_since(now) {
            Ok(early) if early > SKEW => Err(Refusal::invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + 5 min.)",
                self.text,
                format(now + SKEW),
                format(now)
            ))),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn check_expiry(&self, now: SystemTime, lifetime: Duration, name: &str) -> Result<(), Refusal> {
        match now.duration_since(self.time) {
            Ok(age) if age > lifetime => Err(Refusal::invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {name})",
                self.text,
                now.checked_sub(lifetime).map(format).unwrap_or_default(),
                format(now)
            ))),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn format(time: SystemTime) -> String {
    Timestamp::try_from(time).map(|timestamp| timestamp.strftime(FORMAT).to_string()).unwrap_or_default()
}
