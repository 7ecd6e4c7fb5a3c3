//! Several threads and processes that change the same parameters.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use std::{env, thread};

use strongroom::crypto::CryptoBackend;
use strongroom::parameters::{GetParameterHistoryRequest, Parameters, PutParameterRequest};
use strongroom::seal::RootKey;
use strongroom::store::{KeyStore, SqliteOptions, SqliteStore};
use strongroom::{Kms, Result};

use super::TestResult;
use crate::support::any_store::Place;
use crate::support::child_process::{STORE, child, fast_folder, whole_lines};

const CHILD: &str = "parameters::concurrency::puts_until_killed";

fn open(store: Arc<dyn KeyStore>) -> Result<Parameters> {
    Ok(Parameters::new(&Kms::builder().store(store, RootKey::from_bytes(&[7; 32])).build()?))
}

fn open_file(path: &Path) -> Result<Parameters> {
    open(Arc::new(SqliteStore::open_with(path, &CryptoBackend::default(), SqliteOptions::default())?))
}

/// Returns the versions and values of `/a`, and checks that versions are without a gap.
fn history(parameters: &Parameters) -> Result<Vec<(u64, String)>> {
    let (mut found, mut token) = (Vec::new(), None::<String>);
    loop {
        let mut request = GetParameterHistoryRequest::new("/a");
        if let Some(token) = token {
            request = request.next_token(token);
        }
        let page = parameters.history(request)?;
        found.extend(page.entries.iter().map(|one| (one.metadata().version(), one.expose_value().to_owned())));
        token = page.next_marker;
        if token.is_none() {
            let first = found.first().map_or(0, |(version, _)| *version);
            assert!(found.iter().zip(first..).all(|((version, _), expected)| *version == expected), "{found:?}");
            return Ok(found);
        }
    }
}

#[test]
fn no_put_is_lost_among_handles_of_one_store() -> TestResult {
    let place = Place::new()?;
    let handles = (0..4).map(|_| open(place.open()?)).collect::<Result<Vec<_>>>()?;
    handles[0].put(PutParameterRequest::secure_string("/a", "first"))?;
    let put = |handle: usize, number: usize| {
        let value = format!("{handle}-{number}");
        let done = handles[handle].put(PutParameterRequest::new("/a", value.as_str()).overwrite())?;
        Ok::<_, strongroom::Error>((done.version, value))
    };
    let results = parallel_puts(&put);
    let mut expected: BTreeSet<(u64, String)> = BTreeSet::from([(1, "first".to_owned())]);
    for result in results {
        assert!(expected.insert(result?), "two puts returned the same version");
    }
    assert_eq!(history(&handles[0])?.into_iter().collect::<BTreeSet<_>>(), expected);
    Ok(())
}

type Put<'a> = dyn Fn(usize, usize) -> Result<(u64, String)> + Sync + 'a;

fn parallel_puts(put: &Put<'_>) -> Vec<Result<(u64, String)>> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|handle| scope.spawn(move || (0..12).map(|number| put(handle, number)).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    })
}

#[test]
fn creation_and_deletion_keep_the_count() -> TestResult {
    let place = Place::new()?;
    let handles = (0..3).map(|_| open(place.open()?)).collect::<Result<Vec<_>>>()?;
    thread::scope(|scope| {
        for (index, handle) in handles.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..10 {
                    let name = format!("/{index}/{number}");
                    handle.put(PutParameterRequest::string(&*name, "1")).expect("a new name");
                    if number % 2 == 0 {
                        handle.delete(&name).expect("it exists");
                    }
                }
            });
        }
    });
    assert_eq!(
        handles[0]
            .describe(strongroom::parameters::DescribeParametersRequest::default().max_results(50))?
            .entries
            .len(),
        15
    );
    Ok(())
}

/// A process that is killed at any moment leaves every acknowledged version, and at most one more.
#[test]
fn a_kill_loses_no_acknowledged_version() -> TestResult {
    for round in 0..6_u64 {
        let folder = fast_folder()?;
        let path = folder.path().join("store");
        open_file(&path)?.put(PutParameterRequest::secure_string("/a", "0"))?;
        let mut process = child(CHILD, &path)?.stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.take().expect("it is piped");
        let reader = thread::spawn(move || {
            let mut text = String::new();
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                text.push_str(&line);
                text.push('\n');
            }
            text
        });
        thread::sleep(Duration::from_millis(700 + 37 * round));
        process.kill()?;
        process.wait()?;
        let told = whole_lines(&reader.join().expect("the reader ends"));
        let acknowledged: Vec<u64> =
            told.iter().filter_map(|line| line.strip_prefix("version ")?.parse().ok()).collect();
        let parameters = open_file(&path)?;
        let current = parameters.get("/a")?.version();
        let last = acknowledged.last().copied().unwrap_or(1);
        assert!(current == last || current == last + 1, "{current} after {last}");
        for (version, value) in history(&parameters)? {
            assert_eq!(value, (version - 1).to_string());
        }
        parameters.put(PutParameterRequest::new("/a", current.to_string()).overwrite())?;
    }
    Ok(())
}

#[test]
#[ignore = "a child of a_kill_loses_no_acknowledged_version"]
fn puts_until_killed() -> TestResult {
    let path = env::var(STORE)?;
    let parameters = open_file(Path::new(&path))?;
    for number in 1_u64.. {
        let done = parameters.put(PutParameterRequest::new("/a", number.to_string()).overwrite())?;
        println!("version {}", done.version);
    }
    Ok(())
}
