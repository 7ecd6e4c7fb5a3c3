//! The systemd unit and the container file: their commands run in a temporary folder.

mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{certificate, peer};

/// Returns the text of a file in the folder `packaging`.
fn packaged(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging")
}

/// Returns the settings of the unit. A setting that is repeated has all its values.
fn unit() -> BTreeMap<String, Vec<String>> {
    let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in packaged("strongroom-server.service").replace("\\\n", " ").lines() {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            settings.entry(name.to_owned()).or_default().push(value.to_owned());
        }
    }
    settings
}

/// The service as systemd starts it, with other paths.
struct Service {
    directory: tempfile::TempDir,
    socket: UnixDatagram,
    command: Command,
}

impl Service {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir(path("state")).unwrap();
        fs::set_permissions(path("state"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::create_dir(path("credentials")).unwrap();
        fs::write(path("credentials/root-key"), format!("{}\n", "5a".repeat(32))).unwrap();
        // Its group has the access of the list of the service's user.
        fs::set_permissions(path("credentials/root-key"), fs::Permissions::from_mode(0o440)).unwrap();
        let socket = UnixDatagram::bind(path("notify")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let line = unit()["ExecStart"][0]
            .replace("/usr/local/bin/strongroom-server", env!("CARGO_BIN_EXE_strongroom-server"))
            .replace("/var/lib/strongroom", path("state").to_str().unwrap())
            .replace("${CREDENTIALS_DIRECTORY}", path("credentials").to_str().unwrap())
            .replace("127.0.0.1:8080", "127.0.0.1:0");
        assert!(!line.contains("/var/") && !line.contains('$'), "{line}");
        let mut words = line.split_whitespace();
        let mut command = Command::new(words.next().unwrap());
        command.args(words).env_clear().env("NOTIFY_SOCKET", path("notify")).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { directory, socket, command }
    }

    /// Returns the next message to the service manager.
    fn notification(&self) -> String {
        let mut buffer = [0; 1_024];
        let length = self.socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap().success());
}

fn read(stream: Option<impl Read>) -> String {
    let mut text = String::new();
    stream.unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn the_service_becomes_ready_reloads_and_stops() {
    let settings = unit();
    assert_eq!((&settings["Type"][0][..], &settings["NotifyAccess"][0][..]), ("notify", "main"));
    assert_eq!(settings["ExecReload"], ["/bin/kill -HUP $MAINPID"]);
    let mut service = Service::new();
    let mut child = service.command.spawn().unwrap();
    assert_eq!(service.notification(), "READY=1\n");
    signal(&child, "HUP");
    signal(&child, "TERM");
    assert_eq!(service.notification(), "STOPPING=1\n");
    let status = child.wait().unwrap();
    let (output, log) = (read(child.stdout.take()), read(child.stderr.take()));
    assert!(status.success() && output.contains("listening on http://127.0.0.1:"), "{output} {log}");
    // Everything that the service writes is in its directory, for its user alone.
    let state = service.directory.path().join("state");
    for name in ["keys.db", "keys.db.credentials.json", "keys.db.aws"] {
        let mode = fs::metadata(state.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}: {mode:o}");
    }
    assert_eq!(fs::read_dir(service.directory.path()).unwrap().count(), 3, "state, credentials, notify");
    assert!(!state.join("keys.db.root-key").exists(), "the root key is the credential");
}

#[test]
fn the_unit_confines_the_service() {
    let settings = unit();
    assert_eq!((&settings["User"][0][..], &settings["StateDirectoryMode"][0][..]), ("strongroom", "0700"));
    assert!(packaged("strongroom-server.conf").lines().any(|line| line.starts_with("u strongroom ")));
    // The time to stop is longer than that of the server and of a signer.
    assert!(settings["TimeoutStopSec"][0].parse::<u32>().unwrap() > 30 + 20);
    let verify = |arguments: &[&str], directory: &Path| {
        Command::new("systemd-analyze").args(arguments).arg(directory.join("strongroom-server.service")).output().ok()
    };
    // The program of the unit exists, so that only the unit is judged.
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("strongroom-server");
    symlink(env!("CARGO_BIN_EXE_strongroom-server"), &program).unwrap();
    let text =
        packaged("strongroom-server.service").replace("/usr/local/bin/strongroom-server", program.to_str().unwrap());
    fs::write(directory.path().join("strongroom-server.service"), text).unwrap();
    let Some(verified) = verify(&["verify", "--man=no"], directory.path()) else {
        peer::missing("the_unit_confines_the_service", "systemd-analyze is missing; ./test.sh installs it");
        return;
    };
    let complaints = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert!(verified.status.success() && !complaints.contains("strongroom"), "{complaints}");
    // Tenths of points: 0 is confined completely, and 100 not at all.
    let judged = verify(&["security", "--offline=true", "--threshold=12"], directory.path()).unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stdout));
}

#[test]
fn the_command_of_the_container_file_serves_tls() {
    let file = packaged("Containerfile");
    let entry = file.lines().find_map(|line| line.strip_prefix("ENTRYPOINT ")).unwrap();
    let entry: Vec<String> = serde_json::from_str(entry).unwrap();
    assert!(file.lines().any(|line| line.starts_with("USER ") && line != "USER root"));
    assert!(file.contains("STOPSIGNAL SIGTERM") && file.contains("chmod 700 /var/lib/strongroom"));
    let directory = tempfile::tempdir().unwrap();
    let state = directory.path().to_str().unwrap();
    let (certificate, key) = certificate::create(directory.path(), "cert");
    // The arguments are those in the head of the file.
    let head = file.lines().take_while(|line| line.starts_with('#')).collect::<Vec<_>>().join(" ").replace('#', " ");
    let arguments = head.split_once("strongroom-server \\").unwrap().1.replace("0.0.0.0:8443", "0.0.0.0:0");
    let arguments = arguments.replace("/tls/cert.pem", &certificate);
    let arguments = arguments.replace("/tls/key.pem", &key);
    assert_eq!(entry[0], "/usr/local/bin/strongroom-server");
    let mut child = Command::new(env!("CARGO_BIN_EXE_strongroom-server"))
        .args(entry[1..].iter().map(|word| word.replace("/var/lib/strongroom", state)))
        .args(arguments.split_whitespace())
        .env_clear()
        .current_dir(state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("try: ") {
        let read = std::io::BufRead::read_line(&mut output, &mut text).unwrap();
        assert!(read > 0, "{text} {}", read_log(&mut child));
    }
    assert!(text.contains("listening on https://0.0.0.0:"), "{text}");
    signal(&child, "TERM");
    assert!(child.wait().unwrap().success());
}

fn read_log(child: &mut Child) -> String {
    read(child.stderr.take())
}
