//! The file tool `examples/tools/file.rs`, run like a user would run it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::support::external_tools;

/// A directory with a key, and the tool.
struct Desk {
    folder: TempDir,
    tool: PathBuf,
}

impl Desk {
    fn new() -> Option<Self> {
        // The tool is next to the `deps` directory of this test. `cargo test` builds the examples
        // first.
        let tests = std::env::current_exe().expect("the path of this test is known");
        let tool = tests.ancestors().nth(2).expect("the folder of the profile").join("examples/file");
        let tool = tool.with_extension(std::env::consts::EXE_EXTENSION);
        if !tool.exists() {
            external_tools::missing("the tests of the file tool", "it is not built: cargo build --example file");
            return None;
        }
        let desk = Self { folder: tempfile::tempdir().expect("a folder"), tool };
        desk.write("key", &[7; 32]);
        desk.write("other", &[8; 32]);
        Some(desk)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file")
    }

    /// Returns the names of all files, to detect leftovers.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs the tool in the directory.
    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut command = Command::new(&self.tool);
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the tool starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        std::thread::scope(|scope| {
            // The tool may exit before it has read everything.
            scope.spawn(move || stdin.write_all(input).unwrap_or_default());
            child.wait_with_output().expect("the tool exits")
        })
    }

    /// Runs the tool and expects an exit code. Returns standard output and the single line of
    /// standard error.
    fn expect(&self, code: i32, arguments: &[&str], input: &[u8]) -> (Vec<u8>, String) {
        let output = self.run(arguments, input);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), usize::from(code != 0), "{arguments:?}: {said}");
        (output.stdout, said)
    }
}

const KEY: [&str; 2] = ["--key-file", "key"];
const CONTEXT: [&str; 4] = ["--context", "owner=me", "--context", "kind=a=b"];

fn with<'a>(command: &'a str, options: &[&'a str], paths: [&'a str; 2]) -> Vec<&'a str> {
    [&[command], options, &paths].concat()
}

#[test]
fn a_file_goes_there_and_back() {
    let Some(desk) = Desk::new() else { return };
    for length in [0, 1, 65_535, 65_536, 65_537, 300_000] {
        let text: Vec<u8> = (0..=250).cycle().take(length).collect();
        desk.write("plain", &text);
        let options = [KEY.as_slice(), &CONTEXT].concat();
        desk.expect(0, &with("encrypt", &options, ["plain", "sealed"]), b"");
        desk.expect(0, &with("decrypt", &options, ["sealed", "opened"]), b"");
        assert!(desk.read("opened") == text, "{length}");
        assert_eq!(desk.files(), ["key", "opened", "other", "plain", "sealed"]);
    }
}

#[test]
fn standard_input_and_output_work_too() {
    let Some(desk) = Desk::new() else { return };
    let text = vec![3; 200_000];
    let (sealed, _) = desk.expect(0, &with("encrypt", &KEY, ["-", "-"]), &text);
    let (opened, _) = desk.expect(0, &with("decrypt", &KEY, ["-", "-"]), &sealed);
    assert!(opened == text);
    desk.write("sealed", &sealed);
    let (opened, _) = desk.expect(0, &with("decrypt", &KEY, ["sealed", "-"]), b"");
    assert!(opened == text);
    assert_eq!(desk.files(), ["key", "other", "sealed"]);
}

#[test]
fn what_cannot_be_decrypted_leaves_nothing_behind() {
    let Some(desk) = Desk::new() else { return };
    let text = vec![3; 200_000];
    let (sealed, _) = desk.expect(0, &with("encrypt", &[KEY.as_slice(), &CONTEXT].concat(), ["-", "-"]), &text);
    let mut altered = sealed.clone();
    altered[150_000] ^= 1;
    let cases: [(&[&str], &[u8], &str); 7] = [
        (&["--key-file", "other"], &sealed, "another key"),
        (&["--key-file", "key", "--namespace", "else"], &sealed, "another namespace"),
        (&["--key-file", "key", "--context", "owner=you"], &sealed, "\"owner\""),
        (&KEY, &sealed[..100_000], "is truncated"),
        (&KEY, &altered, "frame 3 of the message is not authentic"),
        (&KEY, &[sealed.as_slice(), b"x"].concat(), "trailing bytes"),
        (&KEY, b"AgR4ZZZZ", "base64"),
    ];
    for (options, message, reason) in cases {
        let (_, said) = desk.expect(1, &with("decrypt", options, ["-", "opened"]), message);
        assert!(said.contains(reason), "{said}");
        assert_eq!(desk.files(), ["key", "other"]);
    }
    // An existing file remains unchanged.
    desk.write("opened", b"old");
    desk.expect(1, &with("decrypt", &KEY, ["-", "opened"]), &altered);
    assert_eq!(desk.read("opened"), b"old");
    // The bytes written to standard output before the failure are the true beginning of the
    // plaintext.
    let (released, _) = desk.expect(1, &with("decrypt", &KEY, ["-", "-"]), &altered);
    assert!(text.starts_with(&released) && released.len() == 2 * 65_536, "{}", released.len());
}

#[test]
fn inspect_needs_no_key_and_prints_the_header() {
    let Some(desk) = Desk::new() else { return };
    let options = [KEY.as_slice(), &CONTEXT, &["--namespace", "lab", "--name", "key 1"]].concat();
    desk.expect(0, &with("encrypt", &options, ["-", "sealed"]), b"text");
    let (printed, _) = desk.expect(0, &["inspect", "sealed"], b"");
    let printed = String::from_utf8(printed).expect("text");
    for line in [
        "version:      2",
        "suite:        0x0478 AES_256_GCM_HKDF_SHA512_COMMIT_KEY",
        "frame length: 65536",
        "context:      \"kind\" = \"a=b\"\ncontext:      \"owner\" = \"me\"",
        "wrapped key:  provider \"lab\", info \"key 1\\x00\\x00\\x00\\x80\\x00\\x00\\x00\\x0c",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    let (again, _) = desk.expect(0, &["inspect", "-"], &desk.read("sealed"));
    assert_eq!(again, printed.as_bytes());
    let (_, said) = desk.expect(1, &["inspect", "key"], b"");
    assert!(said.contains("version 7"), "{said}");
}

#[test]
fn a_path_that_cannot_be_used_is_named() {
    let Some(desk) = Desk::new() else { return };
    desk.write("plain", b"text");
    desk.write("short", &[1; 31]);
    desk.write("long", &[1; 33]);
    fs::create_dir(desk.path("folder")).expect("a folder");
    let cases: [(&[&str], [&str; 2], &str); 7] = [
        (&KEY, ["missing", "sealed"], "missing: "),
        (&KEY, ["plain", "missing/sealed"], "missing/sealed: "),
        (&KEY, ["plain", "plain"], "plain: input and output are the same file"),
        (&KEY, ["plain", "folder"], "folder: not a file"),
        (&["--key-file", "none"], ["plain", "sealed"], "none: "),
        (&["--key-file", "short"], ["plain", "sealed"], "short: a key file must have exactly 32 bytes"),
        (&["--key-file", "long"], ["plain", "sealed"], "long: a key file must have exactly 32 bytes"),
    ];
    for (options, paths, reason) in cases {
        let (_, said) = desk.expect(1, &with("encrypt", options, paths), b"");
        assert!(said.starts_with("file: ") && said.contains(reason), "{said}");
    }
    assert_eq!(desk.read("plain"), b"text");
}

#[test]
fn wrong_usage_has_its_own_exit_code() {
    let Some(desk) = Desk::new() else { return };
    let cases: [&[&str]; 10] = [
        &[],
        &["compress", "a", "b"],
        &["encrypt", "a", "b"],
        &["encrypt", "--key-file", "key", "a"],
        &["encrypt", "--key-file", "key", "a", "b", "c"],
        &["encrypt", "a", "b", "--key-file"],
        &["encrypt", "--keyfile", "key", "a", "b"],
        &["encrypt", "--key-file", "key", "--context", "owner", "a", "b"],
        &["encrypt", "--key-file", "key", "--context", "a=1", "--context", "a=2", "a", "b"],
        &["inspect", "a", "b"],
    ];
    for arguments in cases {
        let (_, said) = desk.expect(2, arguments, b"");
        assert!(said.contains("--help"), "{said}");
    }
    for arguments in [&["--help"][..], &["encrypt", "--help"]] {
        let (printed, _) = desk.expect(0, arguments, b"");
        assert!(printed.starts_with(b"Encrypts and decrypts files"));
    }
}

#[cfg(unix)]
#[test]
fn an_output_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let Some(desk) = Desk::new() else { return };
    desk.expect(0, &with("encrypt", &KEY, ["-", "sealed"]), b"text");
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(&desk.path("sealed")), 0o600);
}

#[cfg(unix)]
#[test]
fn a_device_is_not_replaced() {
    let Some(desk) = Desk::new() else { return };
    let output = Path::new("/dev/null");
    let (_, said) = desk.expect(1, &with("encrypt", &KEY, ["-", "/dev/null"]), b"text");
    assert!(said.contains("/dev/null: not a file"), "{said}");
    assert!(!fs::metadata(output).expect("still there").is_file());
}
