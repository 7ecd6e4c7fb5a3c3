//! Medians of measurements taken in turn.

use std::time::Duration;

use crate::column::Column;
use crate::subject::{Result, Subject, Suite};

/// Number and minimum duration of measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    rounds: u32,
    /// Minimum duration of a batch of calls.
    batch: Duration,
}

impl Effort {
    /// Runs each measurement once.
    pub(crate) const SMOKE: Self = Self { rounds: 1, batch: Duration::ZERO };

    /// Uses fewer rounds for messages that take a second each.
    pub(crate) fn for_size(size: usize) -> Self {
        let rounds = if size <= 16 << 20 { 21 } else { 5 };
        Self { rounds, batch: Duration::from_millis(20) }
    }
}

/// Direction of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Encrypt,
    Decrypt,
}

/// Medians for one kind of message and one call.
pub(crate) struct Measured {
    pub(crate) suite: Suite,
    pub(crate) size: usize,
    pub(crate) call: Call,
    medians: Vec<(Column, Duration)>,
}

impl Measured {
    /// Returns the duration of one call, if the column supports such messages.
    pub(crate) fn median(&self, column: Column) -> Option<Duration> {
        self.medians.iter().find(|(measured, _)| *measured == column).map(|(_, median)| *median)
    }
}

/// Measures encryption with all subjects, and then decryption.
pub(crate) fn both_calls(
    suite: Suite,
    plaintext: &[u8],
    subjects: &mut [(Column, Box<dyn Subject>)],
    effort: Effort,
) -> Result<[Measured; 2]> {
    let mut measure = |call| -> Result<Measured> {
        let medians = medians(call, plaintext, subjects, effort)?;
        Ok(Measured { suite, size: plaintext.len(), call, medians })
    };
    Ok([measure(Call::Encrypt)?, measure(Call::Decrypt)?])
}

fn medians(
    call: Call,
    plaintext: &[u8],
    subjects: &mut [(Column, Box<dyn Subject>)],
    effort: Effort,
) -> Result<Vec<(Column, Duration)>> {
    let run = |subject: &mut dyn Subject, times| match call {
        Call::Encrypt => subject.encrypt(plaintext, times),
        Call::Decrypt => subject.decrypt(times),
    };
    let mut batches = Vec::new();
    for (_, subject) in &mut *subjects {
        let mut times = 1;
        while run(&mut **subject, times)? < effort.batch {
            times *= 2;
        }
        batches.push((times, Vec::new()));
    }
    for _ in 0..effort.rounds {
        for ((_, subject), (times, taken)) in subjects.iter_mut().zip(&mut batches) {
            taken.push(run(&mut **subject, *times)? / *times);
        }
    }
    Ok(subjects.iter().zip(batches).map(|((column, _), (_, taken))| (*column, median(taken))).collect())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
