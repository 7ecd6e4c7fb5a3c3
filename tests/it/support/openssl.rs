//! The OpenSSL command line, which verifies results of this crate.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use strongroom::algorithm::SigningAlgorithm;

use crate::support::external_tools;

/// The OpenSSL command line, with a folder for its files.
pub(crate) struct OpenSsl {
    program: PathBuf,
    folder: tempfile::TempDir,
}

impl OpenSsl {
    pub(crate) fn start(test: &str) -> Option<Self> {
        let openssl = Self {
            program: external_tools::tool_on_path(test, "STRONGROOM_OPENSSL", "openssl", &["OpenSSL 3", "OpenSSL 4"])?,
            folder: tempfile::tempdir().expect("a folder"),
        };
        let (_, version) = openssl.run(&["version"]);
        println!("{test}: against {}", version.trim());
        Some(openssl)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("the folder can be written");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("openssl wrote it")
    }

    /// Runs a command in the folder. Returns whether it succeeded, and its output.
    pub(crate) fn run(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new(&self.program).args(arguments).current_dir(&self.folder).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let printed = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
    }

    /// Runs a shell command in the folder, with this OpenSSL as `openssl`.
    pub(crate) fn shell(&self, line: &str) {
        let script = format!("set -e -o pipefail; openssl() {{ command \"$OPENSSL\" \"$@\"; }}; {line}");
        let output =
            Command::new("bash").args(["-c", &script]).env("OPENSSL", &self.program).current_dir(&self.folder).output();
        let output = output.unwrap_or_else(|error| panic!("bash: {error}"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn must(&self, arguments: &[&str]) {
        let (done, printed) = self.run(arguments);
        assert!(done, "openssl {arguments:?}: {printed}");
    }
}

/// Returns the OpenSSL options for a signature algorithm, or `None` if the command line does not
/// support it.
pub(crate) fn words(algorithm: SigningAlgorithm) -> Option<Vec<&'static str>> {
    const PSS: [&str; 4] = ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"];
    const PKCS1: [&str; 2] = ["-pkeyopt", "rsa_padding_mode:pkcs1"];
    let with = |digest, options: &[&'static str]| Some([&["-digest", digest], options].concat());
    match algorithm {
        SigningAlgorithm::RsassaPssSha256 => with("sha256", &PSS),
        SigningAlgorithm::RsassaPssSha384 => with("sha384", &PSS),
        SigningAlgorithm::RsassaPssSha512 => with("sha512", &PSS),
        SigningAlgorithm::RsassaPkcs1V15Sha256 => with("sha256", &PKCS1),
        SigningAlgorithm::RsassaPkcs1V15Sha384 => with("sha384", &PKCS1),
        SigningAlgorithm::RsassaPkcs1V15Sha512 => with("sha512", &PKCS1),
        SigningAlgorithm::EcdsaSha256 => with("sha256", &[]),
        SigningAlgorithm::EcdsaSha384 => with("sha384", &[]),
        SigningAlgorithm::EcdsaSha512 => with("sha512", &[]),
        SigningAlgorithm::Ed25519Sha512 => Some(Vec::new()),
        _ => None,
    }
}
