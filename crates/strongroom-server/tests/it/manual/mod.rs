//! The page `endpoint` of the manual: its programs run as they are printed.

mod rust_sdk;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::program::process::{Program, Running, command};
use crate::support::peer;

const PAGE: &str = include_str!("../../../../../src/manual/endpoint.md");

/// Returns the blocks of code in a language below a heading.
fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let section = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}")).1;
    let section = section.split("\n## ").next().unwrap();
    let mut blocks = Vec::new();
    let mut rest = section;
    while let Some((_, block)) = rest.split_once("```") {
        let (info, body) = block.split_once('\n').unwrap();
        let (body, after) = body.split_once("```").unwrap();
        if info == language {
            blocks.push(body);
        }
        rest = after;
    }
    assert!(!blocks.is_empty(), "no {language} below {heading}");
    blocks
}

fn block(heading: &str, language: &str) -> &'static str {
    let found = blocks(heading, language);
    assert_eq!(found.len(), 1, "{language} below {heading}");
    found[0]
}

/// A server, and the environment of its clients as the page sets it.
struct World {
    program: Program,
    running: Running,
}

impl World {
    fn new() -> Self {
        let program = Program::new();
        let running = program.serve(&[]);
        Self { program, running }
    }

    /// Runs a script with bash, after the settings of the page.
    fn shell(&self, script: &str) -> Output {
        let settings = blocks("Start", "sh")[1].replace("http://127.0.0.1:8080", &self.running.url);
        let folder = self.program.path("bin");
        fs::create_dir_all(&folder).unwrap();
        let server = folder.join("strongroom-server");
        if !server.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_strongroom-server"), &server).unwrap();
        }
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        Command::new("bash")
            .args([
                "-euo",
                "pipefail",
                "-c",
                &format!("{settings}\nexport AWS_ENDPOINT_URL_STS=$AWS_ENDPOINT_URL_KMS\n{script}"),
            ])
            .current_dir(self.program.path(""))
            .env("PATH", path)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a program that must succeed, and returns its output.
    fn run(&self, script: &str) -> String {
        let output = self.shell(script);
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script}\n{text}\n{errors}");
        text.into_owned()
    }

    /// Runs a file with an interpreter.
    fn interpret(&self, interpreter: &Path, name: &str, source: &str) {
        fs::write(self.program.path(name), source).unwrap();
        self.run(&format!("'{}' {name}", interpreter.display()));
    }
}

fn python_runs(test: &str, heading: &str) {
    let Some(python) = peer::python(test) else { return };
    let world = World::new();
    world.interpret(&python, "example.py", block(heading, "python"));
    // The program would notice a failure.
    let broken = block(heading, "python").replacen("assert ", "assert not ", 1);
    fs::write(world.program.path("broken.py"), broken).unwrap();
    assert!(!world.shell(&format!("'{}' broken.py", python.display())).status.success());
}

#[test]
fn python_with_boto3() {
    python_runs("python_with_boto3", "Python: boto3");
}

#[test]
fn python_with_the_encryption_sdk() {
    python_runs("python_with_the_encryption_sdk", "AWS Encryption SDK");
}

#[test]
fn calls_of_sops() {
    python_runs("calls_of_sops", "Files in a repository: sops");
}

#[test]
fn calls_of_terraform() {
    python_runs("calls_of_terraform", "Terraform");
    let configuration = block("Terraform", "hcl");
    assert!(
        configuration.contains("kms = \"http://127.0.0.1:8080\"") && configuration.contains("alias/terraform-orders")
    );
}

#[test]
fn javascript_with_the_sdk() {
    let test = "javascript_with_the_sdk";
    let modules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/node_modules");
    let Some(node) = std::env::var_os("STRONGROOM_NODE").filter(|_| modules.join("@aws-sdk/client-kms").exists())
    else {
        assert_ne!(
            std::env::var("STRONGROOM_REQUIRE").as_deref(),
            Ok("all"),
            "{test}: Node.js or its packages are missing"
        );
        eprintln!("{test}: skipped, because Node.js or its packages are missing");
        return;
    };
    let world = World::new();
    fs::write(world.program.path("example.js"), block("JavaScript: AWS SDK v3", "js")).unwrap();
    let modules = modules.canonicalize().unwrap();
    world.run(&format!("NODE_PATH='{}' '{}' example.js", modules.display(), node.display()));
}

#[test]
fn aws_command_line() {
    let Some(python) = peer::python("aws_command_line") else { return };
    let has_it = Command::new(&python).args(["-c", "import awscli"]).stderr(Stdio::null()).status().unwrap().success();
    if !has_it {
        eprintln!("aws_command_line: skipped, because the package awscli is missing");
        return;
    }
    let world = World::new();
    let function = format!("aws() {{ '{}' -m awscli \"$@\"; }}\n", python.display());
    assert_eq!(world.run(&(function.clone() + block("AWS CLI", "sh"))), "4711");
    let printed = world.run(&(function.clone() + block("Parameter Store", "sh")));
    assert!(printed.contains("\"Version\": 1") && printed.ends_with("\n4711\n"), "{printed}");
    // The command that the start prints works wherever it is pasted, also if the environment has other
    // access keys.
    let line = world.running.output.lines().find_map(|line| line.strip_prefix("try: ")).unwrap();
    let elsewhere = "unset AWS_SHARED_CREDENTIALS_FILE AWS_ENDPOINT_URL_KMS; cd /\n\
        export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE AWS_SECRET_ACCESS_KEY=other\n";
    assert!(world.run(&format!("{function}{elsewhere}{line}")).contains("KeyArn"), "{line}");
}

#[test]
fn access_keys_and_policies() {
    let world = World::new();
    let listed = world.run(block("Access keys and policies", "sh"));
    assert!(listed.contains("user/orders  permanent") && listed.ends_with("orders\n"), "{listed}");
    world.running.reload("reloaded the access keys");
    let Some(python) = peer::python("access_keys_and_policies") else { return };
    world.interpret(&python, "setup.py", block("Python: boto3", "python"));
    let calls = "import boto3\n\
        kms = boto3.client('kms')\n\
        kms.encrypt(KeyId='alias/orders', Plaintext=b'1', EncryptionContext={'purpose': CONTEXT})\n";
    let call = |context: &str| {
        fs::write(world.program.path("call.py"), calls.replace("CONTEXT", context)).unwrap();
        let script = format!("AWS_SHARED_CREDENTIALS_FILE=$PWD/orders.aws '{}' call.py", python.display());
        world.shell(&script)
    };
    assert!(call("'orders'").status.success());
    let refused = call("'other'");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("AccessDeniedException"));
}

/// Every option that the page and the README name exists, and the command of the start is the one that
/// the README shows.
#[test]
fn options_exist() {
    let readme = include_str!("../../../README.md");
    let packaging = include_str!("../../../packaging/README.md");
    let mut help = String::new();
    for arguments in [
        &["--help"][..],
        &["credentials", "create", "--help"],
        &["policies", "put", "--help"],
        &["create-schema", "--help"],
        &["back-up", "--help"],
        &["verify", "--help"],
    ] {
        help.push_str(&String::from_utf8(command(arguments).output().unwrap().stdout).unwrap());
    }
    let foreign = [
        "--release",
        "--path",
        "--features",
        "--package",
        "--bench",
        "--query",
        "--with-decryption",
        "--output",
        "--decode",
        "--key-id",
        "--alias-name",
        "--plaintext",
        "--target-key-id",
        "--ciphertext-blob",
        "--endpoint-url",
        "--region",
        "--pipe",
        "--wait",
        "--uid",
        "--now",
        "--name",
        "--type",
        "--value",
        "--message",
        "--signing-algorithm",
    ];
    for text in [PAGE, readme, packaging] {
        for word in text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '-')) {
            let is_option = word.len() > 3 && word.starts_with("--") && !word.starts_with("---");
            assert!(!is_option || foreign.contains(&word) || help.contains(word), "{word}");
        }
    }
    assert!(readme.contains(blocks("Start", "sh")[0]));
}
