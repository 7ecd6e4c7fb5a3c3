//! Reads histories of changes to keys, and fails unless each is linearizable.
//!
//! A line is `key NAME`, which starts a history, `call CLIENT OPERATION` or `done CLIENT RESULT`, in
//! the order of time. A call without an answer may or may not have taken effect.

use std::io::{self, BufRead};
use std::process::ExitCode;

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

/// What a key should do.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Key {
    is_disabled: bool,
    rotations: usize,
    has_alias: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Operation {
    Disable,
    Enable,
    Rotate,
    /// Creates the alias.
    Claim,
    /// Deletes the alias.
    Release,
    /// Reads the latest state.
    Inspect,
    /// Reads whether the alias exists.
    Resolve,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Answer {
    Changed,
    Refused,
    State { is_disabled: bool, rotations: usize },
    Alias { exists: bool },
}

impl SequentialSpec for Key {
    type Op = Operation;
    type Ret = Answer;

    fn invoke(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Disable => self.is_disabled = true,
            Operation::Enable => self.is_disabled = false,
            Operation::Rotate if self.is_disabled => return Answer::Refused,
            Operation::Rotate => self.rotations += 1,
            Operation::Claim if self.has_alias => return Answer::Refused,
            Operation::Claim => self.has_alias = true,
            Operation::Release if !self.has_alias => return Answer::Refused,
            Operation::Release => self.has_alias = false,
            Operation::Inspect => {
                return Answer::State { is_disabled: self.is_disabled, rotations: self.rotations };
            }
            Operation::Resolve => return Answer::Alias { exists: self.has_alias },
        }
        Answer::Changed
    }
}

type Tester = LinearizabilityTester<usize, Key>;

fn apply(tester: &mut Tester, line: &str) -> Result<(), String> {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |text: &str| text.parse::<usize>().map_err(|error| format!("{line}: {error}"));
    match words[..] {
        ["call", client, operation] => {
            let operation = match operation {
                "disable" => Operation::Disable,
                "enable" => Operation::Enable,
                "rotate" => Operation::Rotate,
                "claim" => Operation::Claim,
                "release" => Operation::Release,
                "inspect" => Operation::Inspect,
                "resolve" => Operation::Resolve,
                _ => return Err(format!("unknown operation: {line}")),
            };
            tester.on_invoke(number(client)?, operation).map(drop)
        }
        ["done", client, "changed"] => tester.on_return(number(client)?, Answer::Changed).map(drop),
        ["done", client, "state", state, rotations] => {
            let answer = Answer::State { is_disabled: state == "disabled", rotations: number(rotations)? };
            tester.on_return(number(client)?, answer).map(drop)
        }
        ["done", client, "alias", alias] => {
            tester.on_return(number(client)?, Answer::Alias { exists: alias == "claimed" }).map(drop)
        }
        _ => Err(format!("unknown line: {line}")),
    }
}

fn main() -> ExitCode {
    let mut histories: Vec<(String, Tester, Vec<String>)> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line.expect("a readable history");
        if let Some(name) = line.strip_prefix("key ") {
            histories.push((name.to_owned(), Tester::new(Key::default()), Vec::new()));
            continue;
        }
        let (_, tester, lines) = histories.last_mut().expect("a history starts with the name of its key");
        apply(tester, &line).unwrap_or_else(|error| panic!("{error}"));
        lines.push(line);
    }
    assert!(!histories.is_empty(), "no history");
    for (name, tester, lines) in &histories {
        if !tester.is_consistent() {
            println!("the history of {name} is not linearizable:\n{}", lines.join("\n"));
            return ExitCode::FAILURE;
        }
    }
    println!("{} histories are linearizable", histories.len());
    ExitCode::SUCCESS
}
