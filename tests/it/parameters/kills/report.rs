//! Reports of processes, and the changes in the audit trail.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::parameters::TestResult;

/// The answers that one process printed: a line before each change, and another one after it.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) slot: usize,
    /// The versions of each parameter that all processes overwrite, with the value of each.
    puts: BTreeMap<String, Vec<(u64, String)>>,
    /// The version of each parameter that had the label of the slot last.
    labels: BTreeMap<String, u64>,
    created: Vec<(String, String)>,
    deletions: BTreeSet<String>,
    begun_deletions: BTreeSet<String>,
    changes: usize,
}

impl Report {
    /// Parses lines, of which the last one may be incomplete if the process was killed.
    pub(super) fn parse(slot: usize, lines: &[String]) -> TestResult<Self> {
        let mut report = Self {
            slot,
            puts: BTreeMap::new(),
            labels: BTreeMap::new(),
            created: Vec::new(),
            deletions: BTreeSet::new(),
            begun_deletions: BTreeSet::new(),
            changes: 0,
        };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            report.changes += usize::from(words[0] != "begin");
            match words[..] {
                ["begin", "delete", id] => _ = report.begun_deletions.insert(id.to_owned()),
                ["put", name, version, id] => {
                    report.puts.entry(name.to_owned()).or_default().push((version.parse()?, id.to_owned()));
                }
                ["label", name, version] => _ = report.labels.insert(name.to_owned(), version.parse()?),
                ["create", name, id] => report.created.push((name.to_owned(), id.to_owned())),
                ["delete", id] => _ = report.deletions.insert(id.to_owned()),
                _ => return Err(format!("a process failed: {line}").into()),
            }
        }
        Ok(report)
    }

    pub(super) const fn changes(&self) -> usize {
        self.changes
    }

    pub(super) fn puts_of(&self, name: &str) -> &[(u64, String)] {
        self.puts.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn label_of(&self, name: &str) -> Option<u64> {
        self.labels.get(name).copied()
    }

    pub(super) fn created(&self, name: &str) -> impl Iterator<Item = &String> {
        self.created.iter().filter(move |(created, _)| created == name).map(|(_, id)| id)
    }

    pub(super) fn has_deleted(&self, id: &str) -> bool {
        self.deletions.contains(id)
    }

    pub(super) fn has_begun_to_delete(&self, id: &str) -> bool {
        self.begun_deletions.contains(id)
    }
}

/// The committed changes of an audit trail.
#[derive(Debug, Default)]
pub(super) struct Committed {
    /// The descriptions of the versions of each parameter.
    puts: BTreeMap<String, BTreeSet<String>>,
    deletions: BTreeMap<String, usize>,
}

impl Committed {
    pub(super) fn puts_of(&self, name: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.puts.get(name).unwrap_or(&NONE)
    }

    pub(super) fn deletions_of(&self, name: &str) -> usize {
        self.deletions.get(name).copied().unwrap_or(0)
    }
}

/// Reads all chains of a trail. Each change has an intent and exactly one outcome.
pub(super) fn read_trail(folder: &Path) -> TestResult<Committed> {
    let (mut intents, mut ends) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        // An incomplete line was not acknowledged.
        for line in fs::read_to_string(path)?.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line)?;
            let (event, reconciled) = (&line["event"], &line["reconciled"]);
            let Some(id) = event["change"].as_str().or(reconciled["change"].as_str()).map(str::to_owned) else {
                continue;
            };
            match event["outcome"].as_str() {
                Some("intent") => _ = intents.insert(id, event.clone()),
                Some(outcome) => ends.entry(id).or_default().push(outcome.to_owned()),
                None => ends.entry(id).or_default().push(reconciled["result"].as_str().unwrap_or_default().to_owned()),
            }
        }
    }
    let mut committed = Committed::default();
    for (id, intent) in &intents {
        let end = match ends.get(id).map(Vec::as_slice) {
            Some([end]) => end.as_str(),
            other => return Err(format!("{intent} has the outcomes {other:?}").into()),
        };
        if !matches!(end, "success" | "committed") {
            continue;
        }
        let request = &intent["requestParameters"];
        let name = request["name"].as_str().unwrap_or_default().to_owned();
        match intent["eventName"].as_str() {
            Some("PutParameter") => {
                let id = request["description"].as_str().ok_or("a put without a description")?;
                assert!(committed.puts.entry(name).or_default().insert(id.to_owned()), "{id} was committed twice");
            }
            Some("DeleteParameter") => *committed.deletions.entry(name).or_default() += 1,
            _ => {}
        }
    }
    Ok(committed)
}
