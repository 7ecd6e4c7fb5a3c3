//! A table of times and sizes that may grow with the number of keys, with one column for each size of
//! a store in a SQLite file.
//!
//!     cargo bench --bench scale                       1,000 and 100,000 keys
//!     cargo bench --bench scale -- 1000 1000000       other sizes
//!
//! The file is in memory where the system has a folder for that, so that no row waits for a disk.
//! Rows per key, alias or record are to be the same in every column. A row of the whole store grows with
//! it, and so shows its rate too. Each value is the median of several runs, except for those that
//! change the whole store. Memory is that of the process with the KMS alone, in a child.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

use strongroom::Kms;
use strongroom::key::KeyId;
use strongroom::request::PageRequest;

#[path = "support/filled_store.rs"]
mod filled_store;

use self::filled_store::{fill, root};

/// Environment variable with the path of the store whose memory a child process is to measure.
const MEASURED: &str = "STRONGROOM_BENCH_STORE";

/// The number of runs whose median is shown.
const RUNS: usize = 7;

/// The number of aliases that a run creates or looks up.
const ALIASES: usize = 200;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> Result<()> {
    if let Some(path) = env::var_os(MEASURED) {
        return measure_memory(Path::new(&path));
    }
    let mut sizes: Vec<usize> = env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    if sizes.is_empty() {
        sizes = vec![1_000, 100_000];
    }
    let columns = sizes.iter().map(|keys| measure(*keys)).collect::<Result<Vec<_>>>()?;
    print!("\n{:44}", "");
    sizes.iter().for_each(|keys| print!("{:>22}", format!("{keys} keys")));
    println!();
    for (row, (name, _)) in columns[0].iter().enumerate() {
        print!("{name:44}");
        columns.iter().for_each(|column| print!("{:>22}", column[row].1));
        println!();
    }
    Ok(())
}

/// The values of one column, with the names of their rows.
type Column = Vec<(&'static str, String)>;

fn measure(keys: usize) -> Result<Column> {
    let (_folder, path, ids) = fill(keys)?;
    let mut column = vec![("file", bytes(fs::metadata(&path)?.len()))];
    let mut row = |name, value: String| {
        eprintln!("{keys} keys: {name}: {value}");
        column.push((name, value));
    };
    let measured = Command::new(env::current_exe()?).env(MEASURED, &path).output()?;
    for (name, value) in ["memory when open", "memory after all keys were listed", "memory after all were described"]
        .into_iter()
        .zip(String::from_utf8(measured.stdout)?.lines())
    {
        row(name, bytes(value.parse()?));
    }
    row("open", duration(median(|| timed(|| Ok(Kms::open(&path, root())?)))?));

    let kms = Kms::open(&path, root())?;
    row("list all keys in pages of 1,000", rate(keys, median(|| timed(|| list(&kms)))?));
    row("idle maintenance, first run", whole(keys, timed(|| Ok(kms.run_maintenance()?))?));
    row("idle maintenance", whole(keys, median(|| timed(|| Ok(kms.run_maintenance()?)))?));
    let mut changed = ids.iter().cycle();
    let after_change = median(|| {
        let id = changed.next().ok_or("endless")?;
        kms.update_key_description(*id, "changed")?;
        timed(|| Ok(kms.run_maintenance()?))
    })?;
    row("idle maintenance after a change", whole(keys, after_change));

    let mut numbers = 0..;
    let create = median(|| {
        let names: Vec<_> = numbers.by_ref().take(ALIASES).map(|number| format!("alias/created-{number}")).collect();
        timed(|| Ok(names.iter().zip(&ids).try_for_each(|(name, id)| kms.create_alias(name, *id))?))
    })?;
    row("create an alias", duration(per(create, ALIASES)));
    let mut numbers = 0..;
    let look_up = median(|| {
        let names: Vec<_> = numbers.by_ref().take(ALIASES).map(|number| format!("alias/created-{number}")).collect();
        let cold = Kms::open(&path, root())?;
        timed(|| {
            Ok(names.iter().try_for_each(|name| cold.describe_key(name.as_str()).map(|key| _ = black_box(key)))?)
        })
    })?;
    row("look up an alias that is not cached", duration(per(look_up, ALIASES)));

    let mut records = 0;
    let verified = timed(|| {
        let report = kms.verify_store(|_| {})?;
        assert!(report.is_intact(), "{:?}", report.problems());
        records = report.records();
        Ok(())
    })?;
    row("verify the store, per record", rate(usize::try_from(records)?, verified));
    let mut resealed = 0;
    let rotated = timed(|| {
        resealed = kms.rotate_root_key()?.resealed();
        Ok(())
    })?;
    row("rotate the root key, per record", rate(usize::try_from(resealed)?, rotated));
    Ok(column)
}

fn list(kms: &Kms) -> Result<Vec<KeyId>> {
    let (mut ids, mut page) = (Vec::new(), PageRequest::default().limit(1_000));
    loop {
        let found = kms.list_keys(page)?;
        ids.extend(found.entries.iter().map(|entry| entry.key_id));
        let Some(marker) = found.next_marker else { return Ok(ids) };
        page = PageRequest::default().limit(1_000).marker(marker);
    }
}

/// Prints how many bytes more this process uses after the store was opened, after every key was
/// listed, and after every key was described, which caches and meters them.
fn measure_memory(path: &Path) -> Result<()> {
    let start = resident()?;
    let kms = Kms::open(path, root())?;
    println!("{}", resident()?.saturating_sub(start));
    let ids = list(&kms)?;
    println!("{}", resident()?.saturating_sub(start));
    ids.iter().try_for_each(|id| kms.describe_key(*id).map(drop))?;
    println!("{}", resident()?.saturating_sub(start));
    Ok(())
}

/// Returns the resident memory of this process in bytes, or 0 if the system does not report it.
fn resident() -> Result<u64> {
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return Ok(0) };
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no such line")?;
    Ok(kibibytes.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let start = Instant::now();
    let result = work()?;
    let time = start.elapsed();
    drop(result);
    Ok(time)
}

fn median(mut run: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut times = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    times.sort_unstable();
    Ok(times[RUNS / 2])
}

fn per(whole: Duration, count: usize) -> Duration {
    whole / u32::try_from(count).unwrap_or(u32::MAX)
}

fn duration(time: Duration) -> String {
    format!("{time:.3?}")
}

fn rate(count: usize, time: Duration) -> String {
    format!("{:.0}/s", f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64())
}

/// A time that grows with the store, and the rate.
fn whole(keys: usize, time: Duration) -> String {
    format!("{} {}", duration(time), rate(keys, time))
}

fn bytes(count: u64) -> String {
    format!("{:.1} MB", f64::from(u32::try_from(count / 1_024).unwrap_or(u32::MAX)) * 1.024 / 1_000.0)
}
