//! The table, in Markdown.

use std::io::{self, Write};
use std::time::Duration;
use std::{fs, thread};

use crate::column::Column;
use crate::measure::{Call, Measured};
use crate::subject::{Backend, Suite};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Results for messages below this length are printed in microseconds, and those for longer ones in
/// gigabytes per second.
const SHORT: usize = 64 * KIB;

/// Prints a row for each message, call and backend. The number in brackets is the speed of
/// strongroom with one thread relative to that column. Next to strongroom's figure with two
/// threads, it is the speedup over one thread.
pub(crate) fn print(measured: &[Measured]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}\n", machine())?;
    writeln!(
        out,
        "| message | backend | strongroom | on two threads | AES-GCM or SHA-384 alone | aws-esdk 1.2.4 | age 0.12.1 |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|")?;
    for backend in Backend::ALL {
        for row in measured {
            writeln!(out, "{}", line(row, backend))?;
        }
    }
    out.flush()
}

fn line(row: &Measured, backend: Backend) -> String {
    let ours = row.median(Column::Ours(backend)).unwrap_or_default();
    let against = |column| {
        row.median(column).map_or_else(
            || "-".to_owned(),
            |theirs| format!("{} ({})", figure(row.size, theirs), ratio(theirs.as_secs_f64() / ours.as_secs_f64())),
        )
    };
    let two = row.median(Column::OursOnTwo(backend)).unwrap_or_default();
    let two = format!("{} ({})", figure(row.size, two), ratio(ours.as_secs_f64() / two.as_secs_f64()));
    let name = match backend {
        Backend::AwsLc => "AWS-LC",
        Backend::RustCrypto => "pure Rust",
    };
    let (bare, esdk, age) = (against(Column::Bare(backend)), against(Column::AwsEsdk), against(Column::Age));
    format!("| {} | {name} | {} | {two} | {bare} | {esdk} | {age} |", message(row), figure(row.size, ours))
}

fn message(row: &Measured) -> String {
    let call = match row.call {
        Call::Encrypt => "encrypt",
        Call::Decrypt => "decrypt",
    };
    let signed = match row.suite {
        Suite::Unsigned => "",
        Suite::Signed => ", signed",
    };
    match row.size {
        size if size < MIB => format!("{call} {} KiB{signed}", size / KIB),
        size => format!("{call} {} MiB{signed}", size / MIB),
    }
}

fn figure(size: usize, time: Duration) -> String {
    let nanoseconds = time.as_secs_f64() * 1e9;
    if size < SHORT {
        format!("{:.2} µs", nanoseconds / 1e3)
    } else {
        format!("{:.2} GB/s", f64::from(u32::try_from(size).expect("256 MiB at most")) / nanoseconds)
    }
}

fn ratio(times: f64) -> String {
    if times < 9.95 { format!("{times:.2}x") } else { format!("{times:.0}x") }
}

/// Returns the processor model and its number of hardware threads.
fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let field = |name: &str| {
        let line = information.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split(':').nth(1)).map_or("unknown", str::trim)
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    format!("{} (family {}, model {}), {threads} threads", field("model name"), field("cpu family"), field("model"))
}
