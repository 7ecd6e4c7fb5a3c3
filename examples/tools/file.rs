//! Encrypts and decrypts files under your own key, as messages of the AWS Encryption SDK.
//!
//! ```text
//! head -c 32 /dev/urandom > key
//! cargo run --release --example file -- encrypt --key-file key --context owner=me notes.txt notes.sealed
//! cargo run --release --example file -- inspect notes.sealed
//! cargo run --release --example file -- decrypt --key-file key --context owner=me notes.sealed notes.txt
//! ```

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::ProgressBar;
use strongroom::envelope::RawAesKeyring;
use strongroom::message::{self, Limits};
use strongroom::{EncryptionContext, Envelope, SecretBytes};
use tempfile::NamedTempFile;

const HELP: &str = "\
Encrypts and decrypts files under your own key, as messages of the AWS Encryption SDK.

usage: file encrypt --key-file FILE [OPTIONS] INPUT OUTPUT
       file decrypt --key-file FILE [OPTIONS] INPUT OUTPUT
       file inspect INPUT

INPUT and OUTPUT are paths, or - for standard input and output. An output file appears only once it is complete, and
only its owner can read it. On standard output, plaintext is released as soon as each part is authenticated: it is
complete only if the exit code is 0. inspect prints the header of a message, requires no key and verifies nothing.

  --key-file FILE   32 random bytes: the AES key that wraps the data key of each message
  --namespace TEXT  namespace of the key, which is visible in the message (default: file)
  --name TEXT       name of the key, which is visible in the message (default: key)
  --context K=V     a pair bound to the message and visible in it; on decrypt, a required pair. May be repeated
  --help            prints this text

exit codes: 0 success, 1 failure, 2 invalid usage
";

type Failure = Box<dyn Error>;

fn main() -> ExitCode {
    let result = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command.run(),
        Err(complaint) => {
            eprintln!("file: {complaint} (--help shows the usage)");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("file: {}", failure.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

enum Command {
    Help,
    Inspect { input: PathBuf },
    Transform { direction: Direction, options: Options, input: PathBuf, output: PathBuf },
}

#[derive(Clone, Copy)]
enum Direction {
    Encrypt,
    Decrypt,
}

struct Options {
    key_file: PathBuf,
    namespace: String,
    name: String,
    context: EncryptionContext,
}

impl Command {
    fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let command = text(arguments.next().ok_or("no command")?)?;
        let (mut key_file, mut namespace, mut name) = (None, "file".to_owned(), "key".to_owned());
        let (mut context, mut paths) = (EncryptionContext::new(), Vec::new());
        if command == "--help" {
            return Ok(Self::Help);
        }
        while let Some(argument) = arguments.next() {
            let option = argument.to_str().filter(|text| text.len() > 1 && text.starts_with('-')).map(str::to_owned);
            let Some(option) = option else {
                paths.push(PathBuf::from(argument));
                continue;
            };
            if option == "--help" {
                return Ok(Self::Help);
            }
            let value = arguments.next().ok_or_else(|| format!("{option} requires a value"))?;
            match option.as_str() {
                "--key-file" => key_file = Some(PathBuf::from(value)),
                "--namespace" => namespace = text(value)?,
                "--name" => name = text(value)?,
                "--context" => {
                    let pair = text(value)?;
                    let (key, value) = pair.split_once('=').ok_or("--context requires a pair such as owner=me")?;
                    if context.insert(key, value).is_some() {
                        return Err(format!("--context was specified twice for {key:?}"));
                    }
                }
                _ => return Err(format!("unknown option {option}")),
            }
        }
        let direction = match (command.as_str(), paths.as_mut_slice()) {
            ("inspect", [input]) => return Ok(Self::Inspect { input: std::mem::take(input) }),
            ("inspect", _) => return Err("inspect requires one INPUT".to_owned()),
            ("encrypt", _) => Direction::Encrypt,
            ("decrypt", _) => Direction::Decrypt,
            _ => return Err(format!("unknown command {command:?}")),
        };
        let [input, output] =
            <[PathBuf; 2]>::try_from(paths).map_err(|_| format!("{command} requires INPUT and OUTPUT"))?;
        let key_file = key_file.ok_or_else(|| format!("{command} requires --key-file"))?;
        Ok(Self::Transform { direction, options: Options { key_file, namespace, name, context }, input, output })
    }

    fn run(self) -> Result<(), Failure> {
        match self {
            Self::Help => Ok(io::stdout().write_all(HELP.as_bytes())?),
            Self::Inspect { input } => inspect(&input),
            Self::Transform { direction, options, input, output } => transform(direction, &options, &input, &output),
        }
    }
}

fn text(argument: OsString) -> Result<String, String> {
    argument.into_string().map_err(|argument| format!("{} is not UTF-8", argument.display()))
}

/// Opens a path, or standard input for `-`. An error contains the path.
fn open(path: &Path) -> Result<(Box<dyn Read>, Option<u64>), Failure> {
    if is_standard(path) {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

fn is_standard(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn inspect(input: &Path) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    let longest = u64::try_from(Limits::default().max_header_bytes())?;
    open(input)?.0.take(longest).read_to_end(&mut bytes)?;
    let header = message::inspect(&bytes)?;
    let mut out = io::stdout().lock();
    writeln!(out, "version:      {}", header.version().number())?;
    writeln!(out, "suite:        {}", header.suite())?;
    writeln!(out, "message id:   {}", header.message_id())?;
    match header.frame_length() {
        Some(length) => writeln!(out, "frame length: {length}")?,
        None => writeln!(out, "frame length: none, the body is unframed")?,
    }
    writeln!(out, "header:       {} bytes", header.encoded_length())?;
    for (name, value) in header.context().iter() {
        writeln!(out, "context:      {name:?} = {value:?}")?;
    }
    for key in header.data_keys() {
        let (provider, info, length) = (key.provider_id(), key.provider_info().escape_ascii(), key.ciphertext().len());
        writeln!(out, "wrapped key:  provider {provider:?}, info \"{info}\", {length} bytes")?;
    }
    Ok(())
}

fn transform(direction: Direction, options: &Options, input: &Path, output: &Path) -> Result<(), Failure> {
    let key = read_key(&options.key_file).map_err(|error| format!("{}: {error}", options.key_file.display()))?;
    let envelope = Envelope::new(RawAesKeyring::new(options.namespace.as_str(), options.name.as_str(), key)?);
    let (source, length) = open(input)?;
    let progress = progress(length);
    let mut source = progress.wrap_read(source);
    if is_standard(output) {
        let mut sink = io::stdout().lock();
        pass(direction, &envelope, &options.context, &mut source, &mut sink)?;
    } else {
        let mut sink = start_output(input, output)?;
        pass(direction, &envelope, &options.context, &mut source, sink.as_file_mut())?;
        sink.as_file().sync_all()?;
        sink.persist(output).map_err(|error| format!("{}: {error}", output.display()))?;
    }
    progress.finish_and_clear();
    Ok(())
}

/// Reads exactly 32 bytes.
fn read_key(path: &Path) -> Result<SecretBytes, Failure> {
    let mut key = SecretBytes::zeroed(32);
    let mut file = File::open(path)?;
    let whole = file.read_exact(key.expose_secret_mut()).is_ok() && file.read(&mut [0])? == 0;
    if whole { Ok(key) } else { Err("a key file must have exactly 32 bytes".into()) }
}

/// Creates a progress bar, which is hidden unless standard error is a terminal.
fn progress(length: Option<u64>) -> ProgressBar {
    match length {
        _ if !io::stderr().is_terminal() => ProgressBar::hidden(),
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::new_spinner(),
    }
}

/// Creates a temporary file next to the output. It is renamed when it is complete, and removed
/// otherwise.
fn start_output(input: &Path, output: &Path) -> Result<NamedTempFile, Failure> {
    if let Ok(metadata) = fs::metadata(output) {
        if !metadata.is_file() {
            return Err(format!("{}: not a file; use - for standard output", output.display()).into());
        }
        if !is_standard(input) && fs::canonicalize(input)? == fs::canonicalize(output)? {
            return Err(format!("{}: input and output are the same file", output.display()).into());
        }
    }
    let folder = match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    NamedTempFile::new_in(folder).map_err(|error| format!("{}: {error}", output.display()).into())
}

fn pass(
    direction: Direction,
    envelope: &Envelope,
    context: &EncryptionContext,
    source: &mut impl Read,
    sink: &mut impl Write,
) -> Result<(), Failure> {
    match direction {
        Direction::Encrypt => {
            let mut writer = envelope.writer(sink, context)?;
            copy(source, &mut writer)?;
            writer.finish()?;
        }
        Direction::Decrypt => {
            let mut reader = envelope.reader(source, context)?;
            copy(&mut reader, sink)?;
            sink.flush()?;
        }
    }
    Ok(())
}

/// Copies with a buffer as long as a frame, into which frames are decrypted directly.
fn copy(source: &mut impl Read, sink: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(length) => sink.write_all(&buffer[..length])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
