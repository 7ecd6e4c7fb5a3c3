//! A server in the process of the test, on a free port of the loopback interface.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use strongroom::audit::MemoryTrail;
use strongroom::identity::{Locality, Principal};
use strongroom::{Clock, Kms, KmsBuilder, SystemClock, Timestamp};
use strongroom_server::credentials::{AccessKey, AccessKeys};
use strongroom_server::http::{Limits, Server, State};
use strongroom_server::metrics::Metrics;
use tokio::sync::oneshot;

pub(crate) const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
/// The access key of a user without permissions, with the same secret.
pub(crate) const ALICE_ACCESS_KEY: &str = "AKIAI44QH8DHBEXAMPLE";
pub(crate) const ALICE: &str = "arn:aws:iam::000000000000:user/alice";
pub(crate) const REGION: &str = "eu-central-1";

/// The clock of the system, which stops while the gate is closed.
#[derive(Debug)]
pub(crate) struct GatedClock(pub(crate) Arc<Mutex<()>>);

impl Clock for GatedClock {
    fn now(&self) -> Timestamp {
        drop(self.0.lock().unwrap());
        SystemClock.now()
    }
}

/// A running server. Dropping it shuts it down.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) kms: Kms,
    pub(crate) trail: Arc<MemoryTrail>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<bool>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        Self::with(Limits::default(), |state| state)
    }

    /// Starts a server with an access key for the root of the account, and one for Alice.
    pub(crate) fn with(limits: Limits, configure: impl FnOnce(State) -> State) -> Self {
        Self::of(Kms::builder(), limits, configure)
    }

    /// Starts a server of the KMS that a builder describes.
    pub(crate) fn of(builder: KmsBuilder, limits: Limits, configure: impl FnOnce(State) -> State) -> Self {
        let trail = Arc::new(MemoryTrail::default());
        let metrics = Arc::new(Metrics::default());
        let kms = builder
            .locality(Locality::new("aws", REGION).unwrap())
            .audit(Arc::clone(&trail))
            .metrics(Arc::clone(&metrics))
            .build()
            .unwrap();
        let access_key =
            |id, principal| AccessKey::new(id, SECRET.to_owned().into(), kms.as_principal(principal).unwrap());
        let alice = Principal::parse(ALICE).unwrap();
        let keys: AccessKeys = [access_key(ACCESS_KEY, kms.principal().clone()), access_key(ALICE_ACCESS_KEY, alice)]
            .into_iter()
            .collect();
        let state = Arc::new(configure(State::new(kms.clone(), keys, metrics, limits)));
        let (stop, stopped) = oneshot::channel();
        let (sender, address) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let server = Server::bind("127.0.0.1:0".parse().unwrap(), state).await.unwrap();
                sender.send(server.address()).unwrap();
                server
                    .serve(async {
                        stopped.await.ok();
                    })
                    .await
            })
        });
        let address = address.recv().unwrap();
        Self { address, kms, trail, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the environment of a client that signs with an access key of this server.
    pub(crate) fn environment(&self, access_key: &str) -> Vec<(&'static str, String)> {
        let variables = [
            ("ENDPOINT", self.url().as_str()),
            ("AWS_ENDPOINT_URL", self.url().as_str()),
            ("AWS_ACCESS_KEY_ID", access_key),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            // No configuration file of the user and no metadata service has a part in a test.
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", ""),
            ("AWS_SHARED_CREDENTIALS_FILE", ""),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        variables.into()
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
    }

    /// Sends bytes on a new connection, and returns everything that the server sends until it closes
    /// the connection.
    pub(crate) fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        // The server may close the connection before it has read everything.
        let _ = stream.write_all(request);
        read_all(&mut stream)
    }

    /// Shuts the server down, and returns `true` if all requests were answered.
    pub(crate) fn stop(mut self) -> bool {
        self.begin_stop();
        self.thread.take().unwrap().join().unwrap()
    }

    pub(crate) fn begin_stop(&mut self) {
        self.stop.take().map(|stop| stop.send(()));
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.begin_stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Reads until the other side closes the connection, also if it resets it.
pub(crate) fn read_all(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => received.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server does not close the connection: {error}"),
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}
