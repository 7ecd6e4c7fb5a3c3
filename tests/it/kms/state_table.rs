//! The table operation × state × (origin, class) of the key model, compared with a transcription of
//! the AWS table.

use std::collections::BTreeMap;

use strongroom::identity::{AccountId, Locality};
use strongroom::key::{KeyArn, KeyEvent, KeyId, KeyState, Operation, Origin, SpecClass, Verdict, verdict};
use strongroom::{ErrorKind, Result};

const TABLE: &str = include_str!("../../data/state_table.txt");

/// The states in column order.
const COLUMNS: [KeyState; 6] = [
    KeyState::Enabled,
    KeyState::Disabled,
    KeyState::PendingDeletion,
    KeyState::PendingImport,
    KeyState::Unavailable,
    KeyState::Creating,
];

/// The expected content of one cell. An error is identified by its kind and by the text after the
/// ARN.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    OnceAvailable,
    NoEffect,
    NotApplicable,
    Error(ErrorKind, String),
}

type Cell = (Operation, KeyState, Origin, SpecClass);

fn arn() -> KeyArn {
    KeyArn::new(Locality::default(), AccountId::default(), KeyId::from_bytes([0x42; 16]))
}

fn state_error(text: &str) -> Answer {
    Answer::Error(ErrorKind::InvalidState, text.to_owned())
}

fn origin_error(origin: Origin) -> Answer {
    let text = format!("origin is {origin} which is not valid for this operation.");
    Answer::Error(ErrorKind::UnsupportedOperation, text)
}

/// Returns the meaning of a code for keys of an origin, or `None` if its condition does not hold.
fn meaning(code: &str, origin: Origin) -> Option<Answer> {
    let (external, hsm) = (origin == Origin::External, origin == Origin::Hsm);
    match code {
        "ok" => Some(Answer::Allowed),
        "none" => Some(Answer::NoEffect),
        "1" => Some(Answer::Error(ErrorKind::Disabled, "is disabled.".to_owned())),
        "3" => Some(state_error("is pending deletion.")),
        "4" => Some(state_error("is not pending deletion.")),
        "5" => Some(state_error("is pending import.")),
        "6" => external.then(|| origin_error(origin)),
        "7" => (external || hsm).then(|| origin_error(origin)),
        "7h" => hsm.then(|| origin_error(origin)),
        "8" => external.then(|| state_error("is pending deletion.")),
        "9" => (!external).then(|| origin_error(origin)),
        "11" => Some(state_error("is unavailable.")),
        "12" => Some(Answer::OnceAvailable),
        "14" => Some(state_error("is creating.")),
        other => panic!("unknown code {other}"),
    }
}

/// Returns the answer for keys of a class that does not support the operation.
fn wrong_class(code: &str, class: SpecClass) -> Answer {
    let kind = match code {
        "K" => ErrorKind::InvalidKeyUsage,
        "U" => ErrorKind::UnsupportedOperation,
        other => panic!("unknown code {other}"),
    };
    if code == "K" {
        return Answer::Error(kind, "You cannot generate a data key with an asymmetric CMK".to_owned());
    }
    let name = match class {
        SpecClass::Symmetric => "a symmetric encryption key",
        SpecClass::Asymmetric => "an asymmetric key",
        SpecClass::Hmac => "an HMAC key",
    };
    Answer::Error(kind, format!("is {name} which is not valid for this operation."))
}

const fn letter(class: SpecClass) -> char {
    match class {
        SpecClass::Symmetric => 's',
        SpecClass::Asymmetric => 'a',
        SpecClass::Hmac => 'h',
    }
}

/// Expands the table to one entry for each cell.
fn expected() -> Result<BTreeMap<Cell, Answer>> {
    let mut cells = BTreeMap::new();
    for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let operation = Operation::parse(words[0])?;
        let keyless = words[1..] == ["-"];
        assert!(keyless || words.len() == 2 + COLUMNS.len(), "{line}");
        let (classes, otherwise) = words[1].split_once(':').unwrap_or((words[1], ""));
        for (column, &state) in COLUMNS.iter().enumerate() {
            for &origin in Origin::ALL {
                for &class in SpecClass::ALL {
                    let answer = if keyless {
                        Answer::NotApplicable
                    } else {
                        let mut alternatives = words[2 + column].split('/');
                        let answer =
                            alternatives.find_map(|code| meaning(code, origin)).expect("one alternative holds");
                        match answer {
                            Answer::Error(..) => answer,
                            _ if classes.contains(letter(class)) => answer,
                            _ => wrong_class(otherwise, class),
                        }
                    };
                    let before = cells.insert((operation, state, origin, class), answer);
                    assert!(before.is_none(), "duplicate operation {operation}");
                }
            }
        }
    }
    Ok(cells)
}

fn ours(answer: Verdict) -> Answer {
    match answer {
        Verdict::Allowed => Answer::Allowed,
        Verdict::AllowedOnceAvailable => Answer::OnceAvailable,
        Verdict::NoEffect => Answer::NoEffect,
        Verdict::NotApplicable => Answer::NotApplicable,
        Verdict::Refused(refusal) => {
            let text = refusal.message(&arn());
            let text = text.strip_prefix(&format!("{} ", arn())).unwrap_or(&text);
            let error = refusal.error(&arn());
            assert_eq!((error.kind(), error.to_string()), (refusal.kind(), refusal.message(&arn())));
            Answer::Error(refusal.kind(), text.to_owned())
        }
    }
}

#[test]
fn every_cell_is_as_the_table_of_the_service_says() -> Result<()> {
    let mut expected = expected()?;
    let (mut walked, mut refused) = (0, 0);
    for &operation in Operation::ALL {
        for &state in KeyState::ALL {
            for &origin in Origin::ALL {
                for &class in SpecClass::ALL {
                    let cell = (operation, state, origin, class);
                    let answer = ours(verdict(operation, state, origin, class));
                    refused += usize::from(matches!(answer, Answer::Error(..)));
                    assert_eq!(Some(answer), expected.remove(&cell), "{cell:?}");
                    walked += 1;
                }
            }
        }
    }
    assert!(expected.is_empty(), "the table has cells that do not exist: {expected:?}");
    println!("{walked} cells: {} operations, {refused} refusals", Operation::ALL.len());
    assert_eq!((Operation::ALL.len(), walked), (55, 55 * 6 * 3 * 3));
    Ok(())
}

/// The table of operations and the state machine must not contradict each other: an operation is
/// allowed exactly if the state machine has a transition for it.
#[test]
fn an_operation_that_moves_the_state_is_allowed_where_the_state_can_move() {
    let moves = [
        (Operation::EnableKey, KeyEvent::Enable, Origin::Kms),
        (Operation::DisableKey, KeyEvent::Disable, Origin::Kms),
        (Operation::ScheduleKeyDeletion, KeyEvent::ScheduleDeletion, Origin::Kms),
        (Operation::CancelKeyDeletion, KeyEvent::CancelDeletion, Origin::Kms),
        (Operation::CancelKeyDeletion, KeyEvent::CancelDeletionWithoutMaterial, Origin::External),
        (Operation::ImportKeyMaterial, KeyEvent::MaterialImported, Origin::External),
        (Operation::DeleteImportedKeyMaterial, KeyEvent::MaterialRemoved, Origin::External),
    ];
    for (operation, event, origin) in moves {
        for &state in KeyState::ALL {
            for &class in SpecClass::ALL {
                let answer = verdict(operation, state, origin, class);
                assert_eq!(answer.refusal().is_none(), state.next(event).is_some(), "{operation} {state}");
                if matches!(answer, Verdict::AllowedOnceAvailable | Verdict::NoEffect) {
                    assert_eq!(state.next(event), Some(state), "{operation} {state}");
                }
            }
        }
    }
}
